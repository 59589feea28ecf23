"""Nova SDS011 dust sensor: bytes to readings. No I/O; it is never written to.

Source: Nova Fitness, "Laser Dust Sensor Control Protocol V1.3", data frame AA C0; SDS011 specification V1.3.
"""

from collections.abc import Mapping, Sequence

from drivers.driver import Channel, DriverInfo, Line, OptionValue
from drivers.framing import Fault, FixedFrame, sum8
from drivers.serial.decoded import Decoded
from drivers.serial.options import Options, paced
from drivers.serial.stream import Said, Stream, Value

_HEAD = 0xAA
_DATA = 0xC0
_REPLY = 0xC5  # answer to a command: same length and sum as data
_TAIL = 0xAB
_FRAME_BYTES = 10  # head, kind, six bytes, sum of the six, tail

INFO = DriverInfo(
    name="sds011",
    title="Nova SDS011 dust sensor (PM2.5, PM10)",
    family="sds011",
    models=("sds018", "sds021"),
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
    source="Nova Fitness, Laser Dust Sensor Control Protocol V1.3",
)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Stream:
    """Make the driver of one sensor.

    Raises:
        OptionError: An option cannot be used.
    """
    del name  # all models speak alike
    Options(INFO, options)
    codec = FixedFrame((bytes((_HEAD, _DATA)), bytes((_HEAD, _REPLY))), _FRAME_BYTES, _check)
    return Stream(sensor, info=paced(INFO, every_s), codec=codec, meaning=_meaning)


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
    return Said(
        values=(
            Value(channel="pm2_5", value=int.from_bytes(frame[2:4], "little") / 10),
            Value(channel="pm10", value=int.from_bytes(frame[4:6], "little") / 10),
        ),
        identity=f"sds011 {frame[6:8].hex()}",
    )
