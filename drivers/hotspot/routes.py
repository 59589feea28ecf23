"""The kernel's default routes: over which interface and gateway the box reaches the internet. Pure.

Source: Linux net/ipv4/fib_trie.c (fib_route_seq_show), net/ipv6/ip6_fib.c (ipv6_route_native_seq_show),
include/uapi/linux/route.h (RTF_UP, RTF_REJECT).
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from drivers.probe import AnswerError, Facts

_HEAD = ["Iface", "Destination", "Gateway", "Flags"]
_ROW = re.compile(
    r"(?P<interface>\S+)\s+(?P<to>[0-9A-F]{8})\s+(?P<gateway>[0-9A-F]{8})\s+(?P<flags>[0-9A-F]{4,8})"
    r"\s+\d+\s+\d+\s+(?P<metric>\d+)\s+(?P<mask>[0-9A-F]{8})\s+\d+\s+\d+\s+\d+\s*"
)
_ROW_V6 = re.compile(
    r"(?P<to>[0-9a-f]{32}) (?P<length>[0-9a-f]{2}) [0-9a-f]{32} [0-9a-f]{2} (?P<gateway>[0-9a-f]{32})"
    r" (?P<metric>[0-9a-f]{8}) [0-9a-f]{8} [0-9a-f]{8} (?P<flags>[0-9a-f]{8})\s+(?P<interface>\S+)\s*"
)
_UP, _REJECT = 0x0001, 0x0200
_NONE = "00000000"
_NO_INTERFACES = ("*", "lo")  # of rows that refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultRoute:
    """A way to everywhere.

    Attributes:
        interface: As the kernel names it.
        gateway: Address of the next router; None on a line with two ends only (ppp, wwan).
        metric: The lowest is taken.
    """

    interface: str
    gateway: str | None
    metric: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes(Facts):
    """The default routes of one IP version, in the kernel's order."""

    version: int
    defaults: tuple[DefaultRoute, ...]


def parse_routes(raw: bytes) -> Routes:
    """Read /proc/net/route: addresses are hexadecimal in the byte order of the processor, which is little-endian."""
    head, *rows = raw.decode("ascii", "replace").strip().splitlines() or [""]
    if head.split()[:4] != _HEAD:
        raise AnswerError("the head of /proc/net/route is expected")
    found = []
    for text in rows:
        row = _ROW.fullmatch(text)
        if row is None:
            raise AnswerError("a row of /proc/net/route is expected")
        if row["to"] == row["mask"] == _NONE and _leads(row["interface"], int(row["flags"], 16)):
            gateway = bytes.fromhex(row["gateway"])[::-1]
            found.append(_default(row["interface"], gateway, int(row["metric"])))
    return Routes(version=4, defaults=tuple(found))


def parse_routes_v6(raw: bytes) -> Routes:
    """Read /proc/net/ipv6_route, where a box without IPv6 still has a default route that refuses."""
    found = []
    rows = raw.decode("ascii", "replace").strip().splitlines()
    for text in rows:
        row = _ROW_V6.fullmatch(text)
        if row is None:
            raise AnswerError("a row of /proc/net/ipv6_route is expected")
        if not int(row["to"] + row["length"], 16) and _leads(row["interface"], int(row["flags"], 16)):
            found.append(_default(row["interface"], bytes.fromhex(row["gateway"]), int(row["metric"], 16)))
    if not rows:
        raise AnswerError("a row of /proc/net/ipv6_route is expected")
    return Routes(version=6, defaults=tuple(found))


def best(tables: Iterable[Routes]) -> DefaultRoute | None:
    """Return the route that is taken; IPv4 first, where most of the internet is."""
    ways = [(table.version, way.metric, way) for table in tables for way in table.defaults]
    return min(ways, key=lambda way: way[:2])[2] if ways else None


def _leads(interface: str, flags: int) -> bool:
    return bool(flags & _UP) and not flags & _REJECT and interface not in _NO_INTERFACES


def _default(interface: str, gateway: bytes, metric: int) -> DefaultRoute:
    address = str(ipaddress.ip_address(gateway)) if any(gateway) else None
    return DefaultRoute(interface=interface, gateway=address, metric=metric)
