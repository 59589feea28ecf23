"""The guests of the access point: how many, how well they are heard, and whether anything comes of them. Pure.

Values that describe how guests are served are given only for `_FEWEST` guests or more: of fewer they would describe a
person. Retries of a station are known as a sum since it came, so two answers are compared: stations are told apart by
the moment they came, not by an address.

Source: hostapd 2.10 (STA-FIRST, events); Linux nl80211.h (station info), /proc/net/dev.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Event
from drivers.hotspot import hostapd_text
from drivers.hotspot.hostapd_text import Happened
from drivers.hotspot.interfaces import Interfaces, parse_interfaces
from drivers.hotspot.nl80211 import parse_stations
from drivers.hotspot.settings import HotspotSettings
from drivers.hotspot.stations import RadioStations, Station, Stations, parse_iw_stations
from drivers.probe import Facts, Moment, Probe, Source

INFO = DriverInfo(
    name="clients",
    title="Guests of the access point, as counts",
    family="clients",
    mode="poll",
    channels=(
        Channel(name="auth", unit="count", low=0, doc="guests that may send data"),
        Channel(name="assoc", unit="count", low=0, doc="guests that are there, logged in to the radio or not yet"),
        Channel(name="pending", unit="count", low=0, doc="assoc less auth: guests that the radio does not let in"),
        Channel(
            name="over-limit", unit="1", kind="state", doc="true while auth is above client_limit; where that is set"
        ),
        Channel(name="joins", unit="count", low=0, kind="counter", doc="guests that came since the agent started"),
        Channel(name="leaves", unit="count", low=0, kind="counter", doc="guests that left since the agent started"),
        Channel(
            name="flapping",
            unit="1",
            kind="state",
            doc="true while fewer than 5 guests come and go more than 20 times a minute",
        ),
        Channel(name="signal-p50", unit="dBm", low=-110, high=-1, doc="half are heard worse; every_metric"),
        Channel(name="signal-p10", unit="dBm", low=-110, high=-1, doc="a tenth is heard worse; of 3 guests or more"),
        Channel(name="weak", unit="count", low=0, doc="guests heard below -75 dBm; every_metric"),
        Channel(name="idle", unit="count", low=0, doc="guests not heard for 5 minutes"),
        Channel(name="ghosts", unit="/", low=0, high=1, doc="idle guests as a share of assoc; of 3 guests or more"),
        Channel(name="retry", unit="/", low=0, doc="frames sent once more, per frame sent; of 3 guests or more"),
        Channel(name="fail", unit="/", low=0, doc="frames given up, per frame sent; of 3 guests or more"),
        Channel(
            name="mute",
            unit="1",
            kind="state",
            doc="true while guests are there and the radio received not one byte for 15 minutes",
        ),
    ),
    every_s=60.0,
    stale_after_s=300.0,
    source="hostapd control interface; nl80211.h; proc_net(5)",
)
_FEWEST = 3
_WEAK_DBM = -75
_IDLE_MS = 300_000
_MUTE_NS = 900_000_000_000
_FLAPS_PER_MINUTE = 20
_FLAPPING_BELOW = 5
_MINUTE_NS = 60_000_000_000
_SHORTEST_NS = _MINUTE_NS // 2  # a rate over less says little
_SAME_S = 1.5  # connected_s is cut to whole seconds


@dataclass(frozen=True, slots=True)
class _Sent:
    """What was sent to one station until now, and when it came."""

    came_s: float
    packets: int
    retries: int | None
    failed: int | None


class Guests(Probe):
    """Sensor ``clients``: of one interface. What hostapd tells counts; the driver fills in what it does not tell."""

    sources = (
        hostapd_text.STATIONS,
        hostapd_text.STATION,
        hostapd_text.EVENTS,
        Source(name="nl80211-stations", title="nl80211: answer to GET_STATION", parse=parse_stations),
        Source(name="iw-stations", title="iw dev X station dump", parse=parse_iw_stations),
        Source(name="net-dev", title="/proc/net/dev", parse=parse_interfaces),
    )

    def __init__(self, settings: HotspotSettings) -> None:
        super().__init__(INFO, "clients")
        self._interface = settings.interface
        self._limit = settings.client_limit
        self._every_metric = settings.every_metric
        self._auth = self._assoc = 0
        self._walked = self._idle_told = self._levels_told = False
        self._joins = self._leaves = 0
        self._listened_ns: int | None = None
        self._sent: Sequence[_Sent] = ()
        self._received: tuple[int, int] | None = None

    @property
    def enough(self) -> bool:
        """Whether there are guests enough to say how they are served."""
        return self._auth >= _FEWEST

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give what one source says. The count of guests must be given before events and traffic."""
        match facts:
            case RadioStations():
                if not self._walked:
                    yield from self._counted(facts, now)
                if not self._idle_told:
                    yield from self._idle(facts, now)
                if not self._levels_told:
                    yield from self._levels(facts, now)
                yield from self._served(facts, now)
            case Stations():
                self._walked = True
                yield from self._counted(facts, now)
                self._idle_told = any(each.inactive_ms is not None for each in facts.stations)
                yield from self._idle(facts, now)
                self._levels_told = any(each.signal_dbm is not None for each in facts.stations)
                yield from self._levels(facts, now)
            case Station():
                return  # one of many: nothing follows from it
            case Happened():
                yield from self._moved(facts, now)
            case Interfaces():
                yield from self._received_from(facts, now)
            case _:
                raise TypeError(facts)

    def _counted(self, facts: Stations, now: Moment) -> Iterator[Event]:
        auth = facts.count("authorized")
        self._assoc, self._auth = len(_associated(facts)), auth or 0
        yield from self.reading("auth", auth, now)
        yield from self.reading("assoc", self._assoc, now)
        if auth is not None:
            yield from self.reading("pending", max(self._assoc - auth, 0), now)
            if self._limit:
                yield from self.reading("over-limit", auth > self._limit, now)

    def _idle(self, facts: Stations, now: Moment) -> Iterator[Event]:
        assoc = _associated(facts)
        still = [each.inactive_ms for each in assoc if each.inactive_ms is not None]
        if assoc and not still:
            return
        idle = sum(each > _IDLE_MS for each in still)
        yield from self.reading("idle", idle, now)
        if assoc and self.enough:
            yield from self.reading("ghosts", round(idle / len(assoc), 4), now)

    def _levels(self, facts: Stations, now: Moment) -> Iterator[Event]:
        told = [each.signal_dbm for each in facts.stations if each.authorized is not False]
        levels = sorted(each for each in told if each is not None)
        if self._every_metric and levels:
            yield from self.reading("weak", sum(each < _WEAK_DBM for each in levels), now)
        if not self.enough or len(levels) < _FEWEST:
            return
        yield from self.reading("signal-p10", _nearest_rank(levels, 0.1), now)
        if self._every_metric:
            yield from self.reading("signal-p50", _nearest_rank(levels, 0.5), now)

    def _served(self, facts: Stations, now: Moment) -> Iterator[Event]:
        now_s = now.boot_ns / 1_000_000_000
        before, self._sent = self._sent, sorted(_sent(facts, now_s), key=lambda each: each.came_s)
        pairs = list(_same(before, self._sent))
        packets = sum(after.packets - was.packets for was, after in pairs)
        if not self.enough or len(pairs) < _FEWEST or not packets:
            return
        for channel, name in (("retry", "retries"), ("fail", "failed")):
            rises = [_rise(getattr(was, name), getattr(after, name)) for was, after in pairs]
            if None not in rises:
                yield from self.reading(channel, round(sum(each or 0 for each in rises) / packets, 4), now)

    def _moved(self, facts: Happened, now: Moment) -> Iterator[Event]:
        self._joins += facts.connected
        self._leaves += facts.disconnected
        yield from self.reading("joins", self._joins, now)
        yield from self.reading("leaves", self._leaves, now)
        before_ns, self._listened_ns = self._listened_ns, now.boot_ns
        if before_ns is None or now.boot_ns - before_ns < _SHORTEST_NS:
            return
        per_minute = min(facts.connected, facts.disconnected) * _MINUTE_NS / (now.boot_ns - before_ns)
        yield from self.reading("flapping", per_minute > _FLAPS_PER_MINUTE and self._assoc < _FLAPPING_BELOW, now)

    def _received_from(self, facts: Interfaces, now: Moment) -> Iterator[Event]:
        traffic = facts.interfaces.get(self._interface)
        if traffic is None:
            return
        if self._received is None or self._received[0] != traffic.rx_bytes or not self._auth:
            self._received = (traffic.rx_bytes, now.boot_ns)
        yield from self.reading("mute", now.boot_ns - self._received[1] >= _MUTE_NS, now)


def _associated(facts: Stations) -> Sequence[Station]:
    """Return the stations that have not left; where nobody says so all that are listed."""
    return [each for each in facts.stations if each.associated is not False]


def _nearest_rank(ordered: Sequence[int], share: float) -> int:
    return ordered[math.ceil(share * len(ordered)) - 1]


def _sent(facts: Stations, now_s: float) -> Iterator[_Sent]:
    for each in facts.stations:
        if each.connected_s is not None and each.tx_packets is not None:
            yield _Sent(now_s - each.connected_s, each.tx_packets, each.tx_retries, each.tx_failed)


def _same(before: Sequence[_Sent], after: Sequence[_Sent]) -> Iterator[tuple[_Sent, _Sent]]:
    """Pair the stations of two answers, both in the order they came; whoever left or is new stays alone."""
    rest = iter(before)
    was = next(rest, None)
    for each in after:
        while was is not None and was.came_s < each.came_s - _SAME_S:
            was = next(rest, None)
        if was is None:
            return
        if was.came_s <= each.came_s + _SAME_S and was.packets <= each.packets:
            yield was, each
            was = next(rest, None)


def _rise(before: int | None, after: int | None) -> int | None:
    """Return how far a counter rose; None after a reset, and where it is not reported."""
    return None if before is None or after is None or after < before else after - before
