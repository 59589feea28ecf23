"""dnsmasq's leases: how many addresses are taken, how many are left, whom it had to send away. Pure.

dnsmasq counts no exhausted pool: a guest for whom no address is left is a discover without an offer.

Source: dnsmasq 2.90, src/lease.c (lease_update_file, lease_init), src/rfc2131.c (DHCPDISCOVER: counted before the
search for an address ends, DHCPOFFER only when one was found), src/metrics.c, dbus/DBus-interface (GetMetrics).
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from drivers.driver import Channel, DriverInfo, Event, Problem
from drivers.hotspot.addresses import Pool, pool
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source

INFO = DriverInfo(
    name="dnsmasq",
    title="Addresses for guests, by dnsmasq's file of leases",
    family="dnsmasq",
    mode="poll",
    channels=(
        Channel(name="leases", unit="count", low=0, doc="IPv4 leases that have not run out"),
        Channel(name="pool-used", unit="/", low=0, high=1, doc="share of the pool that is leased; needs the key pool"),
    ),
    every_s=60.0,
    stale_after_s=300.0,
    source="dnsmasq 2.90, src/lease.c",
)
BUS_INFO = DriverInfo(
    name="dnsmasq-bus",
    title="Addresses given and refused, by dnsmasq over D-Bus",
    family="dnsmasq",
    mode="poll",
    channels=(
        Channel(
            name="refused",
            unit="count",
            low=0,
            kind="counter",
            doc="guests' questions for an address without an offer; not with dhcp-rapid-commit",
        ),
        Channel(name="acks", unit="count", low=0, kind="counter", doc="leases given or renewed; every_metric"),
        Channel(name="naks", unit="count", low=0, kind="counter", doc="addresses denied to a guest; every_metric"),
    ),
    every_s=300.0,
    stale_after_s=900.0,
    source="dnsmasq 2.90, dbus/DBus-interface",
)

_HARDWARE = r"(?:[0-9a-f]{2}-)?(?:[0-9a-f]{2}(?::[0-9a-f]{2})*)?"
_REST = r"\S+ (?:\*|[0-9a-f]{2}(?::[0-9a-f]{2})*)(?: \S+)*"
_LEASE = re.compile(rf"(\d{{1,20}}) {_HARDWARE} (\d{{1,3}}(?:\.\d{{1,3}}){{3}}) {_REST}", re.IGNORECASE)
_LEASE_V6 = re.compile(rf"(\d+) T?\d+ [0-9a-f]*:[0-9a-f:.]+ {_REST}", re.IGNORECASE)
_DUID = re.compile(r"duid [0-9a-f]{2}(?::[0-9a-f]{2})*", re.IGNORECASE)
_LOGGED = re.compile(r"\bdnsmasq(?:-[a-z]+)?(?:\[\d+\])?: ")
_NO_ADDRESS = re.compile(r"\bdnsmasq-dhcp(?:\[\d+\])?: (?:\d+ )?DHCPDISCOVER\(\S+\) .*\bno address available\s*$")
_METRIC = re.compile(r"([a-z0-9_]+)[\t ]+(\d{1,20})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leases(Facts):
    """The file of leases: when each runs out, in seconds since 1970, 0 for never. Nothing of whom.

    Attributes:
        leases: IPv4 leases in the file, run out or not.
        leases_v6: The same for IPv6.
        pool: The range that the settings name.
        pool_size: How many addresses it has.
        expiries: Of all IPv4 leases.
        pool_expiries: Of those inside the pool; None without a pool.
    """

    leases: int
    leases_v6: int
    pool: str | None
    pool_size: int | None
    expiries: tuple[int, ...]
    pool_expiries: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged(Facts):
    """Lines of dnsmasq's log: how many guests found the pool empty."""

    no_address_available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics(Facts):
    """What dnsmasq counted since its start; None for what this version does not count."""

    dhcp_discover: int | None
    dhcp_offer: int | None
    dhcp_request: int | None
    dhcp_ack: int | None
    dhcp_nak: int | None
    dhcp_decline: int | None
    dhcp_release: int | None
    leases_allocated_4: int | None
    leases_pruned_4: int | None


def parse_leases(raw: bytes, within: Pool | None = None) -> Leases:
    """Read a file of leases; an empty one means that nobody has a lease."""
    expiries: list[int] = []
    inside: list[int] = []
    leases_v6 = 0
    for line in _whole_lines(raw):
        if found := _LEASE.fullmatch(line):
            expiries.append(int(found[1]))
            address = _address(found[2])
            if within is not None and address in within:
                inside.append(int(found[1]))
        elif _LEASE_V6.fullmatch(line):
            leases_v6 += 1
        elif not _DUID.fullmatch(line):
            raise AnswerError("lines of expiry, hardware address, address, name and client id are expected")
    return Leases(
        leases=len(expiries),
        leases_v6=leases_v6,
        pool=str(within) if within else None,
        pool_size=within.size if within else None,
        expiries=tuple(expiries),
        pool_expiries=tuple(inside) if within else None,
    )


def _address(text: str) -> int:
    try:
        return int(ipaddress.IPv4Address(text))
    except ipaddress.AddressValueError:
        raise AnswerError("a lease is of no IPv4 address") from None


def _whole_lines(raw: bytes) -> list[str]:
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n")
    if text and not text.endswith("\n"):
        raise AnswerError("it ends in the middle of a line")
    return [line.strip() for line in text.split("\n") if line.strip()]


def parse_log(raw: bytes) -> Logged:
    """Read lines of dnsmasq's log; lines of other programs between them are passed over."""
    lines = [line for line in raw.decode("utf-8", "replace").splitlines() if _LOGGED.search(line)]
    if not lines:
        raise AnswerError("lines of dnsmasq's log are expected")
    return Logged(no_address_available=sum(bool(_NO_ADDRESS.search(line)) for line in lines))


def parse_metrics(raw: bytes) -> Metrics:
    """Read ``name<TAB>value`` lines of GetMetrics."""
    found = [_METRIC.fullmatch(line) for line in _whole_lines(raw)]
    counts = {each[1]: int(each[2]) for each in found if each}
    if None in found or not any(name.startswith("dhcp_") for name in counts):
        raise AnswerError("lines of a name and a number are expected, dhcp_ack among them")
    return Metrics(**{name: counts.get(name) for name in Metrics.__slots__})


class Dnsmasq(Probe):
    """Sensor ``dhcp``: what is taken now. The log is read by hand only, for it holds whose device it was."""

    def __init__(self, settings: HotspotSettings) -> None:
        self._wrong = ""
        within = None
        try:
            within = pool(settings.pool)
        except ValueError as error:
            self._wrong = str(error)
        self.sources = (
            Source(name="dnsmasq-log", title="lines of dnsmasq's log, by hand only", parse=parse_log),
            Source(name="dnsmasq-leases", title="dnsmasq's file of leases", parse=partial(parse_leases, within=within)),
        )
        super().__init__(INFO, "dhcp")

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give what has not run out; while the clock is not believed, all that dnsmasq still holds."""
        match facts:
            case Leases():
                if self._wrong:
                    yield Problem(sensor=self.sensor, code="pool", detail=f"key pool: {self._wrong}")
                    self._wrong = ""
                yield from self.reading("leases", _running(facts.expiries, now), now)
                if facts.pool_expiries is not None and facts.pool_size is not None:
                    used = round(_running(facts.pool_expiries, now) / facts.pool_size, 4)
                    yield from self.reading("pool-used", used, now)
            case Logged():
                return
            case _:
                raise TypeError(facts)


def _running(expiries: tuple[int, ...], now: Moment) -> int:
    return sum(1 for expiry in expiries if expiry == 0 or now.utc_s is None or expiry > now.utc_s)


class DnsmasqBus(Probe):
    """Sensor ``dhcp``: what dnsmasq counted since its start."""

    sources = (Source(name="dnsmasq-metrics", title="D-Bus GetMetrics as name<TAB>value", parse=parse_metrics),)

    def __init__(self, settings: HotspotSettings) -> None:
        super().__init__(BUS_INFO, "dhcp")
        self._every_metric = settings.every_metric

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give the counters; refused guests are discovers without an offer."""
        if not isinstance(facts, Metrics):
            raise TypeError(facts)
        if facts.dhcp_discover is not None and facts.dhcp_offer is not None:
            yield from self.reading("refused", max(0, facts.dhcp_discover - facts.dhcp_offer), now)
        if self._every_metric:
            yield from self.reading("acks", facts.dhcp_ack, now)
            yield from self.reading("naks", facts.dhcp_nak, now)
