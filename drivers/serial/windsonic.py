"""Gill WindSonic ultrasonic wind sensors in polar ASCII format: lines to readings. No I/O.

Source: Gill WindSonic user manual 1405-PS-0019, issue 28: 9.1 (polar, continuous), 10 (units; K: least speed), 11.5
(status).
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from drivers.driver import Channel, DriverInfo, Line, OptionValue
from drivers.framing import Fault, LineFrame, xor8
from drivers.reading import GOOD, Quality
from drivers.serial.decoded import Decoded
from drivers.serial.options import Options, paced
from drivers.serial.stream import NOT_UNDERSTOOD, Said, Stream, Value

_LONGEST = 128
_FRAME = re.compile(rb"\x02([^\x02\x03]+)\x03([0-9A-Fa-f]{2})")
_POLAR = re.compile(r"[A-Z],(\d{0,3}),(\d{0,3}\.?\d{0,2}),([MNPKF]),([0-9A-F]{2}),")
_UNITS = {  # letter, and metres per second in one of it
    "M": Decimal(1),
    "N": Decimal(1852) / 3600,
    "P": Decimal("0.44704"),
    "K": Decimal(1000) / 3600,
    "F": Decimal("0.00508"),
}
_STATES = {
    1: "axis U fails: something stands in the path",
    2: "axis V fails: something stands in the path",
    4: "both axes fail: something stands in the path",
    8: "its settings are damaged (NVM)",
    9: "its program is damaged (ROM)",
}
_DOUBT = frozenset({Quality.DEVICE_ERROR})

INFO = DriverInfo(
    name="windsonic",
    title="Gill WindSonic wind sensor, polar ASCII",
    family="windsonic",
    models=("gill_windsonic",),
    line=Line(baud=9600),
    channels=(
        Channel(
            name="wind_direction",
            unit="deg",
            low=0.0,
            high=359.0,
            kind="angle",
            doc="where the wind comes from; missing below 0.05 m/s",
        ),
        Channel(name="wind_speed", unit="m/s", low=0.0, high=75.0),
        Channel(name="status", unit="1", kind="state", low=0.0, high=255.0, doc="0 is healthy"),
    ),
    every_s=1.0,
    min_every_s=0.25,
    stale_after_s=15.0,
    integrity="xor",
    confirm=2,
    source="Gill WindSonic user manual 1405-PS-0019, sections 9.1 and 11.5",
)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Stream:
    """Make the driver of one sensor.

    Raises:
        OptionError: An option cannot be used.
    """
    del name  # it has one model
    Options(INFO, options)
    codec = LineFrame(b"\r\n", _LONGEST, _check, start=b"\x02")
    return Stream(sensor, info=paced(INFO, every_s), codec=codec, meaning=_said, line_end=b"\n")


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what lines mean; a lone one needs no end.

    Raises:
        OptionError: An option cannot be used.
    """
    return make(name, name, options, None).decode(frames)


def _check(line: bytes) -> Fault | None:
    match = _FRAME.fullmatch(line)
    if match is None:
        return Fault(reason="line", detail="not STX, text, ETX and two hex digits")
    total = xor8(match[1])
    if total != int(match[2], 16):
        return Fault(reason="checksum", detail=f"expected {total:02X}, got {match[2].decode()}")
    return None


def _said(line: bytes) -> Said:
    match = _POLAR.fullmatch(line[1:-3].decode("ascii", "replace").replace(" ", ""))
    if match is None:
        return Said(trouble=NOT_UNDERSTOOD, detail="not in polar format; set the unit to M2 or M4")
    direction, speed, unit, code = match.groups()
    status = int(code, 16)
    quality = _DOUBT if status else GOOD
    values: list[Value] = []
    if direction:
        values.append(Value(channel="wind_direction", value=int(direction) % 360, quality=quality))
    if speed.strip("."):
        metres_s = float(round(Decimal(speed) * _UNITS[unit], 3))
        values.append(Value(channel="wind_speed", value=metres_s, quality=quality))
    values.append(Value(channel="status", value=status))
    if status:
        return Said(values=tuple(values), trouble="device_error", detail=_STATES.get(status, f"status {code}"))
    return Said(values=tuple(values))
