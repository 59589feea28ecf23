"""Vaisala WXT weather transmitters in ASCII format: lines to readings. No I/O.

Source: Vaisala WXT530 user guide M211840EN, chapter 7 (aR0 to aR5, units, ``#`` for no value; a CRC as in SDI-12 behind
messages in lower case).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from drivers.driver import Channel, DriverInfo, Line, Option, OptionValue
from drivers.errors import OptionError
from drivers.framing import Fault, LineFrame
from drivers.serial.decoded import Decoded
from drivers.serial.options import Options, paced
from drivers.serial.sdi12 import crc_chars
from drivers.serial.stream import Said, Stream, Value

_LONGEST = 512
_CRC_BYTES = 3
_MESSAGE = re.compile(rb"[0-9A-Za-z][Rr][0-5](?:,[A-Z][a-z]=[\x20-\x2b\x2d-\x7f]{1,24})+")
_FIELD = re.compile(r"([A-Z][a-z])=(-?\d{1,6}(?:\.\d{1,4})?)([A-Za-z#])")
_INVALID = "#"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """The value in the channel's unit is ``number * scale + offset``."""

    scale: Decimal = Decimal(1)
    offset: Decimal = Decimal(0)


_SAME = _Unit()
_DIRECTION = {"D": _SAME}
_SPEED = {
    "M": _SAME,
    "K": _Unit(scale=Decimal(1000) / 3600),
    "S": _Unit(scale=Decimal("0.44704")),
    "N": _Unit(scale=Decimal(1852) / 3600),
}
_TEMPERATURE = {"C": _SAME, "F": _Unit(scale=Decimal(5) / 9, offset=Decimal(-160) / 9)}
_HUMIDITY = {"P": _SAME}
_PRESSURE = {
    "H": _Unit(scale=Decimal(100)),
    "P": _SAME,
    "B": _Unit(scale=Decimal(100_000)),
    "M": _Unit(scale=Decimal("133.322")),
    "I": _Unit(scale=Decimal("3386.39")),
}
_RAIN = {"M": _SAME, "I": _Unit(scale=Decimal("25.4"))}
_SECONDS = {"s": _SAME, "S": _SAME}
_HAIL = {"M": _SAME, "I": _Unit(scale=1 / Decimal("6.4516"))}  # hits per cm2 or in2; H, bare hits, is of no area
_VOLTS = dict.fromkeys("VNFW", _SAME)  # of the heater the letter tells its state

_FIELDS: dict[str, tuple[Channel, Mapping[str, _Unit]]] = {
    "Dn": (Channel(name="wind_dir_min", unit="deg", low=0.0, high=360.0, kind="angle"), _DIRECTION),
    "Dm": (Channel(name="wind_dir_avg", unit="deg", low=0.0, high=360.0, kind="angle"), _DIRECTION),
    "Dx": (
        Channel(name="wind_dir_max", unit="deg", low=0.0, high=360.0, kind="angle", doc="may be less than the minimum"),
        _DIRECTION,
    ),
    "Sn": (Channel(name="wind_min", unit="m/s", low=0.0, high=75.0), _SPEED),
    "Sm": (Channel(name="wind_avg", unit="m/s", low=0.0, high=75.0), _SPEED),
    "Sx": (Channel(name="wind_max", unit="m/s", low=0.0, high=75.0), _SPEED),
    "Ta": (Channel(name="temperature", unit="Cel", low=-52.0, high=60.0), _TEMPERATURE),
    "Tp": (Channel(name="temperature_inside", unit="Cel", low=-52.0, high=90.0), _TEMPERATURE),
    "Ua": (Channel(name="humidity", unit="%RH", low=0.0, high=100.0, zero="suspect"), _HUMIDITY),
    "Pa": (Channel(name="pressure", unit="Pa", low=50_000.0, high=110_000.0, zero="suspect"), _PRESSURE),
    "Rc": (Channel(name="rain_total", unit="mm", low=0.0, high=1e6, max_step_per_s=1.0, kind="counter"), _RAIN),
    "Rd": (Channel(name="rain_duration", unit="s", low=0.0, high=1e7, max_step_per_s=20.0, kind="counter"), _SECONDS),
    "Ri": (Channel(name="rain_rate", unit="mm/h", low=0.0, high=400.0), _RAIN),
    "Rp": (Channel(name="rain_peak", unit="mm/h", low=0.0, high=1000.0), _RAIN),
    "Hc": (Channel(name="hail_total", unit="{#}/cm2", low=0.0, high=1e6, max_step_per_s=10.0, kind="counter"), _HAIL),
    "Hd": (Channel(name="hail_duration", unit="s", low=0.0, high=1e7, max_step_per_s=20.0, kind="counter"), _SECONDS),
    "Hi": (Channel(name="hail_rate", unit="{#}/(cm2.h)", low=0.0, high=10_000.0), _HAIL),
    "Hp": (Channel(name="hail_peak", unit="{#}/(cm2.h)", low=0.0, high=10_000.0), _HAIL),
    "Th": (Channel(name="heater_temperature", unit="Cel", low=-52.0, high=90.0), _TEMPERATURE),
    "Vh": (Channel(name="heater_voltage", unit="V", low=0.0, high=40.0), _VOLTS),
    "Vs": (Channel(name="supply_voltage", unit="V", low=0.0, high=40.0, zero="suspect"), _VOLTS),
    "Vr": (Channel(name="reference_voltage", unit="V", low=3.0, high=4.0), _VOLTS),
}

INFO = DriverInfo(
    name="wxt",
    title="Vaisala WXT weather transmitter, ASCII",
    family="wxt",
    models=("vaisala_wxt_ascii",),
    line=Line(baud=19200),
    channels=tuple(channel for channel, _ in _FIELDS.values()),
    options=(
        Option(
            name="ask",
            kind="text",
            default="",
            doc="address of a unit in polled mode, asked for its composite message (aR0); empty: it talks by itself",
            example='"0"',
        ),
    ),
    every_s=5.0,
    min_every_s=0.5,
    stale_after_s=60.0,
    integrity="none",
    confirm=2,
    source="Vaisala WXT530 user guide M211840EN, chapter 7",
)


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Stream:
    """Make the driver of one transmitter.

    Raises:
        OptionError: An option cannot be used.
    """
    del name  # all models speak alike
    address = Options(INFO, options).text("ask")
    if not re.fullmatch(r"[0-9A-Za-z]?", address):
        raise OptionError("ask", f"{address!r} is not one of 0-9, A-Z, a-z")
    return Stream(
        sensor,
        info=paced(INFO, every_s),
        codec=LineFrame(b"\r\n", _LONGEST, _check),
        meaning=_said,
        ask=f"{address}R0\r\n".encode() if address else b"",
        line_end=b"\n",
    )


def decode(name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
    """Say what lines mean; a lone one needs no end.

    Raises:
        OptionError: An option cannot be used.
    """
    return make(name, name, options, None).decode(frames)


def _check(line: bytes) -> Fault | None:
    if not _MESSAGE.fullmatch(line):
        return Fault(reason="line", detail="not an address, R with a figure, and fields such as Sm=1.0M")
    if line[1:2] == b"R":
        return None
    right = crc_chars(line[:-_CRC_BYTES])
    if line[-_CRC_BYTES:] != right:
        return Fault(reason="checksum", detail=f"expected {right.decode()}, got {line[-_CRC_BYTES:].decode()}")
    return None


def _said(line: bytes) -> Said:
    text = line.decode()
    fields = text[:-_CRC_BYTES] if text[1] == "r" else text
    values: list[Value] = []
    doubts: list[str] = []
    for field in fields.split(",")[1:]:
        name = field[:2]
        if name not in _FIELDS:
            continue
        channel, units = _FIELDS[name]
        match = _FIELD.fullmatch(field)
        unit = units.get(match[3]) if match else None
        if match is None or unit is None:
            doubts.append(f"{channel.name}: {'no valid value' if field.endswith(_INVALID) else f'{field} is no value'}")
            continue
        number = Decimal(match[2]) * unit.scale + unit.offset
        values.append(Value(channel=channel.name, value=float(number if unit is _SAME else round(number, 3))))
    return Said(values=tuple(values), identity=f"address {text[0]}", detail="; ".join(doubts))
