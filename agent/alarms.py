"""All alarm rules of a node: readings and time in, changes of state out. Pure.

An alarm is clear, raised to one of its levels, or unknown, and starts unknown. Evidence is an *accepted* reading: of
the rule's kind and unit, with no flag but those the rule accepts, and never an unconfirmed one. Age (end of life) asks
for a new unit and speaks against no value. A value that was not measured (no target, saturated, device error) may raise
where the rule accepts it, and never lowers: blind is not clear.

Silence of a unit is evidence of its own where the config says what it means: the unit answers no more though its port
is open and something else on this box still speaks. With the port gone nobody knows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from agent.alarm import Alarm, Change, State
from agent.rule import CLEAR, CLOSED, Rule
from drivers.reading import Reading


class Alarms:
    """All alarms of a node. Time never runs backwards here: an older moment counts as the newest one seen.

    The first moment it is given is the start that hold-off and the first silence are counted from.

    Args:
        rules: The rules; what a rule names as explaining it and is none of them explains nothing.
        last_told: The state of each alarm that was told last before this start.
        minute: Gives the minute of the local day at a moment in ns of CLOCK_BOOTTIME; None while nobody knows.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        last_told: Mapping[str, str] | None = None,
        minute: Callable[[int], int | None] = lambda _: None,
    ) -> None:
        told = last_told or {}
        self._minute = minute
        self._alarms = {rule.name: Alarm(rule, told.get(rule.name)) for rule in rules}
        self._gone = {name: state for name, state in told.items() if name not in self._alarms}
        self._by_channel: dict[tuple[str, str], list[Alarm]] = {}
        self._by_sensor: dict[str, list[Alarm]] = {}
        self._of_silence: dict[str, list[Alarm]] = {}
        self._children: dict[str, list[Alarm]] = {}
        for name, alarm in self._alarms.items():
            self._index(alarm)
            alarm.parents = tuple(self._alarms[each] for each in self._explaining(name))
            for parent in alarm.parents:
                self._children.setdefault(parent.rule.name, []).append(alarm)
        self._timed = [alarm for alarm in self._alarms.values() if alarm.rule.hours is not None]
        self._heard_ns: dict[str, int] = {}
        self._silent: set[str] = set()
        self._open: set[str] = set()
        self._now_ns: int | None = None
        self._due_ns: int | None = None  # never later than the first thing due; may be early

    # -- what happens -----------------------------------------------------------------------------------------------

    def take(self, reading: Reading) -> list[Change]:
        """Weigh one reading."""
        now_ns = self._see(reading.boot_ns)
        changes = self._hear(reading.sensor, now_ns)
        for alarm in self._by_channel.get((reading.sensor, reading.channel), ()):
            changes += self._after(alarm, alarm.mutes, alarm.take(reading, now_ns), now_ns)
        return changes

    def tick(self, now_ns: int) -> list[Change]:
        """Do what is due: silences that became unknown, changes that had to wait."""
        now_ns = self._see(now_ns)
        changes = self._close(now_ns)
        if self._due_ns is None or now_ns < self._due_ns:
            return changes
        self._due_ns = None
        minute = self._minute(now_ns) if self._timed else None
        for alarm in self._timed:
            changes += self._after(alarm, alarm.mutes, alarm.clock(minute, now_ns), now_ns)
        for alarm in self._alarms.values():
            changes += self._after(alarm, alarm.mutes, alarm.tick(now_ns), now_ns)
        return changes

    def source_lost(self, sensor: str, now_ns: int, why: str) -> list[Change]:
        """Take note that a sensor is silent: its alarms are unknown at once, but those that its silence raises."""
        now_ns = self._see(now_ns)
        self._silent.add(sensor)
        changes: list[Change] = []
        for alarm in self._of_silence.get(sensor, ()):
            changes += self._after(alarm, alarm.mutes, self._judge_silence(alarm, now_ns), now_ns)
        for alarm in self._by_sensor.get(sensor, ()):
            changes += self._after(alarm, alarm.mutes, alarm.lose(now_ns, why), now_ns)
        return changes

    def port_is(self, sensor: str, now_ns: int, *, is_open: bool) -> list[Change]:
        """Take note that the port of a sensor was opened or lost."""
        now_ns = self._see(now_ns)
        changes: list[Change] = []
        if is_open:
            self._open.add(sensor)
            return changes
        self._open.discard(sensor)
        for alarm in self._of_silence.get(sensor, ()):
            if sensor in self._silent:
                changes += self._after(alarm, alarm.mutes, self._judge_silence(alarm, now_ns), now_ns)
        return changes

    # -- what is known ----------------------------------------------------------------------------------------------

    def deadline(self) -> int | None:
        """Moment of the next tick that matters, perhaps early; None before the start and when nothing can change."""
        return self._due_ns

    def states(self) -> dict[str, State]:
        """Where every alarm stands, by name."""
        return {name: alarm.state() for name, alarm in self._alarms.items()}

    def explained(self, sensor: str) -> str:
        """Return the alarm that stands and explains all alarms of a sensor; empty when there is none."""
        watching = self._by_sensor.get(sensor, ())
        found = [{parent.rule.name for parent in alarm.parents if parent.mutes} for alarm in watching]
        return min(set.intersection(*found), default="") if found else ""

    # -- inside -----------------------------------------------------------------------------------------------------

    def _index(self, alarm: Alarm) -> None:
        rule = alarm.rule
        for sensor in rule.silence_of:
            self._of_silence.setdefault(sensor, []).append(alarm)
        if not rule.silence_of:
            self._by_channel.setdefault((rule.sensor, rule.channel), []).append(alarm)
            self._by_sensor.setdefault(rule.sensor, []).append(alarm)

    def _explaining(self, name: str) -> Iterator[str]:
        """Give all alarms that explain one, theirs too, each once."""
        seen = {name}
        waiting = list(self._alarms[name].rule.mute_when)
        for each in waiting:
            if each in self._alarms and each not in seen:
                seen.add(each)
                waiting += self._alarms[each].rule.mute_when
                yield each

    def _hear(self, sensor: str, now_ns: int) -> list[Change]:
        changes: list[Change] = []
        if not self._of_silence:
            return changes
        self._heard_ns[sensor] = now_ns
        watching = self._of_silence.get(sensor)
        if watching is not None:
            self._silent.discard(sensor)
            for alarm in watching:
                changes += self._after(
                    alarm, alarm.mutes, alarm.speaks(now_ns, silent=False, what=f"{sensor} speaks"), now_ns
                )
        return changes

    def _judge_silence(self, alarm: Alarm, now_ns: int) -> list[Change]:
        """Take all that is silent together: it means something only when nothing else explains it."""
        sensors = alarm.rule.silence_of
        if not self._silent.issuperset(sensors):
            return []
        names = " and ".join(sensors)
        if not self._open.issuperset(sensors):
            return alarm.lose(now_ns, f"{names} silent, and the port is gone")
        if not self._others_live(alarm):
            return alarm.lose(now_ns, f"{names} silent, and so is everything else")
        return alarm.speaks(now_ns, silent=True, what=f"{names} silent")

    def _others_live(self, alarm: Alarm) -> bool:
        """Whether something that does not fall silent with this alarm was heard since; so too when there is nothing."""
        name = alarm.rule.name
        with_it = {child.rule.sensor for child in self._children.get(name, ())} | set(alarm.rule.silence_of)
        others = [at_ns for sensor, at_ns in self._heard_ns.items() if sensor not in with_it]
        last_ns = max((self._heard_ns.get(sensor, 0) for sensor in alarm.rule.silence_of), default=0)
        return not others or max(others) > last_ns

    def _after(self, alarm: Alarm, muted: bool, changes: list[Change], now_ns: int) -> list[Change]:  # noqa: FBT001
        """Return the changes of one step of an alarm, and what the step means for those that it explains.

        Args:
            alarm: The alarm.
            muted: Whether it explained others before the step; arguments are evaluated from left to right.
            changes: What the step changed.
            now_ns: Moment.
        """
        children = self._children.get(alarm.rule.name, ())
        self._due_by(alarm.due_ns())
        if muted and not alarm.mutes:
            for child in children:
                child.unmuted(now_ns, alarm.rule.recovery_s)
        for child in children:
            if child.listens:
                changes += self._after(child, child.mutes, child.tick(now_ns), now_ns)
        return changes

    def _close(self, now_ns: int) -> list[Change]:
        """Tell of alarms that were not clear before the start and that nobody watches any more."""
        gone, self._gone = self._gone, {}
        return [
            Change(
                alarm=name,
                state=CLOSED,
                severity=None,
                before=before,
                boot_ns=now_ns,
                cause=None,
                why="nothing in the configuration watches it any more",
            )
            for name, before in sorted(gone.items())
            if before not in {CLEAR, CLOSED}
        ]

    def _see(self, now_ns: int) -> int:
        if self._now_ns is None:
            self._now_ns = now_ns
            for alarm in self._alarms.values():
                alarm.start(now_ns)
                self._due_by(alarm.due_ns())
        self._now_ns = max(self._now_ns, now_ns)
        return self._now_ns

    def _due_by(self, due_ns: int | None) -> None:
        if due_ns is not None and (self._due_ns is None or due_ns < self._due_ns):
            self._due_ns = due_ns
