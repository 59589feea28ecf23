"""Readings from a look at the node and the look before. Pure."""

from collections.abc import Iterator

from drivers.host.info import disk_channel, interface_channel
from drivers.host.sample import Cpu, Sample
from drivers.reading import Reading

Value = int | float | bool


def readings(sensor: str, before: Sample | None, now: Sample, *, slow: bool) -> list[Reading]:
    """Return what a look says; what could not be read is not there.

    Args:
        sensor: Name the readings carry.
        before: The look before, for what is a difference; None at the first.
        now: The look.
        slow: Also give what needs to be told only once a minute.
    """
    found = [*_fast(before, now)]
    if slow:
        found += _slow(now)
    unique = {channel: (value, unit) for channel, value, unit in found if value is not None}
    return [
        Reading(sensor=sensor, channel=channel, value=value, unit=unit, boot_ns=now.boot_ns)
        for channel, (value, unit) in unique.items()
    ]


def cpu_percent(before: Cpu, now: Cpu) -> float | None:
    """Return how busy the processor was between two looks, in %; None when the counters say nothing."""
    busy_s, idle_s = now.busy_s - before.busy_s, now.idle_s - before.idle_s
    if busy_s < 0 or idle_s < 0 or busy_s + idle_s <= 0:
        return None
    return round(100 * busy_s / (busy_s + idle_s), 1)


def _fast(before: Sample | None, now: Sample) -> Iterator[tuple[str, Value | None, str]]:
    if before is not None and before.cpu is not None and now.cpu is not None:
        yield "cpu", cpu_percent(before.cpu, now.cpu), "%"
    if now.load is not None:
        yield "load1", round(now.load[0], 2), "1"
    if now.memory is not None:
        yield "mem-used", now.memory.total_bytes - now.memory.available_bytes, "B"
        yield "mem-available", now.memory.available_bytes, "B"
    yield "temp", now.temperature_cel, "Cel"
    if now.clock is not None:
        yield "clock-synced", now.clock.synchronised, "1"
        if now.clock.synchronised:  # else the kernel's numbers mean nothing
            yield "clock-offset", now.clock.offset_s, "s"
    if now.own is not None:
        yield "own-rss", now.own.rss_bytes, "B"
        yield "own-cpu", round(now.own.cpu_s, 2), "s"
    for name, interface in now.interfaces.items():
        yield interface_channel(name, "rx"), interface.rx_bytes, "B"
        yield interface_channel(name, "tx"), interface.tx_bytes, "B"


def _slow(now: Sample) -> Iterator[tuple[str, Value | None, str]]:
    if now.load is not None:
        yield "load5", round(now.load[1], 2), "1"
        yield "load15", round(now.load[2], 2), "1"
    yield "swap-used", now.swap_used_bytes, "B"
    if now.clock is not None and now.clock.synchronised:
        yield "clock-error", now.clock.error_s, "s"
    yield "uptime", now.boot_ns // 1_000_000_000, "s"
    for mount, disk in now.disks.items():
        yield disk_channel(mount, "used"), disk.used_bytes, "B"
        yield disk_channel(mount, "free"), disk.free_bytes, "B"
    for name, interface in now.interfaces.items():
        for what, value in (
            ("rx-packets", interface.rx_packets),
            ("tx-packets", interface.tx_packets),
            ("rx-errors", interface.rx_errors),
            ("tx-errors", interface.tx_errors),
            ("rx-drops", interface.rx_drops),
            ("tx-drops", interface.tx_drops),
        ):
            yield interface_channel(name, what), value, "count"
