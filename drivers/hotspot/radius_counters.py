"""The RADIUS server as the access point meets it: hostapd's own counters. Pure.

Source: hostapd 2.10 src/radius/radius_client.c (radius_client_get_mib), named as in RFC 4668 and RFC 4670.
"""

from collections.abc import Iterator

from drivers.driver import Channel, DriverInfo, Event
from drivers.hotspot import hostapd_text
from drivers.hotspot.hostapd_text import Happened, RadiusClient, RadiusServer, Status
from drivers.hotspot.settings import HotspotSettings
from drivers.hotspot.stations import Station, Stations
from drivers.probe import Facts, Moment, Probe

INFO = DriverInfo(
    name="hostapd",
    title="Logins of guests at the RADIUS server, as hostapd counts them",
    family="hostapd",
    mode="poll",
    channels=(
        Channel(name="radius-accepts", unit="count", low=0, kind="counter", doc="logins granted since hostapd started"),
        Channel(name="radius-timeouts", unit="count", low=0, kind="counter", doc="requests that got no answer in time"),
        Channel(
            name="radius-silent",
            unit="1",
            kind="state",
            doc="true from the first login that got no answer until the server answers one",
        ),
    ),
    every_s=60.0,
    stale_after_s=300.0,
    source="hostapd control interface: MIB",
)


class RadiusCounters(Probe):
    """Sensor ``svc``; it also reads whatever else hostapd says, which others give readings of."""

    sources = (
        hostapd_text.STATUS,
        hostapd_text.STATION,
        hostapd_text.STATIONS,
        hostapd_text.MIB,
        hostapd_text.SERVER_MIB,
        hostapd_text.EVENTS,
    )

    def __init__(self, _settings: HotspotSettings) -> None:
        super().__init__(INFO, "svc")
        self._before: tuple[int, int] | None = None
        self._is_silent = False

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give the counters of the client."""
        match facts:
            case RadiusClient():
                yield from self._client(facts, now)
            case Status() | Station() | Stations() | RadiusServer() | Happened():
                return
            case _:
                raise TypeError(facts)

    def _client(self, facts: RadiusClient, now: Moment) -> Iterator[Event]:
        yield from self.reading("radius-accepts", facts.access_accepts, now)
        yield from self.reading("radius-timeouts", facts.auth_timeouts, now)
        if facts.auth_timeouts is None:  # it asks no RADIUS server
            return
        answers = sum(each or 0 for each in (facts.access_accepts, facts.access_rejects, facts.access_challenges))
        timeouts = facts.auth_timeouts
        before, self._before = self._before, (answers, timeouts)
        if before is None or answers < before[0]:  # hostapd is new
            before = (answers, timeouts)
        if answers > before[0]:
            self._is_silent = False
        elif timeouts > before[1]:
            self._is_silent = True
        yield from self.reading("radius-silent", self._is_silent, now)
