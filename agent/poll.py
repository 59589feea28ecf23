"""The tasks that own a port or a probe: bytes and moments in, events out to a sink."""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from drivers.backoff import Backoff
from drivers.driver import Event, Send
from drivers.errors import NotPlugged, PortLost
from drivers.io.serial_port import OpenLine, SerialPort
from drivers.proof import PortBus
from drivers.reading import Reading

log = logging.getLogger(__name__)

ALIVE_S = 10.0
"""Longest time between two signs of life of a healthy task, in s."""

_PROVEN_S = 2.0  # a line that stays open so long is up, even when its unit is silent
_SOON_S = 60.0  # right after a loss somebody may stand there with the plug in his hand
_SOON_CAP_S = 3.0
_EMPTY_CAP_S = 4.0  # an empty socket is looked at this often, however long it has been empty
_LEAST_PAUSE_S = 0.25
_LATE_NS = 2_000_000_000  # a deadline missed by so much means that this task no longer does its work
_LEAST_DELAY_S = 0.001
_REASONS = 5  # different reasons told in one outage
_CHANGES = 20  # changes told in ...
_CHANGES_WITHIN_S = 3600
_NS = 1_000_000_000


class Sink(Protocol):
    """Where events go: quality, alarms, spool."""

    def take(self, event: Event) -> None:
        """Take one event; never waits."""
        ...


class Probe(Protocol):
    """A thing of the node itself that is asked at a steady pace."""

    def collect(self, now_ns: int) -> list[Event]:
        """Read once."""
        ...


async def own_port(
    port: SerialPort,
    bus: PortBus,
    sink: Sink,
    *,
    boot_ns: Callable[[], int],
    retry: Backoff,
    alive: Callable[[], None],
) -> None:
    """Serve one port until cancelled; a port that is gone is awaited for ever.

    Args:
        port: The port.
        bus: The sensors on it.
        sink: Takes every event but requests to send.
        boot_ns: CLOCK_BOOTTIME in ns.
        retry: Pauses between two tries to open the port.
        alive: Called at least each `ALIVE_S` while this task does its work.
    """
    state = _State(port, boot_ns)
    while True:
        alive()
        try:
            async with port.open() as line:
                service = _Service(line, bus, sink, boot_ns=boot_ns, retry=retry, alive=alive, state=state)
                await service.run()
        except PortLost as error:
            state.down(error)
        await _pause(state.pause_s(retry), alive)


async def _nothing() -> None:
    return


async def own_probe(
    probe: Probe,
    sink: Sink,
    *,
    every_s: float,
    boot_ns: Callable[[], int],
    alive: Callable[[], None],
    after: Callable[[], Awaitable[None]] = _nothing,
) -> None:
    """Read a probe at once and then at a steady pace until cancelled; ``after`` is awaited after each look.

    All probes and signs of life fall on the same marks of the loop's clock, so they share their wake-ups.
    """
    loop = asyncio.get_running_loop()
    while True:
        for event in probe.collect(boot_ns()):
            sink.take(event)
        await after()
        due = _next_mark(loop.time(), every_s)
        while (now := loop.time()) < due:
            alive()
            await _sleep_until(min(due, _next_mark(now, ALIVE_S)))


class _State:
    """Whether the port is up, told once per change."""

    def __init__(self, port: SerialPort, boot_ns: Callable[[], int]) -> None:
        self._port = port
        self._boot_ns = boot_ns
        self._is_up: bool | None = None
        self._told: set[str] = set()
        self._changes: deque[int] = deque(maxlen=_CHANGES)
        self._is_quiet = False
        self._works = False
        self._is_empty = False
        self._lost_ns = boot_ns()
        self._identity = ""

    def up(self) -> None:
        if self._is_up:
            return
        self._is_up = True
        self._told.clear()
        port = self._port
        if self._may_tell():
            log.info("port up: port=%s device=%s adapter=%r", port.name, port.device, port.identity)
        if self._identity and port.identity and port.identity != self._identity:
            log.warning("adapter changed: port=%s before=%r now=%r", port.name, self._identity, port.identity)
        self._identity = port.identity or self._identity

    def works(self) -> None:
        """Readings flow: the port is up, and its next loss is a new one."""
        self._works = True
        self.up()

    def down(self, error: PortLost) -> None:
        self._is_empty = isinstance(error, NotPlugged)
        if self._works:
            self._works = False
            self._lost_ns = self._boot_ns()
        if self._is_up is not False:
            self._is_up = False
            if self._may_tell():
                log.warning("port down: port=%s error=%s", error.port, error.reason)
        elif error.reason not in self._told and len(self._told) < _REASONS and not self._is_quiet:
            log.info("port still down: port=%s error=%s", error.port, error.reason)
        self._told.add(error.reason)

    def _may_tell(self) -> bool:
        """Count a change; a loose plug may tell of so many in an hour, then only that it is loose."""
        now_ns = self._boot_ns()
        flaps = len(self._changes) == _CHANGES and now_ns - self._changes[0] < _CHANGES_WITHIN_S * _NS
        self._changes.append(now_ns)
        if flaps and not self._is_quiet:
            log.warning("port flaps: port=%s: check plug and cable; told again when it is calmer", self._port.name)
        self._is_quiet = flaps
        return not flaps

    def pause_s(self, retry: Backoff) -> float:
        """Return how long to wait before the next try, in s."""
        pause_s = retry.next_s()
        if self._boot_ns() - self._lost_ns < _SOON_S * _NS:
            pause_s = min(pause_s, _SOON_CAP_S)
        if self._is_empty:
            pause_s = min(pause_s, _EMPTY_CAP_S)
        return max(pause_s, _LEAST_PAUSE_S)


class _Service:
    """One opening of a port: runs in callbacks, so that a chunk costs one wake-up and no task switch."""

    def __init__(
        self,
        line: OpenLine,
        bus: PortBus,
        sink: Sink,
        *,
        boot_ns: Callable[[], int],
        retry: Backoff,
        alive: Callable[[], None],
        state: _State,
    ) -> None:
        self._line = line
        self._bus = bus
        self._sink = sink
        self._boot_ns = boot_ns
        self._retry = retry
        self._alive = alive
        self._state = state
        self._loop = asyncio.get_running_loop()
        self._works = False
        self._due_ns: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._proof = self._loop.call_later(_PROVEN_S, state.up)

    async def run(self) -> None:
        """Serve until the line is lost, which raises PortLost."""
        try:
            self._schedule_beat()
            self._guard(self._begin)
            await self._line.lost()
        except PortLost:
            self._handle(self._bus.lost(self._boot_ns()))
            raise
        finally:
            for timer in (self._proof, self._timer, self._beat):
                if timer is not None:
                    timer.cancel()

    def _begin(self) -> None:
        self._handle(self._bus.start(self._boot_ns()))
        self._line.listen(self._receive)
        self._schedule()

    def _receive(self, data: bytes, boot_ns: int) -> None:
        self._handle(self._bus.receive(data, boot_ns))
        self._schedule()

    def _tick(self) -> None:
        self._due_ns = None
        self._guard(self._tick_now)

    def _tick_now(self) -> None:
        self._handle(self._bus.tick(self._boot_ns()))
        self._schedule()

    def _guard(self, step: Callable[[], None]) -> None:
        """Carry what a step raises to the task, which must not live on as if it worked."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - comes out of run()
            self._line.fail(error)

    def _handle(self, events: Sequence[Event]) -> None:
        if not self._works and any(isinstance(event, Reading) for event in events):
            self._works = True
            self._retry.reset()
            self._state.works()
        for event in events:
            if isinstance(event, Send):
                self._line.write(event.data)
            else:
                self._sink.take(event)

    def _schedule(self) -> None:
        due_ns = self._bus.deadline()
        if due_ns == self._due_ns:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due_ns = due_ns
        if due_ns is not None:
            delay_s = (due_ns - self._boot_ns()) / _NS
            self._timer = self._loop.call_later(max(delay_s, _LEAST_DELAY_S), self._tick)

    def _schedule_beat(self) -> None:
        self._beat = self._loop.call_at(_next_mark(self._loop.time(), ALIVE_S), self._live)

    def _live(self) -> None:
        due_ns = self._bus.deadline()
        if due_ns is None or self._boot_ns() - due_ns < _LATE_NS:
            self._alive()
        self._schedule_beat()


def _next_mark(now: float, every_s: float) -> float:
    """Return the next multiple of an interval, so that all who wait for one wake together."""
    return (math.floor(now / every_s) + 1) * every_s


async def _pause(pause_s: float, alive: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + pause_s
    while (now := loop.time()) < end:
        await _sleep_until(min(end, _next_mark(now, ALIVE_S)))
        alive()


async def _sleep_until(when: float) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(max(0.0, when - loop.time()))
