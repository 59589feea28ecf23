"""Reads the kernel's tables of routes and interfaces."""

from pathlib import Path

from drivers.driver import Event
from drivers.hotspot import routes
from drivers.hotspot.settings import HotspotSettings
from drivers.hotspot.uplink import Uplink
from drivers.io.answers import file, read
from drivers.probe import AnswerError, Moment

_ROUTES, _ROUTES_V6, _INTERFACES = "net/route", "net/ipv6_route", "net/dev"


class UplinkCollector:
    """Three small files."""

    timeout_s = 2.0

    def __init__(self, settings: HotspotSettings) -> None:
        self.probe = Uplink(settings)
        self.every_s = self.probe.info.every_s
        proc = Path(settings.proc)
        self._routes, self._routes_v6, self._traffic = proc / _ROUTES, proc / _ROUTES_V6, proc / _INTERFACES

    async def collect(self, now: Moment) -> list[Event]:
        """Read them; a kernel without IPv6 has no table of it."""
        events = file(self.probe, "net-route", self._routes, now)
        if self._routes_v6.exists():
            events += file(self.probe, "net-ipv6-route", self._routes_v6, now)
        return events + file(self.probe, "net-dev", self._traffic, now)

    def close(self) -> None:
        """Nothing stays open."""


def default_route(proc: Path) -> routes.DefaultRoute | None:
    """Return the way to the internet now; None where there is none, or the kernel does not say."""
    tables = []
    for name, parse in ((_ROUTES, routes.parse_routes), (_ROUTES_V6, routes.parse_routes_v6)):
        try:
            tables.append(parse(read(proc / name)))
        except (OSError, AnswerError):
            continue
    return routes.best(tables)
