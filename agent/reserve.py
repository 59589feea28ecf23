"""Decides when the last of a battery is spent on an orderly end. Pure.

A box whose power returns while it shuts down stays off until somebody comes; one that shuts down again right after each
start does so for ever. So it ends only while the mains is known to be away, and not again before the battery was above
the limit or the box has run for a while.
"""

from dataclasses import dataclass

from drivers.reading import Reading

_NS_PER_S = 1_000_000_000
_FRESH_NS = 60 * _NS_PER_S  # older words of a UPS are no reason to end


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """When to end.

    Attributes:
        watch: ``sensor/channel`` of what runs out.
        below: Limit, in that channel's unit.
        unit: That unit.
        for_s: It must have been below for this long.
        and_on: ``sensor/channel`` of the state that is true while the mains is away; empty where there is none.
        not_before_s: Shortest time since the start of the box, unless it was above the limit since.
    """

    watch: str
    below: float
    unit: str
    for_s: float
    and_on: str
    not_before_s: float


class Reserve:
    """Watches the readings of a UPS.

    Args:
        limit: When to end.
    """

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._value: tuple[float, int] | None = None
        self._away_ns: int | None = None
        self._since_ns: int | None = None
        self._was_above = False
        self._ended = False

    def take(self, reading: Reading) -> str | None:
        """Hear a reading; return why the box must end now, once, or None. A doubted reading counts for nothing."""
        name = f"{reading.sensor}/{reading.channel}"
        if reading.quality or name not in {self._limit.watch, self._limit.and_on}:
            return None
        now_ns = reading.boot_ns
        if name == self._limit.and_on:
            self._away_ns = now_ns if reading.value is True else None
        elif not isinstance(reading.value, str):
            self._value = (reading.value, now_ns)
            if reading.value >= self._limit.below:
                self._was_above, self._ended = True, False
        if not self.holds(now_ns):
            self._since_ns = None
            return None
        if self._since_ns is None:
            self._since_ns = now_ns
        is_ripe = self._was_above or now_ns >= self._limit.not_before_s * _NS_PER_S
        if self._ended or not is_ripe or now_ns - self._since_ns < self._limit.for_s * _NS_PER_S:
            return None
        self._ended = True
        value = self._value[0] if self._value else 0.0
        limit = self._limit
        return f"{limit.watch} at {value:g} {limit.unit}, below {limit.below:g} {limit.unit} for {limit.for_s:g} s"

    def holds(self, now_ns: int) -> bool:
        """Return whether the battery is known to be below the limit, and the mains to be away."""
        if self._value is None or self._value[0] >= self._limit.below or now_ns - self._value[1] > _FRESH_NS:
            return False
        return not self._limit.and_on or (self._away_ns is not None and now_ns - self._away_ns <= _FRESH_NS)
