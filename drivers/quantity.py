"""Quantities as people write them, ``"4.20 m"``, and their exact value in the unit that is asked for."""

import re
from dataclasses import dataclass
from decimal import Decimal

from drivers.errors import DriverError

_LONGEST = 48
_LARGEST_EXPONENT = 30  # beyond any quantity a city can measure; keeps every value a finite float


class QuantityError(DriverError):
    """A text is not a quantity of the kind that is asked for.

    Attributes:
        reason: What is wrong, in plain words.
        cure: What to write instead.
    """

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(f"{reason}; {cure}")
        self.reason = reason
        self.cure = cure


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number and its unit; an empty unit for a number that stands alone."""

    number: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class _Unit:
    """One unit: value in the base unit of its dimension = number * over / under + zero_at."""

    dimension: str
    over: Decimal = Decimal(1)
    under: Decimal = Decimal(1)
    zero_at: Decimal = Decimal(0)


# Symbols and scales: SenML (RFC 8428, RFC 8798), else UCUM; binary sizes as IEC 80000-13.
_SCALES = {
    "time": {"ns": "1e-9", "us": "1e-6", "ms": "1e-3", "s": "1", "min": "60", "h": "3600", "d": "86400"},
    "length": {"mm": "1e-3", "cm": "1e-2", "dm": "1e-1", "m": "1", "km": "1e3"},
    "size": {"B": "1", "kB": "1e3", "MB": "1e6", "GB": "1e9", "KiB": "1024", "MiB": "1048576", "GiB": "1073741824"},
    "bit rate": {"bit/s": "1", "kbit/s": "1e3", "Mbit/s": "1e6", "Gbit/s": "1e9"},
    "byte rate": {"B/s": "1", "kB/s": "1e3", "KiB/s": "1024", "MB/s": "1e6", "MiB/s": "1048576"},
    "concentration": {"ug/m3": "1", "mg/m3": "1e3"},
    "voltage": {"mV": "1e-3", "V": "1", "kV": "1e3"},
    "current": {"mA": "1e-3", "A": "1"},
    "power": {"mW": "1e-3", "W": "1", "kW": "1e3", "MW": "1e6"},
    "apparent power": {"VA": "1", "kVA": "1e3"},
    "energy": {"J": "1", "kJ": "1e3", "Wh": "3600", "kWh": "3.6e6", "MWh": "3.6e9"},
    "frequency": {"Hz": "1", "kHz": "1e3", "MHz": "1e6", "GHz": "1e9"},
    "pressure": {"Pa": "1", "hPa": "100", "mbar": "100", "kPa": "1e3", "bar": "1e5"},
    "speed": {"mm/s": "1e-3", "m/s": "1"},
    "illuminance": {"lx": "1", "klx": "1e3"},
    "conductivity": {"uS/cm": "1", "mS/cm": "1e3", "S/m": "1e4"},
    "angle": {"deg": "1"},
    "temperature": {"Cel": "1"},
    "ratio": {"1": "1", "/": "1", "%": "1e-2", "ppm": "1e-6", "ppb": "1e-9"},
}
_UNITS = {
    **{name: _Unit(kind, Decimal(scale)) for kind, names in _SCALES.items() for name, scale in names.items()},
    "km/h": _Unit("speed", Decimal(1000), Decimal(3600)),
    "kn": _Unit("speed", Decimal(1852), Decimal(3600)),
    "mm/h": _Unit("speed", Decimal(1), Decimal(3_600_000)),
    "K": _Unit("temperature", zero_at=Decimal("-273.15")),
}

# What people write for a symbol. Only spellings that can mean nothing else are read as the symbol.
_SPELLINGS = {"°C": "Cel", "degC": "Cel", "C": "Cel", "°": "deg", "Byte": "B", "bytes": "B"}
# What people write that is near a symbol: refused, the symbol goes into the cure.
_MEANT = {
    **dict.fromkeys(("sec", "secs", "second", "seconds", "detik", "S"), "s"),
    **dict.fromkeys(("minute", "minutes", "mins", "menit", "Min"), "min"),
    **dict.fromkeys(("hour", "hours", "hr", "hrs", "jam", "H"), "h"),
    **dict.fromkeys(("day", "days", "hari", "D"), "d"),
    **dict.fromkeys(("msec", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("meter", "meters", "metre", "metres", "M"), "m"),
    **dict.fromkeys(("KB", "kb", "kib", "K", "k"), "KiB"),
    **dict.fromkeys(("mb", "mib", "Mb"), "MiB"),
    **dict.fromkeys(("gb", "gib", "Gb", "G", "g"), "GiB"),
    **dict.fromkeys(("bps", "bit"), "bit/s"),
    **dict.fromkeys(("percent", "persen", "pct"), "%"),
    **dict.fromkeys(("v", "volt", "volts"), "V"),
    **dict.fromkeys(("w", "watt", "watts"), "W"),
    **dict.fromkeys(("a", "amp", "ampere"), "A"),
}
# A channel's own symbol that plain text shortens: "80 %" on a humidity channel means %RH.
_SHORT_FOR = {"%RH": "%", "%EL": "%", "lat": "deg", "lon": "deg"}
_EXAMPLES = {"time": "10 s", "length": "4.20 m", "size": "64 MiB"}
_FORM = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)[ \t]*(\S(?:.*\S)?)?")
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_NOT_A_NUMBER = re.compile(r"[+-]?(?:nan|inf(?:inity)?)\b", re.IGNORECASE)
_FOLD = str.maketrans({"\u00b5": "u", "\u03bc": "u", "\u00b2": "2", "\u00b3": "3", "\u00a0": " ", "\u202f": " "})


def parse(text: str) -> Quantity:
    """Read a number and its unit.

    Raises:
        QuantityError: The text is not one finite decimal number with at most one unit after it.
    """
    plain = text.translate(_FOLD).strip()
    if _NOT_A_NUMBER.match(plain):
        raise QuantityError("not a finite number", "write a finite number and its unit")
    if _COMMA.match(plain):
        raise QuantityError("a comma in the number", f'write a point: "{plain.replace(",", ".", 1)}"')
    match = _FORM.fullmatch(plain) if len(plain) <= _LONGEST else None
    if match is None:
        raise QuantityError("not a number with a unit", 'write a number and its unit, such as "10 s"')
    number, unit = Decimal(match.group(1)), match.group(2) or ""
    if number and abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise QuantityError("a number beyond all measure", "write a number of a believable size")
    return Quantity(number=number, unit=_SPELLINGS.get(unit, unit))


def convert(quantity: Quantity, unit: str, *, span: bool = False) -> Decimal:
    """Return the number of ``unit`` in a quantity.

    Args:
        quantity: What was written.
        unit: The unit asked for: a symbol of this module, or any other symbol, which then must be met exactly.
        span: The quantity is a difference, so zero points do not count: 1 K is 1 Cel.

    Raises:
        QuantityError: The unit is missing, unknown or of another dimension.
    """
    given = quantity.unit or ("1" if unit in {"1", "/"} else "")
    if not given:
        raise QuantityError("the unit is missing", f'write the unit: "{quantity.number} {_symbol(unit)}"')
    if given in {unit, _SHORT_FOR.get(unit)}:
        return quantity.number
    source, target = _UNITS.get(given), _UNITS.get(unit)
    if source is None or target is None or source.dimension != target.dimension:
        raise QuantityError(f'"{given}" is not {_kind(unit)}', _cure(quantity, unit))
    base = quantity.number * source.over / source.under
    if not span:
        base += source.zero_at - target.zero_at
    return base * target.under / target.over


def amount(text: str, unit: str, *, span: bool = False) -> Decimal:
    """Read a text and return its number in ``unit``; the arguments are those of `convert`.

    Raises:
        QuantityError: The text is not a quantity, or not of this kind.
    """
    return convert(parse(text), unit, span=span)


def example(unit: str) -> str:
    """Return a quantity as it may be written where ``unit`` is asked for, e.g. ``10 s``."""
    known = _UNITS.get(unit)
    return _EXAMPLES.get(known.dimension if known else "", f"1.5 {_symbol(unit)}").rstrip()


def _symbol(unit: str) -> str:
    return {"%RH": "%", "%EL": "%", "1": "", "/": ""}.get(unit, unit)


def _kind(unit: str) -> str:
    known = _UNITS.get(unit)
    return f"a unit of {known.dimension}" if known else f"the unit {unit}"


def _cure(quantity: Quantity, unit: str) -> str:
    meant = _MEANT.get(quantity.unit, "")
    target = _UNITS.get(unit)
    if target and meant and _UNITS[meant].dimension == target.dimension:
        return f'write "{quantity.number} {meant}"'
    if target and target.dimension == "time" and quantity.unit == "m":
        return f'm is metres; for minutes write "{quantity.number} min"'
    if target is None:
        return f'write the number in {unit}, such as "{example(unit)}"'
    fitting = ", ".join(name for name, known in _UNITS.items() if known.dimension == target.dimension)
    return f'write it in one of {fitting}, such as "{example(unit)}"'
