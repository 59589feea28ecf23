"""What one alarm rule asks. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from drivers.reading import GOOD, Quality, Reading

CLEAR = "clear"
UNKNOWN = "unknown"
CLOSED = "closed"
STATES = (CLEAR, UNKNOWN, CLOSED)
"""States that every alarm has besides its levels."""

_DAY_MIN = 1440


def unknown_after(for_s: float, every_s: float = 0.0) -> float:
    """Seconds without an accepted reading after which a state is unknown, where the config does not say.

    Three times what a decision needs (``for_s``, or one poll where the sensor is polled more slowly) and a minute.
    """
    return 3 * max(for_s, every_s) + 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """A part of each day, in minutes since local midnight; it may pass midnight.

    Attributes:
        from_min: First minute of it.
        to_min: First minute after it; equal to ``from_min`` for the whole day.
    """

    from_min: int
    to_min: int

    def hold(self, minute: int) -> bool:
        """Tell whether a minute of the day lies in it."""
        return (minute - self.from_min) % _DAY_MIN < self._length()

    def left_min(self, minute: int) -> int:
        """Return after how many minutes, at least 1, they begin or end."""
        since = (minute - self.from_min) % _DAY_MIN
        length = self._length()
        return length - since if since < length else _DAY_MIN - since

    def _length(self) -> int:
        return (self.to_min - self.from_min) % _DAY_MIN or _DAY_MIN

    def __str__(self) -> str:
        return "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in (self.from_min, self.to_min))


def _all_of_it(reading: Reading) -> Reading:
    return reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One alarm of the config, or one that comes with a probe.

    Attributes:
        name: The alarm's name; the channel of its rows.
        sensor: Whose readings it watches.
        channel: Which of them; empty where ``silence_of`` says what is watched.
        unit: Unit of the thresholds; a reading in another unit is no evidence.
        levels: Names and thresholds, mild to severe: rising thresholds, falling ones when ``falling``. Of states and
            of silence there is one level, and its threshold means nothing.
        falling: True when low values are bad.
        states: Texts or truths that raise it, instead of thresholds; empty where numbers are compared.
        rise_within_s: The height is how much a counter rose in so many seconds; None where values are compared.
        silence_of: Sensors whose silence, all of them together, is what it means; else empty.
        for_s: Seconds that accepted readings must agree before a level changes.
        hysteresis: Way back from a threshold before its level falls, in ``unit``, not negative.
        hold_off_s: Seconds after the start in which readings and losses are not looked at; 0 for life-safety rules.
        unknown_is: Level whose severity the unknown state has; None when it has none.
        accept: Flags that do not disqualify a reading. ``unconfirmed`` and ``end_of_life`` have no effect here.
        unknown_after_s: Seconds without an accepted reading until unknown; None means `unknown_after` of ``for_s``.
        mute_when: Alarms that explain this one: while one of them stands or may be rising, nothing worse is told.
        recovery_s: Seconds after its clearing in which what it explains has time to come back.
        hours: Part of the day in which it is awake; None means always.
        optional: It comes with every node: its first clear is not told, nor that nothing was ever reported.
        may_lack: There is a value only sometimes; its absence is told of no alarm that is clear.
        show: What may be told of a reading; the rule itself weighs all of it.
    """

    name: str
    sensor: str
    channel: str
    unit: str
    levels: tuple[tuple[str, float], ...]
    falling: bool = False
    states: tuple[str | bool, ...] = ()
    rise_within_s: float | None = None
    silence_of: tuple[str, ...] = ()
    for_s: float = 10.0
    hysteresis: float = 0.0
    hold_off_s: float = 0.0
    unknown_is: str | None = None
    accept: frozenset[Quality] = GOOD
    unknown_after_s: float | None = None
    mute_when: tuple[str, ...] = ()
    recovery_s: float = 0.0
    hours: Hours | None = None
    optional: bool = False
    may_lack: bool = False
    show: Callable[[Reading], Reading] = _all_of_it

    @property
    def silence_s(self) -> float:
        """Seconds without an accepted reading until the state is unknown."""
        return unknown_after(self.for_s) if self.unknown_after_s is None else self.unknown_after_s

    @property
    def watched(self) -> str:
        """What it watches, for people."""
        return f"silence of {' and '.join(self.silence_of)}" if self.silence_of else f"{self.sensor}/{self.channel}"
