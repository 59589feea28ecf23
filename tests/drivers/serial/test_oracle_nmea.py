"""Our reading of NMEA sentences beside pynmea2's, which somebody else wrote."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pynmea2  # type: ignore[import-untyped]  # ships no types
import pytest

from drivers.serial.nmea import decode

_FILE = Path(__file__).parents[2] / "vectors" / "serial-frames.json"
VECTORS = [
    bytes.fromhex(one["bytes_hex"]) for one in json.loads(_FILE.read_text("utf-8")) if one["device"] == "nmea_gnss"
]
KNOT_MS = 1852 / 3600
_SENTENCES = 1500  # of each kind


def _sealed(body: str) -> bytes:
    total = 0
    for letter in body:
        total ^= ord(letter)
    return f"${body}*{total:02X}\r\n".encode()


def ours(sentence: bytes) -> dict[str, object]:
    return {one.channel: one.value for one in decode("nmea", {}, [sentence]).readings}


def theirs(sentence: bytes) -> dict[str, float]:
    """What the fields that pynmea2 found say, void fixes left out."""
    found = pynmea2.parse(sentence.decode().strip(), check=True)
    kind = found.sentence_type
    if kind in ("RMC", "GLL") and (found.status != "A" or _mode(found) == "N"):
        return {}
    if kind == "VTG" and _mode(found) == "N":
        return {}
    values: dict[str, float] = {}
    if kind in ("RMC", "GLL", "GGA") and found.lat and not (kind == "GGA" and found.gps_qual == 0):
        values |= {"latitude": found.latitude, "longitude": found.longitude}
    if kind == "RMC":
        values |= {"speed": found.spd_over_grnd * KNOT_MS} if found.spd_over_grnd is not None else {}
        values |= {"course": found.true_course} if found.true_course is not None else {}
    if kind == "VTG":
        values |= {"speed": float(found.spd_over_grnd_kts) * KNOT_MS} if found.spd_over_grnd_kts is not None else {}
        values |= {"course": float(found.true_track)} if found.true_track is not None else {}
    if kind == "GGA":
        values |= {"fix": found.gps_qual}
        values |= {"satellites": int(found.num_sats)} if found.num_sats else {}
        if found.gps_qual:
            values |= {"hdop": float(found.horizontal_dil)} if found.horizontal_dil else {}
            values |= {"altitude": found.altitude} if found.altitude is not None else {}
    return values


def _mode(found: pynmea2.NMEASentence) -> str:
    """The mode of newer receivers stands behind the last field that older ones have."""
    place = {"RMC": 11, "GLL": 6, "VTG": 8}[found.sentence_type]
    return str(found.data[place]) if len(found.data) > place else ""


def _position(chance: random.Random) -> str:
    digits = chance.randint(1, 7)  # pynmea2 wants a decimal
    if chance.random() < 0.1:
        return ",,,"
    north = f"{chance.randint(0, 89):02d}{_minutes(chance, digits)},{chance.choice('NS')}"
    east = f"{chance.randint(0, 179):03d}{_minutes(chance, digits)},{chance.choice('EW')}"
    return f"{north},{east}"


def _minutes(chance: random.Random, digits: int) -> str:
    whole = f"{chance.randint(0, 59):02d}"
    return f"{whole}.{chance.randrange(10**digits):0{digits}d}" if digits else whole


def _some(chance: random.Random, text: str) -> str:
    return "" if chance.random() < 0.15 else text


def _number(chance: random.Random, high: int) -> str:
    decimals = chance.randint(0, 3)
    return _some(chance, f"{chance.uniform(0, high):.{decimals}f}")


def _talker(chance: random.Random) -> str:
    return chance.choice(("GP", "GN", "GL", "GA", "BD", "GB", "GQ"))


def _rmc(chance: random.Random) -> str:
    clock = (
        f"{chance.randint(0, 23):02d}{chance.randint(0, 59):02d}{chance.randint(0, 59):02d}.{chance.randint(0, 99):02d}"
    )
    date = f"{chance.randint(1, 28):02d}{chance.randint(1, 12):02d}{chance.randint(0, 99):02d}"
    tail = chance.choice(("", ",A", ",D", ",N", ",E", ",A,V"))
    status = chance.choice("AAAAV")
    values = f"{_position(chance)},{_number(chance, 99)},{_number(chance, 360)}"
    return f"{_talker(chance)}RMC,{clock},{status},{values},{date},,{tail}"


def _gga(chance: random.Random) -> str:
    quality = chance.choice("0112456")
    used = _some(chance, f"{chance.randint(0, 40):02d}")
    height = _some(chance, f"{chance.uniform(-400, 8800):.{chance.randint(0, 2)}f}")
    return (
        f"{_talker(chance)}GGA,120000.00,{_position(chance)},{quality},{used},{_number(chance, 99)},{height},M,-3.1,M,,"
    )


def _gll(chance: random.Random) -> str:
    tail = chance.choice(("", ",A", ",D", ",N"))
    return f"{_talker(chance)}GLL,{_position(chance)},225444.00,{chance.choice('AAAV')}{tail}"


def _vtg(chance: random.Random) -> str:
    tail = chance.choice(("", ",A", ",D", ",N"))
    return f"{_talker(chance)}VTG,{_number(chance, 360)},T,,M,{_number(chance, 99)},N,{_number(chance, 180)},K{tail}"


@pytest.mark.parametrize("make", [_rmc, _gga, _gll, _vtg])
def test_thousands_of_sentences_mean_the_same_to_both(make: Callable[[random.Random], str]) -> None:
    chance = random.Random(22)  # noqa: S311 - the same on each run
    said = 0
    for _ in range(_SENTENCES):
        sentence = _sealed(make(chance))
        assert ours(sentence) == pytest.approx(theirs(sentence), abs=6e-7), sentence
        said += bool(ours(sentence))
    assert said > _SENTENCES // 3


@pytest.mark.parametrize("frame", VECTORS, ids=[one[1:6].decode() for one in VECTORS])
def test_each_published_sentence_means_the_same_to_both(frame: bytes) -> None:
    sentences = [line + b"\r\n" for line in frame.splitlines() if line]
    for sentence in sentences:
        try:
            wanted = theirs(sentence)
        except pynmea2.ParseError:
            wanted = {}
        assert ours(sentence) == pytest.approx(wanted, abs=6e-7)


def test_both_refuse_a_sentence_with_a_flipped_letter() -> None:
    chance = random.Random(23)  # noqa: S311 - the same on each run
    for _ in range(500):
        sentence = bytearray(_sealed(_rmc(chance)))
        place = chance.randrange(7, len(sentence) - 5)
        sentence[place] ^= 1
        with pytest.raises(pynmea2.ParseError):
            pynmea2.parse(sentence.decode().strip(), check=True)
        assert ours(bytes(sentence)) == {}
