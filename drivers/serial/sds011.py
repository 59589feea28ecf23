"""Nova SDS011 dust sensor: bytes to readings. No I/O; it is never written to.

Source: Nova Fitness, "Laser Dust Sensor Control Protocol V1.3", data frame AA C0; SDS011 specification V1.3; SDS198
specification V1.2 (data frame AA CF) as read by avaldebe/PyPMS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from drivers.driver import Channel, DriverInfo, Line, OptionValue
from drivers.framing import Fault, FixedFrame, sum8
from drivers.serial.decoded import Decoded
from drivers.serial.options import Options, paced
from drivers.serial.stream import Said, Stream, Value

_HEAD = 0xAA
_DATA = 0xC0
_COARSE = 0xCF  # data of the SDS198: a word of no use, PM100 in whole micrograms
_REPLY = 0xC5  # answer to a command: same length and sum as data
_TAIL = 0xAB
_FRAME_BYTES = 10  # head, kind, six bytes, sum of the six, tail

INFO = DriverInfo(
    name="sds011",
    title="Nova SDS011 dust sensor (PM2.5, PM10)",
    family="sds011",
    models=("sds018", "sds021", "sds198"),
    line=Line(baud=9600),
    channels=(
        Channel(
            name="pm2_5",
            unit="ug/m3",
            low=0.0,
            high=999.9,
            zero="suspect",
            stuck_after_s=6 * 3600.0,
            doc="mass of particles up to 2.5 um",
        ),
        Channel(
            name="pm10",
            unit="ug/m3",
            low=0.0,
            high=999.9,
            zero="suspect",
            stuck_after_s=6 * 3600.0,
            doc="mass of particles up to 10 um",
        ),
    ),
    every_s=1.0,
    min_every_s=1.0,
    warmup_s=30.0,
    stale_after_s=30.0,
    integrity="sum8",
    confirm=2,
    proves="unit",
    lifetime_h=8000.0,
    source="Nova Fitness, Laser Dust Sensor Control Protocol V1.3; SDS011 specification V1.3, About service life",
)


_PM100 = Channel(
    name="pm100",
    unit="ug/m3",
    low=0.0,
    high=65535.0,
    zero="suspect",
    stuck_after_s=6 * 3600.0,
    doc="mass of particles up to 100 um",
)


def info_of(name: str) -> DriverInfo:
    """What is known of one model; of the SDS011 when ``name`` is none."""
    return replace(INFO, channels=(_PM100,), lifetime_h=None) if name == "sds198" else INFO


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Stream:
    """Make the driver of one sensor.

    Raises:
        OptionError: An option cannot be used.
    """
    info = info_of(name)
    Options(info, options)
    kind = _COARSE if info.channels == (_PM100,) else _DATA
    codec = FixedFrame((bytes((_HEAD, kind)), bytes((_HEAD, _REPLY))), _FRAME_BYTES, _check)
    return Stream(sensor, info=paced(info, every_s), codec=codec, meaning=_meaning)


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what frames mean.

    Raises:
        OptionError: An option cannot be used.
    """
    return make(name, name, options, None).decode(frames)


def _check(frame: bytes) -> Fault | None:
    if frame[-1] != _TAIL:
        return Fault(reason="tail", detail=f"expected {_TAIL:02x}, got {frame[-1]:02x}")
    if (total := sum8(frame[2:8])) != frame[8]:
        return Fault(reason="checksum", detail=f"expected {total:02x}, got {frame[8]:02x}")
    return None


def _meaning(frame: bytes) -> Said:
    if frame[1] == _REPLY:
        return Said(detail="reply to a command, no measurement", settles=False)
    if not any(frame[2:8]):
        return Said(trouble="warming_up", detail="warming up: the frame is empty, the unit's number too")
    low, high = int.from_bytes(frame[2:4], "little"), int.from_bytes(frame[4:6], "little")
    identity = f"sds011 {frame[6:8].hex()}"
    if frame[1] == _COARSE:
        return Said(values=(Value(channel="pm100", value=high),), identity=identity)
    return Said(
        values=(
            Value(channel="pm2_5", value=low / 10),
            Value(channel="pm10", value=high / 10),
        ),
        identity=identity,
    )
