"""The way of a reading inside the process: quality flags, alarm rules, the local socket, the spool's intake."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.alarms import Alarms, Change, rows
from agent.poll import PortBus
from agent.quality import Judge
from agent.wire.batch import Stream
from agent.wire.senml import TEXT_BYTES, Row
from drivers.driver import Counters, Event, Identified, Problem, Rejected, TimeSeen
from drivers.reading import Reading

log = logging.getLogger(__name__)

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000


class Pipeline:
    """Takes every event of the ports and probes. Never waits.

    Args:
        judge: Adds flags.
        alarms: Rules.
        keep: Takes rows for the spool.
        publish: Told of every reading, for whoever listens on this machine.
        hears_time: Told what time a unit says it is.
        boot_ns: CLOCK_BOOTTIME in ns.

    Attributes:
        noise: What could not be read, by sensor.
    """

    def __init__(
        self,
        judge: Judge,
        alarms: Alarms,
        *,
        keep: Callable[[Row, Stream], None],
        publish: Callable[[Reading], None],
        boot_ns: Callable[[], int],
        hears_time: Callable[[TimeSeen], None] = lambda _: None,
    ) -> None:
        self._judge = judge
        self._alarms = alarms
        self._keep = keep
        self._publish = publish
        self._boot_ns = boot_ns
        self._hears_time = hears_time
        self._due_ns: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.noise: dict[str, Counters] = {}

    async def run(self) -> None:
        """Watch for silence until cancelled."""
        self._tick()
        await self._failed

    def take(self, event: Event) -> None:
        """Take one event."""
        match event:
            case Reading():
                self._reading(self._judge.judge(_clean(event)))
            case Problem():
                self._problem(event)
            case Rejected():
                self._rejected(event)
            case Identified():
                log.info("sensor identified: sensor=%s identity=%r", event.sensor, event.identity)
            case TimeSeen():
                self._hears_time(event)
            case _:
                pass

    def _reading(self, reading: Reading) -> None:
        self._publish(reading)
        self._keep(row_of(reading), Stream.TELEMETRY)
        changes = self._alarms.take(reading)
        if changes:
            self._tell(changes)
        self._schedule()

    def _problem(self, problem: Problem) -> None:
        if problem.ok:
            log.info("sensor answers again: sensor=%s", problem.sensor)
        else:
            log.warning("sensor trouble: sensor=%s code=%s detail=%s", problem.sensor, problem.code, problem.detail)

    def _rejected(self, event: Rejected) -> None:
        counters = self.noise.setdefault(event.sensor, Counters())
        if event.reason not in counters.rejected:
            log.warning("bytes dropped: sensor=%s reason=%s bytes=%s", event.sensor, event.reason, event.raw.hex(" "))
        counters.reject(event)

    def _tell(self, changes: list[Change]) -> None:
        for change in changes:
            log.warning(
                "alarm: name=%s state=%s before=%s why=%s", change.alarm, change.state, change.before, change.why
            )
        for reading in rows(*changes):
            self._publish(reading)
            self._keep(row_of(reading), Stream.ALARM)

    # -- silence ----------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        try:
            self._notice_silence()
        except Exception as error:  # noqa: BLE001 - comes out of run(): a timer has nobody else to tell
            self._failed.set_exception(error)

    def _notice_silence(self) -> None:
        self._due_ns, self._timer = None, None
        now_ns = self._boot_ns()
        changes = self._alarms.tick(now_ns)
        for sensor in self._judge.stale(now_ns):
            log.warning("sensor silent: sensor=%s", sensor)
            changes += self._alarms.source_lost(sensor, now_ns, "the sensor is silent")
        self._tell(changes)
        self._schedule()

    def _schedule(self) -> None:
        """Wake at the next moment that silence means something; most readings change nothing about it."""
        due = [moment for moment in (self._judge.deadline(), self._alarms.deadline()) if moment is not None]
        due_ns = min(due, default=None)
        if due_ns == self._due_ns:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due_ns = due_ns
        if due_ns is not None:
            delay_s = max(0.001, (due_ns - self._boot_ns()) / _NS_PER_S)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)


class Watched:
    """A port's bus whose starts and losses quality hears of: values after a power-on are doubted for a while.

    Args:
        bus: Serves the port.
        judge: Hears of it.
        sensors: Who stands on the bus.
    """

    def __init__(self, bus: PortBus, judge: Judge, sensors: Sequence[str]) -> None:
        self._bus = bus
        self._judge = judge
        self._sensors = tuple(sensors)

    def start(self, now_ns: int) -> list[Event]:
        """Begin, or begin again after the port was lost."""
        for sensor in self._sensors:
            self._judge.started(sensor, now_ns)
        return self._bus.start(now_ns)

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        """Take bytes as they come."""
        return self._bus.receive(data, now_ns)

    def tick(self, now_ns: int) -> list[Event]:
        """Do what is due."""
        return self._bus.tick(now_ns)

    def deadline(self) -> int | None:
        """Moment of the next tick that matters."""
        return self._bus.deadline()

    def lost(self, now_ns: int) -> list[Event]:
        """Forget half frames and what was asked."""
        for sensor in self._sensors:
            self._judge.lost(sensor, now_ns)
        return self._bus.lost(now_ns)


def _clean(reading: Reading) -> Reading:
    """Return the reading with a text that the wire can carry: no half surrogate pairs, cut where it is too long."""
    value = reading.value
    if not isinstance(value, str) or (len(value) <= TEXT_BYTES and value.isascii()):
        return reading
    return replace(reading, value=value.encode("utf-8", "replace")[:TEXT_BYTES].decode("utf-8", "ignore"))


def row_of(reading: Reading) -> Row:
    """Return the row of a reading."""
    return Row(
        path=f"{reading.sensor}/{reading.channel}",
        unit=reading.unit,
        boot_ms=reading.boot_ns // _NS_PER_MS,
        value=reading.value,
        flags=tuple(sorted(reading.quality)) if reading.quality else (),
    )
