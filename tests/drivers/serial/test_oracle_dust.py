"""Our reading of dust and CO2 frames beside that of PyPMS, which somebody else wrote."""

import random
import struct
from collections.abc import Callable, Iterator

import pytest
from pms import WrongMessageChecksum, WrongMessageFormat
from pms.core.sensor import Sensor

from drivers.io.catalog import registry

DRIVERS = registry()
_FRAMES = 500
_MASS = {"raw01": "pm1_cf1", "raw25": "pm2_5_cf1", "raw10": "pm10_cf1", "pm01": "pm1", "pm25": "pm2_5", "pm10": "pm10"}
_COUNTS = {name: name for name in ("n0_3", "n0_5", "n1_0", "n2_5", "n5_0", "n10_0")} | {"n10_0": "n10"}
_FACTORS = {**dict.fromkeys(_COUNTS, 100), "HCHO": 1000}
_AIR = {"temp": "temperature", "rhum": "humidity"}
MODELS: dict[str, tuple[str, dict[str, str]]] = {
    "sds011": ("SDS011", {"pm25": "pm2_5", "pm10": "pm10"}),
    "pms3003": ("PMS3003", _MASS),
    "pms5003": ("PMSx003", _MASS | _COUNTS),
    "pms5003s": ("PMS5003S", _MASS | _COUNTS | {"HCHO": "formaldehyde"}),
    "pms5003t": ("PMS5003T", _MASS | dict(list(_COUNTS.items())[:4]) | _AIR),
    "pms5003st": ("PMS5003ST", _MASS | _COUNTS | {"HCHO": "formaldehyde"} | _AIR),
    "mhz19b": ("MHZ19B", {"CO2": "co2"}),
}


def _plantower(words: int, signed: int | None = None) -> Callable[[random.Random], bytes]:
    def make(chance: random.Random) -> bytes:
        counts = sorted((chance.randrange(1, 65536) for _ in range(6)), reverse=True)
        values = [chance.randrange(1001) for _ in range(6)] + counts + [chance.randrange(1001) for _ in range(words)]
        values = values[:words]
        if signed is not None:
            values[signed] = chance.randrange(-400, 851) & 0xFFFF
        body = b"BM" + struct.pack(f">{words + 1}H", 2 * words + 2, *values)
        return body + struct.pack(">H", sum(body))

    return make


def _sds(chance: random.Random) -> bytes:
    data = struct.pack("<HHH", chance.randrange(1, 9999), chance.randrange(1, 9999), chance.randrange(65536))
    return b"\xaa\xc0" + data + bytes((sum(data) % 256, 0xAB))


def _mhz(chance: random.Random) -> bytes:
    data = b"\x86" + struct.pack(">H4B", chance.randrange(1, 5000), *(chance.randrange(256) for _ in range(4)))
    if sum(data) % 256 == 0:  # PyPMS takes 256 for its checksum then
        return _mhz(chance)
    return b"\xff" + data + bytes(((256 - sum(data)) % 256,))


MAKERS = {
    "sds011": _sds,
    "pms3003": _plantower(9),
    "pms5003": _plantower(13),
    "pms5003s": _plantower(13),
    "pms5003t": _plantower(13, signed=10),
    "pms5003st": _plantower(17, signed=13),
    "mhz19b": _mhz,
}


def _frames(name: str) -> Iterator[bytes]:
    chance = random.Random(name)  # noqa: S311 - the same on each run
    for _ in range(_FRAMES):
        yield MAKERS[name](chance)


def ours(name: str, frame: bytes) -> dict[str, object]:
    return {one.channel: one.value for one in DRIVERS.decode(name, {}, [frame]).readings}


@pytest.mark.parametrize("name", MODELS)
def test_hundreds_of_random_frames_mean_the_same_to_both(name: str) -> None:
    sensor, channels = MODELS[name]
    for frame in _frames(name):
        theirs = Sensor[sensor].decode(frame, time=1)
        found = ours(name, frame)
        for field, channel in channels.items():
            value = getattr(theirs, field) * _FACTORS.get(field, 1)
            assert found[channel] == pytest.approx(value, abs=1e-6), (frame.hex(), channel)


@pytest.mark.parametrize("name", MODELS)
def test_both_refuse_the_same_damaged_frames(name: str) -> None:
    chance = random.Random(7)  # noqa: S311 - the same on each run
    for frame in _frames(name):
        damaged = bytearray(frame)
        damaged[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)
        with pytest.raises((WrongMessageChecksum, WrongMessageFormat)):
            Sensor[MODELS[name][0]].decode(bytes(damaged), time=1)
        assert ours(name, bytes(damaged)) == {}
