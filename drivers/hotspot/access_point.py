"""The access point: on the air or not, its channel, its air and its traffic. Pure.

Source: hostapd 2.10 (STATUS, events); Linux nl80211.h (survey), /proc/net/dev.
"""

from collections.abc import Iterator

from drivers.driver import Channel, DriverInfo, Event
from drivers.hotspot import hostapd_text
from drivers.hotspot.hostapd_text import Happened, Status
from drivers.hotspot.interfaces import Interfaces, parse_interfaces
from drivers.hotspot.nl80211 import parse_survey
from drivers.hotspot.settings import HotspotSettings
from drivers.hotspot.survey import Survey, Wireless, parse_iw_survey, parse_wireless
from drivers.probe import Facts, Moment, Probe, Source

INFO = DriverInfo(
    name="ap",
    title="Access point",
    family="ap",
    mode="poll",
    channels=(
        Channel(name="up", unit="1", kind="state", doc="true while hostapd answers and is on the air"),
        Channel(name="starts", unit="count", low=0, kind="counter", doc="times it went on the air, as this agent saw"),
        Channel(name="channel", unit="1", kind="state", doc="channel of the radio; every_metric"),
        Channel(name="util", unit="/", low=0, high=1, doc="share of time in which somebody was on the air"),
        Channel(
            name="noise",
            unit="dBm",
            low=-127,
            high=-30,
            stuck_after_s=21_600,
            doc="noise of the channel; a driver that always says the same measures nothing",
        ),
        Channel(name="rx-bytes", unit="B", low=0, kind="counter", doc="received from guests since the interface is"),
        Channel(name="tx-bytes", unit="B", low=0, kind="counter", doc="sent to guests since the interface is"),
        Channel(name="tx-errors", unit="count", low=0, kind="counter", doc="frames that were not sent; every_metric"),
    ),
    every_s=30.0,
    stale_after_s=300.0,
    source="hostapd control interface; nl80211.h; proc_net(5)",
)


class AccessPoint(Probe):
    """Sensor ``ap``: of one interface."""

    sources = (
        hostapd_text.STATUS,
        hostapd_text.EVENTS,
        Source(name="net-dev", title="/proc/net/dev", parse=parse_interfaces),
        Source(name="nl80211-survey", title="nl80211: answer to GET_SURVEY", parse=parse_survey),
        Source(name="iw-survey", title="iw dev X survey dump", parse=parse_iw_survey),
        Source(name="net-wireless", title="/proc/net/wireless", parse=parse_wireless),
    )

    def __init__(self, settings: HotspotSettings) -> None:
        super().__init__(INFO, "ap")
        self._interface = settings.interface
        self._every_metric = settings.every_metric
        self._starts = 0
        self._another = False
        self._survey: Survey | None = None

    def another(self) -> None:
        """Take note that another hostapd answers than before: what it told before that was not heard."""
        self._another = True

    def down(self, now: Moment) -> list[Event]:
        """Give what follows from a hostapd that is not there or does not answer."""
        return list(self.reading("up", value=False, now=now))

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give what one source says. Events that came before a status must be given before it."""
        match facts:
            case Status():
                yield from self._status(facts, now)
            case Happened():
                self._starts += facts.ap_enabled
                self._another &= not facts.ap_enabled
                yield from self.reading("starts", self._starts, now)
            case Survey():
                yield from self._heard(facts, now)
            case Interfaces():
                yield from self._traffic(facts, now)
            case Wireless():
                levels = facts.interfaces.get(self._interface)
                yield from self.reading("noise", levels.noise_dbm if levels else None, now)
            case _:
                raise TypeError(facts)

    def _status(self, facts: Status, now: Moment) -> Iterator[Event]:
        up = facts.state == "ENABLED"
        if up and self._another:  # it went on the air before anybody listened
            self._starts += 1
            yield from self.reading("starts", self._starts, now)
        self._another = False
        yield from self.reading("up", up, now)
        if self._every_metric:
            yield from self.reading("channel", facts.channel, now)

    def _heard(self, facts: Survey, now: Moment) -> Iterator[Event]:
        before, self._survey = self._survey, facts
        yield from self.reading("noise", facts.noise_dbm, now)
        if before is None or before.in_use_mhz != facts.in_use_mhz:
            return
        active, busy = _risen(before.active_ms, facts.active_ms), _risen(before.busy_ms, facts.busy_ms)
        if active and busy is not None:
            yield from self.reading("util", min(round(busy / active, 4), 1.0), now)

    def _traffic(self, facts: Interfaces, now: Moment) -> Iterator[Event]:
        traffic = facts.interfaces.get(self._interface)
        if traffic is None:
            return
        yield from self.reading("rx-bytes", traffic.rx_bytes, now)
        yield from self.reading("tx-bytes", traffic.tx_bytes, now)
        if self._every_metric:
            yield from self.reading("tx-errors", traffic.tx_errors, now)


def _risen(before: int | None, after: int | None) -> int | None:
    """Return how far a counter rose; None after a reset."""
    return None if before is None or after is None or after < before else after - before
