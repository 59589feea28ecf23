"""How many rows a configuration makes, and for how long the spool holds them. Estimates, for people."""

from collections.abc import Mapping, Sequence

from agent.by_exception import keep_of
from agent.config.channels import overridden
from agent.config.model import ChannelOverride, Host, Spool
from agent.config.probes import Equipped
from agent.config.section import HOST
from agent.config.sensors import Fitted
from drivers.driver import Channel
from drivers.host.info import FAST, describe, interface_channel

SEALED_BYTES_PER_ROW = 12
"""A row in a sealed batch of the live rhythm: packed, compressed, its share of header and signature."""

LOOSE_BYTES_PER_ROW = 24
"""The same row before it was sealed: its frame stays in the segment that holds it until the segment leaves."""

_SLOW_EVERY_S = 60.0  # the probe of the box reads what changes slowly at this pace
_USUAL_INTERFACES = ("eth0", "wlan0")  # counted where the configuration leaves them to the box
_DAY_S = 86_400
_CHANGING = 0.1  # share of readings that differ enough to be kept, where only those are; a day of a hotspot: 7 %


def rows_per_s(one: Fitted) -> float:
    """Return how many rows a sensor makes in a second: each channel once a round, where nothing is held back."""
    every_s = one.sensor.every_s or one.info.every_s
    said = one.sensor.channels
    return sum(_kept_per_s(overridden(each, said.get(each.name)), every_s) for each in one.info.channels)


def own_rows_per_s(
    host: Host, equipped: Sequence[Equipped] = (), said: Mapping[str, Mapping[str, ChannelOverride]] | None = None
) -> float:
    """Return how many rows the box's own probes make in a second.

    Args:
        host: The probe of the box.
        equipped: Its other probes.
        said: What the configuration says of their channels, by sensor.
    """
    said = said or {}
    rate = 0.0
    if host.enabled:
        interfaces = _USUAL_INTERFACES if host.interfaces is None else host.interfaces
        fast = {each.name for each in FAST} | {
            interface_channel(name, way) for name in interfaces for way in ("rx", "tx")
        }
        for each in describe(host.disks, interfaces).channels:
            every_s = host.every_s if each.name in fast else max(host.every_s, _SLOW_EVERY_S)
            rate += _kept_per_s(overridden(each, said.get(HOST, {}).get(each.name)), every_s, is_probe=True)
    for one in equipped:
        own = said.get(one.sensor, {})
        rate += sum(
            _kept_per_s(overridden(each, own.get(each.name)), one.info.every_s, is_probe=True)
            for each in one.info.channels
        )
    return rate


def _kept_per_s(channel: Channel, every_s: float, *, is_probe: bool = False) -> float:
    keep = keep_of(channel, is_probe=is_probe)
    if keep is None:
        return 1 / every_s
    changing = 0.0 if keep.change is None else _CHANGING / every_s
    return min(1 / every_s, 1 / keep.at_least_every_s + changing)


def days(spool: Spool, rates: Sequence[float]) -> float | None:
    """Return for how many days without a link the spool holds every row; None when there are no rows.

    Args:
        spool: Its caps.
        rates: Rows per second, of each source.
    """
    per_day = sum(rates) * _DAY_S
    if not per_day:
        return None
    room_bytes = spool.telemetry_cap_bytes - spool.segment_bytes  # the one that is being written cannot be shed
    return room_bytes / (per_day * (SEALED_BYTES_PER_ROW + LOOSE_BYTES_PER_ROW))
