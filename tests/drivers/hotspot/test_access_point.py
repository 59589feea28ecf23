import pytest

from drivers.driver import Event
from drivers.hotspot.access_point import AccessPoint
from drivers.hotspot.hostapd_text import Bss, Happened, Status
from drivers.hotspot.interfaces import parse_interfaces
from drivers.hotspot.settings import HotspotSettings
from drivers.hotspot.survey import Levels, Survey, Wireless, parse_iw_survey, parse_wireless
from drivers.probe import AnswerError, Facts, Moment
from drivers.reading import Reading

DEV = b"""Inter-|   Receive                                                |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
 wlan0: 1000 10 0 0 0 0 0 0 2000 20 3 0 0 0 0 0
  eth0:9000 10 0 0 0 0 0 0 8000 20 5 0 0 0 0 0
"""
WIRELESS = b"""Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE
 face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22
 wlan0: 0000   60.  -50.  -92.       0      0      0   1525      0        0
"""
OFF = Status(state="DISABLED", channel=6, bss=(Bss(ifname="wlan0", ssid="Tamu", num_sta=0),))
ON = Status(state="ENABLED", channel=6, bss=OFF.bss)


def said(probe: AccessPoint, facts: Facts) -> dict[str, object]:
    return values(list(probe.take(facts, Moment(boot_ns=1))))


def values(events: list[Event]) -> dict[str, object]:
    return {event.channel: event.value for event in events if isinstance(event, Reading)}


def survey(active_ms: int, busy_ms: int, mhz: int = 2437) -> Survey:
    return Survey(in_use_mhz=mhz, noise_dbm=-95, active_ms=active_ms, busy_ms=busy_ms)


def test_on_the_air_is_what_hostapd_says_and_not_that_it_lives() -> None:
    probe = AccessPoint(HotspotSettings())
    assert said(probe, ON) == {"up": True}
    assert said(probe, OFF) == {"up": False}
    assert values(probe.down(Moment(boot_ns=1))) == {"up": False}


def test_the_channel_is_told_only_where_every_metric_is_wanted() -> None:
    assert said(AccessPoint(HotspotSettings(every_metric=True)), ON) == {"up": True, "channel": 6}


def test_each_going_on_the_air_counts_once() -> None:
    probe = AccessPoint(HotspotSettings())
    said(probe, ON)
    assert said(probe, Happened(ap_disabled=1, ap_enabled=2)) == {"starts": 2}
    probe.another()  # killed and started again: on the air before anybody listened
    assert said(probe, Happened()) == {"starts": 2}
    assert said(probe, ON) == {"up": True, "starts": 3}
    assert said(probe, ON) == {"up": True}
    probe.another()  # started again, and heard going on the air
    assert said(probe, Happened(ap_enabled=1)) == {"starts": 4}
    assert said(probe, ON) == {"up": True}
    probe.another()  # started again, on the air only later
    assert said(probe, OFF) == {"up": False}
    assert said(probe, Happened(ap_enabled=1)) == {"starts": 5}
    assert said(probe, ON) == {"up": True}


def test_utilisation_is_what_rose_between_two_surveys() -> None:
    probe = AccessPoint(HotspotSettings())
    assert said(probe, survey(1000, 500)) == {"noise": -95}
    assert said(probe, survey(11_000, 3000)) == {"noise": -95, "util": 0.25}


@pytest.mark.parametrize(
    "after",
    [survey(500, 400), survey(2000, 400), survey(1000, 500), survey(2000, 600, mhz=2462), Survey(noise_dbm=-95)],
    ids=["reset", "busy fell", "stands still", "other channel", "not reported"],
)
def test_a_reset_or_another_channel_gives_no_utilisation(after: Survey) -> None:
    probe = AccessPoint(HotspotSettings())
    said(probe, survey(1000, 500))
    assert said(probe, after) == {"noise": -95}


def test_utilisation_never_passes_1() -> None:
    probe = AccessPoint(HotspotSettings())
    said(probe, survey(0, 0))
    assert said(probe, survey(1000, 1001))["util"] == 1.0


def test_traffic_is_that_of_the_radio_and_of_no_other_interface() -> None:
    facts = parse_interfaces(DEV)
    assert said(AccessPoint(HotspotSettings()), facts) == {"rx-bytes": 1000, "tx-bytes": 2000}
    assert said(AccessPoint(HotspotSettings(every_metric=True)), facts)["tx-errors"] == 3
    assert said(AccessPoint(HotspotSettings(interface="wlan7")), facts) == {}
    assert facts.said()["eth0"] == {
        "rx_bytes": 9000,
        "rx_packets": 10,
        "tx_bytes": 8000,
        "tx_packets": 20,
        "tx_errors": 5,
    }


def test_noise_of_an_old_driver_is_taken_from_its_own_file() -> None:
    facts = parse_wireless(WIRELESS)
    assert said(AccessPoint(HotspotSettings()), facts) == {"noise": -92}
    assert said(AccessPoint(HotspotSettings(interface="wlan7")), facts) == {}


def test_a_level_without_its_unit_is_not_reported() -> None:
    facts = parse_wireless(WIRELESS.replace(b"-50.", b" 70 ").replace(b"-92.", b"-256"))
    assert facts == Wireless(interfaces={"wlan0": Levels(level_dbm=None, noise_dbm=None)})


@pytest.mark.parametrize("raw", [WIRELESS[:60], WIRELESS[:-40], WIRELESS[20:], WIRELESS.replace(b"-50.", b"x")])
def test_half_a_file_of_levels_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_wireless(raw)


@pytest.mark.parametrize("raw", [DEV[:90], DEV[:-10], DEV.replace(b"1000", b"x"), DEV[10:], WIRELESS])
def test_half_a_file_of_counters_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_interfaces(raw)


def test_the_extension_channel_is_not_taken_for_the_channel() -> None:
    raw = b"""Survey data from wlan0
\tfrequency:\t\t\t2437 MHz [in use]
\tchannel busy time:\t\t1850 ms
\textension channel busy time:\t9999 ms
"""
    assert parse_iw_survey(raw) == Survey(in_use_mhz=2437, busy_ms=1850)


@pytest.mark.parametrize(
    "raw",
    [
        b"\tfrequency:\t5180 MHz\n",
        b"Survey data from wlan0\n",
        b"Survey data from wlan0\n\tfrequency:\t5180 M",
        b"Survey data from wlan0\n\tfrequency:\t5180 MHz\n\tnoise:\t-9",
        b"Survey data from wlan0\n\tfrequency:\t5180 MHz [in use]\n\tchannel active time:\t13 m",
        b"Survey data from wlan0\nfrequency 5180 MHz\n",
    ],
)
def test_half_a_survey_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_iw_survey(raw)


def test_a_survey_without_a_channel_in_use_reports_nothing() -> None:
    raw = b"Survey data from wlan0\n\tfrequency:\t5180 MHz\n\tnoise:\t-95 dBm\n"
    assert parse_iw_survey(raw) == Survey()


def test_facts_of_another_probe_are_a_bug() -> None:
    with pytest.raises(TypeError):
        said(AccessPoint(HotspotSettings()), Facts())
