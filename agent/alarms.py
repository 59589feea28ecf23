"""Alarm rules: readings and time in, changes of state out. Pure.

An alarm is clear, raised to one of its levels, or unknown, and starts unknown. Evidence is an *accepted* reading: a
number in the rule's unit, with no flag but those the rule accepts, and never an unconfirmed one. A value that was not
measured (no target, saturated, device error) may raise where the rule accepts it, and never lowers: blind is not clear.

Underneath the published state runs a plain ladder of levels that remembers its hysteresis through unknown times. It
climbs when accepted readings stay at or beyond a threshold for ``for_s`` (straight to the highest that did) and steps
down when they stay beyond threshold and hysteresis for as long. Silence of accepted readings makes the state unknown;
``for_s`` of them makes it known again.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.reading import GOOD, Quality, Reading

CLEAR = "clear"
UNKNOWN = "unknown"

_NO_MEASUREMENT = frozenset({Quality.NO_TARGET, Quality.SATURATED, Quality.DEVICE_ERROR})
_SECOND_NS = 1_000_000_000
_TICK_NS = 1_000_000  # a channel has at most one row per millisecond, the alarm's own channel too
_SLOWEST_NS = 60 * _SECOND_NS  # between two changes of a flapping alarm
_FLAPPING_WINDOW_NS = 600 * _SECOND_NS
_FLAPPING_CHANGES = 6  # more than this in the window is flapping
_CALM_CHANGES = 3  # no more than this in the window ends it


def unknown_after(for_s: float, every_s: float = 0.0) -> float:
    """Seconds without an accepted reading after which a state is unknown, where the config does not say.

    Three times what a decision needs (``for_s``, or one poll where the sensor is polled more slowly) and a minute.
    """
    return 3 * max(for_s, every_s) + 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One alarm of the config.

    Attributes:
        name: The alarm's name; the channel of its rows.
        sensor: Whose readings it watches.
        channel: Which of them.
        unit: Unit of the thresholds; a reading in another unit is no evidence.
        levels: Names and thresholds, mild to severe: rising thresholds, falling ones when ``falling``.
        falling: True when low values are bad.
        for_s: Seconds that accepted readings must agree before a level changes.
        hysteresis: Way back from a threshold before its level falls, in ``unit``, not negative.
        hold_off_s: Seconds after the start in which readings and losses are not looked at; 0 for life-safety rules.
        unknown_is: Level whose severity the unknown state has; None when it has none.
        accept: Flags that do not disqualify a reading. ``unconfirmed`` has no effect here.
        unknown_after_s: Seconds without an accepted reading until unknown; None means `unknown_after` of ``for_s``.
    """

    name: str
    sensor: str
    channel: str
    unit: str
    levels: tuple[tuple[str, float], ...]
    falling: bool = False
    for_s: float = 10.0
    hysteresis: float = 0.0
    hold_off_s: float = 0.0
    unknown_is: str | None = None
    accept: frozenset[Quality] = GOOD
    unknown_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An alarm has a new state.

    Attributes:
        alarm: Name of the rule.
        state: ``clear``, the name of a level, or ``unknown``.
        severity: The level this state weighs as; None for clear, and for an unknown that the rule gives no level.
        before: The state until now.
        boot_ns: Moment of the change; no two changes of an alarm share a millisecond.
        cause: The reading that decided it; for an unknown, the last reading that was refused, if any.
        why: One line for people.
    """

    alarm: str
    state: str
    severity: str | None
    before: str
    boot_ns: int
    cause: Reading | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where an alarm stands now.

    Attributes:
        state: ``clear``, the name of a level, or ``unknown``.
        severity: The level it weighs as, or None.
        since_ns: Moment of the last change; None before the first.
        why: What the last change said.
        flapping: True while it changes too often and is slowed down.
    """

    state: str
    severity: str | None
    since_ns: int | None
    why: str
    flapping: bool


def rows(*changes: Change) -> list[Reading]:
    """Return what goes to the alarm stream: each change, then the readings that caused them, each once."""
    told = [
        Reading(sensor="alarm", channel=each.alarm, value=each.state, unit="1", boot_ns=each.boot_ns)
        for each in changes
    ]
    causes = {(each.cause.sensor, each.cause.channel, each.cause.boot_ns): each.cause for each in changes if each.cause}
    return told + list(causes.values())


class Alarms:
    """All alarms of a node. Time never runs backwards here: an older moment counts as the newest one seen.

    The first moment it is given is the start that hold-off and the first silence are counted from.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._alarms = tuple(_Alarm(rule) for rule in rules)
        self._by_channel: dict[tuple[str, str], list[_Alarm]] = {}
        for alarm in self._alarms:
            self._by_channel.setdefault((alarm.rule.sensor, alarm.rule.channel), []).append(alarm)
        self._now_ns: int | None = None
        self._due_ns: int | None = None  # never later than the first thing due; may be early

    def take(self, reading: Reading) -> list[Change]:
        """Weigh one reading."""
        now_ns = self._see(reading.boot_ns)
        changes: list[Change] = []
        for alarm in self._by_channel.get((reading.sensor, reading.channel), ()):
            changes += alarm.take(reading, now_ns)
            self._due_by(alarm.due_ns())
        return changes

    def tick(self, now_ns: int) -> list[Change]:
        """Do what is due: silences that became unknown, changes that had to wait."""
        now_ns = self._see(now_ns)
        changes: list[Change] = []
        if self._due_ns is None or now_ns < self._due_ns:
            return changes
        self._due_ns = None
        for alarm in self._alarms:
            changes += alarm.tick(now_ns)
            self._due_by(alarm.due_ns())
        return changes

    def source_lost(self, sensor: str, now_ns: int, why: str) -> list[Change]:
        """Take note that a sensor is silent or unplugged: its alarms are unknown at once."""
        now_ns = self._see(now_ns)
        changes: list[Change] = []
        for alarm in self._alarms:
            if alarm.rule.sensor == sensor:
                changes += alarm.lose(now_ns, why)
                self._due_by(alarm.due_ns())
        return changes

    def deadline(self) -> int | None:
        """Moment of the next tick that matters, perhaps early; None before the start and when nothing can change."""
        return self._due_ns

    def states(self) -> dict[str, State]:
        """Where every alarm stands, by name."""
        return {alarm.rule.name: alarm.state() for alarm in self._alarms}

    def _see(self, now_ns: int) -> int:
        if self._now_ns is None:
            self._now_ns = now_ns
            for alarm in self._alarms:
                alarm.start(now_ns)
                self._due_by(alarm.due_ns())
        self._now_ns = max(self._now_ns, now_ns)
        return self._now_ns

    def _due_by(self, due_ns: int | None) -> None:
        if due_ns is not None and (self._due_ns is None or due_ns < self._due_ns):
            self._due_ns = due_ns


class _Alarm:
    """One rule and its state. A rank is a number of levels reached: 0 is clear; None is unknown."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        sign = -1.0 if rule.falling else 1.0
        self._sign = sign
        self._raise_at = tuple(sign * threshold for _, threshold in rule.levels)
        # Rounded: 0.5 - 0.35 is a little more than 0.15.
        self._hold_at = tuple(round(at - rule.hysteresis, 9) for at in self._raise_at)
        self._refused = frozenset(Quality) - rule.accept | {Quality.UNCONFIRMED}
        self._for_ns = round(rule.for_s * _SECOND_NS)
        silence_s = unknown_after(rule.for_s) if rule.unknown_after_s is None else rule.unknown_after_s
        self._silence_s = silence_s
        self._silence_ns = max(round(silence_s * _SECOND_NS), 1)
        self._hold_off_ns = round(rule.hold_off_s * _SECOND_NS)
        names = [name for name, _ in rule.levels]
        self._names = (CLEAR, *names)
        self._unknown_rank = 0 if rule.unknown_is is None else names.index(rule.unknown_is) + 1

        self._rank = 0  # the ladder, kept through unknown times
        self._known = False  # whether the ladder may be believed now
        self._above_ns: list[int | None] = [None] * len(names)
        self._below_ns: list[int | None] = [None] * len(names)
        self._since_ns: int | None = None  # first accepted reading since the ladder was last doubted
        self._heard_ns = 0  # last accepted reading, at first the end of the hold-off
        self._climbing = False  # the last accepted reading speaks for more than the ladder says
        self._refusal: Reading | None = None
        self._cause: Reading | None = None
        self._why = ""

        self._told: int | None = None
        self._told_why = ""
        self._unannounced = False  # the first unknown is a change too, though it was unknown before
        self._told_ns: int | None = None  # None until the first change
        self._waits_until_ns: int | None = None
        self._recent_ns: deque[int] = deque(maxlen=_FLAPPING_CHANGES + 1)
        self._flapping = False

    def start(self, now_ns: int) -> None:
        self._heard_ns = now_ns + self._hold_off_ns

    def take(self, reading: Reading, now_ns: int) -> list[Change]:
        if now_ns < self._heard_ns:  # only in the hold-off
            return []
        self._notice_silence(now_ns)
        height = self._height(reading)
        if height is None:
            self._refusal = reading
        else:
            self._climb(height, reading, now_ns)
        return self._tell(now_ns)

    def tick(self, now_ns: int) -> list[Change]:
        self._notice_silence(now_ns)
        return self._tell(now_ns)

    def lose(self, now_ns: int, why: str) -> list[Change]:
        if now_ns < self._heard_ns:
            return []
        self._doubt(None, why)
        return self._tell(now_ns)

    def due_ns(self) -> int | None:
        silent_ns = self._heard_ns + self._silence_ns if self._known or self._told_ns is None else None
        if self._waits_until_ns is None or silent_ns is None:
            return silent_ns if self._waits_until_ns is None else self._waits_until_ns
        return min(silent_ns, self._waits_until_ns)

    def state(self) -> State:
        return State(
            state=self._text(self._told),
            severity=None if self._told_ns is None else self._severity(self._told),
            since_ns=self._told_ns,
            why=self._told_why,
            flapping=self._flapping,
        )

    def _height(self, reading: Reading) -> float | None:
        """The value as evidence, sign turned so that up is bad; None when it is no evidence."""
        value = reading.value
        if isinstance(value, str) or reading.unit != self.rule.unit:
            return None
        if not reading.quality:
            return self._sign * value
        if not self._refused.isdisjoint(reading.quality):
            return None
        height = self._sign * value
        blind = not _NO_MEASUREMENT.isdisjoint(reading.quality)
        floor = max(self._rank, 1) - 1
        return None if blind and height < self._raise_at[floor] else height

    def _notice_silence(self, now_ns: int) -> None:
        if now_ns - self._heard_ns < self._silence_ns:
            return
        why = f"no usable reading of {self.rule.sensor}/{self.rule.channel} for {self._silence_s:g} s"
        if self._refusal is not None:
            why += f"; the last one was refused: {self._objection(self._refusal)}"
        self._doubt(self._refusal, why)

    def _objection(self, reading: Reading) -> str:
        if reading.unit != self.rule.unit:
            return f"unit {reading.unit} instead of {self.rule.unit}"
        return " ".join(sorted(reading.quality)) or "no number"

    def _doubt(self, cause: Reading | None, why: str) -> None:
        """Forget what was seen, not where the ladder stands."""
        if self._known or self._told_ns is None:
            self._cause, self._why = cause, why
        self._known = self._climbing = False
        self._unannounced = self._told_ns is None
        self._since_ns = None
        self._above_ns = [None] * len(self._above_ns)
        self._below_ns = [None] * len(self._below_ns)

    def _climb(self, height: float, reading: Reading, now_ns: int) -> None:
        self._heard_ns = now_ns
        self._refusal = None
        if self._since_ns is None:
            self._since_ns = now_ns
        reached = held = 0
        for level, (raise_at, hold_at) in enumerate(zip(self._raise_at, self._hold_at, strict=True)):
            above, below = height >= raise_at, height < hold_at
            reached += above
            held += not below
            self._above_ns[level] = _since(self._above_ns[level], now_ns) if above else None
            self._below_ns[level] = _since(self._below_ns[level], now_ns) if below else None
        long_ago_ns = now_ns - self._for_ns
        up = sum(since is not None and since <= long_ago_ns for since in self._above_ns)
        rank = self._rank
        while rank and (since := self._below_ns[rank - 1]) is not None and since <= long_ago_ns:
            rank -= 1
        if up > self._rank:
            self._settle(up, reading, self._compared("at or", up))
        elif rank < self._rank:
            self._settle(rank, reading, self._compared("back", rank + 1))
        elif not self._known and self._since_ns <= long_ago_ns and reached <= rank <= held:
            self._settle(rank, reading, "usable readings")
        self._climbing = reached > self._rank

    def _settle(self, rank: int, reading: Reading, why: str) -> None:
        self._rank = rank
        self._known = True
        self._cause, self._why = reading, f"{reading.value:g} {reading.unit}: {why} for {self.rule.for_s:g} s"

    def _compared(self, how: str, rank: int) -> str:
        """Say on which side of which threshold the value is; ``back`` means by the hysteresis."""
        name, threshold = self.rule.levels[rank - 1]
        side = "below" if self.rule.falling is (how == "at or") else "above"
        by = f" by {self.rule.hysteresis:g}" if how == "back" and self.rule.hysteresis else ""
        return f"{how} {side} {name} {threshold:g}{by}"

    def _tell(self, now_ns: int) -> list[Change]:
        """Publish what the ladder says, when it may be said."""
        self._waits_until_ns = None
        if self._flapping and self._changes_lately(now_ns) <= _CALM_CHANGES:
            self._flapping = False
        wanted = self._rank if self._known else None
        if wanted == self._told and not self._unannounced:
            return []
        worse = self._weight(wanted) > self._weight(self._told) or (self._told is None and bool(wanted))
        if self._climbing and not worse:
            return []  # the newest reading contradicts it; the next ones decide
        if self._told_ns is not None:
            pause_ns = _TICK_NS
            if not worse:
                pause_ns = max(self._for_ns, _SLOWEST_NS if self._flapping else _TICK_NS)
            if now_ns < self._told_ns + pause_ns:
                self._waits_until_ns = self._told_ns + pause_ns
                return []
        before, self._told, self._told_ns, self._told_why = self._told, wanted, now_ns, self._why
        self._unannounced = False
        self._recent_ns.append(now_ns)
        if not self._flapping and self._changes_lately(now_ns) > _FLAPPING_CHANGES:
            self._flapping = True
            self._told_why += "; flapping: from now on at most one change a minute unless it gets worse"
        return [
            Change(
                alarm=self.rule.name,
                state=self._text(wanted),
                severity=self._severity(wanted),
                before=self._text(before),
                boot_ns=now_ns,
                cause=self._cause,
                why=self._told_why,
            )
        ]

    def _changes_lately(self, now_ns: int) -> int:
        return sum(now_ns - at_ns < _FLAPPING_WINDOW_NS for at_ns in self._recent_ns)

    def _weight(self, rank: int | None) -> int:
        return self._unknown_rank if rank is None else rank

    def _text(self, rank: int | None) -> str:
        return UNKNOWN if rank is None else self._names[rank]

    def _severity(self, rank: int | None) -> str | None:
        return self._names[weight] if (weight := self._weight(rank)) else None


def _since(earlier_ns: int | None, now_ns: int) -> int:
    return now_ns if earlier_ns is None else earlier_ns
