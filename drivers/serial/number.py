"""Decimal numbers as technicians write them, without binary rounding.

A scale of ``0.1`` times 2393 is 239.3: the fraction is kept as two integers and divided once, which rounds right.
"""

import re
from dataclasses import dataclass

_DECIMAL = re.compile(r"([+-]?)(\d{0,30})(?:\.(\d{0,30}))?(?:[eE]([+-]?\d{1,3}))?")
_EXPONENT_MAX = 60
INT_MAX = 2**53 - 1  # beyond it JSON readers disagree


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A decimal number as ``num / den``; ``den`` is a power of ten."""

    num: int
    den: int = 1


ONE = Ratio(num=1)
ZERO = Ratio(num=0)


def ratio(text: str) -> Ratio | None:
    """Read a decimal number such as ``0.1``, ``-40`` or ``1e-3``; None when it is not one."""
    match = _DECIMAL.fullmatch(text.strip())
    if match is None:
        return None
    sign, whole, part, exponent = match.groups(default="")
    if not whole and not part:
        return None
    power = int(exponent or "0") - len(part)
    if abs(power) > _EXPONENT_MAX:
        return None
    num = int(f"{sign}{whole}{part}")
    return Ratio(num=num * 10**power) if power >= 0 else Ratio(num=num, den=10**-power)


def scaled(raw: Ratio, scale: Ratio, offset: Ratio) -> int | float:
    """``raw * scale + offset``: an int when all three are whole, else the nearest float."""
    num = raw.num * scale.num * offset.den + offset.num * raw.den * scale.den
    den = raw.den * scale.den * offset.den
    return num if den == 1 else num / den


def unscaled(value: float, scale: Ratio, offset: Ratio) -> int:
    """The raw integer whose scaled value is nearest to ``value``."""
    return round((value - offset.num / offset.den) * scale.den / scale.num)
