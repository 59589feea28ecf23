"""The daemon: makes every part from the configuration, runs their tasks in one group, ends them in order."""

import asyncio
import logging
import os
import random
import signal
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from agent import clock, identity
from agent.alarms import Alarms, Rule, unknown_after
from agent.config import model
from agent.config.load import Parsed
from agent.config.sensors import Fitted
from agent.errors import SpoolError
from agent.mqtt import Broker
from agent.pipeline import Pipeline, Watched
from agent.poll import own_port
from agent.quality import Judge, SensorRules
from agent.readings_socket import FILE, ReadingsSocket
from agent.restarts import Restarts
from agent.sdnotify import Notifier, Pulse
from agent.seal import Limits, Pace, Sealer
from agent.spool.disk import Disk
from agent.spool.intake import Intake, Plan
from agent.spool.keeper import Keeper, Receipt
from agent.spool.spool import Facts, Settings
from agent.spool.writer import Writer
from agent.sync import Timing
from agent.uplink import Uplink, Who
from agent.version import VERSION
from agent.wire.batch import ID_BYTES
from drivers.backoff import Backoff
from drivers.bus import Bus
from drivers.driver import Channel
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


async def run(parsed: Parsed, notifier: Notifier) -> None:
    """Run until SIGTERM, SIGINT or SIGHUP; then seal, sync and return.

    Raises:
        KeyFileError: a key is missing or wrong.
        SpoolError: the spool's folder cannot be used.
    """
    config = parsed.config
    if config is None:
        raise ValueError("a configuration with errors cannot run")
    keys = identity.load(Path(config.keys_folder))
    tls = identity.tls_context(keys.folder) if config.center.tls else None
    restarts = Restarts(Path(config.run_folder))
    restarts.begin()
    wall = clock.WallClock(boot=clock.boot_id())
    sealer = Sealer(city=config.city, node=config.node, run=os.urandom(ID_BYTES), signer=keys.signer)
    facts = Facts(version=VERSION, config_hash=config.hash, config=config.redacted, restarts=restarts.before)
    keeper = Keeper(Disk(Path(config.spool.folder)), sealer, _settings(config), facts)
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
    parts = _connect(config, parsed.fitted, who, writer, wall=wall, tls=tls, restarts=restarts)
    log.info("run %s begins: node=%s/%s version=%s", who.run.hex(), config.city, config.node, VERSION)
    try:
        await _tasks(parts, notifier)
    finally:
        notifier.tell(STOPPING="1")
        await _close(parts.intake, writer, wall)
        log.info("run %s ended", who.run.hex())


def _connect(
    config: model.Config,
    fitted: tuple[Fitted, ...],
    who: Who,
    writer: Writer,
    *,
    wall: clock.WallClock,
    tls: ssl.SSLContext | None,
    restarts: Restarts,
) -> _Parts:
    """Make the parts and tell each of the next one on the path of a reading."""

    def stored(receipt: Receipt) -> None:
        if receipt.refs:
            restarts.left_something()
        uplink.stored(receipt)

    intake = Intake(writer, plan=_plan(config), moment=wall.moment, stored=stored)
    uplink = Uplink(
        who,
        _broker(config.center, tls),
        writer,
        _timing(config.center),
        backoff=lambda spread: _backoff(config.center, spread=spread),
        random=os.urandom,
        online=lambda up: intake.set_online(online=up),
        center_says=wall.center_says,
    )
    socket = ReadingsSocket()
    judge = Judge({one.sensor.name: _rules(one) for one in fitted})
    pipeline = Pipeline(
        judge,
        Alarms([_rule(alarm, fitted, config.host) for alarm in config.alarms]),
        keep=intake.take,
        publish=socket.publish,
        boot_ns=clock.boot_ns,
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
    )


async def _close(intake: Intake, writer: Writer, wall: clock.WallClock) -> None:
    """Write what waits, seal it and say that this run ended; a disk that refuses even that costs the word only."""
    await intake.write(seal=False)
    moment = wall.moment()
    try:
        await writer.call(lambda keeper: keeper.close(moment))
    except SpoolError as error:
        log.error("the end of the run is not on the disk: %s", error)  # noqa: TRY400 - weather, not a bug
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
            ports = _Ports(group, parts, _buses(parts.fitted))
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


# -- configuration to parts -------------------------------------------------------------------------------------------


def _buses(fitted: tuple[Fitted, ...]) -> dict[str, list[Fitted]]:
    buses: dict[str, list[Fitted]] = {}
    for one in fitted:
        if one.port is not None and one.driver is not None:
            buses.setdefault(one.port.name, []).append(one)
    return buses


def _every_s(one: Fitted) -> float:
    return one.sensor.every_s or one.info.every_s


def _rules(one: Fitted) -> SensorRules:
    info = one.info
    return SensorRules(
        channels={channel.name: _override(channel, one.sensor) for channel in info.channels},
        warmup_s=info.warmup_s,
        stale_after_s=max(info.stale_after_s, 3 * _every_s(one)),
        confirm=info.confirm,
        integrity=info.integrity,
    )


def _override(channel: Channel, sensor: model.Sensor) -> Channel:
    found = sensor.channels.get(channel.name)
    if found is None:
        return channel
    return replace(
        channel,
        low=channel.low if found.low is None else found.low,
        high=channel.high if found.high is None else found.high,
        max_step_per_s=channel.max_step_per_s if found.max_step_per_s is None else found.max_step_per_s,
        stuck_after_s=channel.stuck_after_s if found.stuck_after_s is None else found.stuck_after_s,
        zero=channel.zero if found.zero is None else found.zero,
    )


def _rule(alarm: model.Alarm, fitted: tuple[Fitted, ...], host: model.Host) -> Rule:
    paces = {one.sensor.name: _every_s(one) for one in fitted}
    every_s = paces.get(alarm.sensor, host.every_s)
    return Rule(
        name=alarm.name,
        sensor=alarm.sensor,
        channel=alarm.channel,
        unit=alarm.unit,
        levels=tuple((level.name, level.threshold) for level in alarm.levels),
        falling=alarm.falling,
        for_s=alarm.for_s,
        hysteresis=alarm.hysteresis,
        hold_off_s=alarm.hold_off_s,
        unknown_is=alarm.unknown_is,
        accept=alarm.accept,
        unknown_after_s=unknown_after(alarm.for_s, every_s) if alarm.unknown_after_s is None else alarm.unknown_after_s,
    )


def _settings(config: model.Config) -> Settings:
    spool, seal = config.spool, config.seal
    return Settings(
        alarm_cap=spool.alarm_cap_bytes,
        telemetry_cap=spool.telemetry_cap_bytes,
        free_disk=spool.free_disk_bytes,
        segment=spool.segment_bytes,
        limits=Limits(rows=seal.rows, plain_bytes=seal.plain_bytes),
    )


def _plan(config: model.Config) -> Plan:
    seal = config.seal
    pace = Pace(
        live_s=seal.live_s, metered_s=seal.metered_s, offline_s=seal.offline_s, empty_after_s=seal.empty_after_s
    )
    return Plan(durable_within_s=config.spool.durable_within_s, pace=pace, metered=config.center.metered)


def _timing(center: model.Center) -> Timing:
    return Timing(
        window_bytes=center.window_bytes,
        resend_s=center.resend_after_s,
        resend_most_s=center.resend_at_most_s,
        progress_s=center.progress_within_s,
    )


def _broker(center: model.Center, tls: ssl.SSLContext | None) -> Broker:
    return Broker(
        host=center.host,
        tcp_port=center.tcp_port,
        tls=tls,
        version_5=center.protocol == "5",
        keepalive_s=round(center.keepalive_s),
    )


def _backoff(center: model.Center, *, spread: bool) -> Backoff:
    return Backoff(
        base_s=center.backoff_base_s,
        cap_s=center.backoff_cap_s,
        random=random.random,
        first_spread_s=center.first_spread_s if spread else 0.0,
    )


def _is_fresh_boot() -> bool:
    return clock.boot_ns() / 1e9 < _FRESH_BOOT_S
