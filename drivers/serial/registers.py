"""Values in Modbus registers: from bytes to numbers and back, as a table in TOML describes them. No I/O."""

import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from drivers.driver import Channel, OptionValue
from drivers.errors import OptionError
from drivers.serial.number import ONE, ZERO, Ratio, ratio, scaled, unscaled
from drivers.serial.rtu import BIT_FUNCTIONS

Number = Literal["u16", "s16", "u32", "s32", "f32", "bool"]
_WORDS: dict[Number, int] = {"u16": 1, "s16": 1, "u32": 2, "s32": 2, "f32": 2, "bool": 1}
_ORDERS = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}
_F32_DIGITS = 9  # enough to tell any two 32-bit floats apart
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_KINDS = ("gauge", "counter", "state", "angle", "text")
_KEYS = (
    *("channel", "register", "type", "order", "scale", "scale_by", "offset", "decimals", "unit", "invalid"),
    *("mask", "bit", "states", "faults", "range", "zero", "kind", "doc", "max_step_per_s", "stuck_after_s", "simulate"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """A factor that the unit names by a code in another register of the same reply.

    Attributes:
        register: Where the code stands, on the wire, counted from 0.
        factors: Code, and what it multiplies the value with; any other code means that there is no value.
    """

    register: int
    factors: Mapping[int, Ratio]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One channel in a reply.

    Attributes:
        channel: Name, unit and limits.
        register: Address on the wire, counted from 0; of a bit for functions 1 and 2.
        type: How the bits are read.
        order: Order of the bytes, A highest.
        scale: The value is ``raw * scale + offset``.
        scale_by: Further factors of the scale, chosen by the unit: its measuring unit, its decimals.
        offset: See scale.
        decimals: Digits after the point that mean something; None keeps all.
        invalid: Raw values that mean "no value".
        mask: Bits that belong to the channel; 0 means all.
        bit: A single bit, read as true or false; None for numbers.
        states: Names of raw values; a raw value without a name is shown as its number.
        faults: Bits of this field that name a fault and make the other channels of the reply doubtful.
        simulate: Believable low and high, for the simulator.
    """

    channel: Channel
    register: int
    type: Number = "u16"
    order: str = "ABCD"
    scale: Ratio = ONE
    scale_by: tuple[Lookup, ...] = ()
    offset: Ratio = ZERO
    decimals: int | None = None
    invalid: frozenset[int] = frozenset()
    mask: int = 0
    bit: int | None = None
    states: Mapping[int, str]
    faults: Mapping[int, str]
    simulate: tuple[float, float] | None = None

    @property
    def width(self) -> int:
        """Registers (or bits, for functions 1 and 2) it takes."""
        return _WORDS[self.type]

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """First register and count of all that a reply must hold for it."""
        return ((self.register, self.width), *((lookup.register, 1) for lookup in self.scale_by))

    def decode(self, function: int, first: int, data: bytes) -> int | float | bool | str | None:
        """Read the value from a reply that starts at register ``first``; None where the unit says "no value"."""
        at = self.register - first
        if function in BIT_FUNCTIONS:
            return bool(data[at // 8] >> at % 8 & 1)
        raw = self._ordered(data[at * 2 : (at + self.width) * 2])
        scale = self._scale(first, data)
        if scale is None:
            return None
        if self.type == "f32":
            return self._float(raw, scale)
        number = int.from_bytes(raw, "big", signed=self.type in ("s16", "s32"))
        if number in self.invalid or int.from_bytes(raw, "big") in self.invalid:
            return None
        if self.mask:
            number = (int.from_bytes(raw, "big") & self.mask) >> _zeros(self.mask)
        if self.bit is not None:
            return bool(int.from_bytes(raw, "big") >> self.bit & 1)
        if self.type == "bool":
            return number != 0
        if self.states:
            return self.states.get(number, str(number))
        return self._rounded(scaled(Ratio(num=number), scale, self.offset))

    def raised(self, first: int, data: bytes) -> list[str]:
        """Names of the faults that the reply reports."""
        if not self.faults:
            return []
        at = (self.register - first) * 2
        number = int.from_bytes(self._ordered(data[at : at + self.width * 2]), "big")
        return [name for bit, name in self.faults.items() if number >> bit & 1]

    def encode(self, value: float) -> bytes:
        """Registers that hold ``value``, for simulators; of each lookup the first code counts."""
        scale = self.scale
        for lookup in self.scale_by:
            scale = _product(scale, next(iter(lookup.factors.values())))
        if self.type == "f32":
            raw = struct.pack(">f", (value - self.offset.num / self.offset.den) * scale.den / scale.num)
        else:
            number = int(value) if self.type == "bool" else unscaled(value, scale, self.offset)
            raw = (number % (1 << 16 * self.width)).to_bytes(self.width * 2, "big")
        return self._ordered(raw)  # every order here is its own inverse

    def _ordered(self, raw: bytes) -> bytes:
        places = _ORDERS[self.order]
        if len(raw) == 2:  # noqa: PLR2004 - one register
            return raw[::-1] if places[0] % 2 else raw
        return bytes(raw[place] for place in places)

    def _scale(self, first: int, data: bytes) -> Ratio | None:
        """The whole scale; None where the unit names a code that no lookup knows."""
        scale = self.scale
        for lookup in self.scale_by:
            at = (lookup.register - first) * 2
            factor = lookup.factors.get(int.from_bytes(data[at : at + 2], "big"))
            if factor is None:
                return None
            scale = _product(scale, factor)
        return scale

    def _float(self, raw: bytes, scale: Ratio) -> int | float | None:
        if int.from_bytes(raw, "big") in self.invalid:
            return None
        (number,) = struct.unpack(">f", raw)
        exact = ratio(f"{number:.{_F32_DIGITS}g}") if math.isfinite(number) else None
        if exact is None:
            return None
        return self._rounded(float(scaled(exact, scale, self.offset)))

    def _rounded(self, value: float) -> int | float:
        return value if self.decimals is None else round(value, self.decimals)


def _product(one: Ratio, other: Ratio) -> Ratio:
    return Ratio(num=one.num * other.num, den=one.den * other.den)


def _zeros(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


class _Table:
    """Typed access to one TOML table; every error names the table."""

    def __init__(self, table: Mapping[str, OptionValue], where: str) -> None:
        self._table = table
        self._where = where

    def fail(self, key: str, reason: str) -> OptionError:
        return OptionError(f"{self._where}.{key}", reason)

    def text(self, key: str, default: str) -> str:
        value = self._table.get(key, default)
        if not isinstance(value, str):
            raise self.fail(key, f"{value!r} is not a text")
        return value

    def integer(self, key: str, low: int, high: int) -> int | None:
        value = self._table.get(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.fail(key, f"{value!r} is not a whole number from {low} to {high}")
        return value

    def ratio(self, key: str, default: Ratio) -> Ratio:
        value = self._table.get(key)
        if value is None:
            return default
        number = ratio(value) if isinstance(value, str) else Ratio(num=value) if type(value) is int else None
        if number is None:
            raise self.fail(key, f'{value!r} is not a decimal number in quotes, e.g. "0.1"')
        return number

    def integers(self, key: str) -> frozenset[int]:
        value = self._table.get(key, ())
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.fail(key, f"{value!r} is not a list of whole numbers")
        whole = [item for item in value if isinstance(item, int) and not isinstance(item, bool)]
        if len(whole) != len(value):
            raise self.fail(key, f"{value!r} is not a list of whole numbers")
        return frozenset(whole)

    def names(self, key: str) -> dict[int, str]:
        value = self._table.get(key, {})
        if not isinstance(value, Mapping):
            raise self.fail(key, f"{value!r} is not a table")
        named: dict[int, str] = {}
        for number, name in value.items():
            if not isinstance(name, str) or not number.isdecimal():
                raise self.fail(key, f'{number} = {name!r} is not like 0 = "off"')
            named[int(number)] = name
        return named

    def lookups(self, key: str) -> tuple[Lookup, ...]:
        value = self._table.get(key, ())
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.fail(key, f"{value!r} is not a list of tables")
        found: list[Lookup] = []
        for index, item in enumerate(value):
            inner = _Table(item if isinstance(item, Mapping) else {}, f"{self._where}.{key}[{index}]")
            register, codes = inner.integer("register", 0, 0xFFFF), inner.names("factors")
            factors = {code: ratio(text) for code, text in codes.items()}
            known = {code: factor for code, factor in factors.items() if factor is not None and factor.num}
            if register is None or not known or len(known) < len(factors):
                raise self.fail(key, 'takes tables like { register = 3, factors = { 0 = "1", 1 = "0.1" } }')
            found.append(Lookup(register=register, factors=known))
        return tuple(found)

    def pair(self, key: str) -> tuple[float, float] | None:
        value = self._table.get(key)
        if value is None:
            return None
        if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:  # noqa: PLR2004 - low, high
            low, high = value
            if isinstance(low, int | float) and isinstance(high, int | float) and low < high:
                return float(low), float(high)
        raise self.fail(key, f"{value!r} is not [low, high] with low below high")

    def positive(self, key: str) -> float | None:
        value = self._table.get(key)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
            raise self.fail(key, f"{value!r} is not a number above 0")
        return float(value)


def parse_field(given: Mapping[str, OptionValue], where: str, function: int) -> Field:
    """Read one register's description.

    Args:
        given: Its TOML table; keys that belong to the request around it are already gone.
        where: Place for error texts, e.g. ``registers[2]``.
        function: Modbus function the register is read with.

    Raises:
        OptionError: A key is unknown or has a value it cannot take.
    """
    table = _Table(given, where)
    for key in given:
        if key not in _KEYS:
            raise table.fail(key, f"unknown; a register takes: {', '.join(_KEYS)}")
    name = table.text("channel", "")
    if not _NAME.fullmatch(name):
        raise table.fail("channel", f"{name!r} is no channel name: a-z, 0-9, _ and -, at most 32")
    register = table.integer("register", 0, 0xFFFF)
    if register is None:
        raise table.fail("register", "missing; the address on the wire, counted from 0 (30001 in a manual is 0)")
    bits = function in BIT_FUNCTIONS
    kind = _number(table, table.text("type", "bool" if bits else "u16"))
    order = table.text("order", "ABCD")
    order = {"AB": "ABCD", "BA": "BADC"}.get(order, order)
    if order not in _ORDERS:
        raise table.fail("order", f"{order!r} is not one of {', '.join(_ORDERS)}")
    if bits and kind != "bool":
        raise table.fail("type", f"{kind} cannot stand in a bit: functions 1 and 2 deliver bool")
    width = 16 * _WORDS[kind]
    scale = table.ratio("scale", ONE)
    if scale.num == 0:
        raise table.fail("scale", "0 would make every value 0")
    return Field(
        channel=_channel(table, name, kind),
        register=register,
        type=kind,
        order=order,
        scale=scale,
        scale_by=table.lookups("scale_by"),
        offset=table.ratio("offset", ZERO),
        decimals=table.integer("decimals", 0, 9),
        invalid=table.integers("invalid"),
        mask=table.integer("mask", 1, (1 << width) - 1) or 0,
        bit=table.integer("bit", 0, width - 1),
        states=table.names("states"),
        faults=table.names("faults"),
        simulate=table.pair("simulate"),
    )


def _number(table: _Table, text: str) -> Number:
    for known in _WORDS:
        if known == text:
            return known
    raise table.fail("type", f"{text!r} is not one of {', '.join(_WORDS)}")


def _channel(table: _Table, name: str, number: Number) -> Channel:
    stated = number == "bool" or bool(table.names("states")) or table.integer("bit", 0, 31) is not None
    kind = table.text("kind", "state" if stated else "gauge")
    zero = table.text("zero", "ok")
    if kind not in _KINDS:
        raise table.fail("kind", f"{kind!r} is not one of {', '.join(_KINDS)}")
    if zero not in ("ok", "suspect"):
        raise table.fail("zero", f"{zero!r} is not ok or suspect")
    low, high = table.pair("range") or (None, None)
    return Channel(
        name=name,
        unit=table.text("unit", "1"),
        low=low,
        high=high,
        max_step_per_s=table.positive("max_step_per_s"),
        zero="suspect" if zero == "suspect" else "ok",
        stuck_after_s=table.positive("stuck_after_s"),
        kind=next((known for known in _LITERAL_KINDS if known == kind), "gauge"),
        doc=table.text("doc", ""),
    )


_LITERAL_KINDS: tuple[Literal["gauge", "counter", "state", "angle", "text"], ...] = (
    "gauge",
    "counter",
    "state",
    "angle",
    "text",
)
