import pytest

from drivers.hotspot.hostapd_text import (
    Bss,
    Happened,
    RadiusClient,
    parse_events,
    parse_mib,
    parse_server_mib,
    parse_station,
    parse_stations,
    parse_status,
)
from drivers.probe import AnswerError

A, B = b"00:00:5e:00:53:01\n", b"00:00:5e:00:53:02\n"
ACS = b"state=ACS\nchannel=0\nbss[0]=wlan0\nssid[0]=a=b\nnum_sta[0]=0\nbss[1]=wlan0_1\nssid[1]=Tamu\nnum_sta[1]=2\n"


def test_every_network_of_an_access_point_is_told_and_no_channel_is_not_channel_0() -> None:
    status = parse_status(ACS)
    assert (status.state, status.channel) == ("ACS", None)
    assert status.bss == (Bss(ifname="wlan0", ssid="a=b", num_sta=0), Bss(ifname="wlan0_1", ssid="Tamu", num_sta=2))


def test_what_hostapd_cli_prints_before_the_answer_is_no_part_of_it() -> None:
    assert parse_status(b"Selected interface 'wlan0'\n" + ACS) == parse_status(ACS)
    assert parse_stations(b"Selected interface 'wlan0'\n").stations == ()


@pytest.mark.parametrize(
    "raw",
    [
        ACS.replace(b"state=ACS\n", b""),
        ACS.replace(b"ACS", b"on the air"),
        ACS.replace(b"num_sta[1]=2\n", b""),
        ACS.replace(b"num_sta[1]=2", b"num_sta[1]=two"),
        ACS.replace(b"channel=0", b"channel="),
        ACS.partition(b"bss[0]")[0],
        ACS[: ACS.rfind(b"num_sta")],
        ACS[: ACS.rfind(b"=") + 1],
        b"wpa_state=COMPLETED\nssid=Rumah\n",
    ],
)
def test_half_a_status_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_status(raw)


def test_a_list_counts_who_may_send_not_who_is_listed() -> None:
    left = B + b"flags=\naid=0\n"
    waits = B.replace(b"02", b"03") + b"flags=[AUTH][ASSOC]\n"
    found = parse_stations(A + b"flags=[AUTHORIZED]\nsignal=-70\n" + left + waits)
    assert (len(found.stations), found.count("authorized"), found.count("associated")) == (3, 1, 2)
    assert found.said()["signal_dbm"] == [-70, None, None]


def test_what_the_driver_did_not_fill_in_is_not_a_level_of_0() -> None:
    station = parse_station(A + b"flags=[AUTHORIZED]\nsignal=0\ntx_rate_info=0\nrx_bytes=0\ninactive_msec=0\n")
    assert (station.signal_dbm, station.tx_rate_kbps) == (None, None)
    assert (station.rx_bytes, station.inactive_ms) == (0, 0)


def test_names_of_networks_are_read_as_people_wrote_them() -> None:
    raw = ACS.replace(b"a=b", rb"\xf0\x9f\x8c\x9d\\_\"o\"\e\n").replace(b"Tamu", rb"Tamu \q")
    first, second = parse_status(raw).bss
    assert (first.ssid, second.ssid) == ('\N{FULL MOON WITH FACE}\\_"o"\033\n', r"Tamu \q")


def test_a_last_line_without_an_end_counts_where_nothing_is_read_from_it() -> None:
    assert parse_status(ACS.rstrip()) == parse_status(ACS)
    assert parse_station(A + b"flags=[AUTHORIZED]\nsignal=-60\next_capab=04").signal_dbm == -60
    with pytest.raises(AnswerError):
        parse_station(A + b"flags=[AUTHORIZED]\nsignal=-6")
    with pytest.raises(AnswerError):
        parse_station(A + b"flags=[AUTHOR\n")


@pytest.mark.parametrize(
    "raw",
    [A, A + b"aid=1\n", A + b"flags=[AUTHORIZED]\nsignal=-6x\n", A + b"flags=[AUTHORIZED]\n\xff\n", b"flags=\n", A + B],
)
def test_what_is_no_station_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_station(raw)


@pytest.mark.parametrize(
    "raw", [A + b"flags=\n", b"Selected interface 'wlan0'\naid=1\n" + A + b"flags=\n", A + b"flags=\n" + B, b"aid=1\n"]
)
def test_what_is_no_list_of_stations_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_stations(raw)


def test_counters_of_several_radius_servers_are_added_up() -> None:
    one = b"radiusAuthServerIndex=1\nradiusAuthClientAccessAccepts=2\nradiusAuthClientTimeouts=3\n"
    found = parse_mib(b"dot11RSNAOptionImplemented=TRUE\n" + one + one)
    assert (found.access_accepts, found.auth_timeouts, found.acct_timeouts) == (4, 6, None)


def test_a_hotspot_without_a_radius_server_reports_no_counters() -> None:
    assert parse_mib(b"dot11RSNAOptionImplemented=TRUE\ndot11RSNAConfigVersion=1\n") == RadiusClient()


@pytest.mark.parametrize(
    "raw", [b"a=1\n", b"dot1xPaePortNumber\n", b"radiusAuthServerIndex=1\nradiusAuthClientTimeouts=x\n"]
)
def test_what_is_no_mib_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_mib(raw)
    with pytest.raises(AnswerError):
        parse_server_mib(raw)


@pytest.mark.parametrize(
    ("raw", "happened"),
    [
        (b"OK\n", Happened()),
        (b"<3>AP-ENABLED ", Happened(ap_enabled=1)),
        (b"IFNAME=wlan0 <3>AP-STA-CONNECTED 00:00:5e:00:53:01 auth_alg=open\n", Happened(connected=1)),
        (b"OK\n<3>CTRL-EVENT-EAP-STARTED 00:00:5e:00:53:01\n<3>AP-DISABLED\n", Happened(ap_disabled=1)),
    ],
)
def test_events_are_counted_by_their_names(raw: bytes, happened: Happened) -> None:
    assert parse_events(raw) == happened


@pytest.mark.parametrize("raw", [b"AP-ENABLED\n", b"<3>AP-ENABLED\nOK\n", b"<3>\n"])
def test_what_is_no_event_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_events(raw)
