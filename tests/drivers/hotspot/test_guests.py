from collections.abc import Sequence

import pytest

from drivers.hotspot.guests import Guests
from drivers.hotspot.hostapd_text import Happened
from drivers.hotspot.interfaces import Interfaces, Traffic
from drivers.hotspot.settings import HotspotSettings
from drivers.hotspot.stations import RadioStations, Station, Stations, parse_iw_stations
from drivers.probe import AnswerError, Facts, Moment
from drivers.reading import Reading

MINUTE_NS = 60_000_000_000
HEAD = b"Station 00:00:5e:00:53:02 (on wlan0)\n"


def guest(signal_dbm: int | None = -60, inactive_ms: int | None = 0, *, authorized: bool = True) -> Station:
    return Station(authorized=authorized, associated=True, signal_dbm=signal_dbm, inactive_ms=inactive_ms)


def sent(connected_s: int, packets: int, retries: int | None = 0, failed: int | None = 0) -> Station:
    return Station(authorized=True, connected_s=connected_s, tx_packets=packets, tx_retries=retries, tx_failed=failed)


def said(probe: Guests, facts: Facts, minute: float = 1000) -> dict[str, object]:
    now = Moment(boot_ns=round(minute * MINUTE_NS))
    return {event.channel: event.value for event in probe.take(facts, now) if isinstance(event, Reading)}


def listed(*stations: Station) -> Stations:
    return Stations(stations=stations)


def told(*stations: Station) -> RadioStations:
    return RadioStations(stations=stations)


def traffic(rx_bytes: int) -> Interfaces:
    one = Traffic(rx_bytes=rx_bytes, rx_packets=0, tx_bytes=0, tx_packets=0, tx_errors=0)
    return Interfaces(interfaces={"wlan0": one})


def test_an_empty_hotspot_says_0_guests_and_nothing_of_their_signal() -> None:
    assert said(Guests(HotspotSettings()), listed()) == {"auth": 0, "assoc": 0, "pending": 0, "idle": 0}


def test_guests_that_left_are_not_counted_and_guests_that_wait_are() -> None:
    left = Station(authorized=False, associated=False)
    found = said(Guests(HotspotSettings()), listed(guest(), guest(authorized=False), left))
    assert (found["auth"], found["assoc"], found["pending"]) == (1, 2, 1)


@pytest.mark.parametrize(("limit", "over"), [(1, True), (2, False)])
def test_more_guests_than_the_place_is_made_for_are_told(limit: int, over: bool) -> None:  # noqa: FBT001
    probe = Guests(HotspotSettings(client_limit=limit))
    assert said(probe, listed(guest(), guest()))["over-limit"] is over


def test_percentiles_and_shares_need_three_guests() -> None:
    probe = Guests(HotspotSettings(every_metric=True))
    few = said(probe, listed(guest(-60), guest(-90, 400_000)))
    assert not few.keys() & {"signal-p50", "signal-p10", "ghosts"}
    assert (few["weak"], few["idle"]) == (1, 1)
    many = said(probe, listed(guest(-60), guest(-90, 400_000), guest(-70)))
    assert (many["signal-p10"], many["signal-p50"], many["ghosts"]) == (-90, -70, 0.3333)
    hidden = said(probe, listed(guest(), guest(), guest(None)))
    assert not hidden.keys() & {"signal-p50", "signal-p10"}


def test_the_tenth_that_is_heard_worst_is_no_single_guest_of_many() -> None:
    levels = [-50 - each for each in range(20)]
    probe = Guests(HotspotSettings(every_metric=True))
    found = said(probe, listed(*(guest(each) for each in levels)))
    assert (found["signal-p10"], found["signal-p50"]) == (-68, -60)


def test_the_core_set_leaves_out_the_middle_signal_and_the_weak() -> None:
    found = said(Guests(HotspotSettings()), listed(guest(), guest(), guest()))
    assert "signal-p10" in found
    assert not found.keys() & {"signal-p50", "weak"}


def test_idle_is_told_only_by_a_driver_that_counts_it() -> None:
    found = said(Guests(HotspotSettings()), listed(guest(None, None)))
    assert "idle" not in found


def test_what_hostapd_does_not_tell_the_driver_fills_in() -> None:
    probe = Guests(HotspotSettings())
    assert said(probe, told(guest(), guest(), guest()))["auth"] == 3  # no hostapd here
    silent = guest(None, None)
    assert said(probe, listed(silent, silent, silent)) == {"auth": 3, "assoc": 3, "pending": 0}
    radio = told(guest(-61), guest(-62), guest(-63, 400_000))
    assert said(probe, radio) == {"idle": 1, "ghosts": 0.3333, "signal-p10": -63}
    assert said(probe, told()) == {"idle": 0}  # the two lists are not of one moment
    said(probe, listed(guest(), guest(), guest()))
    assert said(probe, radio) == {}


def test_a_driver_that_does_not_say_who_may_send_gives_no_such_count() -> None:
    assert said(Guests(HotspotSettings()), told(Station(signal_dbm=-50, inactive_ms=0))) == {"assoc": 1, "idle": 0}


def test_retries_are_counted_per_frame_sent_since_the_last_answer() -> None:
    probe = Guests(HotspotSettings())
    assert "retry" not in said(probe, told(sent(100, 1000, 900), sent(50, 0), sent(10, 0)), 1000)
    found = said(probe, told(sent(160, 1100, 950), sent(110, 60, 20), sent(70, 40, 10, 5), sent(3, 9000, 9000)), 1001)
    assert (found["retry"], found["fail"]) == (0.4, 0.025)


@pytest.mark.parametrize(
    "after",
    [
        (sent(160, 1100), sent(110, 60)),
        (sent(160, 1000), sent(110, 0), sent(70, 0)),
        (sent(20, 5), sent(15, 5), sent(10, 5)),
        (sent(160, 950), sent(110, 60), sent(70, 40)),
        (sent(260, 1100), sent(210, 60), sent(190, 40)),
    ],
    ids=["one left", "nothing sent", "all new", "a counter fell", "came earlier than anyone known"],
)
def test_without_three_that_stayed_no_share_is_told(after: Sequence[Station]) -> None:
    probe = Guests(HotspotSettings())
    said(probe, told(sent(100, 1000), sent(50, 0), sent(10, 0)), 1000)
    assert "retry" not in said(probe, told(*after), 1001)


def test_one_that_left_does_not_hide_those_that_stayed() -> None:
    probe = Guests(HotspotSettings())
    said(probe, told(sent(900, 70_000, 60_000), sent(100, 1000), sent(50, 0), sent(10, 0)), 1000)
    found = said(probe, told(sent(160, 1100, 10), sent(110, 60), sent(70, 40)), 1001)
    assert found["retry"] == 0.05


def test_a_driver_that_counts_no_retries_gives_none() -> None:
    probe = Guests(HotspotSettings())
    said(probe, told(sent(100, 0, None), sent(50, 0, None), sent(10, 0, 3)), 1000)
    found = said(probe, told(sent(160, 9, None), sent(110, 9, None), sent(70, 9, 1)), 1001)
    assert found["fail"] == 0
    assert "retry" not in found


def test_those_who_come_and_go_are_counted_for_ever() -> None:
    probe = Guests(HotspotSettings())
    assert said(probe, Happened(connected=2, disconnected=1), 1) == {"joins": 2, "leaves": 1}
    assert said(probe, Happened(connected=1), 1.2) == {"joins": 3, "leaves": 1}  # too soon for a rate
    assert said(probe, Happened(), 2.2) == {"joins": 3, "leaves": 1, "flapping": False}


@pytest.mark.parametrize(
    ("guests", "moves", "flapping"), [(1, 21, True), (1, 20, False), (5, 21, False)], ids=["few", "slow", "many"]
)
def test_few_guests_that_come_and_go_all_the_time_flap(guests: int, moves: int, flapping: bool) -> None:  # noqa: FBT001
    probe = Guests(HotspotSettings())
    said(probe, listed(*[guest()] * guests), 1)
    said(probe, Happened(), 1)
    assert said(probe, Happened(connected=moves, disconnected=moves), 2)["flapping"] is flapping
    assert said(probe, Happened(connected=moves), 3)["flapping"] is False


def test_a_radio_that_hears_nothing_of_its_guests_for_a_quarter_of_an_hour_is_mute() -> None:
    probe = Guests(HotspotSettings())
    said(probe, listed(guest()))
    assert said(probe, traffic(10), 0) == {"mute": False}
    assert said(probe, traffic(10), 14.9) == {"mute": False}
    assert said(probe, traffic(10), 15) == {"mute": True}
    assert said(probe, traffic(11), 16) == {"mute": False}


def test_a_radio_without_guests_has_nothing_to_hear() -> None:
    probe = Guests(HotspotSettings())
    said(probe, listed())
    said(probe, traffic(10), 0)
    assert said(probe, traffic(10), 60) == {"mute": False}
    said(probe, listed(guest()))
    assert said(probe, traffic(10), 61) == {"mute": False}
    assert said(Guests(HotspotSettings(interface="wlan7")), traffic(10)) == {}


def test_one_station_of_many_says_nothing_of_the_whole() -> None:
    assert said(Guests(HotspotSettings()), guest()) == {}


def test_facts_of_another_probe_are_a_bug() -> None:
    with pytest.raises(TypeError):
        said(Guests(HotspotSettings()), Facts())


def test_a_dump_without_its_last_line_end_is_whole_where_the_unit_says_so() -> None:
    raw = b"    " + HEAD + b"\n\ttx packets:\t7\n\tsignal:  \t-47 [-49, -52] dBm\n\tconnected time:\t36 seconds"
    (station,) = parse_iw_stations(raw).stations
    assert (station.tx_packets, station.signal_dbm, station.connected_s) == (7, -47, 36)


@pytest.mark.parametrize(
    "raw",
    [
        HEAD + b"\ttx packets:\t7",
        HEAD + b"\ttx packets:\t7 or so\n",
        HEAD + b"\tsignal:\tgood\n",
        HEAD + b"\tsignal\n",
        HEAD + b"\tauthorized:\ty",
        b"\ttx packets:\t7\n",
        HEAD + HEAD[:12],
    ],
)
def test_half_a_dump_of_stations_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_iw_stations(raw)
