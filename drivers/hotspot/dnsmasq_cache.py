"""How well dnsmasq's cache of names serves the guests: its own counters, asked as DNS texts. Pure.

Each such question is counted by dnsmasq as a hit, so what was asked from here is taken off again.

Source: dnsmasq(8), "cache statistics": texts of class CHAOS under cachesize.bind, insertions.bind, evictions.bind,
misses.bind, hits.bind, auth.bind and servers.bind; src/option.c and src/cache.c (cache_make_stat).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Event
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source

INFO = DriverInfo(
    name="dnsmasq-cache",
    title="dnsmasq's cache of names",
    family="dnsmasq",
    mode="poll",
    channels=(
        Channel(name="hits", unit="count", low=0, kind="counter", doc="names answered here; every_metric"),
        Channel(name="misses", unit="count", low=0, kind="counter", doc="names asked of the uplink; every_metric"),
    ),
    every_s=300.0,
    stale_after_s=900.0,
    source="dnsmasq(8), cache statistics",
)
ASKED = ("hits.bind", "misses.bind")
"""Names that are asked in each round, in this order: few, for each is a hit."""

_LINE = re.compile(r'([a-z]+)\.bind\.?((?:[\t ]+"[^"]*")+)')
_QUOTED = re.compile(r'"([^"]*)"')
_COUNT = re.compile(r"\d{1,20}")
_UPSTREAM = re.compile(r"(\S+#\d+) (\d{1,20}) (\d{1,20})(?: \d+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A server of the uplink, and how many questions were sent to it and failed there."""

    addr: str
    sent: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache(Facts):
    """What dnsmasq counted since its start; None for what was not asked. Questions of this kind are hits too."""

    cachesize: int | None
    insertions: int | None
    evictions: int | None
    misses: int | None
    hits: int | None
    auth: int | None
    upstream: tuple[Upstream, ...] | None


def parse_cache(raw: bytes) -> Cache:
    """Read ``hits.bind "7"`` lines; servers.bind has one quoted text for each server."""
    texts: dict[str, tuple[str, ...]] = {}
    for line in raw.decode("ascii", "replace").splitlines():
        found = _LINE.fullmatch(line.strip())
        if found:
            texts[found[1]] = tuple(_QUOTED.findall(found[2]))
        elif line.strip():
            raise AnswerError("lines of a name under .bind and quoted texts are expected")
    counts = {name: _count(texts[name]) if name in texts else None for name in Cache.__slots__ if name != "upstream"}
    if not any(value is not None for value in counts.values()) and "servers" not in texts:
        raise AnswerError("no counter of dnsmasq is in it")
    return Cache(**counts, upstream=_upstream(texts["servers"]) if "servers" in texts else None)


def _count(texts: tuple[str, ...]) -> int:
    if len(texts) != 1 or not _COUNT.fullmatch(texts[0]):
        raise AnswerError("a counter is no number")
    return int(texts[0])


def _upstream(texts: tuple[str, ...]) -> tuple[Upstream, ...]:
    found = [_UPSTREAM.fullmatch(text) for text in texts if text]
    if None in found:
        raise AnswerError("a server is not address, sent and failed")
    return tuple(Upstream(addr=each[1], sent=int(each[2]), failed=int(each[3])) for each in found if each)


class DnsmasqCache(Probe):
    """Sensor ``dns``. An answer is counted as a hit only after it was given, so it holds those of earlier rounds."""

    sources = (Source(name="dnsmasq-chaos", title='texts of class CHAOS as name.bind "text"', parse=parse_cache),)

    def __init__(self, _settings: HotspotSettings) -> None:
        super().__init__(INFO, "dns")
        self._own = 0
        self._last = 0

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give hits, without those of this probe, and misses; when dnsmasq began anew, so do both."""
        if not isinstance(facts, Cache):
            raise TypeError(facts)
        if facts.hits is not None:
            if facts.hits < self._last:
                self._own = 0
            self._last = facts.hits
            yield from self.reading("hits", max(0, facts.hits - self._own), now)
        yield from self.reading("misses", facts.misses, now)
        self._own += sum(getattr(facts, name) is not None for name in Cache.__slots__)
