"""The daemon: makes every part from the configuration, runs their tasks in one group, ends them in order."""

import asyncio
import contextlib
import logging
import os
import random
import signal
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent import clock, identity, settings
from agent.belief import LAST_UTC_MS
from agent.by_exception import ByException
from agent.clock_files import ClockFiles
from agent.config import model
from agent.config.load import Parsed
from agent.config.sensors import Fitted
from agent.last_orders import LastOrders
from agent.note_drop import FOLDER as NOTES
from agent.note_drop import NoteDrop
from agent.notes_socket import FILE as NOTES_FILE
from agent.notes_socket import Notes
from agent.own_alarms import OwnAlarms
from agent.own_probes import OwnProbes
from agent.pipeline import Pipeline, Watched
from agent.poll import own_port
from agent.privacy import Veil
from agent.quality import Judge
from agent.readings_socket import FILE, ReadingsSocket
from agent.restarts import Restarts
from agent.sdnotify import Notifier, Pulse
from agent.seal import Sealer
from agent.sensor_book import FILE as BOOK
from agent.sensor_book import SensorBook, keep
from agent.session import Who
from agent.spool.disk import Disk
from agent.spool.intake import Intake
from agent.spool.keeper import Keeper, Receipt
from agent.spool.spool import Facts
from agent.spool.writer import Writer
from agent.sync_probe import SyncProbe
from agent.timekeeper import Timekeeper
from agent.uplink import Uplink
from agent.version import VERSION
from agent.wire.batch import ID_BYTES
from drivers.backoff import Backoff
from drivers.bus import Bus
from drivers.io.rtc import since_epoch_s
from drivers.io.serial_port import SerialPort
from drivers.proof import Gate, Proofs

log = logging.getLogger(__name__)

_PORT_BASE_S = 1.0
_PORT_CAP_S = 30.0
_LATE_S = 45.0
"""A task that gave no sign of life for so long is late: four beats."""
_UPLINK_LATE_S = 150.0
"""The uplink waits for name servers, several addresses, a handshake and an answer in one step."""
_BEAT_S = 10.0
_FRESH_BOOT_S = 300.0
_LAST_WORDS_S = 3.0
"""Longest wait for the center to settle what was taken last, before the process ends."""


class Stopped(Exception):  # noqa: N818 - not an error: somebody asked for it
    """The process was asked to end."""


@dataclass(slots=True)
class _Parts:
    """What the tasks share."""

    config: model.Config
    fitted: tuple[Fitted, ...]
    pulse: Pulse
    judge: Judge
    proofs: Proofs
    pipeline: Pipeline
    intake: Intake
    uplink: Uplink
    socket: ReadingsSocket
    notes: Notes
    timekeeper: Timekeeper
    book: SensorBook
    writer: Writer
    probes: OwnProbes
    alarms: OwnAlarms
    orders: LastOrders | None


async def run(parsed: Parsed, notifier: Notifier) -> None:
    """Run until SIGTERM, SIGINT or SIGHUP; then seal, sync and return.

    Raises:
        KeyFileError: a key is missing or wrong.
    """
    config = parsed.config
    if config is None:
        raise ValueError("a configuration with errors cannot run")
    keys = identity.load(Path(config.keys_folder))
    restarts = Restarts(Path(config.run_folder))
    restarts.begin()
    files = ClockFiles(Path(config.spool.folder).parent, Path(config.run_folder), clock.boot_id())
    last_ms = identity.expires_ms(keys.folder) if config.center.tls else LAST_UTC_MS
    wall = clock.WallClock(boot=clock.boot_id(), bounds=files.bounds(), last_ms=last_ms)
    tls = identity.tls_context(keys.folder, wall.validity_ms) if config.center.tls else None
    sealer = Sealer(city=config.city, node=config.node, run=os.urandom(ID_BYTES), signer=keys.signer)
    facts = Facts(version=VERSION, config_hash=config.hash, config=config.redacted, restarts=restarts.before)
    keeper = Keeper(
        Disk(Path(config.spool.folder), ahead_bytes=config.spool.segment_bytes), sealer, settings.spool(config), facts
    )
    keeper.open()
    writer = Writer(keeper, asyncio.get_running_loop())
    writer.start()
    who = Who(
        city=config.city,
        node=config.node,
        run=sealer.run,
        boot=wall.boot,
        since_boot_ms=clock.boot_ns() // 1_000_000,
        version=VERSION,
        center=keys.center,
    )
    parts = _connect(config, parsed, who, writer, wall=wall, files=files, tls=tls, restarts=restarts)
    log.info("run %s begins: node=%s/%s version=%s", who.run.hex(), config.city, config.node, VERSION)
    try:
        await _tasks(parts, notifier)
    finally:
        notifier.tell(STOPPING="1")
        await _close(parts)
        log.info("run %s ended", who.run.hex())


def _connect(
    config: model.Config,
    parsed: Parsed,
    who: Who,
    writer: Writer,
    *,
    wall: clock.WallClock,
    files: ClockFiles,
    tls: ssl.SSLContext | None,
    restarts: Restarts,
) -> _Parts:
    """Make the parts and tell each of the next one on the path of a reading."""

    def stored(receipt: Receipt) -> None:
        if receipt.refs:
            restarts.left_something()
        timekeeper.writes(receipt.run)
        uplink.stored(receipt)

    intake = Intake(writer, plan=settings.plan(config), moment=wall.moment, stored=stored)
    meter = settings.meter(config, wall.utc_ms, wall.boot)
    uplink = Uplink(
        who,
        settings.broker(config.center, tls),
        writer,
        settings.timing(config.center),
        backoff=lambda spread: settings.backoff(config.center, spread=spread),
        random=os.urandom,
        moment=intake.now,
        meter=meter,
        online=lambda up: intake.set_online(online=up),
        center_says=wall.center_says,
    )
    timekeeper = Timekeeper(wall, files, intake, durably=_durably(writer), rtc_s=since_epoch_s)
    socket = ReadingsSocket()
    notes = Notes(NoteDrop(Path(config.spool.folder).parent / NOTES), writer, intake.note)
    fitted, equipped = parsed.fitted, parsed.equipped
    book = SensorBook(Path(config.spool.folder).parent / BOOK)
    judge = Judge(
        {one.sensor.name: settings.rules(one) for one in fitted} | settings.probe_rules(config, equipped), book
    )
    paces = settings.paces(fitted, equipped, config.host)
    pulse = Pulse(asyncio.get_running_loop().time)
    show = Veil(config.hotspot).show
    alarms = OwnAlarms(
        [settings.rule(alarm, paces, show) for alarm in (*config.alarms, *config.defaults)],
        card=Path(config.spool.folder).parent,
        run=Path(config.run_folder),
        boot=wall.boot,
        utc_ms=wall.utc_ms,
    )
    orders = None
    if config.battery is not None:
        bus = config.host.probes.bus
        orders = LastOrders.of(
            config.battery, intake, lambda: uplink.drained(_LAST_WORDS_S), bus=bus, boot_ns=clock.boot_ns
        )
    pipeline = Pipeline(
        judge,
        alarms.alarms,
        keep=intake.take,
        publish=socket.publish if orders is None else orders.beside(socket.publish),
        boot_ns=clock.boot_ns,
        hears_time=wall.hears,
        show=show,
        kept=ByException(settings.keeps(config, fitted, equipped)),
        alarms_told=alarms.told,
    )
    return _Parts(
        config=config,
        fitted=fitted,
        pulse=pulse,
        judge=judge,
        proofs=Proofs(book, [one.sensor.name for one in fitted]),
        pipeline=pipeline,
        intake=intake,
        uplink=uplink,
        socket=socket,
        notes=notes,
        timekeeper=timekeeper,
        book=book,
        writer=writer,
        probes=OwnProbes(
            config,
            equipped,
            pipeline,
            pulse=pulse,
            utc_ms=wall.utc_ms,
            meter=meter,
            durably=_durably(writer),
            sync=SyncProbe(uplink.sync.backlog, uplink.answered_s),
        ),
        alarms=alarms,
        orders=orders,
    )


def _durably(writer: Writer) -> Callable[[Callable[[], None]], Awaitable[None]]:
    """Return what runs work that may block on the card in the writer's thread."""
    return lambda work: writer.call(lambda _: work())


async def _close(parts: _Parts) -> None:
    """Write what waits, seal it and say that this run ended."""
    intake, writer = parts.intake, parts.writer
    await intake.write(seal=False)
    moment = intake.now()
    await writer.call(lambda keeper: keeper.close(moment))
    await parts.probes.save(is_end=True)
    with contextlib.suppress(OSError):  # told before, and the next start asks every unit again
        await writer.call(lambda _: parts.book.save())
    with contextlib.suppress(OSError):  # then the next start tells it twice
        await writer.call(lambda _: parts.alarms.save())
    await writer.stop()


async def _tasks(parts: _Parts, notifier: Notifier) -> None:
    """Run all tasks; any exception but the wish to stop ends them all and goes on."""
    config, pulse = parts.config, parts.pulse
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(parts.pipeline.run())
            group.create_task(parts.timekeeper.run(pulse.task("time", _LATE_S)))
            group.create_task(_keep(parts))
            group.create_task(parts.alarms.keep(_durably(parts.writer)))
            if parts.orders is not None:
                group.create_task(parts.orders.run())
            ports = _Ports(group, parts, settings.buses(parts.fitted))
            probes = [group.create_task(work) for work in parts.probes.tasks()]
            group.create_task(parts.intake.run(pulse.task("spool", _LATE_S + config.spool.durable_within_s)))
            group.create_task(parts.uplink.run(pulse.task("uplink", _UPLINK_LATE_S), spread=_is_fresh_boot()))
            group.create_task(parts.socket.serve(Path(config.run_folder) / FILE))
            group.create_task(parts.notes.serve(Path(config.run_folder) / NOTES_FILE))
            group.create_task(parts.notes.collect())
            group.create_task(_watch(ports, pulse, notifier))
            notifier.tell(READY="1", STATUS=f"{len(parts.fitted)} sensors")
            await stop.wait()
            ports.end()
            for probe in probes:
                probe.cancel()
            await parts.intake.flush()
            await parts.uplink.drained(_LAST_WORDS_S)
            raise Stopped
    except BaseExceptionGroup as group_error:
        stopped, bugs = group_error.split(Stopped)
        if bugs is not None:
            raise bugs from None
        if stopped is None:
            raise
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


class _Ports:
    """The tasks of the ports: one that misses its deadline is made anew, once; the watchdog sees to the second time."""

    def __init__(self, group: asyncio.TaskGroup, parts: _Parts, buses: Mapping[str, list[Fitted]]) -> None:
        self._group = group
        self._parts = parts
        self._buses = buses
        self._renewed: set[str] = set()
        self._tasks = {name: self._start(name) for name in buses}

    def renew(self, late: tuple[str, ...]) -> None:
        """Make late port tasks anew."""
        for name in late:
            if name in self._tasks and name not in self._renewed:
                log.error("port task late, made anew: port=%s", name)
                self._renewed.add(name)
                self._tasks[name].cancel()
                self._tasks[name] = self._start(name)

    def end(self) -> None:
        """Take no more readings."""
        for task in self._tasks.values():
            task.cancel()

    def _start(self, name: str) -> asyncio.Task[None]:
        sensors = self._buses[name]
        first = sensors[0]
        if first.port is None or first.line is None:
            raise ValueError(f"{name} is no port")
        bus = Bus([one.driver for one in sensors if one.driver is not None], first.line)
        gate = Gate(
            bus, [settings.unit(one) for one in sensors], self._parts.proofs, frames=lambda: bus.counters.frames
        )
        return self._group.create_task(
            own_port(
                SerialPort(first.port, first.line),
                Watched(gate, self._parts.judge, [one.sensor.name for one in sensors], self._parts.pipeline.port_is),
                self._parts.pipeline,
                boot_ns=clock.boot_ns,
                retry=Backoff(base_s=_PORT_BASE_S, cap_s=_PORT_CAP_S, random=random.random),
                alive=self._parts.pulse.task(name, _LATE_S),
            )
        )


async def _keep(parts: _Parts) -> None:
    """Keep the book of sensors on the card."""
    await keep(
        parts.book,
        _durably(parts.writer),
        now_s=asyncio.get_running_loop().time,
        wait=lambda: asyncio.sleep(_BEAT_S),
    )


async def _watch(ports: _Ports, pulse: Pulse, notifier: Notifier) -> None:
    """Feed systemd's watchdog while every task meets its deadline."""
    told: tuple[str, ...] = ()
    while True:
        late = pulse.late()
        if late and late != told:
            log.error("tasks late: %s", ", ".join(late))
        told = late
        ports.renew(late)
        if not late:
            notifier.tell(WATCHDOG="1")
        await asyncio.sleep(_BEAT_S if notifier.watchdog_s is None else min(_BEAT_S, notifier.watchdog_s / 3))


def _is_fresh_boot() -> bool:
    return clock.boot_ns() / 1e9 < _FRESH_BOOT_S
