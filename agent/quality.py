"""Doubts about readings: every value keeps flowing, with flags that say why it may be wrong. Pure.

Each channel remembers three small things: the last good value, a candidate for a new level, and since when the value
has been the same. Memory and work per reading do not grow.

Two frames *agree* when they differ by no more than what ``max_step_per_s`` allows in the time between them, counted for
at most 10 s: after a longer silence one frame says little about the next. A counter runs on meanwhile, so its time is
counted for up to an hour. Without a step limit they agree within 2 % of the channel's range. A channel with neither
range nor step limit, a state and a text agree only when equal.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from agent.wear import Hours, Wear
from drivers.driver import Channel
from drivers.reading import NOT_MEASURED, Quality, Reading

_SECOND_NS = 1_000_000_000
_RANGE_SHARE = 0.02
_AGREEMENT_NS = 10 * _SECOND_NS
_COUNTER_NS = 3600 * _SECOND_NS
_SHORTEST_NS = _SECOND_NS // 10  # frames of one chunk carry one time; no unit here speaks more often than this
_ROUNDING = 1 + 1e-6  # 1.1 - 1.0 is a little more than 0.1
_LEVEL_FRAMES = 2  # a jump needs at least one witness before it becomes the new level
_WEAK_CHECKS = frozenset({"sum8", "sum16", "xor", "none"})  # about 3 % of double bit errors pass them


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorRules:
    """What is believable of one sensor; the config's overrides are already merged in.

    Attributes:
        channels: By name. A channel that is not here passes unflagged.
        warmup_s: Seconds after a start in which values are doubted.
        stale_after_s: Silence after which the sensor counts as stale; above 0.
        confirm: Frames in a row that must agree before a value counts as confirmed.
        integrity: The check that guards a frame; a CRC needs no confirmation.
        lifetime_h: Working hours after which its values are doubted; None means never, and then none are counted.
    """

    channels: Mapping[str, Channel]
    warmup_s: float = 0.0
    stale_after_s: float = 60.0
    confirm: int = 1
    integrity: Literal["crc16", "sum8", "sum16", "xor", "none"] = "none"
    lifetime_h: float | None = None


class Judge:
    """Adds flags to readings and knows which sensors have gone silent. Flags that the driver set are kept.

    Args:
        rules: What is believable, by sensor.
        book: Keeps the working hours; None where nobody does, and then nothing is ever too old.
    """

    def __init__(self, rules: Mapping[str, SensorRules], book: Hours | None = None) -> None:
        self._sensors = {name: _Sensor(each) for name, each in rules.items()}
        self._wear = {
            name: Wear(name, each.lifetime_h, self._sensors[name].stale_ns, book)
            for name, each in rules.items()
            if book is not None and each.lifetime_h is not None
        }
        self._due_ns: int | None = None  # never later than the first silence; may be early
        self._checked_ns = 0

    def judge(self, reading: Reading) -> Reading:
        """Return the reading with its doubts; the same object when there are none to add."""
        sensor = self._sensors.get(reading.sensor)
        if sensor is None:
            return reading
        was_ns = self._heard(sensor, reading.boot_ns)
        if sensor.settled_ns is None or (was_ns is not None and reading.boot_ns - was_ns > sensor.stale_ns):
            sensor.settled_ns = reading.boot_ns + sensor.warmup_ns  # a silence so long may have been a power cut
        wear = self._wear.get(reading.sensor)
        worn = wear is not None and wear.is_over(reading)
        channel = sensor.channels.get(reading.channel)
        if channel is None:
            return reading
        doubts = channel.doubts(reading, sensor.settled_ns)
        if reading.boot_ns < sensor.settled_ns:
            doubts.append(Quality.WARMING_UP)
        if worn:
            doubts.append(Quality.END_OF_LIFE)
        if not doubts:
            return reading
        return Reading(
            sensor=reading.sensor,
            channel=reading.channel,
            value=reading.value,
            unit=reading.unit,
            boot_ns=reading.boot_ns,
            quality=reading.quality.union(doubts),
        )

    def started(self, sensor: str, now_ns: int) -> None:
        """Take note that a sensor began, or began again: warm-up restarts, its levels are forgotten."""
        known = self._sensors.get(sensor)
        if known is not None:
            known.forget()
            known.settled_ns = now_ns + known.warmup_ns
            self._awaited(known, now_ns)

    def lost(self, sensor: str, now_ns: int) -> None:
        """Take note that a sensor's port is gone. Its silence goes on counting; a flapping port cannot reset it."""
        known = self._sensors.get(sensor)
        if known is not None:
            known.forget()
            known.settled_ns = None
            self._awaited(known, now_ns)

    def stale(self, now_ns: int) -> list[str]:
        """Name the sensors that fell silent since the last call; one that never spoke counts from its start."""
        self._checked_ns = max(self._checked_ns, now_ns)
        if self._due_ns is None or self._due_ns > self._checked_ns:
            return []
        found: list[str] = []
        self._due_ns = None
        for name, sensor in self._sensors.items():
            if sensor.stale or sensor.heard_ns is None:
                continue
            due_ns = sensor.heard_ns + sensor.stale_ns
            if due_ns <= self._checked_ns:
                sensor.stale = True
                found.append(name)
            else:
                self._due_by(due_ns)
        return found

    def silent(self) -> tuple[str, ...]:
        """Names of the sensors that are stale now, as of the last call of `stale`."""
        return tuple(name for name, sensor in self._sensors.items() if sensor.stale)

    def deadline(self) -> int | None:
        """Moment to call `stale` again; None when nothing can become stale.

        It may be early (readings push the true moment away without touching it), so a timer is set once per silence
        and not once per reading.
        """
        return self._due_ns

    def _heard(self, sensor: "_Sensor", now_ns: int) -> int | None:
        """Put the sensor's silence off; return when it was heard before, None when it never was."""
        was_ns = sensor.heard_ns
        heard_ns = max(now_ns, self._checked_ns)
        if sensor.stale or sensor.heard_ns is None:
            self._due_by(heard_ns + sensor.stale_ns)
            sensor.stale = False
        else:
            heard_ns = max(heard_ns, sensor.heard_ns)  # a late reading does not bring the silence forward
        sensor.heard_ns = heard_ns
        return was_ns

    def _awaited(self, sensor: "_Sensor", now_ns: int) -> None:
        if sensor.heard_ns is None:
            self._heard(sensor, now_ns)

    def _due_by(self, due_ns: int) -> None:
        self._due_ns = due_ns if self._due_ns is None else min(self._due_ns, due_ns)


class _Sensor:
    """What is known of one sensor: when it settles, when it was last heard."""

    __slots__ = ("channels", "heard_ns", "settled_ns", "stale", "stale_ns", "warmup_ns")

    def __init__(self, rules: SensorRules) -> None:
        self.warmup_ns = round(rules.warmup_s * _SECOND_NS)
        self.stale_ns = max(round(rules.stale_after_s * _SECOND_NS), 1)
        self.settled_ns: int | None = None
        self.heard_ns: int | None = None
        self.stale = False
        self.channels = {name: _Doubter(channel, rules, self.stale_ns) for name, channel in rules.channels.items()}

    def forget(self) -> None:
        for channel in self.channels.values():
            channel.forget()


class _Doubter:
    """The memory of one channel."""

    __slots__ = (
        "_agreement_ns",
        "_blind",
        "_blind_ns",
        "_blind_run",
        "_candidate",
        "_candidate_ns",
        "_confirm",
        "_good",
        "_good_ns",
        "_high",
        "_low",
        "_need",
        "_period",
        "_run",
        "_same",
        "_same_ns",
        "_seen_ns",
        "_spread",
        "_stale_ns",
        "_step_per_ns",
        "_stuck_ns",
        "_zero_is_suspect",
    )

    def __init__(self, channel: Channel, rules: SensorRules, stale_ns: int) -> None:
        measures = channel.kind not in {"state", "text"}
        ranged = channel.low is not None and channel.high is not None
        self._low = -math.inf if channel.low is None else channel.low
        self._high = math.inf if channel.high is None else channel.high
        self._spread = (self._high - self._low) * _RANGE_SHARE * _ROUNDING if measures and ranged else 0.0
        self._period: float | None = None
        if channel.kind == "angle":
            self._period = math.tau if channel.unit == "rad" else 360.0
        self._step_per_ns: float | None = None
        if measures and channel.max_step_per_s is not None:
            self._step_per_ns = channel.max_step_per_s * _ROUNDING / _SECOND_NS
        self._agreement_ns = _COUNTER_NS if channel.kind == "counter" else _AGREEMENT_NS
        self._zero_is_suspect = channel.zero == "suspect"
        self._stuck_ns = None if channel.stuck_after_s is None else round(channel.stuck_after_s * _SECOND_NS)
        self._stale_ns = stale_ns
        self._confirm = rules.confirm if rules.integrity in _WEAK_CHECKS else 1
        self._need = max(rules.confirm, _LEVEL_FRAMES)
        self.forget()

    def forget(self) -> None:
        """Begin without a past."""
        self._good: float | str | None = None
        self._good_ns = 0
        self._candidate: float | str | None = None
        self._candidate_ns = 0
        self._run = 0  # frames in a row that agree with the candidate, itself included
        self._blind: float | str = 0  # what the last frame said in which nothing was measured
        self._blind_ns = 0
        self._blind_run = 0
        self._same: float | str | None = None
        self._same_ns = 0
        self._seen_ns = 0

    def doubts(self, reading: Reading, settled_ns: int) -> list[Quality]:
        """Return what speaks against a reading; values from before ``settled_ns`` are no base for a step."""
        value, now_ns = reading.value, reading.boot_ns
        found: list[Quality] = []
        if reading.quality and not NOT_MEASURED.isdisjoint(reading.quality):
            if not self._witnessed_blind(value, now_ns):
                found.append(Quality.UNCONFIRMED)
            return found
        self._blind_run = 0
        if not isinstance(value, (bool, str)):
            if not self._low <= value <= self._high:
                found.append(Quality.OUT_OF_RANGE)
            if self._zero_is_suspect and value == 0:
                found.append(Quality.SUSPECT_ZERO)
        sound = not found
        if self._stuck_ns is not None and self._same_for_ns(value, now_ns) >= self._stuck_ns:
            found.append(Quality.STUCK)
        if self._confirm > 1 or self._step_per_ns is not None:
            self._weigh(value, now_ns, settled_ns, found, sound=sound)
        return found

    def _witnessed_blind(self, value: float | str, now_ns: int) -> bool:
        """Whether enough frames in a row mean the same "not measured": too near is no witness for nothing in reach."""
        agrees = self._blind_run and self._distance(value, self._blind) <= self._tolerance(now_ns - self._blind_ns)
        self._blind_run = self._blind_run + 1 if agrees else 1
        self._blind, self._blind_ns = value, now_ns
        return self._blind_run >= self._confirm

    def _same_for_ns(self, value: float | str, now_ns: int) -> int:
        if value != self._same or now_ns - self._seen_ns > self._stale_ns:  # nobody knows what it was in a silence
            self._same, self._same_ns = value, now_ns
        self._seen_ns = now_ns
        return now_ns - self._same_ns

    def _weigh(self, value: float | str, now_ns: int, settled_ns: int, found: list[Quality], *, sound: bool) -> None:
        """Compare with the last good value, else with the candidate; a value of bad range never becomes good."""
        jumped = False
        strange = self._confirm > 1
        if self._good is not None:
            away, elapsed_ns = self._distance(value, self._good), now_ns - self._good_ns
            jumped = self._good_ns >= settled_ns and self._believable(elapsed_ns) < away < math.inf
            strange = strange and away > self._tolerance(elapsed_ns)
        believed = True
        if not (jumped or strange):
            self._candidate = None
        else:
            waited_ns = now_ns - self._candidate_ns
            same_level = (
                self._candidate is not None
                and waited_ns <= self._stale_ns  # a stray value of long ago is no witness
                and self._distance(value, self._candidate) <= self._tolerance(waited_ns)
            )
            self._run = self._run + 1 if same_level else 1
            self._candidate, self._candidate_ns = value, now_ns
            if jumped and self._run < self._need:
                found.append(Quality.STEP)
                believed = False
            if strange and self._run < self._confirm:
                found.append(Quality.UNCONFIRMED)
                believed = False
        if believed and sound:
            self._good, self._good_ns = value, now_ns
            self._candidate = None

    def _distance(self, one: float | str, other: float | str) -> float:
        if isinstance(one, (bool, str)) or isinstance(other, (bool, str)):
            return 0.0 if one == other else math.inf
        away = abs(one - other)
        if self._period is None:
            return away
        away %= self._period
        return min(away, self._period - away)

    def _believable(self, elapsed_ns: int) -> float:
        if self._step_per_ns is None:
            return math.inf
        return self._step_per_ns * max(elapsed_ns, _SHORTEST_NS)

    def _tolerance(self, elapsed_ns: int) -> float:
        if self._step_per_ns is None:
            return self._spread
        return self._believable(min(elapsed_ns, self._agreement_ns))
