"""The way of a reading inside the process: quality flags, alarm rules, the local socket, the spool's intake."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.alarm import Change, rows
from agent.alarms import Alarms
from agent.by_exception import ByException
from agent.quality import Judge
from agent.wire.batch import Stream
from agent.wire.senml import TEXT_BYTES, Row
from drivers.driver import Counters, Event, Identified, Problem, Rejected, TimeSeen
from drivers.proof import PortBus
from drivers.reading import Quality, Reading

log = logging.getLogger(__name__)

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
_CHANGES = 10  # changes of one trouble told in ...
_CHANGES_WITHIN_NS = 3600 * _NS_PER_S
_SILENT = "the sensor is silent"


class Pipeline:
    """Takes every event of the ports and probes. Never waits.

    Args:
        judge: Adds flags.
        alarms: Rules.
        keep: Takes rows for the spool.
        publish: Told of every reading, for whoever listens on this machine.
        hears_time: Told what time a unit says it is.
        boot_ns: CLOCK_BOOTTIME in ns.
        show: Covers what must not leave the node, in rows and on the socket; alarms are given the reading itself.
        kept: Decides which readings are worth a row of telemetry; without it all are.
        alarms_told: Is given every change of an alarm.

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
        show: Callable[[Reading], Reading] = lambda reading: reading,
        kept: ByException | None = None,
        alarms_told: Callable[[Sequence[Change]], None] = lambda _: None,
    ) -> None:
        self._judge = judge
        self._alarms = alarms
        self._keep = keep
        self._publish = publish
        self._boot_ns = boot_ns
        self._hears_time = hears_time
        self._show = show
        self._kept = kept or ByException({})
        self._alarms_told = alarms_told
        self._due_ns: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._troubles: dict[str, dict[str, _Trouble]] = {}
        self._worn: set[str] = set()
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
        if Quality.END_OF_LIFE in reading.quality and reading.sensor not in self._worn:
            self._wears_out(reading.sensor)
        shown = self._show(reading)
        self._publish(shown)
        changes = self._alarms.take(reading)
        if self._kept.keeps(shown, matters=bool(changes)):
            self._keep(row_of(shown), Stream.TELEMETRY)
        if changes:
            self._tell(changes)
        self._schedule()

    def _wears_out(self, sensor: str) -> None:
        self._worn.add(sensor)
        log.warning(
            "sensor worn out: sensor=%s: it has worked as long as its data sheet promises; replace it, then run "
            "gardu swap %s",
            sensor,
            sensor,
        )

    def _problem(self, problem: Problem) -> None:
        trouble = self._troubles.setdefault(problem.sensor, {}).setdefault(problem.code, _Trouble())
        was_told = not trouble.flaps
        trouble.change("" if problem.ok else f"{problem.code}: {problem.detail}".removesuffix(": "), self._boot_ns())
        if trouble.flaps:
            if was_told:
                log.warning("sensor trouble comes and goes: sensor=%s code=%s", problem.sensor, problem.code)
        elif problem.ok:
            log.info("sensor answers again: sensor=%s code=%s", problem.sensor, problem.code)
        else:
            log.warning("sensor trouble: sensor=%s code=%s detail=%s", problem.sensor, problem.code, problem.detail)

    def _rejected(self, event: Rejected) -> None:
        counters = self.noise.setdefault(event.sensor, Counters())
        if event.reason not in counters.rejected:
            log.warning("bytes dropped: sensor=%s reason=%s bytes=%s", event.sensor, event.reason, event.raw.hex(" "))
        counters.reject(event)

    def port_is(self, sensors: Sequence[str], is_open: bool, now_ns: int) -> None:  # noqa: FBT001 - a callback
        """Take note that the port of sensors was opened or lost: silence at an open port may mean something."""
        for sensor in sensors:
            self._tell(self._alarms.port_is(sensor, now_ns, is_open=is_open))

    def _tell(self, changes: list[Change]) -> None:
        if changes:
            self._alarms_told(changes)
        for change in changes:
            log.warning(
                "alarm: name=%s state=%s before=%s why=%s", change.alarm, change.state, change.before, change.why
            )
        for reading in rows(*changes):
            shown = self._show(reading)
            self._publish(shown)
            self._keep(row_of(shown), Stream.ALARM)

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
            why = self._why_silent(sensor)
            self._kept.forget(sensor)
            changes += self._alarms.source_lost(sensor, now_ns, why)
            known = self._alarms.explained(sensor)
            if known:
                log.info("sensor silent: sensor=%s explained_by=%s", sensor, known)
            else:
                log.warning("sensor silent: sensor=%s why=%s", sensor, why)
        self._tell(changes)
        self._schedule()

    def _why_silent(self, sensor: str) -> str:
        """A unit that speaks and sees nothing is not silent: its open trouble says what is the matter."""
        open_ones = [trouble.why for trouble in self._troubles.get(sensor, {}).values() if trouble.why]
        return f"no reading: {'; '.join(open_ones)}" if open_ones else _SILENT

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


class _Trouble:
    """One trouble of one sensor.

    Attributes:
        why: What it is, for people; empty when it is over.
        flaps: It changed so often lately that only this is worth telling.
    """

    def __init__(self) -> None:
        self.why = ""
        self.flaps = False
        self._changes: deque[int] = deque(maxlen=_CHANGES)

    def change(self, why: str, now_ns: int) -> None:
        self.why = why
        self.flaps = len(self._changes) == _CHANGES and now_ns - self._changes[0] < _CHANGES_WITHIN_NS
        self._changes.append(now_ns)


class Watched:
    """A port's bus whose starts and losses quality hears of: values after a power-on are doubted for a while.

    Args:
        bus: Serves the port.
        judge: Hears of it.
        sensors: Who stands on the bus.
        port_is: Told when the port is opened and lost.
    """

    def __init__(
        self,
        bus: PortBus,
        judge: Judge,
        sensors: Sequence[str],
        port_is: Callable[[Sequence[str], bool, int], None] = lambda _sensors, _is_open, _now_ns: None,
    ) -> None:
        self._bus = bus
        self._port_is = port_is
        self._judge = judge
        self._sensors = tuple(sensors)

    def start(self, now_ns: int) -> list[Event]:
        """Begin, or begin again after the port was lost."""
        for sensor in self._sensors:
            self._judge.started(sensor, now_ns)
        self._port_is(self._sensors, True, now_ns)
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
        self._port_is(self._sensors, False, now_ns)
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
