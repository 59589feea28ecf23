"""Over which interface the box reaches the internet, and what went over it. Pure.

Source: `drivers.hotspot.routes`, `drivers.hotspot.interfaces`.
"""

from collections.abc import Iterator

from drivers.driver import Channel, DriverInfo, Event
from drivers.hotspot import routes
from drivers.hotspot.interfaces import Interfaces, parse_interfaces
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import Facts, Moment, Probe, Source

INFO = DriverInfo(
    name="uplink",
    title="Way to the internet",
    family="uplink",
    mode="poll",
    channels=(
        Channel(name="uplink", unit="1", kind="text", doc="interface of the default route, or none"),
        Channel(name="uplink-changes", unit="count", low=0, kind="counter", doc="changes of it since the start"),
        Channel(name="on-backup", unit="1", kind="state", doc="true while it is one of the spare ones"),
        Channel(name="rx-bytes", unit="B", low=0, kind="counter", doc="received over it since it came up"),
        Channel(name="tx-bytes", unit="B", low=0, kind="counter", doc="sent over it since it came up"),
    ),
    every_s=30.0,
    stale_after_s=150.0,
    source="Linux fib_trie.c, ip6_fib.c, net-procfs.c",
)
_NONE = "none"


class Uplink(Probe):
    """Sensor ``wan``: is given both tables of routes, then the interfaces."""

    sources = (
        Source(name="net-route", title="/proc/net/route", parse=routes.parse_routes),
        Source(name="net-ipv6-route", title="/proc/net/ipv6_route", parse=routes.parse_routes_v6),
        Source(name="net-dev", title="/proc/net/dev", parse=parse_interfaces),
    )

    def __init__(self, settings: HotspotSettings) -> None:
        super().__init__(INFO, "wan")
        self._backup = settings.backup
        self._tables: dict[int, routes.Routes] = {}
        self._way: str | None = None
        self._changes = 0

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Keep the tables of this round; what went over the interface that they name closes it."""
        match facts:
            case routes.Routes():
                self._tables[facts.version] = facts
            case Interfaces():
                yield from self._goes(now)
                if (went := facts.interfaces.get(self._way or _NONE)) is not None:
                    yield from self.reading("rx-bytes", went.rx_bytes, now)
                    yield from self.reading("tx-bytes", went.tx_bytes, now)
            case _:
                raise TypeError(facts)

    def _goes(self, now: Moment) -> Iterator[Event]:
        if not self._tables:
            return
        best = routes.best(self._tables.values())
        self._tables = {}
        way = _NONE if best is None else best.interface
        self._changes += self._way not in (None, way)
        self._way = way
        yield from self.reading("uplink", way, now)
        yield from self.reading("uplink-changes", self._changes, now)
        if self._backup:
            yield from self.reading("on-backup", way in self._backup, now)
