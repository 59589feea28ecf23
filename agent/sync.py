"""Sync: which batch may leave now, and when it is sent again. Pure; time is seconds of any steady clock.

Lanes: alarms first, then the newest live batch, then history, oldest first. In flight is what was sent and is not
settled; one place is always free for an alarm and one for the newest live batch, however full the window is.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from agent.wire.batch import Stream
from agent.wire.hello import Chain as HelloChain
from agent.wire.spans import Spans

Lane = Literal["alarm", "live", "history"]
Key = tuple[bytes, Stream]
Name = tuple[bytes, Stream, int]
"""Run, stream and n: one batch."""

WINDOW_FLOOR = 8 * 1024
_MOST_IN_FLIGHT = 64
"""Batches; keeps a window of small ones from flooding the client."""
_RATE_WEIGHT = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One chain with a batch on disk.

    Attributes:
        run: The run.
        stream: The stream.
        first: Lowest n on disk.
        last: Highest n on disk.
        last_seq: Highest seq taken.
        settled: All n up to here are the center's.
        ranges: Settled n above it.
        refused: n that the center refused for good.
    """

    run: bytes
    stream: Stream
    first: int
    last: int
    last_seq: int
    settled: int
    ranges: tuple[tuple[int, int], ...]
    refused: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Settings of sync.

    Attributes:
        window_bytes: Most bytes in flight.
        resend_s: Wait before the same bytes are sent again.
        resend_most_s: Longest such wait; it doubles up to here.
        progress_s: Longest time without an ack that settles something while batches are in flight.
    """

    window_bytes: int = 256 * 1024
    resend_s: float = 10
    resend_most_s: float = 120
    progress_s: float = 300


@dataclass(slots=True)
class _Chain:
    """What sync knows of one chain; ``cursor`` is the lowest n that may not have been sent on this connection."""

    first: int
    last: int
    settled: int
    ranges: Spans
    skipped: Spans
    cursor: int = 0

    def left(self) -> int:
        """Return how many batches still have to reach the center."""
        here = Spans([*self.ranges, *self.skipped])
        holes = here.missing(max(self.first, self.settled + 1), self.last)
        return sum(last - first + 1 for first, last in holes)

    def open(self, n: int) -> bool:
        """Tell whether batch n still has to reach the center."""
        return self.first <= n <= self.last and n > self.settled and n not in self.ranges and n not in self.skipped


@dataclass(slots=True)
class _Flight:
    size_bytes: int
    lane: Lane
    tries: int = 0
    received_s: float = math.inf  # by the broker; while that is open the link itself sees to the batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """One batch to send now."""

    run: bytes
    stream: Stream
    n: int
    lane: Lane

    @property
    def name(self) -> Name:
        """Run, stream and n."""
        return self.run, self.stream, self.n


@dataclass(slots=True)
class Counters:
    """For status: batches and bytes since the start of the process."""

    sent: int = 0
    resent: int = 0
    sent_bytes: int = 0
    settled: int = 0


class Sync:
    """Decides what leaves. Knows nothing of disks and brokers."""

    def __init__(self, run: bytes, timing: Timing) -> None:
        self._run = run
        self._timing = timing
        self._chains: dict[Key, _Chain] = {}
        self._flights: dict[Name, _Flight] = {}
        self._reading: set[Name] = set()
        self._window_bytes = timing.window_bytes
        self._rate: float | None = None
        self._most_rate = 0
        self._progress_s = 0.0
        self._acked_bytes = 0
        self._acked_s = 0.0
        self._connected = False
        self._answered = False
        self.counters = Counters()

    # -- what is on disk --------------------------------------------------------------------------------------------

    def load(self, held: Iterable[Held]) -> None:
        """Take over what the disk holds, oldest chain first."""
        for one in held:
            self._chains[one.run, one.stream] = _Chain(
                first=one.first,
                last=one.last,
                settled=one.settled,
                ranges=Spans(one.ranges),
                skipped=Spans((n, n) for n in one.refused),
                cursor=one.first,
            )

    def stored(self, run: bytes, stream: Stream, n: int) -> None:
        """Note a batch that may be sent from now on."""
        chain = self._chains.get((run, stream))
        if chain is None:
            self._chains[run, stream] = _Chain(first=n, last=n, settled=0, ranges=Spans(), skipped=Spans(), cursor=n)
        else:
            chain.last = max(chain.last, n)

    def missing(self, name: Name) -> None:
        """Note that a batch is no longer on disk."""
        run, stream, n = name
        self._reading.discard(name)
        self._flights.pop(name, None)
        self._chains[run, stream].skipped.add(n, n)

    # -- the connection ---------------------------------------------------------------------------------------------

    def connected(self, now_s: float) -> None:
        """Begin a connection: all that is not settled may be sent on it."""
        self._connected = True
        self._answered = False
        self._flights.clear()
        self._reading.clear()
        self._progress_s = self._acked_s = now_s
        self._acked_bytes = 0
        for chain in self._chains.values():
            chain.cursor = max(chain.first, chain.settled + 1)

    def disconnected(self) -> None:
        """End a connection: what was in flight counts as not sent."""
        self._connected = False
        self._flights.clear()
        self._reading.clear()

    def next(self, now_s: float) -> Next | None:
        """Return the batch to send now; the caller reports back with ``sent`` or ``missing``."""
        if not self._connected:
            return None
        found = self._alarm() or self._live() or self._again(now_s) or self._history()
        if found is not None:
            self._reading.add(found.name)
        return found

    def sent(self, name: Name, lane: Lane, size_bytes: int, now_s: float) -> None:
        """Note that a batch was handed to the link."""
        self._reading.discard(name)
        if not self._flights:
            self._progress_s = self._acked_s = now_s
        flight = self._flights.setdefault(name, _Flight(size_bytes=size_bytes, lane=lane))
        flight.received_s = math.inf
        flight.tries += 1
        self.counters.sent_bytes += size_bytes
        if flight.tries == 1:
            self.counters.sent += 1
        else:
            self.counters.resent += 1

    def received(self, name: Name, now_s: float) -> None:
        """Note that the broker has a batch: the center's answer is awaited from now on."""
        flight = self._flights.get(name)
        if flight is not None:
            flight.received_s = now_s

    def deadline(self) -> float:
        """Return when ``next`` may have something again without news; infinite when only news matters."""
        return min((self._again_s(flight) for flight in self._flights.values()), default=math.inf)

    def stalled(self, now_s: float) -> bool:
        """Tell whether the center has settled nothing for too long although batches are in flight."""
        return bool(self._flights) and now_s - self._progress_s >= self._timing.progress_s

    # -- what the center says ---------------------------------------------------------------------------------------

    def allow(self, *, window_bytes: int, rate_bytes_per_s: int, answers_hello: bool) -> None:
        """Take the bounds of an ack."""
        self._window_bytes = max(WINDOW_FLOOR, min(window_bytes, self._timing.window_bytes))
        self._most_rate = rate_bytes_per_s
        self._answered = self._answered or answers_hello

    def settled(
        self, key: Key, n: int, ranges: Iterable[tuple[int, int]], refused: Iterable[int], now_s: float
    ) -> None:
        """Note how far a chain is settled; n may be lower than before when the center was restored."""
        chain = self._chains.get(key)
        if chain is None:
            return
        chain.cursor = n + 1  # what is in flight is passed over again; what the center no longer has is not
        chain.settled = n
        chain.ranges = Spans(ranges)
        for one in refused:
            chain.skipped.add(one, one)
        done = [name for name in self._flights if name[:2] == key and not chain.open(name[2])]
        for name in done:
            self._acked_bytes += self._flights.pop(name).size_bytes
            self._progress_s = now_s
            self.counters.settled += 1
        self._measure(now_s)

    def _measure(self, now_s: float) -> None:
        """Learn the rate at which acks come while the window is in use."""
        took_s = now_s - self._acked_s
        if self._acked_bytes and took_s > 0:
            rate = self._acked_bytes / took_s
            self._rate = rate if self._rate is None else self._rate + _RATE_WEIGHT * (rate - self._rate)
            self._acked_bytes, self._acked_s = 0, now_s

    # -- for hello and status ---------------------------------------------------------------------------------------

    def backlog(self) -> int:
        """Return how many batches still have to reach the center."""
        return sum(chain.left() for chain in self._chains.values())

    def in_flight_bytes(self) -> int:
        """Return the bytes that were sent and are not settled."""
        return sum(flight.size_bytes for flight in self._flights.values())

    # -- choosing ---------------------------------------------------------------------------------------------------

    def _open(self, key: Key, at_least: int) -> Iterator[int]:
        chain = self._chains[key]
        n = max(at_least, chain.first, chain.settled + 1)
        while n <= chain.last:
            if chain.open(n):
                yield n
            n = max(n, chain.ranges.run_from(n), chain.skipped.run_from(n)) + 1

    def _fresh(self, key: Key) -> int | None:
        """Return the lowest n of a chain that was not sent on this connection."""
        chain = self._chains[key]
        for n in self._open(key, chain.cursor):
            name = (*key, n)
            if name not in self._flights and name not in self._reading:
                chain.cursor = n
                return n
        chain.cursor = chain.last + 1
        return None

    def _alarm(self) -> Next | None:
        flying = any(flight.lane == "alarm" for flight in self._flights.values())
        if flying and self._full():
            return None
        return self._oldest(Stream.ALARM, "alarm")

    def _live(self) -> Next | None:
        key = (self._run, Stream.TELEMETRY)
        chain = self._chains.get(key)
        if chain is None or not chain.open(chain.last):
            return None
        name = (*key, chain.last)
        if name in self._flights or name in self._reading:
            return None
        if self._full() and any(flight.lane == "live" for flight in self._flights.values()):
            return None
        return Next(run=key[0], stream=key[1], n=chain.last, lane="live")

    def _again(self, now_s: float) -> Next | None:
        for (run, stream, n), flight in self._flights.items():
            if now_s >= self._again_s(flight) and (run, stream, n) not in self._reading:
                return Next(run=run, stream=stream, n=n, lane=flight.lane)
        return None

    def _again_s(self, flight: _Flight) -> float:
        wait_s = min(self._timing.resend_s * float(1 << min(flight.tries - 1, 16)), self._timing.resend_most_s)
        return flight.received_s + wait_s

    def _history(self) -> Next | None:
        if not self._answered or self._full() or self._history_bytes() >= self._history_window():
            return None
        return self._oldest(Stream.TELEMETRY, "history")

    def _history_bytes(self) -> int:
        return sum(flight.size_bytes for flight in self._flights.values() if flight.lane == "history")

    def _history_window(self) -> float:
        """Return the most bytes of history in flight: a second of what the center takes, within the window."""
        rates = [rate for rate in (self._rate, self._most_rate) if rate]
        return max(WINDOW_FLOOR, min(self._window_bytes, *rates)) if rates else self._window_bytes

    def _oldest(self, stream: Stream, lane: Lane) -> Next | None:
        for key in self._chains:
            if key[1] is stream and (n := self._fresh(key)) is not None:
                return Next(run=key[0], stream=stream, n=n, lane=lane)
        return None

    def _full(self) -> bool:
        in_flight = len(self._flights) + len(self._reading)
        return in_flight >= _MOST_IN_FLIGHT or self.in_flight_bytes() >= self._window_bytes


def hello_chains(held: Iterable[Held]) -> list[HelloChain]:
    """Return what a hello says of the chains on disk."""
    return [
        HelloChain(run=one.run, stream=one.stream, first=one.first, last=one.last, last_seq=one.last_seq)
        for one in held
    ]
