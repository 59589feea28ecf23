"""Each fault of a hotspot, made with the real programs, is told once, by its own layer, and its children keep quiet."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.hotspot.box import Box
from tests.hotspot.city import City
from tests.hotspot.conftest import NOT_REPORTED

pytestmark = [pytest.mark.hotspot, pytest.mark.timeout(240)]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault and what a center must hear of it.

    Attributes:
        makes: Makes it.
        tells: The alarm and its level; nothing else may be told.
        hides: Alarms that are hidden meanwhile, by what explains them.
        minutes: How long it lasts.
        mends: Minutes after which all that was told is clear again.
    """

    makes: Callable[[City], object]
    tells: str
    hides: dict[str, str] = field(default_factory=dict)
    minutes: int = 10
    mends: int = 15


_BEHIND_WAN = {
    "dns-dead": "dns-upstream-dead",
    "dns-hijacked": "dns-dead",
    "dns-upstream-dead": "wan-down",
    "gateway-lossy": "wan-down",
    "internet-lossy": "wan-down",
    "portal-page-down": "dns-dead",
    "portal-api-broken": "portal-page-down",
    "radius-down": "wan-down",
}
_WITHOUT_HOSTAPD = {
    "ap-restarts": "ap-down",
    "clients-flapping": "ap-down",
    "clients-not-let-in": "ap-down",
}
FAULTS = {
    "hostapd is killed": Fault(
        makes=lambda city: city.stop("hostapd", signal.SIGKILL), tells="ap-down alarm", hides=_WITHOUT_HOSTAPD
    ),
    "hostapd switches the radio off": Fault(makes=lambda city: city.hostapd("DISABLE"), tells="ap-down alarm"),
    "dnsmasq is killed": Fault(
        makes=lambda city: city.stop("dnsmasq", signal.SIGKILL),
        tells="dns-dead alarm",
        hides={"dns-hijacked": "dns-dead", "lease-refused": "dns-dead"},
        minutes=40,
        mends=30,
    ),
    "names behind the uplink are dead": Fault(
        makes=lambda city: city.world("dns", "dead"),
        tells="dns-upstream-dead alarm",
        hides={"dns-dead": "dns-upstream-dead"},
        minutes=7,
    ),
    "names behind the uplink are slow": Fault(
        makes=lambda city: city.world("dns", "slow"),
        tells="dns-upstream-slow warning",
        hides={"dns-slow": "dns-upstream-slow"},
        minutes=12,
    ),
    "names that cannot exist are answered": Fault(
        makes=lambda city: city.world("dns", "hijacked"), tells="dns-hijacked warning", minutes=20
    ),
    "the carrier's portal stands in the way": Fault(
        makes=lambda city: city.world("web", "captive"), tells="wan-captive alarm"
    ),
    "somebody answers in place of the internet": Fault(
        makes=lambda city: city.world("web", "intercepted"), tells="wan-intercepted alarm"
    ),
    "no page answers": Fault(makes=lambda city: city.world("web", "down"), tells="wan-down alarm"),
    "the uplink is pulled": Fault(
        makes=lambda city: city.plug(in_=False), tells="wan-down alarm", hides=_BEHIND_WAN, minutes=25, mends=30
    ),
    "the portal's page is gone": Fault(
        makes=lambda city: city.world("portal", "down"),
        tells="portal-page-down alarm",
        hides={"portal-api-broken": "portal-page-down"},
        minutes=25,
        mends=30,
    ),
    "the portal's interface answers a page": Fault(
        makes=lambda city: city.world("portal", "wrong"), tells="portal-api-broken warning", minutes=25, mends=30
    ),
    "RADIUS is killed": Fault(makes=lambda city: city.stop("radius", signal.SIGKILL), tells="radius-down alarm"),
    "RADIUS knows another secret": Fault(
        makes=lambda city: city.tell_secret("not this one"), tells="radius-down alarm", minutes=5
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_raises_its_own_alarm_mutes_its_children_and_clears(fault: Fault, city: City, box: Box) -> None:
    fault.makes(city)
    broken = box.live(minutes=fault.minutes)
    assert broken.told == [fault.tells], broken
    assert broken.hidden == fault.hides, broken
    city.mend()
    mended = box.live(minutes=fault.mends)
    assert mended.told == [f"{fault.tells.split()[0]} clear"], mended
    assert mended.hidden == {}, mended


def test_an_exhausted_pool_explains_the_guests_that_it_refuses(city: City, box: Box) -> None:
    assert [city.lease(guest) for guest in (3, 4, 5)] == [True, True, False]
    told = []
    for _ in range(5):
        told += box.live(minutes=5).told
        assert not city.lease(5)
    full = box.live(minutes=5)
    assert [*told, *full.told] == ["lease-pool-full alarm"]
    assert full.hidden == {"lease-refused": "lease-pool-full"}
    city.release(3)
    roomy = box.live(minutes=60)
    assert roomy.told == ["lease-pool-full clear"]
    assert roomy.hidden == {}


def test_opennds_is_told_by_its_own_alarm_when_it_is_killed_and_clears_when_it_is_back(city: City) -> None:
    city.start_opennds()
    box = Box(city, portal="opennds")
    try:
        well = box.live(minutes=20)
        assert (well.told, well.values["portal/up"]) == ([], True)
        city.stop("opennds", signal.SIGKILL)
        broken = box.live(minutes=15)
        assert broken.told == ["portal-down alarm"]
        city.start_opennds()
        assert box.live(minutes=15).told == ["portal-down clear"]
    finally:
        box.close()
        city.stop("opennds")


def test_ten_hours_in_which_all_is_well_raise_nothing(box: Box) -> None:
    lived = box.live(minutes=600)
    assert lived.told == []
    assert lived.hidden == {}
    assert lived.standing.keys() <= NOT_REPORTED


def test_guests_are_counted_as_they_come_and_go_and_after_a_restart_of_hostapd(city: City, box: Box) -> None:
    city.associate(3)
    came = box.live(minutes=2).values
    assert (came["clients/auth"], came["clients/joins"]) == (3, 1)
    city.leave(3)
    left = box.live(minutes=2).values
    assert (left["clients/auth"], left["clients/leaves"]) == (2, 1)
    city.stop("hostapd", signal.SIGKILL)
    city.start_hostapd()
    anew = box.live(minutes=2)
    assert (anew.values["clients/auth"], anew.values["ap/up"], anew.values["ap/starts"]) == (0, True, 1)
    assert anew.told == []
