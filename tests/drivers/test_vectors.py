"""Every published frame of the shipped families, through the drivers."""

import json
import tracemalloc
from pathlib import Path
from typing import NotRequired, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.driver import Driver, OptionValue
from drivers.io.catalog import registry
from drivers.reading import Reading

DRIVERS = registry()
TALKING = (
    *("sds011", "nmea_gnss", "a01nyub", "a02yyuw"),
    *("pms5003", "pms5003t", "maxbotix_hrxl", "maxbotix_xl", "vedirect"),
    *("dfrobot_sen0627", "dsmr_p1", "gill_windsonic", "iec62056_21", "vaisala_wxt_ascii"),
)


class Value(TypedDict):
    value: int | float | bool | str
    unit: str


class Vector(TypedDict):
    device: str
    bytes_hex: str
    decoded: dict[str, Value]
    check: str
    expect: str
    note: NotRequired[str]


_FILE = Path(__file__).parents[1] / "vectors" / "serial-frames.json"
ALL: list[Vector] = json.loads(_FILE.read_text())
DEVICES = tuple(dict.fromkeys(one["device"] for one in ALL))
VECTORS = ALL
STREAMS = [one for one in VECTORS if one["device"] in TALKING]
CHECKED = [
    one
    for one in VECTORS
    if DRIVERS.info(one["device"]).integrity != "none"
    and not one["check"].startswith("none")  # not each version has one
]
_IDS = [f"{one['device']}-{index}" for index, one in enumerate(VECTORS)]


def _values(readings: tuple[Reading, ...] | list[Reading]) -> dict[str, object]:
    return {reading.channel: (reading.value, reading.unit) for reading in readings}


def _expected(vector: Vector) -> dict[str, object]:
    return {name: (one["value"], one["unit"]) for name, one in vector["decoded"].items()}


def _feed(driver: Driver, *chunks: bytes) -> list[Reading]:
    found: list[Reading] = []
    for step, chunk in enumerate(chunks):
        found += [event for event in driver.receive(chunk, step * 1000) if isinstance(event, Reading)]
    return found


def _options(vector: Vector) -> dict[str, OptionValue]:
    """Profiles whose replies are ambiguous are told which register was asked."""
    asked = {"senseair_s8": {"co2": 3, "type_id_low": 26}, "sdm230": {"power": 12, "energy_import": 72}}
    registers = asked.get(vector["device"], {})
    return next(({"register": registers[name]} for name in vector["decoded"] if name in registers), {})


@pytest.mark.parametrize("device", DEVICES)
def test_every_device_name_resolves(device: str) -> None:
    assert DRIVERS.info(device).channels or device in ("modbus_rtu", "sdi12")


@pytest.mark.parametrize("vector", VECTORS, ids=_IDS)
def test_each_frame_decodes_to_what_was_published(vector: Vector) -> None:
    frame = bytes.fromhex(vector["bytes_hex"])
    decoded = DRIVERS.decode(vector["device"], _options(vector), [frame])
    if vector["expect"] == "reading":
        assert _values(decoded.readings) == _expected(vector)
        doubts = {"warming_up"} if "flag as warming up" in vector.get("note", "") else set[str]()
        assert {str(flag) for reading in decoded.readings for flag in reading.quality} == doubts
    else:
        assert decoded.readings == ()
        assert decoded.reasons


@pytest.mark.parametrize("vector", STREAMS, ids=[one["device"] for one in STREAMS])
def test_every_cut_and_byte_by_byte_give_the_same(vector: Vector) -> None:
    frame = bytes.fromhex(vector["bytes_hex"])
    name = vector["device"]
    expected = _expected(vector)
    for cut in range(0, len(frame) + 1, 1 + len(frame) // 200):
        assert _values(_feed(DRIVERS.make(name, "s", {}), frame[:cut], frame[cut:])) == expected
    assert _values(_feed(DRIVERS.make(name, "s", {}), *(bytes((byte,)) for byte in frame))) == expected


@pytest.mark.parametrize("vector", CHECKED, ids=[one["device"] for one in CHECKED])
def test_no_single_flipped_bit_makes_a_false_reading(vector: Vector) -> None:
    frame = bytes.fromhex(vector["bytes_hex"])
    right: dict[str, object] = _expected(vector) if vector["expect"] == "reading" else {}
    for bit in range(
        0, len(frame) * 8, 1 + len(frame) // 100 * 2
    ):  # each bit of short frames, an odd step in long ones
        damaged = bytearray(frame)
        damaged[bit // 8] ^= 1 << bit % 8
        found = _values(DRIVERS.decode(vector["device"], _options(vector), [bytes(damaged)]).readings)
        # A flip in the case of a hex digit or in the line end damages nothing.
        assert found in ({}, right), f"bit {bit}"


_JUNK = [b"", b"\x00" * 50, b"\xff" * 9, b"\xaa" * 7, b"$GPGGA,1", b"\xaa\xc0\x01", b"boot v1.2 OK\r\n", b"\xff\x07"]


@pytest.mark.parametrize("junk", _JUNK, ids=[junk[:6].hex() or "none" for junk in _JUNK])
@pytest.mark.parametrize("name", ["sds011", "nmea_gnss", "a01nyub", "a02yyuw", "pms5003", "maxbotix_hrxl"])
def test_junk_before_between_and_after_hides_at_most_one_frame(name: str, junk: bytes) -> None:
    frames = [
        bytes.fromhex(one["bytes_hex"]) for one in STREAMS if one["device"] == name and one["expect"] == "reading"
    ] * 2
    driver = DRIVERS.make(name, "s", {}, every_s=1.0)
    hits = 0
    allowed = {tuple(_values(_feed(DRIVERS.make(name, "s", {}), frame)).items()) for frame in frames}
    for step, frame in enumerate(frames):
        events = driver.receive(junk + frame + junk, step * 2_000_000_000)
        found = tuple(_values([event for event in events if isinstance(event, Reading)]).items())
        assert found == () or found in allowed
        hits += bool(found)
    assert hits >= len(frames) - (junk in (b"\xaa\xc0\x01", b"$GPGGA,1", b"\xff\x07", b"\xff" * 9))


@given(st.lists(st.binary(max_size=80), max_size=4))
def test_no_bytes_at_all_make_decoding_fail(frames: list[bytes]) -> None:
    for name in DEVICES:
        decoded = DRIVERS.decode(name, {}, frames)
        assert decoded.readings or decoded.reasons or not b"".join(frames).strip(b"\r\n")


def test_a_hundred_thousand_frames_leave_no_memory_behind() -> None:
    frame = bytes.fromhex("ff07a1a7") * 1000
    driver = DRIVERS.make("a02yyuw", "s", {})
    driver.receive(frame, 0)
    tracemalloc.start()
    for step in range(100):
        driver.receive(frame, step * 1_000_000)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 64 * 1024
