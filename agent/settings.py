"""Configuration to the settings of each part of the daemon."""

import random
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from agent.alarms import Rule, unknown_after
from agent.config import model
from agent.config.sensors import Fitted
from agent.meter import FILE, Meter
from agent.mqtt import Broker
from agent.quality import SensorRules
from agent.seal import Limits, Pace
from agent.spool.intake import Plan
from agent.spool.spool import Settings
from agent.sync import Timing
from drivers.backoff import Backoff
from drivers.driver import Channel


def buses(fitted: tuple[Fitted, ...]) -> dict[str, list[Fitted]]:
    """Return the sensors that can be opened, by port."""
    found: dict[str, list[Fitted]] = {}
    for one in fitted:
        if one.port is not None and one.driver is not None:
            found.setdefault(one.port.name, []).append(one)
    return found


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


def rule(alarm: model.Alarm, fitted: tuple[Fitted, ...], host: model.Host) -> Rule:
    """Return the rule of an alarm."""
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


def meter(config: model.Config, utc_ms: Callable[[], int | None]) -> Meter | None:
    """Return what counts the link's bytes; None where they are free."""
    center = config.center
    if center.quota_bytes is None:
        return None
    return Meter(Path(config.spool.folder).parent / FILE, center.quota_bytes, center.quota_reserve, utc_ms)
