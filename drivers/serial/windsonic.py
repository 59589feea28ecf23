"""Gill WindSonic ultrasonic wind sensors in polar, UV and NMEA format: lines to readings. No I/O.

Source: Gill WindSonic user manual 1405-PS-0019, issue 28: 9.1 (polar), 9.2 (UV), 9.4 and 9.5 (NMEA MWV), 10 (units; K:
least speed), 11.5 (status). The check bytes that 9.2 and 9.5 print do not belong to their lines.
"""

import math
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
_FRAME = re.compile(rb"(?:\x02([^$\x02\x03]+)\x03|\$([^$*\x02\x03]+)\*)([0-9A-Fa-f]{2})")
_POLAR = re.compile(r"[A-Z],(\d{0,3}),(\d{0,3}\.?\d{0,2}),([MNPKF]),([0-9A-F]{2}),")
_MWV = re.compile(r"[A-Z]{2}MWV,(\d{0,3})(?:\.\d)?,[RT],(\d{0,3}\.?\d{0,2}),([MNPKF]),([0-9A-F]{2}|[AV])")
_UV = re.compile(r"[A-Z],([+-]\d{1,3}\.\d{2}),([+-]\d{1,3}\.\d{2}),([MNPKF]),([0-9A-F]{2}),")
_NMEA_STATES = {"A": "00", "V": "04"}  # void: no valid sample, as on both axes
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
    title="Gill WindSonic wind sensor, polar, UV or NMEA",
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
        Channel(name="wind_u", unit="m/s", low=-75.0, high=75.0, doc="along south to north; units set to UV"),
        Channel(name="wind_v", unit="m/s", low=-75.0, high=75.0, doc="along east to west; units set to UV"),
        Channel(name="status", unit="1", kind="state", low=0.0, high=255.0, doc="0 is healthy"),
    ),
    every_s=1.0,
    min_every_s=0.25,
    stale_after_s=15.0,
    integrity="xor",
    confirm=2,
    source="Gill WindSonic user manual 1405-PS-0019, sections 9 and 11.5",
)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Stream:
    """Make the driver of one sensor.

    Raises:
        OptionError: An option cannot be used.
    """
    del name  # it has one model
    Options(INFO, options)
    codec = LineFrame(b"\r\n", _LONGEST, _check, start=(b"\x02", b"$"))
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
        return Fault(reason="line", detail="not STX or $, text, ETX or * and two hex digits")
    total = xor8(match[1] or match[2])
    if total != int(match[3], 16):
        return Fault(reason="checksum", detail=f"expected {total:02X}, got {match[3].decode()}")
    return None


def _said(line: bytes) -> Said:
    frame = _FRAME.fullmatch(line)
    text = (frame[1] or frame[2]).decode("ascii", "replace").replace(" ", "") if frame else ""
    if uv := _UV.fullmatch(text):
        along = [_metres_s(part, uv[3]) for part in uv.groups()[:2]]
        found = {"wind_speed": round(math.hypot(*along), 3), "wind_u": along[0], "wind_v": along[1]}
        return _judged(found, uv[4])
    match = _POLAR.fullmatch(text) or _MWV.fullmatch(text)
    if match is None:
        return Said(trouble=NOT_UNDERSTOOD, detail="not in polar, UV or NMEA format; set the unit to M2 or M4")
    direction, speed, unit, code = match.groups()
    found = {"wind_direction": int(direction) % 360} if direction else {}
    if speed.strip("."):
        found["wind_speed"] = _metres_s(speed, unit)
    return _judged(found, _NMEA_STATES.get(code, code))


def _metres_s(number: str, unit: str) -> float:
    return float(round(Decimal(number) * _UNITS[unit], 3))


def _judged(found: Mapping[str, float], code: str) -> Said:
    """The values, with what the status makes of them."""
    status = int(code, 16)
    quality = _DOUBT if status else GOOD
    values = (
        *(Value(channel=channel, value=value, quality=quality) for channel, value in found.items()),
        Value(channel="status", value=status),
    )
    if status:
        return Said(values=values, trouble="device_error", detail=_STATES.get(status, f"status {code}"))
    return Said(values=values)
