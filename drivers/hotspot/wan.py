"""Whether the internet is there, whoever stands between, and how far away it is. Pure.

A page that cannot be asked because names are dead is no proof against the way to the internet: then echoes decide.
Source: `drivers.hotspot.http_head`, `drivers.hotspot.echo`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from drivers.driver import Channel, DriverInfo, Event, Problem
from drivers.hotspot import echo, http_head
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import Facts, Moment, Probe, Source

INFO = DriverInfo(
    name="wan",
    title="Internet as a guest would find it",
    family="wan",
    mode="poll",
    channels=(
        Channel(name="state", unit="1", kind="text", doc="online, captive, intercepted or down"),
        Channel(name="http-ms", unit="ms", low=0, doc="time to the head of the page; every_metric"),
        Channel(name="gw-rtt", unit="ms", low=0, doc="round trip to the gateway, middle one of five"),
        Channel(name="gw-loss", unit="/", low=0, high=1, doc="share of echoes that the gateway did not answer"),
        Channel(name="net-rtt", unit="ms", low=0, doc="round trip beyond it, middle one of five"),
        Channel(name="net-jitter", unit="ms", low=0, doc="mean change of that round trip"),
        Channel(name="net-loss", unit="/", low=0, high=1, doc="share of echoes not answered beyond it"),
    ),
    every_s=60.0,
    stale_after_s=300.0,
    source="RFC 9110, RFC 6585, RFC 792, RFC 4443",
)
_CHECK = "wan-check"
_RANKS = ("online", "captive", "intercepted")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayEchoes(echo.Echoes):
    """Echoes to the gateway of the default route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetEchoes(echo.Echoes):
    """Echoes to a host beyond it."""


def parse_gateway(raw: bytes) -> GatewayEchoes:
    """Read ``echoes gateway`` and round trips in ms, a dash for a lost one."""
    return GatewayEchoes(**asdict(echo.parse(raw, "gateway")))


def parse_net(raw: bytes) -> NetEchoes:
    """Read ``echoes net`` and round trips in ms, a dash for a lost one."""
    return NetEchoes(**asdict(echo.parse(raw, "net")))


class Wan(Probe):
    """Sensor ``wan``: is given the echoes of a round first, then the best answer to its pages, or that none came."""

    sources = (
        Source(name=_CHECK, title="head of the answer of a page that should answer 204", parse=http_head.parse),
        Source(name="wan-gateway", title="echoes gateway, then round trips in ms or -", parse=parse_gateway),
        Source(name="wan-net", title="echoes net, then round trips in ms or -", parse=parse_net),
    )

    def __init__(self, settings: HotspotSettings) -> None:
        super().__init__(INFO, "wan")
        self._every_metric = settings.every_metric
        self._loss: float | None = None
        self._echoes_pass = False
        self._told = "online"

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give what one source says."""
        match facts:
            case http_head.Check():
                yield from self._is(facts.state, _why(facts), now)
            case GatewayEchoes():
                yield from self.reading("gw-rtt", facts.rtt_ms, now)
                yield from self.reading("gw-loss", facts.loss, now)
            case NetEchoes():
                self._loss = facts.loss
                self._echoes_pass |= facts.loss < 1
                yield from self.reading("net-rtt", facts.rtt_ms, now)
                yield from self.reading("net-jitter", facts.jitter_ms, now)
                yield from self.reading("net-loss", facts.loss, now)
            case _:
                raise TypeError(facts)

    def took(self, ms: float, now: Moment) -> list[Event]:
        """Give how long the page took, where that is wanted."""
        return list(self.reading("http-ms", ms, now)) if self._every_metric else []

    def unanswered(self, why: str, *, names_work: bool, has_route: bool, now: Moment) -> list[Event]:
        """Judge a round in which no page answered.

        Args:
            why: What became of the last page.
            names_work: The hosts of the pages could be looked up now.
            has_route: There is a default route.
            now: When.
        """
        lost, self._loss = self._loss, None
        if not has_route:
            return list(self._is("down", "there is no default route", now))
        if names_work:
            return list(self._is("down", f"no page answers: {why}", now))
        if lost is not None and lost < 1:
            return list(self._is("online", "echoes are answered", now))
        if lost is not None and self._echoes_pass:  # this network lets echoes through, so their loss means something
            return list(self._is("down", "neither names nor echoes are answered", now))
        return self.silent(_CHECK, "names are not answered, so no page can be asked")

    def _is(self, state: str, why: str, now: Moment) -> Iterator[Event]:
        self._loss = None
        yield from self.reading("state", state, now)
        if state != self._told:
            self._told = state
            yield Problem(sensor=self.sensor, code="internet", detail=f"{state}: {why}", ok=state == "online")


def is_online(head: bytes) -> bool:
    """Return whether a page answered as it should; then no other needs to be asked."""
    return http_head.parse(head).state == "online"


def best(heads: Sequence[bytes]) -> bytes:
    """Return the answer that counts of a round: a page that is reached, else the portal that names itself."""
    return min(heads, key=lambda head: _RANKS.index(http_head.parse(head).state))


def _why(check: http_head.Check) -> str:
    if check.sends_to:
        return f"it sends to {check.sends_to}"
    return f"a page that should answer 204 is answered {check.status}"
