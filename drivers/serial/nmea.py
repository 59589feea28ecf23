"""NMEA 0183 position receivers (GPS, GLONASS, BeiDou, Galileo ...): sentences to readings. No I/O.

Source: NMEA 0183 V4.11, sentences RMC, GGA, GNS, GLL and VTG; u-blox M8 protocol specification, chapter 31. Not read:
GSA and GSV (satellites one by one), ZDA (a time that no fix vouches for), and what makers add ($P...).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from drivers.driver import Channel, DriverInfo, Line, OptionValue
from drivers.framing import Fault, LineFrame, xor8
from drivers.reading import GOOD, Quality
from drivers.serial.decoded import Decoded
from drivers.serial.options import Options, paced
from drivers.serial.stream import Said, Stream, Value

_SENTENCE = re.compile(
    rb"\$(?:[A-OQ-Z][A-Z0-9]{4}|P[A-Z0-9]{3,12})(?:,[\x20-\x23\x25-\x29\x2b\x2d-\x7e]*)+\*([0-9A-Fa-f]{2})"
)
_LONGEST = 160  # the standard says 82; receivers with many decimals go beyond
_CLOCK = re.compile(r"(\d\d)(\d\d)(\d\d)(?:\.(\d{1,6}))?")
_DATE = re.compile(r"(\d\d)(\d\d)(\d\d)")
_DEGREES = re.compile(r"(\d{1,3})(\d\d(?:\.\d{1,12})?)")
_NUMBER = re.compile(r"-?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})")
_MOST_DEG_PER_S = 0.0018  # 200 m: nothing that carries a kiosk moves so fast
_DECIMALS = 7  # of a degree: 1 cm
_NM_M = 1852  # metres in a nautical mile, by definition
_HOUR_S = 3600
_GOOD_MODES = ("", "A", "D", "F", "P", "R")
_MEASURED = "123459"  # GGA quality: GNSS, differential, PPS, RTK, float RTK, SBAS
_UNMEASURED = frozenset({Quality.UNCONFIRMED})  # estimated, typed in or simulated positions

INFO = DriverInfo(
    name="nmea",
    title="NMEA 0183 position receiver",
    family="nmea",
    models=("nmea_gnss", "gnss", "gps"),
    line=Line(baud=9600),
    channels=(
        Channel(
            name="latitude", unit="lat", low=-90.0, high=90.0, max_step_per_s=_MOST_DEG_PER_S, doc="north is positive"
        ),
        Channel(
            name="longitude", unit="lon", low=-180.0, high=180.0, max_step_per_s=_MOST_DEG_PER_S, doc="east is positive"
        ),
        Channel(name="altitude", unit="m", low=-500.0, high=9000.0, doc="above mean sea level"),
        Channel(name="satellites", unit="1", low=0.0, high=99.0, doc="used for the position"),
        Channel(name="hdop", unit="1", low=0.0, high=99.99, doc="horizontal dilution of precision"),
        Channel(name="fix", unit="1", low=0.0, high=9.0, kind="state", doc="GGA: 0 none, 1 GNSS, 2 differential"),
        Channel(name="speed", unit="m/s", low=0.0, high=120.0, doc="over ground"),
        Channel(name="course", unit="deg", low=0.0, high=360.0, kind="angle", doc="over ground, from true north"),
    ),
    every_s=1.0,
    min_every_s=0.1,
    stale_after_s=15.0,
    integrity="xor",
    confirm=2,
    source="NMEA 0183 V4.11; u-blox M8 receiver description including protocol specification, chapter 31",
)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Stream:
    """Make the driver of one sensor.

    Raises:
        OptionError: An option cannot be used.
    """
    del name  # all models speak alike
    Options(INFO, options)
    codec = LineFrame(b"\r\n", _LONGEST, _check, start=b"$")
    return Stream(sensor, info=paced(INFO, every_s), codec=codec, meaning=_meaning, line_end=b"\r\n")


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what frames mean.

    Raises:
        OptionError: An option cannot be used.
    """
    return make(name, name, options, None).decode(frames)


def _check(line: bytes) -> Fault | None:
    match = _SENTENCE.fullmatch(line)
    if match is None:
        return Fault(reason="sentence", detail="not $..,..*hh")
    total, given = xor8(line[1:-3]), int(match[1], 16)
    if total != given:
        return Fault(reason="checksum", detail=f"expected {total:02X}, got {given:02X}")
    return None


class _FieldError(Exception):
    """A field of a sentence with a right checksum cannot be what it says."""


def _meaning(line: bytes) -> Said:
    name, *fields = line[1:-3].decode("ascii").split(",")
    reader = _READERS.get("" if name.startswith("P") else name[2:])
    if reader is None:
        return Said(detail=f"sentence {name} carries no channel of this driver", settles=False)
    try:
        return reader([*fields, *[""] * 15])
    except _FieldError as error:
        return Said(detail=f"sentence {name}: {error}", settles=False)


def _rmc(field: list[str]) -> Said:
    if field[1] != "A" or field[11] == "N":
        return Said(trouble="no_fix", detail=f"void fix: RMC status {field[1] or 'empty'}")
    quality = GOOD if field[11] in _GOOD_MODES else _UNMEASURED
    values = _position(field[2:6], quality)
    if (speed := _number(field[6], "speed")) is not None:
        values.append(Value(channel="speed", value=round(speed * _NM_M / _HOUR_S, 6), quality=quality))
    if (course := _number(field[7], "course")) is not None:
        values.append(Value(channel="course", value=course, quality=quality))
    utc_ms = _utc_ms(field[0], field[8]) if quality == GOOD else None
    return Said(values=tuple(values), detail="" if values else "RMC without values", utc_ms=utc_ms)


def _gga(field: list[str]) -> Said:
    if not re.fullmatch(r"[0-9]", field[5]):
        raise _FieldError(f"fix quality {field[5]!r}")
    values: list[Value] = []
    if field[5] != "0":
        quality = GOOD if field[5] in _MEASURED else _UNMEASURED
        values += _position(field[1:5], quality)
        altitude = _number(field[8], "altitude")
        if altitude is not None and field[9] == "M":
            values.append(Value(channel="altitude", value=altitude, quality=quality))
        if (hdop := _number(field[7], "hdop")) is not None:
            values.append(Value(channel="hdop", value=hdop))
    if (satellites := _number(field[6], "satellites")) is not None:
        values.append(Value(channel="satellites", value=int(satellites)))
    values.append(Value(channel="fix", value=int(field[5])))
    if field[5] == "0":
        return Said(values=tuple(values), trouble="no_fix", detail="no fix: GGA quality 0")
    return Said(values=tuple(values))


def _gns(field: list[str]) -> Said:
    """Position from several systems; one letter of mode for each."""
    modes = set(field[5]) - {"N"}
    values: list[Value] = []
    if modes:
        quality = GOOD if modes & set(_GOOD_MODES) else _UNMEASURED
        values += _position(field[1:5], quality)
        if (altitude := _number(field[8], "altitude")) is not None:
            values.append(Value(channel="altitude", value=altitude, quality=quality))
        if (hdop := _number(field[7], "hdop")) is not None:
            values.append(Value(channel="hdop", value=hdop))
    if (satellites := _number(field[6], "satellites")) is not None:
        values.append(Value(channel="satellites", value=int(satellites)))
    if not modes:
        return Said(values=tuple(values), trouble="no_fix", detail=f"no fix: GNS mode {field[5] or 'empty'}")
    return Said(values=tuple(values), detail="" if values else "GNS without values")


def _gll(field: list[str]) -> Said:
    if field[5] != "A" or field[6] == "N":
        return Said(trouble="no_fix", detail=f"void fix: GLL status {field[5] or 'empty'}")
    quality = GOOD if field[6] in _GOOD_MODES else _UNMEASURED
    values = _position(field[0:4], quality)
    return Said(values=tuple(values), detail="" if values else "GLL without values")


def _vtg(field: list[str]) -> Said:
    if field[8] == "N":
        return Said(settles=False, detail="void fix: VTG mode N")
    quality = GOOD if field[8] in _GOOD_MODES else _UNMEASURED
    values: list[Value] = []
    if field[5] == "N" and (speed := _number(field[4], "speed")) is not None:
        values.append(Value(channel="speed", value=round(speed * _NM_M / _HOUR_S, 6), quality=quality))
    if field[1] == "T" and (course := _number(field[0], "course")) is not None:
        values.append(Value(channel="course", value=course, quality=quality))
    return Said(values=tuple(values), settles=False, detail="" if values else "VTG without values")


_READERS: dict[str, Callable[[list[str]], Said]] = {"RMC": _rmc, "GGA": _gga, "GNS": _gns, "GLL": _gll, "VTG": _vtg}


def _number(text: str, what: str) -> float | None:
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise _FieldError(f"{what} {text!r}")
    return float(text)


def _utc_ms(clock: str, date: str) -> int | None:
    """Time and date of a fix; None without a date, in a leap second and for what no calendar has."""
    at, on = _CLOCK.fullmatch(clock), _DATE.fullmatch(date)
    if at is None or on is None:
        return None
    try:
        second = datetime(2000 + int(on[3]), int(on[2]), int(on[1]), int(at[1]), int(at[2]), int(at[3]), tzinfo=UTC)
    except ValueError:
        return None
    return int(second.timestamp()) * 1000 + int((at[4] or "").ljust(3, "0")[:3])


def _position(field: list[str], quality: frozenset[Quality]) -> list[Value]:
    """Latitude and longitude, or nothing when the receiver left them empty."""
    if not any(field):
        return []
    return [
        Value(channel="latitude", value=_degrees(field[0], field[1], "NS", 90), quality=quality),
        Value(channel="longitude", value=_degrees(field[2], field[3], "EW", 180), quality=quality),
    ]


def _degrees(text: str, side: str, sides: str, limit: int) -> float:
    """Degrees from ``ddmm.mmmm`` and a side of the world."""
    match = _DEGREES.fullmatch(text)
    if match is None or side == "" or side not in sides:
        raise _FieldError(f"position {text!r} {side!r}")
    minutes = float(match[2])
    degrees = int(match[1]) + minutes / 60
    if minutes >= 60 or degrees > limit:  # noqa: PLR2004 - minutes in a degree
        raise _FieldError(f"position {text!r} {side!r}")
    return round(-degrees if side == sides[1] else degrees, _DECIMALS)
