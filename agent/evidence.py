"""What a reading says to an alarm rule: how high it stands, up being bad. Pure.

A number stands as high as its value, a state at 1 where it is one of the bad ones and else at 0, a counter as high as
it rose within the rule's window.
"""

from collections import deque

from agent.rule import Rule
from drivers.reading import NOT_MEASURED, Quality, Reading

_SECOND_NS = 1_000_000_000
_SLOTS = 60  # a window remembers its rises no finer than this
_STATE_RAISES_AT = 0.5


class Evidence:
    """Weighs readings for one rule.

    Attributes:
        raise_at: Height at which each level is reached, mild to severe.
        hold_at: Height below which each is left.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._sign = -1.0 if rule.falling else 1.0
        self._refused = frozenset(Quality) - rule.accept - {Quality.END_OF_LIFE} | {Quality.UNCONFIRMED}
        self._rise = None if rule.rise_within_s is None else _Rise(rule.rise_within_s, rule.falling)
        if rule.states or rule.silence_of:
            self.raise_at: tuple[float, ...] = (_STATE_RAISES_AT,)
            self.hold_at: tuple[float, ...] = (_STATE_RAISES_AT,)
        else:
            self.raise_at = tuple(self._sign * threshold for _, threshold in rule.levels)
            # Rounded: 0.5 - 0.35 is a little more than 0.15.
            self.hold_at = tuple(round(at - rule.hysteresis, 9) for at in self.raise_at)

    def height(self, reading: Reading, rank: int) -> float | None:
        """Return how high a reading stands; None when it is no evidence.

        Args:
            reading: The reading.
            rank: Levels that are reached now: what was not measured may confirm and raise, and never lowers.
        """
        if reading.quality and not self._refused.isdisjoint(reading.quality):
            return None
        height = self._height(reading)
        if height is None or not reading.quality or NOT_MEASURED.isdisjoint(reading.quality):
            return height
        return None if height < self.raise_at[max(rank, 1) - 1] else height

    def _height(self, reading: Reading) -> float | None:
        value, rule = reading.value, self._rule
        if rule.states:
            # Of its own type: 1 is no truth.
            return float(value in rule.states) if isinstance(value, bool | str) else None
        if isinstance(value, str) or reading.unit != rule.unit:
            return None
        if self._rise is not None:
            value = self._rise.take(value, reading.boot_ns)
        return self._sign * value

    def forget(self) -> None:
        """Nobody knows what happened meanwhile: count from the next reading."""
        if self._rise is not None:
            self._rise.forget()

    def objection(self, reading: Reading) -> str:
        """Say why a reading is no evidence."""
        if reading.quality and not self._refused.isdisjoint(reading.quality):
            return " ".join(sorted(reading.quality))
        if self._rule.states:
            return "no state"
        if reading.unit != self._rule.unit:
            return f"unit {reading.unit} instead of {self._rule.unit}"
        return " ".join(sorted(reading.quality)) or "no number"

    def says(self, reading: Reading, height: float) -> str:
        """Say what a reading amounts to, for people."""
        rule = self._rule
        shown = rule.show(reading)
        if shown is not reading:
            return f"{shown.value} {shown.unit}"
        if rule.states:
            return str(reading.value).lower() if isinstance(reading.value, bool) else str(reading.value)
        if self._rise is not None:
            rose = f"rose by {self._sign * height:g} {rule.unit}" if self._rise.is_watched else "rise not known yet"
            return f"{rose} within {rule.rise_within_s:g} s"
        return f"{reading.value:g} {reading.unit}"


class _Rise:
    """How much a counter rose lately. A fall means that its source began anew: it is counted from the new value.

    Where a rise that is too small is bad, there is none to complain about before a whole window was watched.
    """

    def __init__(self, within_s: float, falling: bool) -> None:  # noqa: FBT001 - as in the rule
        self._window_ns = round(within_s * _SECOND_NS)
        self._slot_ns = max(self._window_ns // _SLOTS, 1)
        self._waits = falling
        self._steps: deque[tuple[int, float]] = deque()
        self.forget()

    def forget(self) -> None:
        self._last: float | None = None
        self._since_ns = 0
        self._steps.clear()
        self.is_watched = not self._waits

    def take(self, value: float, now_ns: int) -> float:
        if self._last is None:
            self._since_ns = now_ns
        elif value > self._last:
            self._add(value - self._last, now_ns)
        self._last = value
        while self._steps and now_ns - self._steps[0][0] >= self._window_ns:
            self._steps.popleft()
        self.is_watched = not self._waits or now_ns - self._since_ns >= self._window_ns
        return sum(step for _, step in self._steps) if self.is_watched else float("inf")

    def _add(self, step: float, now_ns: int) -> None:
        if self._steps and now_ns - self._steps[-1][0] < self._slot_ns:
            at_ns, before = self._steps.pop()
            self._steps.append((at_ns, before + step))
        else:
            self._steps.append((now_ns, step))
