"""Sync: which batch may leave now, and when it is sent again. Pure; time is seconds of any steady clock.

Lanes: alarms first, then the newest live batch, then history, oldest first. In flight is what was sent and is not
settled; one place is always free for an alarm and one for the newest live batch, however full the window is. History
keeps to what the way to the broker and the way to the center deliver, each measured by its own receipts, so nothing
urgent waits long behind it, in the client, in a socket or in the broker.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agent.backlog import Backlog
from agent.flow import FLOOR_BYTES, START_BYTES, Flow, Mark
from agent.wire.batch import Stream
from agent.wire.hello import Chain as HelloChain
from agent.wire.spans import Spans

Lane = Literal["alarm", "live", "history"]
Key = tuple[bytes, Stream]
Name = tuple[bytes, Stream, int]
"""Run, stream and n: one batch."""

_MOST_IN_FLIGHT = 64
"""Batches; keeps a window of small ones from flooding the client."""
_PAUSES: dict[Lane, tuple[float, float]] = {"alarm": (10, 300), "live": (60, 3600), "history": (60, 3600)}
"""First and longest wait of a lane after the broker refused a batch of it, in s."""


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
class _Flight:
    size_bytes: int
    lane: Lane
    to_broker: Mark
    to_center: Mark
    tries: int = 0
    received_s: float = math.inf  # by the broker; while that is open the link itself sees to the batch


@dataclass(slots=True)
class _Pause:
    """A lane that the broker refuses."""

    until_s: float = -math.inf
    refusals: int = 0


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
    declined: int = 0


class Sync:
    """Decides what leaves. Knows nothing of disks and brokers.

    Attributes:
        run: The run that takes rows now: its newest telemetry is the live batch.
        only_alarms: Nothing else leaves: the link's quota is used up but for their reserve.
        counters: For status.
    """

    def __init__(self, run: bytes, timing: Timing) -> None:
        self.run = run
        self.only_alarms = False
        self._timing = timing
        self._chains: dict[Key, Backlog] = {}
        self._flights: dict[Name, _Flight] = {}
        self._reading: set[Name] = set()
        self._window_bytes = timing.window_bytes
        self._pauses: dict[Lane, _Pause] = {lane: _Pause() for lane in _PAUSES}
        self._to_broker = self._to_center = Flow(math.inf)
        self._most_rate = 0
        self._progress_s = 0.0
        self._connected = False
        self._answered = False
        self.counters = Counters()

    # -- what is on disk --------------------------------------------------------------------------------------------

    def load(self, held: Iterable[Held]) -> None:
        """Take over all that is held, oldest chain first, in place of what was known before; not while connected."""
        self._chains = {
            (one.run, one.stream): Backlog(
                first=one.first,
                last=one.last,
                settled=one.settled,
                ranges=Spans(one.ranges),
                skipped=Spans((n, n) for n in one.refused),
            )
            for one in held
        }

    def stored(self, run: bytes, stream: Stream, n: int) -> None:
        """Note a batch that may be sent from now on."""
        chain = self._chains.get((run, stream))
        if chain is None:
            self._chains[run, stream] = Backlog(first=n, last=n)
        else:
            chain.last = max(chain.last, n)

    def missing(self, name: Name) -> None:
        """Note that a batch is no longer on disk, or cannot leave on this connection."""
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
        self._to_broker, self._to_center = Flow(START_BYTES), Flow(math.inf)
        self._progress_s = now_s
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
        found = (
            (self._alarm() if self._is_open("alarm", now_s) else None)
            or (self._live() if self._is_open("live", now_s) else None)
            or self._again(now_s)
            or (self._history() if self._is_open("history", now_s) else None)
        )
        if found is not None:
            self._reading.add(found.name)
        return found

    def sent(self, name: Name, lane: Lane, size_bytes: int, now_s: float) -> None:
        """Note that a batch was handed to the link."""
        self._reading.discard(name)
        if not self._flights:
            self._progress_s = now_s
        to_broker = self._to_broker.sent(self._history_bytes(to_broker=True), now_s)
        flight = self._flights.get(name)
        if flight is None:
            to_center = self._to_center.sent(self._history_bytes(), now_s)
            flight = _Flight(size_bytes=size_bytes, lane=lane, to_broker=to_broker, to_center=to_center)
            self._flights[name] = flight
        flight.to_broker = to_broker
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
            self._left_the_link([flight], now_s)
            flight.received_s = now_s
            self._pauses[flight.lane].refusals = 0
            alarms = self._pauses["alarm"]  # a broker that takes anything again is soon asked about alarms
            alarms.until_s = min(alarms.until_s, now_s + _PAUSES["alarm"][0])

    def declined(self, name: Name, now_s: float) -> None:
        """Note that the broker refused a batch: it is as if never sent, and its lane pauses, ever longer."""
        flight = self._flights.pop(name, None)
        if flight is None:
            return
        run, stream, n = name
        self._left_the_link([flight], now_s)
        self.counters.declined += 1
        chain = self._chains[run, stream]
        chain.cursor = min(chain.cursor, n)
        pause = self._pauses[flight.lane]
        if now_s >= pause.until_s:  # what else was under way says the same
            first_s, most_s = _PAUSES[flight.lane]
            pause.until_s = now_s + min(first_s * float(1 << min(pause.refusals, 16)), most_s)
            pause.refusals += 1

    def deadline(self, now_s: float) -> float:
        """Return when ``next`` may have something again without news; infinite when only news matters."""
        again = [self._again_s(flight) for flight in self._flights.values() if self._may_leave_again(flight, now_s)]
        return min(
            [*again, *(pause.until_s for pause in self._pauses.values() if pause.until_s > now_s)], default=math.inf
        )

    def largest_unreceived(self) -> tuple[Name, int] | None:
        """Return the largest batch that was sent and that the broker does not have, and its size in bytes."""
        sizes = {name: flight.size_bytes for name, flight in self._flights.items() if flight.received_s == math.inf}
        name = max(sizes, key=sizes.__getitem__, default=None)
        return None if name is None else (name, sizes[name])

    def stalled(self, now_s: float) -> bool:
        """Tell whether the center has settled nothing for too long although batches are in flight."""
        return bool(self._flights) and now_s - self._progress_s >= self._timing.progress_s

    # -- what the center says ---------------------------------------------------------------------------------------

    def allow(self, *, window_bytes: int, rate_bytes_per_s: int, answers_hello: bool) -> None:
        """Take the bounds of an ack."""
        self._window_bytes = max(FLOOR_BYTES, min(window_bytes, self._timing.window_bytes))
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
        gone = [self._flights.pop(name) for name in done]
        self._left_the_link([flight for flight in gone if flight.received_s == math.inf], now_s)
        self._to_center.arrived([(one.size_bytes, one.to_center) for one in gone if one.lane == "history"], now_s)
        self.counters.settled += len(gone)
        if gone:
            self._progress_s = now_s

    def _left_the_link(self, flights: Iterable[_Flight], now_s: float) -> None:
        self._to_broker.arrived([(one.size_bytes, one.to_broker) for one in flights if one.lane == "history"], now_s)

    # -- for hello and status ---------------------------------------------------------------------------------------

    def backlog(self) -> int:
        """Return how many batches still have to reach the center."""
        return sum(chain.left() for chain in self._chains.values())

    def in_flight_bytes(self) -> int:
        """Return the bytes that were sent and are not settled."""
        return sum(flight.size_bytes for flight in self._flights.values())

    # -- choosing ---------------------------------------------------------------------------------------------------

    def _fresh(self, key: Key) -> int | None:
        """Return the lowest n of a chain that was not sent on this connection."""
        chain = self._chains[key]
        for n in chain.unsent():
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
        key = (self.run, Stream.TELEMETRY)
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
            due = now_s >= self._again_s(flight) and self._may_leave_again(flight, now_s)
            if due and (run, stream, n) not in self._reading:
                return Next(run=run, stream=stream, n=n, lane=flight.lane)
        return None

    def _again_s(self, flight: _Flight) -> float:
        wait_s = min(self._timing.resend_s * float(1 << min(flight.tries - 1, 16)), self._timing.resend_most_s)
        return flight.received_s + wait_s

    def _may_leave_again(self, flight: _Flight, now_s: float) -> bool:
        is_history = flight.lane == "history"
        return self._is_open(flight.lane, now_s) and (not is_history or self._link_has_room())

    def _is_open(self, lane: Lane, now_s: float) -> bool:
        return now_s >= self._pauses[lane].until_s and (lane == "alarm" or not self.only_alarms)

    def _history(self) -> Next | None:
        if not self._answered or self._full() or not self._link_has_room() or not self._center_has_room():
            return None
        return self._oldest(Stream.TELEMETRY, "history")

    def _link_has_room(self) -> bool:
        return self._to_broker.takes(self._history_bytes(to_broker=True))

    def _center_has_room(self) -> bool:
        in_flight = self._history_bytes()
        told = self._most_rate == 0 or in_flight < max(FLOOR_BYTES, self._most_rate)
        return told and self._to_center.takes(in_flight)

    def _history_bytes(self, *, to_broker: bool = False) -> int:
        """Return the bytes of history in flight; with ``to_broker`` only those that the broker does not have yet."""
        flights = (flight for flight in self._flights.values() if flight.lane == "history")
        return sum(one.size_bytes for one in flights if not to_broker or one.received_s == math.inf)

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
