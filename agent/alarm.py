"""One alarm: what its ladder says, and how much of that is told, and when. Pure.

Getting worse is told at once, anything else not more often than ``for_s``, and of a flapping alarm once a minute. While
another alarm explains this one, or may be about to, only its clearing is told; what still stands when the other one has
been clear for this alarm's own ``for_s`` is told then.
"""

from collections import deque
from dataclasses import dataclass

from agent.ladder import Ladder
from agent.rule import CLEAR, UNKNOWN, Rule
from drivers.reading import Reading

_SECOND_NS = 1_000_000_000
_MINUTE_NS = 60 * _SECOND_NS
_TICK_NS = 1_000_000  # a channel has at most one row per millisecond, the alarm's own channel too
_FLAPPING_WINDOW_NS = 600 * _SECOND_NS
_FLAPPING_CHANGES = 6  # more than this in the window is flapping
_CALM_CHANGES = 3  # no more than this in the window ends it
_LOOK_MIN = 10  # the clock may be set meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An alarm has a new state.

    Attributes:
        alarm: Name of the rule.
        state: ``clear``, the name of a level, ``unknown``, or ``closed`` when nobody watches it any more.
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
        state: What was told last: ``clear``, the name of a level, or ``unknown``.
        severity: The level it weighs as, or None.
        since_ns: Moment of the last change; None before the first since the start.
        why: What the last change said.
        flapping: True while it changes too often and is slowed down.
        beneath: What its readings say now; other than ``state`` while it is hidden or waits.
        hidden_by: The alarm that explains it, while something is hidden; else empty.
        asleep: True outside its hours, and while nobody knows the time.
    """

    state: str
    severity: str | None
    since_ns: int | None
    why: str
    flapping: bool
    beneath: str = UNKNOWN
    hidden_by: str = ""
    asleep: bool = False


class Alarm:
    """One rule and its state. A rank is a number of levels reached: 0 is clear; None is unknown.

    Attributes:
        rule: What it asks.
        parents: Alarms that explain this one; their owner sets them.
    """

    def __init__(self, rule: Rule, last_told: str | None) -> None:
        self.rule = rule
        self.parents: tuple[Alarm, ...] = ()
        self._ladder = Ladder(rule)
        self._for_ns = round(rule.for_s * _SECOND_NS)
        self._names = (CLEAR, *(name for name, _ in rule.levels))
        self._unknown_rank = 0 if rule.unknown_is is None else self._names.index(rule.unknown_is)
        self._hold_off_end_ns = 0
        self._asleep = rule.hours is not None
        self._asleep_until_ns: int | None = None

        self._remembers = last_told is not None  # a state that was told before this start
        self._told_text = UNKNOWN if last_told is None else last_told
        self._told = self._names.index(self._told_text) if self._told_text in self._names else None
        self._told_ns: int | None = None  # None until the first change since the start
        self._told_why = ""
        self._decided = False
        self._waits_until_ns: int | None = None
        self._recent_ns: deque[int] = deque(maxlen=_FLAPPING_CHANGES + 1)
        self._flapping = False

        self._wish_ns: int | None = None  # since when it wants to tell something worse, asked of its parents
        self._release_ns: int | None = None  # its parents are clear, and it must stand longer than until then
        self._cleared_ns = 0
        self._hidden_by = ""

    # -- what its owner asks ----------------------------------------------------------------------------------------

    @property
    def mutes(self) -> bool:
        """Whether it explains others now: it stands, or its newest reading speaks for it."""
        ladder = self._ladder
        return ladder.climbing or (ladder.known and (ladder.rank > 0 or bool(self._told)))

    @property
    def listens(self) -> bool:
        """Whether the next word of a parent may change what it tells."""
        return self._wish_ns is not None

    def due_ns(self) -> int | None:
        """Moment of the next tick that matters; perhaps early."""
        if self._asleep:
            return self._asleep_until_ns
        due = (self._ladder.due_ns(), self._waits_until_ns, self._asleep_until_ns)
        return min((moment for moment in due if moment is not None), default=None)

    def state(self) -> State:
        """Where it stands."""
        known = self._decided or not self._remembers
        return State(
            state=self._told_text if known else UNKNOWN,
            severity=self._severity(self._told) if self._decided else None,
            since_ns=self._told_ns,
            why=self._told_why if known else f"not decided since the start; told before it: {self._told_text}",
            flapping=self._flapping,
            beneath=self._text(self._ladder.rank if self._ladder.known else None),
            hidden_by=self._hidden_by,
            asleep=self._asleep,
        )

    # -- what happens -----------------------------------------------------------------------------------------------

    def start(self, now_ns: int) -> None:
        """Begin to look."""
        self._hold_off_end_ns = now_ns + round(self.rule.hold_off_s * _SECOND_NS)
        self._ladder.begin(self._hold_off_end_ns, self._told or 0)
        self._asleep_until_ns = now_ns if self._asleep else None

    def clock(self, minute: int | None, now_ns: int) -> list[Change]:
        """Look at the time of the day: outside its hours it is neither raised nor unknown.

        Args:
            minute: Of the local day; None while nobody knows it.
            now_ns: Moment.
        """
        hours = self.rule.hours
        if hours is None or self._asleep_until_ns is None or now_ns < self._asleep_until_ns:
            return []
        left_min = 1 if minute is None else min(hours.left_min(minute), _LOOK_MIN)
        self._asleep_until_ns = now_ns + left_min * _MINUTE_NS
        awake = minute is not None and hours.hold(minute)
        if awake is self._asleep:
            self._asleep = not awake
            self._ladder.begin(max(now_ns, self._hold_off_end_ns), 0)
            self._wish_ns = None
        is_over = minute is not None and not awake
        if not is_over or self._told_text == CLEAR or not (self._decided or self._remembers):
            return []
        return [self._change(0, None, f"outside its hours {hours}", now_ns)]

    def take(self, reading: Reading, now_ns: int) -> list[Change]:
        """Weigh a reading."""
        if now_ns < self._hold_off_end_ns or self._asleep:
            return []
        self._ladder.take(reading, now_ns)
        return self._tell(now_ns)

    def speaks(self, now_ns: int, *, silent: bool, what: str) -> list[Change]:
        """Take whether the watched sensors are silent; no hold-off and no hours hide that."""
        self._ladder.speaks(now_ns, silent=silent, what=what)
        return self._tell(now_ns)

    def lose(self, now_ns: int, why: str) -> list[Change]:
        """Take note that the source is gone."""
        if now_ns < self._hold_off_end_ns or self._asleep:
            return []
        self._ladder.lose(why)
        return self._tell(now_ns)

    def tick(self, now_ns: int) -> list[Change]:
        """Do what is due."""
        if now_ns < self._hold_off_end_ns or self._asleep:
            return []
        self._ladder.notice_silence(now_ns)
        return self._tell(now_ns)

    def unmuted(self, now_ns: int, recovery_s: float) -> None:
        """Take note that a parent explains nothing any more, and leaves so many seconds to come back."""
        self._cleared_ns = now_ns
        self._release_ns = now_ns + max(self._for_ns, round(recovery_s * _SECOND_NS))

    # -- telling ----------------------------------------------------------------------------------------------------

    def _tell(self, now_ns: int) -> list[Change]:
        """Publish what the ladder says, when it may be said."""
        ladder = self._ladder
        self._waits_until_ns = None
        if self._flapping and self._changes_lately(now_ns) <= _CALM_CHANGES:
            self._flapping = False
        wanted = ladder.rank if ladder.known else None
        if self._is_told(wanted):
            self._wish_ns = None
            self._hidden_by = ""
            return []
        worse = self._weight(wanted) > self._weight(self._told) or (self._told is None and bool(wanted))
        if ladder.climbing and not worse:
            return []  # the newest reading contradicts it; the next ones decide
        if self._told_ns is not None:
            pause_ns = _TICK_NS
            if not worse:
                pause_ns = max(self._for_ns, _MINUTE_NS if self._flapping else _TICK_NS)
            if now_ns < self._told_ns + pause_ns:
                self._waits_until_ns = self._told_ns + pause_ns
                return []
        if self._is_hidden(wanted, now_ns):
            return []
        return [self._change(wanted, ladder.cause, ladder.why, now_ns)]

    def _is_told(self, wanted: int | None) -> bool:
        """Whether the world has heard it; a first decision that repeats what was told before the start needs no row."""
        if wanted is None and (self._ladder.waits or (self.rule.may_lack and self._told_text == CLEAR)):
            return True  # nothing can be said yet, or need be
        is_first = not (self._decided or self._remembers)
        if is_first and wanted is None:
            return self.rule.optional  # else the first unknown is a change too, though it was unknown before
        if is_first and self.rule.optional and wanted == 0:
            self._told_text = CLEAR  # what comes with every node need not say that it has nothing to say
        if self._text(wanted) != self._told_text:
            return False
        if not self._decided:
            self._decided, self._told, self._told_why = True, wanted, self._ladder.why
        return True

    def _is_hidden(self, wanted: int | None, now_ns: int) -> bool:
        """Whether a parent explains it, may do so with its next word, or did until a moment ago."""
        better = wanted is not None and (wanted == 0 if self._told is None else wanted < self._told)
        if better or not self.parents:
            self._hidden_by = ""
            self._wish_ns = None
            return False
        if self._wish_ns is None:
            self._wish_ns = now_ns
        muting = next((parent for parent in self.parents if parent.mutes), None)
        if muting is not None:
            self._hidden_by = muting.rule.name
            return True
        if self._release_ns is not None:
            if now_ns < self._release_ns:
                self._waits_until_ns = self._release_ns
                return True
            ladder = self._ladder
            if ladder.recovers or (ladder.known and (ladder.sinking or ladder.heard_ns <= self._cleared_ns)):
                return True  # it is getting better too, or was not heard since its parents are clear
            self._release_ns = None
        if any(parent.owes_word(self._wish_ns) for parent in self.parents):
            return True
        self._hidden_by = ""
        self._wish_ns = None
        return False

    def owes_word(self, since_ns: int) -> bool:
        """Whether what it knows is older than a moment, and it will say more."""
        return self._ladder.known and self._ladder.heard_ns < since_ns

    def _change(self, wanted: int | None, cause: Reading | None, why: str, now_ns: int) -> Change:
        before, self._told_text = self._told_text, self._text(wanted)
        self._told, self._told_ns, self._told_why, self._decided = wanted, now_ns, why, True
        self._hidden_by = ""
        self._recent_ns.append(now_ns)
        if not self._flapping and self._changes_lately(now_ns) > _FLAPPING_CHANGES:
            self._flapping = True
            self._told_why += "; flapping: from now on at most one change a minute unless it gets worse"
        return Change(
            alarm=self.rule.name,
            state=self._told_text,
            severity=self._severity(wanted),
            before=before,
            boot_ns=now_ns,
            cause=cause,
            why=self._told_why,
        )

    def _changes_lately(self, now_ns: int) -> int:
        return sum(now_ns - at_ns < _FLAPPING_WINDOW_NS for at_ns in self._recent_ns)

    def _weight(self, rank: int | None) -> int:
        return self._unknown_rank if rank is None else rank

    def _text(self, rank: int | None) -> str:
        return UNKNOWN if rank is None else self._names[rank]

    def _severity(self, rank: int | None) -> str | None:
        return self._names[weight] if (weight := self._weight(rank)) else None


def rows(*changes: Change) -> list[Reading]:
    """Return what goes to the alarm stream: each change, then the readings that caused them, each once."""
    told = [
        Reading(sensor="alarm", channel=each.alarm, value=each.state, unit="1", boot_ns=each.boot_ns)
        for each in changes
    ]
    causes = {(each.cause.sensor, each.cause.channel, each.cause.boot_ns): each.cause for each in changes if each.cause}
    return told + list(causes.values())
