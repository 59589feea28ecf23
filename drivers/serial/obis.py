"""Lines of a meter's read-out: ``1-0:1.8.1(001581.123*kWh)``, by their OBIS codes. No I/O.

Source: IEC 62056-21:2002, 6.3.13 and annex C (data lines); IEC 62056-61 (OBIS); DSMR P1 companion standard 5.0.2, 6.12.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from drivers.driver import Channel
from drivers.reading import Quality
from drivers.serial.stream import Value

_LINE = re.compile(
    r"(?:(\d{1,3})-(\d{1,3}):)?([0-9A-Z]{1,3}\.[0-9A-Z]{1,3}(?:\.[0-9A-Z]{1,3})?)(?:[*&](\d{1,3}))?(\(.*)"
)
_GOES_ON = re.compile(r"\r?\n\(")
_NEXT = re.compile(r"\)(?=[0-9A-Z])")
_GROUP = re.compile(r"\(([^()]*)\)")
_NUMBER = re.compile(r"(-?\d{1,12}(?:\.\d{1,9})?)(?:\*([A-Za-z0-9]{1,8}))?")
_NEAR = 0.02  # of a channel's range; of a counter, which has no range of use, of itself
_UNCONFIRMED = frozenset({Quality.UNCONFIRMED})
_NOW = (None, "255")  # any other storage number stands for an earlier billing period
_SCALES = {
    "kWh": ("Wh", Decimal(1000)),
    "Wh": ("Wh", Decimal(1)),
    "MWh": ("Wh", Decimal(1_000_000)),
    "kW": ("W", Decimal(1000)),
    "W": ("W", Decimal(1)),
    "V": ("V", Decimal(1)),
    "A": ("A", Decimal(1)),
    "Hz": ("Hz", Decimal(1)),
    "m3": ("m3", Decimal(1)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a read-out.

    Attributes:
        medium: First figure of the code, ``""`` when it is left out: 1 is electricity.
        place: Second figure: 0, or the number of a meter that is read through this one.
        code: Such as ``1.8.0``.
        groups: What stands in the parentheses.
    """

    medium: str
    place: str
    code: str
    groups: tuple[str, ...]


def entries(text: str) -> Iterator[Entry]:
    """All data of now; a line may hold several, and one that begins with a parenthesis goes on with the one before."""
    for line in _NEXT.sub(")\n", _GOES_ON.sub("(", text)).splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is not None and match[4] in _NOW:
            groups = tuple(_GROUP.findall(match[5]))
            yield Entry(medium=match[1] or "", place=match[2] or "", code=match[3], groups=groups)


def amount(text: str, unit: str) -> float | None:
    """A number in the unit of a channel; None when it is in another unit, or none."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    base, scale = _SCALES.get(match[2] or "", (match[2] or "1", Decimal(1)))
    return float(Decimal(match[1]) * scale) if base == unit else None


def electricity(text: str, names: Mapping[str, str], channels: Mapping[str, Channel]) -> list[Value]:
    """Values of the electricity meter itself.

    Args:
        text: Its read-out.
        names: Code, and the channel it becomes.
        channels: Those that are delivered.
    """
    found: dict[str, Value] = {}
    for entry in entries(text):
        channel = channels.get(names.get(entry.code, ""))
        if channel is None or entry.medium not in ("", "1") or len(entry.groups) != 1:
            continue
        value = amount(entry.groups[0], channel.unit)
        if value is not None and channel.name not in found:
            found[channel.name] = Value(channel=channel.name, value=value)
    return list(found.values())


class Witnesses:
    """Doubts what messages without a checksum say: each value wants one near it in the two messages before.

    The first message is believed: there is nothing to compare it with.
    """

    def __init__(self, channels: Mapping[str, Channel]) -> None:
        self._channels = channels
        self._before: tuple[dict[str, float], ...] = ()

    def of(self, values: Sequence[Value]) -> list[Value]:
        """The values of one message, flagged where they have no witness."""
        known = {value.channel: float(value.value) for value in values}
        before, self._before = self._before, (*self._before[-1:], known)
        return [
            value
            if not before or any(self._near(value.channel, known[value.channel], one) for one in before)
            else replace(value, quality=_UNCONFIRMED)
            for value in values
        ]

    def _near(self, name: str, value: float, before: Mapping[str, float]) -> bool:
        if name not in before:
            return False
        channel = self._channels[name]
        bounds = (value, 0.0) if channel.kind == "counter" else (channel.high or 0.0, channel.low or 0.0)
        return abs(value - before[name]) <= (bounds[0] - bounds[1]) * _NEAR


_MOST_WH_PER_S = 2800.0  # ten megawatts


def energy(name: str, doc: str) -> Channel:
    """A register that only climbs."""
    return Channel(name=name, unit="Wh", low=0.0, high=1e12, max_step_per_s=_MOST_WH_PER_S, kind="counter", doc=doc)


def per_phase(stem: str, unit: str, high: float) -> tuple[Channel, ...]:
    """Channels ``_l1`` to ``_l3``."""
    return tuple(Channel(name=f"{stem}_l{phase}", unit=unit, low=0.0, high=high) for phase in (1, 2, 3))
