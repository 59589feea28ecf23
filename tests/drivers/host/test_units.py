import pytest

from drivers.errors import OptionError
from drivers.host.settings import HostSettings
from drivers.host.units import HotspotUnits, KioskUnits, Services, channels_by_unit, parse_failed, parse_units
from drivers.hotspot.settings import HotspotSettings
from drivers.kiosk.settings import KioskSettings
from drivers.probe import AnswerError, Facts
from tests.drivers.hotspot.recorded import at, say

# Source: systemctl(1), show with -p; one block a unit, an empty line between.
SHOW = b"""Id=hostapd.service
LoadState=loaded
ActiveState=active
SubState=running
NRestarts=2

NRestarts=1
Id=dnsmasq.service
LoadState=loaded
ActiveState=activating
SubState=auto-restart
"""


def hotspot(*units: str) -> HotspotUnits:
    return HotspotUnits(HotspotSettings(units=units or ("hostapd.service", "dnsmasq.service")))


def test_failed_units_are_counted() -> None:
    assert say(Services(HostSettings()), "services-failed", b"NFailedUnits=3\n") == {"failed": 3}


def test_each_unit_tells_its_state_and_all_together_their_restarts() -> None:
    assert say(hotspot(), "units-show", SHOW) == {
        "unit-hostapd": "active",
        "unit-dnsmasq": "auto-restart",
        "restarts": 3,
    }


def test_windows_line_ends_change_nothing() -> None:
    assert say(hotspot(), "units-show", SHOW.replace(b"\n", b"\r\n"))["restarts"] == 3


@pytest.mark.parametrize(
    ("load", "active", "told"),
    [
        ("not-found", "inactive", "not-found"),
        ("masked", "inactive", "masked"),
        ("not-found", "active", "active"),
        ("loaded", "failed", "failed"),
        ("loaded", "inactive", "inactive"),
    ],
)
def test_a_unit_that_systemd_does_not_know_is_told_so(load: str, active: str, told: str) -> None:
    raw = f"Id=x.service\nLoadState={load}\nActiveState={active}\nSubState=dead\n".encode()
    assert say(hotspot("x.service"), "units-show", raw) == {"unit-x": told}, "and no restarts are invented"


def test_units_that_nobody_asked_for_are_passed_over() -> None:
    assert say(hotspot("hostapd.service"), "units-show", SHOW) == {"unit-hostapd": "active", "restarts": 2}


def test_the_kiosks_units_belong_to_the_kiosk() -> None:
    probe = KioskUnits(KioskSettings(units=("dnsmasq",)))
    assert (probe.sensor, probe.units) == ("kiosk", ("dnsmasq.service",))
    assert say(probe, "kiosk-units-show", SHOW) == {"unit-dnsmasq": "auto-restart", "restarts": 1}


def test_every_unit_has_a_channel_of_its_own_whose_name_is_allowed() -> None:
    found = channels_by_unit(
        [
            "cups",
            "cups.service",
            "cups.socket",
            "CUPS.service",
            "kiosk@tty1.service",
            "a-very-long-name-of-a-service-one.service",
            "a-very-long-name-of-a-service-two.service",
            "a-very-long-name-of-a-service-three.service",
            "@.service",
        ]
    )
    assert list(found.values()) == [
        "unit-cups",
        "unit-cups-socket",
        "unit-cups-2",
        "unit-kiosk-tty1",
        "unit-a-very-long-name-of-a-servi",
        "unit-a-very-long-name-of-a-ser-2",
        "unit-a-very-long-name-of-a-ser-3",
        "unit-x",
    ]
    assert all(len(channel) <= 32 for channel in found.values())


@pytest.mark.parametrize("name", ["", "two words.service", "a/b.service"])
def test_what_is_no_unit_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="is no unit"):
        channels_by_unit([name])


@pytest.mark.parametrize("raw", [b"", b"NFailedUnits=", b"NFailedUnits=x", b"3", SHOW])
def test_what_is_no_count_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_failed(raw)


@pytest.mark.parametrize(
    "raw", [b"", SHOW[:60], SHOW.replace(b"ActiveState=active", b"ActiveState="), b"NFailedUnits=0"]
)
def test_half_of_what_systemctl_shows_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_units(raw)


def test_foreign_facts_are_a_bug() -> None:
    with pytest.raises(TypeError):
        list(hotspot().take(Facts(), at(0)))
    with pytest.raises(TypeError):
        list(Services(HostSettings()).take(Facts(), at(0)))
