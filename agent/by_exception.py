"""Report by exception: which readings are worth a row. Pure.

Alarms, quality and the socket of `gardu read` are given every reading; what is held back here is only not kept. A
channel without a time bound keeps every reading. With one, a reading is kept when it is the first since the start or
since a silence, when its flags are others, when its value is another state or text, when it is a number that differs by
``change`` from the last one *kept* (so a slow drift is told), when it caused an alarm, and when the bound has passed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.driver import Channel
from drivers.reading import Reading

ANY = "*"
"""Stands for all channels of a sensor that have no rule of their own."""

_SECOND_NS = 1_000_000_000
_ROUNDING = 1 - 1e-9  # 0.3 - 0.2 is a little less than 0.1
_EARLY = 0.05  # of the bound: a reading a moment before its time is the reading of that time ...
_EARLIEST_NS = _SECOND_NS  # ... but never so much

_HOUR_S = 3600.0
_GAUGE_S = 900.0
_CHANGES = {
    "%": 5.0,
    "/": 0.02,
    "1": 0.5,
    "B": float(16 << 20),
    "Cel": 0.5,
    "MHz": 50.0,
    "V": 0.05,
    "bit/s": 1_000_000.0,
    "count": 1.0,
    "d": 1.0,
    "dBm": 2.0,
    "min": 5.0,
    "ms": 20.0,
    "s": 0.1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """When a reading of a channel is worth a row.

    Attributes:
        at_least_every_s: Longest time between two kept readings, as far as there are readings.
        change: Difference, in the channel's unit, that makes a number worth it; None waits for the time.
        period: What a full turn is, for angles; 0 for what is no angle.
    """

    at_least_every_s: float
    change: float | None = None
    period: float = 0.0


def keep_of(channel: Channel, *, is_probe: bool) -> Keep | None:
    """Return when readings of a channel are kept; None means every one, as with sensors that say nothing about it."""
    every_s, change = channel.at_least_every_s, channel.change
    if is_probe and every_s is None:
        counts = channel.kind == "counter" and channel.unit == "count"
        slow = channel.kind in {"state", "text", "counter"}
        every_s = _HOUR_S if slow else _GAUGE_S
        if change is None and (counts or not slow):
            change = _CHANGES.get(channel.unit, 0.0)
    if every_s is None:
        return None
    turn = math.tau if channel.unit == "rad" else 360.0
    return Keep(at_least_every_s=every_s, change=change, period=turn if channel.kind == "angle" else 0.0)


class ByException:
    """Decides about each reading; remembers one value per channel.

    Args:
        rules: By sensor and channel, or by sensor and `ANY`; a channel that is not here keeps every reading.
    """

    def __init__(self, rules: Mapping[tuple[str, str], Keep]) -> None:
        self._rules = rules
        self._kept: dict[tuple[str, str], Reading] = {}

    def keeps(self, reading: Reading, *, matters: bool = False) -> bool:
        """Tell whether a reading is worth a row; one that ``matters`` is in any case."""
        key = (reading.sensor, reading.channel)
        rule = self._rules.get(key) or self._rules.get((reading.sensor, ANY))
        if rule is None:
            return True
        last = self._kept.get(key)
        if matters or last is None or _differs(last, reading, rule):
            self._kept[key] = reading
            return True
        return False

    def forget(self, sensor: str) -> None:
        """Forget what was kept of a sensor that fell silent: its next reading is worth a row."""
        for key in [key for key in self._kept if key[0] == sensor]:
            del self._kept[key]


def _differs(last: Reading, reading: Reading, rule: Keep) -> bool:
    bound_ns = rule.at_least_every_s * _SECOND_NS
    if reading.boot_ns - last.boot_ns >= bound_ns - min(bound_ns * _EARLY, _EARLIEST_NS):
        return True
    return last.quality != reading.quality or _moved(last.value, reading.value, rule)


def _moved(before: float | str, value: float | str, rule: Keep) -> bool:
    states = (bool, str)
    if isinstance(before, states) or isinstance(value, states):
        return type(before) is not type(value) or before != value
    if rule.change is None:
        return False
    away = abs(value - before)
    if rule.period:
        away %= rule.period
        away = min(away, rule.period - away)
    return away > 0 and away >= rule.change * _ROUNDING
