"""Configuration to the settings of each part of the daemon."""

import random
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.by_exception import ANY, Keep, keep_of
from agent.config import model
from agent.config.catalogue import SLOW_S
from agent.config.channels import overridden
from agent.config.link_channels import EVERY_S as LINK_EVERY_S
from agent.config.link_channels import LINK, channels_of_link
from agent.config.probes import Equipped, channels_of
from agent.config.section import HOST
from agent.config.sensors import Fitted
from agent.meter import FILE, Meter
from agent.mqtt import Broker
from agent.quality import SensorRules
from agent.quota import Total
from agent.rule import Rule, unknown_after
from agent.seal import Limits, Pace
from agent.spool.intake import Plan
from agent.spool.spool import Settings
from agent.sync import Timing
from drivers.backoff import Backoff
from drivers.driver import Channel
from drivers.host.info import describe
from drivers.io.interface import carried
from drivers.proof import Unit
from drivers.reading import Reading

_COME_BACK_S = 300.0  # routers and screens that were without mains need so long to start
_HOURLY = Keep(at_least_every_s=3600.0)


def buses(fitted: tuple[Fitted, ...]) -> dict[str, list[Fitted]]:
    """Return the sensors that can be opened, by port."""
    found: dict[str, list[Fitted]] = {}
    for one in fitted:
        if one.port is not None and one.driver is not None:
            found.setdefault(one.port.name, []).append(one)
    return found


def unit(one: Fitted) -> Unit:
    """Return what proof needs to know of a sensor."""
    info = one.info
    return Unit(
        sensor=one.sensor.name,
        driver=info.name,
        confirm=info.confirm if info.integrity != "crc16" else 1,
        shares_bus=info.shares_bus,
        proves=info.proves,
    )


def _every_s(one: Fitted) -> float:
    return one.sensor.every_s or one.info.every_s


def rules(one: Fitted) -> SensorRules:
    """Return what quality needs to know of a sensor."""
    info = one.info
    return SensorRules(
        channels={channel.name: _override(channel, one.sensor) for channel in info.channels},
        warmup_s=info.warmup_s,
        stale_after_s=max(info.stale_after_s, 3 * _every_s(one)),
        confirm=info.confirm,
        integrity=info.integrity,
        lifetime_h=info.lifetime_h,
    )


def _override(channel: Channel, sensor: model.Sensor) -> Channel:
    return overridden(channel, sensor.channels.get(channel.name))


def _own(config: model.Config, equipped: tuple[Equipped, ...]) -> dict[str, dict[str, Channel]]:
    """Return the channels of the box's own probes, by sensor, with what the configuration says of them."""
    host = describe(config.host.disks, config.host.interfaces or ())
    found = channels_of(equipped) | {LINK: channels_of_link(config.center)}
    found[HOST] = {**{channel.name: channel for channel in host.channels}, **found.get(HOST, {})}
    return {
        sensor: {name: overridden(each, config.probes.get(sensor, {}).get(name)) for name, each in channels.items()}
        for sensor, channels in found.items()
    }


def probe_rules(config: model.Config, equipped: tuple[Equipped, ...]) -> dict[str, SensorRules]:
    """Return what quality needs to know of the box's own probes, several of which may share a sensor."""
    longest = {HOST: 3 * max(config.host.every_s, 60.0), LINK: 3 * LINK_EVERY_S}
    longest = {sensor: longest[sensor] for sensor in longest if sensor in config.probes}  # what nobody doubts passes
    for one in equipped:
        stale_s = max(one.info.stale_after_s, 3 * one.info.every_s)
        longest[one.sensor] = max(stale_s, longest.get(one.sensor, 0.0))
    own = _own(config, equipped)
    return {
        sensor: SensorRules(channels=own[sensor], stale_after_s=stale_s, integrity="crc16")
        for sensor, stale_s in longest.items()
    }


def keeps(
    config: model.Config, fitted: tuple[Fitted, ...], equipped: tuple[Equipped, ...]
) -> dict[tuple[str, str], Keep]:
    """Return when readings are worth a row, by sensor and channel; a channel that is not here keeps every reading."""
    found: dict[tuple[str, str], Keep | None] = {
        (one.sensor.name, channel.name): keep_of(_override(channel, one.sensor), is_probe=False)
        for one in fitted
        for channel in one.info.channels
    }
    for sensor, channels in _own(config, equipped).items():
        found |= {(sensor, name): keep_of(channel, is_probe=True) for name, channel in channels.items()}
    found[HOST, ANY] = _HOURLY  # interfaces that only the running box knows
    return {place: keep for place, keep in found.items() if keep is not None}


def paces(fitted: tuple[Fitted, ...], equipped: tuple[Equipped, ...], host: model.Host) -> dict[str, float]:
    """Return the seconds between two readings, by sensor, and by ``sensor/channel`` where probes share a sensor."""
    found = {HOST: host.every_s, LINK: LINK_EVERY_S} | {one.sensor.name: _every_s(one) for one in fitted}
    for one in equipped:
        found |= {f"{one.sensor}/{channel.name}": one.info.every_s for channel in one.info.channels}
    return found | {path: every_s for path, every_s in SLOW_S.items() if path in found}


def rule(
    alarm: model.Alarm, paces_s: Mapping[str, float], show: Callable[[Reading], Reading] = lambda reading: reading
) -> Rule:
    """Return the rule of an alarm; ``show`` gives what may be told of a reading."""
    every_s = paces_s.get(f"{alarm.sensor}/{alarm.channel}", paces_s.get(alarm.sensor, 0.0))
    return Rule(
        name=alarm.name,
        sensor=alarm.sensor,
        channel=alarm.channel,
        unit=alarm.unit,
        levels=tuple((level.name, level.threshold) for level in alarm.levels),
        falling=alarm.falling,
        states=alarm.states,
        rise_within_s=alarm.rise_within_s,
        silence_of=alarm.silence_of,
        for_s=alarm.for_s,
        hysteresis=alarm.hysteresis,
        hold_off_s=alarm.hold_off_s,
        unknown_is=alarm.unknown_is,
        accept=alarm.accept,
        unknown_after_s=unknown_after(alarm.for_s, every_s) if alarm.unknown_after_s is None else alarm.unknown_after_s,
        mute_when=alarm.mute_when,
        recovery_s=_COME_BACK_S if alarm.silence_of else 0.0,
        hours=alarm.hours,
        optional=alarm.is_default,
        may_lack=alarm.may_lack,
        show=show,
    )


def spool(config: model.Config) -> Settings:
    """Return the bounds of the spool."""
    folder, seal = config.spool, config.seal
    return Settings(
        alarm_cap=folder.alarm_cap_bytes,
        telemetry_cap=folder.telemetry_cap_bytes,
        free_disk=folder.free_disk_bytes,
        segment=folder.segment_bytes,
        memory=folder.memory_bytes,
        limits=Limits(rows=seal.rows, plain_bytes=seal.plain_bytes),
    )


def plan(config: model.Config) -> Plan:
    """Return when rows are written and sealed."""
    seal = config.seal
    pace = Pace(
        live_s=seal.live_s, metered_s=seal.metered_s, offline_s=seal.offline_s, empty_after_s=seal.empty_after_s
    )
    return Plan(durable_within_s=config.spool.durable_within_s, pace=pace, metered=config.center.metered)


def timing(center: model.Center) -> Timing:
    """Return the bounds of sync."""
    return Timing(
        window_bytes=center.window_bytes,
        resend_s=center.resend_after_s,
        resend_most_s=center.resend_at_most_s,
        progress_s=center.progress_within_s,
    )


def broker(center: model.Center, tls: ssl.SSLContext | None) -> Broker:
    """Return where the uplink connects."""
    return Broker(
        host=center.host,
        tcp_port=center.tcp_port,
        tls=tls,
        version_5=center.protocol == "5",
        keepalive_s=round(center.keepalive_s),
    )


def backoff(center: model.Center, *, spread: bool) -> Backoff:
    """Return the waits of one outage; with ``spread`` the first one is spread."""
    return Backoff(
        base_s=center.backoff_base_s,
        cap_s=center.backoff_cap_s,
        random=random.random,
        first_spread_s=center.first_spread_s if spread else 0.0,
    )


def meter(config: model.Config, utc_ms: Callable[[], int | None], boot: bytes) -> Meter | None:
    """Return what counts the link's bytes; None where they are free."""
    center = config.center
    if center.quota_bytes is None:
        return None
    path = Path(config.spool.folder).parent / FILE
    read = _interface(Path(config.host.probes.sys), center.quota_counts, boot) if center.quota_counts else None
    return Meter(path, center.quota_bytes, center.quota_reserve, utc_ms, interface=read)


def _interface(sys_root: Path, name: str, boot: bytes) -> Callable[[], Total | None]:
    def read() -> Total | None:
        found = carried(sys_root, name)
        return None if found is None else Total(life=f"{boot.hex()}-{found[0]}", size_bytes=found[1])

    return read
