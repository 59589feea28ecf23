"""What of the guests leaves the node: with ``privacy = "strict"`` small counts of people leave as ``<5``. Pure.

Who the guests are never comes so far: parsers drop it. This is about counts, which speak of one person where they are
small. Alarms decide on the number; everything that leaves (rows, causes of alarms, the local socket, snapshots, the
log) is given what `Veil.show` returns.
"""

from dataclasses import replace

from drivers.hotspot.addresses import pool
from drivers.hotspot.settings import HotspotSettings
from drivers.reading import Reading

FEWEST = 5
"""Least number of people that is told."""

_TOTALS = frozenset(
    {("clients", "joins"), ("clients", "leaves"), ("portal", "auths"), ("dhcp", "acks"), ("svc", "radius-accepts")}
)
_POOL_USED = ("dhcp", "pool-used")


class Veil:
    """Covers small counts of guests, where the configuration asks for it.

    Args:
        settings: Of the hotspot; None where there is none.
    """

    def __init__(self, settings: HotspotSettings | None) -> None:
        self._strict = settings is not None and settings.privacy == "strict"
        self._pool_size = _pool_size(settings) if settings is not None and self._strict else 0

    def show(self, reading: Reading) -> Reading:
        """Return what may be told of a reading; the same object when that is all of it.

        Totals are told in steps of five: the difference of joins and leaves is a count of guests, too.
        """
        value = reading.value
        if not self._strict or isinstance(value, (bool, str)):
            return reading
        place = (reading.sensor, reading.channel)
        if place == _POOL_USED:
            few = round(value * self._pool_size) < FEWEST
            return replace(reading, value=f"<{FEWEST / max(self._pool_size, FEWEST):.3g}") if few else reading
        if not _counts_guests(reading):
            return reading
        if value < FEWEST:
            return replace(reading, value=f"<{FEWEST}")
        return replace(reading, value=int(value) // FEWEST * FEWEST) if place in _TOTALS else reading


def _counts_guests(reading: Reading) -> bool:
    if reading.sensor == "clients":
        return reading.unit == "count"
    place = (reading.sensor, reading.channel)
    return place == ("dhcp", "leases") or place in _TOTALS or (place[0] == "portal" and place[1].startswith("clients-"))


def _pool_size(settings: HotspotSettings) -> int:
    try:
        found = pool(settings.pool)
    except ValueError:
        return 0  # told by the probe that needs it
    return found.size if found else 0
