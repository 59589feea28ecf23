"""The daemon: makes every part from the configuration, runs their tasks in one group, ends them in order."""

import asyncio
import logging
import os
import random
import signal
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent import clock, identity, settings
from agent.alarms import Alarms
from agent.belief import LAST_UTC_MS
from agent.clock_files import ClockFiles
from agent.config import model
from agent.config.load import Parsed
from agent.config.sensors import Fitted
from agent.pipeline import Pipeline, Watched
from agent.poll import own_port
from agent.quality import Judge
from agent.readings_socket import FILE, ReadingsSocket
from agent.restarts import Restarts
from agent.sdnotify import Notifier, Pulse
from agent.seal import Sealer
from agent.session import Who
from agent.spool.disk import Disk
from agent.spool.intake import Intake
from agent.spool.keeper import Keeper, Receipt
from agent.spool.spool import Facts
from agent.spool.writer import Writer
from agent.timekeeper import Timekeeper
from agent.uplink import Uplink
from agent.version import VERSION
from agent.wire.batch import ID_BYTES
from drivers.backoff import Backoff
from drivers.bus import Bus
from drivers.io.rtc import since_epoch_s
from drivers.io.serial_port import SerialPort

log = logging.getLogger(__name__)

HOST = "host"
"""Sensor name of the node itself."""

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
    pipeline: Pipeline
    intake: Intake
    uplink: Uplink
    socket: ReadingsSocket
    timekeeper: Timekeeper


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
    parts = _connect(config, parsed.fitted, who, writer, wall=wall, files=files, tls=tls, restarts=restarts)
    log.info("run %s begins: node=%s/%s version=%s", who.run.hex(), config.city, config.node, VERSION)
    try:
        await _tasks(parts, notifier)
    finally:
        notifier.tell(STOPPING="1")
        await _close(parts.intake, writer)
        log.info("run %s ended", who.run.hex())


def _connect(
    config: model.Config,
    fitted: tuple[Fitted, ...],
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
    uplink = Uplink(
        who,
        settings.broker(config.center, tls),
        writer,
        settings.timing(config.center),
        backoff=lambda spread: settings.backoff(config.center, spread=spread),
        random=os.urandom,
        moment=intake.now,
        meter=settings.meter(config, wall.utc_ms),
        online=lambda up: intake.set_online(online=up),
        center_says=wall.center_says,
    )
    timekeeper = Timekeeper(
        wall, files, intake, durably=lambda work: writer.call(lambda _: work()), rtc_s=since_epoch_s
    )
    socket = ReadingsSocket()
    judge = Judge({one.sensor.name: settings.rules(one) for one in fitted})
    pipeline = Pipeline(
        judge,
        Alarms([settings.rule(alarm, fitted, config.host) for alarm in config.alarms]),
        keep=intake.take,
        publish=socket.publish,
        boot_ns=clock.boot_ns,
        hears_time=wall.hears,
    )
    return _Parts(
        config=config,
        fitted=fitted,
        pulse=Pulse(asyncio.get_running_loop().time),
        judge=judge,
        pipeline=pipeline,
        intake=intake,
        uplink=uplink,
        socket=socket,
        timekeeper=timekeeper,
    )


async def _close(intake: Intake, writer: Writer) -> None:
    """Write what waits, seal it and say that this run ended."""
    await intake.write(seal=False)
    moment = intake.now()
    await writer.call(lambda keeper: keeper.close(moment))
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
            ports = _Ports(group, parts, settings.buses(parts.fitted))
            host = group.create_task(_host(parts)) if config.host.enabled else None
            group.create_task(parts.intake.run(pulse.task("spool", _LATE_S + config.spool.durable_within_s)))
            group.create_task(parts.uplink.run(pulse.task("uplink", _UPLINK_LATE_S), spread=_is_fresh_boot()))
            group.create_task(parts.socket.serve(Path(config.run_folder) / FILE))
            group.create_task(_watch(ports, pulse, notifier))
            notifier.tell(READY="1", STATUS=f"{len(parts.fitted)} sensors")
            await stop.wait()
            ports.end()
            if host is not None:
                host.cancel()
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
        return self._group.create_task(
            own_port(
                SerialPort(first.port, first.line),
                Watched(
                    Bus([one.driver for one in sensors if one.driver is not None]),
                    self._parts.judge,
                    [one.sensor.name for one in sensors],
                ),
                self._parts.pipeline,
                boot_ns=clock.boot_ns,
                retry=Backoff(base_s=_PORT_BASE_S, cap_s=_PORT_CAP_S, random=random.random),
                alive=self._parts.pulse.task(name, _LATE_S),
            )
        )


async def _host(parts: _Parts) -> None:
    from agent.poll import own_probe  # noqa: PLC0415 - psutil is loaded only where the probe is wanted
    from drivers.io.host import HostProbe  # noqa: PLC0415

    host = parts.config.host
    await own_probe(
        HostProbe(HOST, disks=host.disks, interfaces=host.interfaces),
        parts.pipeline,
        every_s=host.every_s,
        boot_ns=clock.boot_ns,
        alive=parts.pulse.task(HOST, _LATE_S),
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
