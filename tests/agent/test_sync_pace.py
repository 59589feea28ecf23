"""How fast a backlog drains and how long an alarm waits beside it: sync on links of known speed, in simulated time."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from agent.sync import Held, Key, Name, Sync, Timing
from agent.wire.batch import Stream
from agent.wire.spans import Spans

RUN, OLD = b"r" * 16, b"o" * 16
PAST = (OLD, Stream.TELEMETRY)
ALARM_BYTES = 700
LIVE_BYTES = 1500
EVERY_S = 10.0


@dataclass
class Path:
    """From the node over a link that sends one thing after the other to a broker, and from there to a center.

    Attributes:
        bytes_per_s: Of the link.
        round_trip_s: Of the link, empty.
        batch_bytes: Size of a batch of history.
        center_bytes_per_s: What the center takes.
        every_s: The center acks what it has at most so late ...
        quiet_s: ... or when nothing came for so long ...
        batches: ... or so many did.
    """

    bytes_per_s: float
    round_trip_s: float = 0.2
    batch_bytes: int = 3000
    center_bytes_per_s: float = 1e12
    every_s: float = 1.0
    quiet_s: float = 0.2
    batches: int = 20
    now_s: float = 0.0
    alarm_waits_s: list[float] = field(default_factory=list)
    settled_bytes: int = 0
    most_in_link: int = 0

    def drain(self, count: int, *, within_s: float = 3600) -> float:
        """Let so many batches drain, with a live batch each 10 s and an alarm each 3 s; return the bytes per second."""
        self.sync = Sync(RUN, Timing())
        self.sync.load([_held(count)])
        self.sync.connected(0)
        self.sync.allow(window_bytes=256 * 1024, rate_bytes_per_s=0, answers_hello=True)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._free_s = self._center_free_s = 0.0
        self._sizes: dict[Name, int] = {}
        self._unsaid: list[Name] = []
        self._since_s = self._last_s = 0.0
        self._raised_s: dict[Name, float] = {}
        self._settled: dict[Key, Spans] = {}
        self._in_link = 0
        self.at(3, lambda: self.take(Stream.ALARM, 1))
        self.at(EVERY_S, lambda: self.take(Stream.TELEMETRY, 1))
        self.send()
        while (PAST not in self._settled or self._settled[PAST].run_from(1) < count) and self.now_s < within_s:
            self.now_s, _, event = heapq.heappop(self._events)
            event()
            self.send()
        return self.settled_bytes / self.now_s

    def at(self, when_s: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when_s, next(self._order), event))

    def take(self, stream: Stream, n: int) -> None:
        self.sync.stored(RUN, stream, n)
        self._sizes[RUN, stream, n] = ALARM_BYTES if stream is Stream.ALARM else LIVE_BYTES
        if stream is Stream.ALARM:
            self._raised_s[RUN, stream, n] = self.now_s
        self.at(self.now_s + (3 if stream is Stream.ALARM else EVERY_S), lambda: self.take(stream, n + 1))

    def send(self) -> None:
        while (item := self.sync.next(self.now_s)) is not None:
            size = self._sizes.setdefault(item.name, self.batch_bytes)
            self.sync.sent(item.name, item.lane, size, self.now_s)
            self._in_link += size
            self.most_in_link = max(self.most_in_link, self._in_link)
            self._free_s = max(self._free_s, self.now_s) + size / self.bytes_per_s
            self.at(self._free_s + self.round_trip_s / 2, lambda name=item.name: self.broker(name))  # type: ignore[misc]  # mypy: default arguments

    def broker(self, name: Name) -> None:
        self._in_link -= self._sizes[name]
        if name in self._raised_s:
            self.alarm_waits_s.append(self.now_s - self._raised_s.pop(name))
        self.at(self.now_s + self.round_trip_s / 2, lambda: self.sync.received(name, self.now_s))
        self._center_free_s = max(self._center_free_s, self.now_s) + self._sizes[name] / self.center_bytes_per_s
        self.at(self._center_free_s, lambda: self.center(name))

    def center(self, name: Name) -> None:
        if not self._unsaid:
            self._since_s = self.now_s
        self._unsaid.append(name)
        self._last_s = self.now_s
        self.say()
        for wait_s in (self.quiet_s, self.every_s):
            self.at(self.now_s + wait_s, self.say)

    def say(self) -> None:
        due_s = min(self._last_s + self.quiet_s, self._since_s + self.every_s)
        if self._unsaid and (len(self._unsaid) >= self.batches or self.now_s >= due_s - 1e-9):
            names, self._unsaid = self._unsaid, []
            self.at(self.now_s + self.round_trip_s / 2, lambda: self.ack(names))

    def ack(self, names: list[Name]) -> None:
        self.settled_bytes += sum(self._sizes[name] for name in names)
        for key in {name[:2] for name in names}:
            spans = self._settled.setdefault(key, Spans())
            for name in names:
                if name[:2] == key:
                    spans.add(name[2], name[2])
            n = max(0, spans.run_from(1))
            self.sync.settled(key, n, [(first, last) for first, last in spans if first > n], (), self.now_s)

    def p99_s(self) -> float:
        return sorted(self.alarm_waits_s)[len(self.alarm_waits_s) * 99 // 100]


def _held(count: int) -> Held:
    return Held(run=OLD, stream=PAST[1], first=1, last=count, last_seq=count, settled=0, ranges=(), refused=frozenset())


@pytest.mark.parametrize("batch_bytes", [600, 3000, 9000])
def test_alarms_wait_less_than_2_s_while_a_backlog_drains_over_256_kbit_s(batch_bytes: int) -> None:
    path = Path(32_000, batch_bytes=batch_bytes)
    rate = path.drain(6_000_000 // batch_bytes // (4 if batch_bytes == 600 else 1))
    assert path.p99_s() < 1.5
    assert len(path.alarm_waits_s) > 10
    assert rate > 0.85 * 32_000  # and the link is in use
    assert path.most_in_link < 32_000 * 1.2 + batch_bytes + LIVE_BYTES + ALARM_BYTES


def test_a_backlog_of_100_000_readings_drains_in_less_than_half_a_second_on_a_local_network() -> None:
    path = Path(12_500_000, round_trip_s=0.004)
    path.drain(200)
    assert path.now_s < 0.5


@pytest.mark.parametrize("late_s", [1.5, 3.0, 5.0])
def test_acks_that_come_late_do_not_starve_the_history(late_s: float) -> None:
    path = Path(30_000, every_s=late_s, quiet_s=late_s, batches=1000)
    assert path.drain(1000) > 0.75 * 30_000
    assert path.p99_s() < 2


def test_a_link_with_a_long_round_trip_is_used() -> None:
    path = Path(40_000, round_trip_s=1.5)
    assert path.drain(1000) > 0.85 * 40_000


def test_a_slow_center_has_little_of_one_node_before_it() -> None:
    path = Path(1e7, round_trip_s=0.02, center_bytes_per_s=10_000)
    assert path.drain(1000, within_s=60) > 0.9 * 10_000
    assert path.sync.in_flight_bytes() <= 30_000
