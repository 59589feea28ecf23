"""A simulated TCP connection: two pipes with latency and bandwidth, on a road that can be cut, stalled or slow."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

Deliver = Callable[[], None]


@dataclass(slots=True)
class Road:
    """The way between a node and the broker.

    Attributes:
        latency_s: One way.
        bytes_per_s: Of the slowest link on it, when nothing is wrong.
        cuts: Faults that refuse and reset every connection.
        stalls: Faults that hold every packet back; TCP brings them all when the last one ends.
        drips: Rates of the faults that leave hardly any bandwidth, in bytes per s.
        waiting: Who goes on when the last stall ends.
    """

    latency_s: float = 0.03
    bytes_per_s: float = 100_000
    cuts: int = 0
    stalls: int = 0
    drips: list[float] = field(default_factory=list)
    waiting: list[Deliver] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Return bytes per s now."""
        return min([self.bytes_per_s, *self.drips])

    def stall_over(self) -> None:
        """End one stall."""
        self.stalls -= 1
        if not self.stalls:
            waiting, self.waiting = self.waiting, []
            for go_on in waiting:
                go_on()


class Pipe:
    """One direction of a connection: in order, or not at all."""

    def __init__(self, road: Road) -> None:
        self._road = road
        self._line: deque[tuple[int, Deliver]] = deque()
        self._busy = False
        self._last_s = 0.0
        self.closed = False

    def send(self, size_bytes: int, deliver: Deliver) -> None:
        """Put bytes on their way; ``deliver`` is called when they arrive."""
        self._line.append((size_bytes, deliver))
        if not self._busy:
            self._next()

    def _next(self) -> None:
        self._busy = bool(self._line) and not self.closed
        if not self._busy:
            return
        if self._road.stalls:
            self._road.waiting.append(self._next)
            return
        size_bytes, _ = self._line[0]
        asyncio.get_running_loop().call_later(size_bytes / self._road.rate, self._transmitted)

    def _transmitted(self) -> None:
        if self._road.stalls:
            self._road.waiting.append(self._transmitted)
            return
        _, deliver = self._line.popleft()
        loop = asyncio.get_running_loop()
        self._last_s = max(self._last_s + 1e-6, loop.time() + self._road.latency_s)
        loop.call_at(self._last_s, self._arrive, deliver)
        self._next()

    def _arrive(self, deliver: Deliver) -> None:
        if not self.closed:
            deliver()


class Connection:
    """Both pipes. ``up`` leads to the broker. A silent one is dead without either end knowing."""

    def __init__(self, road: Road) -> None:
        self.up, self.down = Pipe(road), Pipe(road)

    def silence(self) -> None:
        """Nothing arrives any more on either side: half-open."""
        self.up.closed = self.down.closed = True
