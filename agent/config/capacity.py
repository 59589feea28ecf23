"""How many rows a configuration makes, and for how long the spool holds them. Estimates, for people."""

from collections.abc import Sequence

from agent.config.model import Host, Spool
from agent.config.sensors import Fitted
from drivers.host.info import FAST, describe

SEALED_BYTES_PER_ROW = 12
"""A row in a sealed batch of the live rhythm: packed, compressed, its share of header and signature."""

LOOSE_BYTES_PER_ROW = 24
"""The same row before it was sealed: its frame stays in the segment that holds it until the segment leaves."""

_SLOW_EVERY_S = 60.0  # the probe of the box reads what changes slowly at this pace
_USUAL_INTERFACES = ("eth0", "wlan0")  # counted where the configuration leaves them to the box
_DAY_S = 86_400


def rows_per_s(one: Fitted) -> float:
    """Return how many rows a sensor makes in a second, each channel once a round."""
    info = one.info
    return len(info.channels) / (one.sensor.every_s or info.every_s)


def host_rows_per_s(host: Host) -> float:
    """Return how many rows the probe of the box makes in a second."""
    if not host.enabled:
        return 0.0
    interfaces = _USUAL_INTERFACES if host.interfaces is None else host.interfaces
    fast = len(FAST) + 2 * len(interfaces)
    slow = len(describe(host.disks, interfaces).channels) - fast
    return fast / host.every_s + slow / _SLOW_EVERY_S


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
