"""The sensor ``link``: what the uplink costs, and how long its SIM still works."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

from agent.config.link_channels import LINK, QUOTA_ALLOWS, QUOTA_PACE, QUOTA_USED, SIM_DAYS
from agent.meter import Meter
from drivers.driver import Channel, Event
from drivers.reading import Reading

_DIGITS = 4


class LinkProbe:
    """Gives readings of what a technician pays for.

    Args:
        meter: Counts what is used of the quota; None where there is none.
        sim_expires: Last day of the SIM, UTC; None where nobody said.
        utc_ms: UTC as believed, in ms; None while it is not.
    """

    def __init__(self, meter: Meter | None, sim_expires: date | None, utc_ms: Callable[[], int | None]) -> None:
        self._meter = meter
        self._sim_expires = sim_expires
        self._utc_ms = utc_ms

    def collect(self, now_ns: int) -> list[Event]:
        """Look once; what needs the time of day is not told while that is not believed."""
        return list(self._readings(now_ns))

    def _readings(self, now_ns: int) -> Iterator[Reading]:
        utc_ms = self._utc_ms()
        if self._sim_expires is not None and utc_ms is not None:
            today = datetime.fromtimestamp(utc_ms / 1000, UTC).date()
            yield _reading(SIM_DAYS, (self._sim_expires - today).days, now_ns)
        if self._meter is None:
            return
        self._meter.look()
        yield _reading(QUOTA_USED, round(self._meter.quota.share, _DIGITS), now_ns)
        yield _reading(QUOTA_ALLOWS, self._meter.quota.allowed, now_ns)
        pace = self._meter.quota.pace(utc_ms)
        if pace is not None:
            yield _reading(QUOTA_PACE, round(pace, _DIGITS), now_ns)


def _reading(channel: Channel, value: float | str, now_ns: int) -> Reading:
    return Reading(sensor=LINK, channel=channel.name, value=value, unit=channel.unit, boot_ns=now_ns)
