"""What CoovaChilli's program prints."""

import json

import pytest

from drivers.hotspot.chilli import Chilli, parse_json, parse_list
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts
from tests.drivers.hotspot.recorded import at, problems, sample, say, values

LIST = sample("chilli_query-list.txt")
MAC = "00-00-5E-00-53-61"
REST = "5ce0a33600000002 0 - 0/14460 0/3600 0/0 0/0 0 1 0/0 0/0 -"
SESSIONS = {
    "sessions": [
        {
            "nasPort": 1,
            "clientState": 1,
            "ipAddress": "192.168.180.1",
            "macAddress": "00-00-5E-00-53-60",
            "dhcpState": "pass",
            "session": {"sessionId": "5ce176f000000001", "userName": "user1", "sessionTimeout": 14460},
            "accounting": {"sessionTime": 96, "idleTime": 0, "viewPoint": "client"},
        },
        {"nasPort": 2, "clientState": 0, "ipAddress": "10.1.0.9", "macAddress": MAC, "dhcpState": "dnat"},
        {"nasPort": 3, "clientState": 0, "ipAddress": "192.168.180.9"},
    ]
}


def test_guests_are_counted_by_login_and_by_state() -> None:
    found = parse_list(LIST)
    assert (found.clients, found.authenticated, found.state) == (2, 1, {"pass": 1, "none": 1})
    assert found.newest_session_s == 96
    assert parse_list(LIST.replace(b"\n", b"\r\n")) == found


def test_nobody_there_is_none_and_not_silence() -> None:
    assert say(Chilli(HotspotSettings()), "chilli-list", b"") == {
        "up": True,
        "clients-auth": 0,
        "clients-pre": 0,
        "login-stuck": False,
    }


@pytest.mark.parametrize(
    ("line", "clients", "authenticated", "state"),
    [
        (f"{MAC} 10.1.0.2 dnat {REST}", 1, 0, {"dnat": 1}),
        (f"{MAC} 10.1.0.2 splash {REST} 0/0 0/0 extra", 1, 0, {"splash": 1}),
        (f"{MAC} 10.1.0.2 drop 5ce0a336 0 - 0/14460 0/3600 0/0 0/0", 1, 0, {"drop": 1}),
        (f"{MAC} 10.1.0.2 pass 5ce0a336 1 Siti 2 go 9/0 1/0 2/0/7 3/0/8 0 0 0%/0 0%/0 http://a/ b", 1, 1, {"pass": 1}),
        (f"{MAC} none", 1, 0, {"none": 1}),
        (f"{MAC} 10.1.0.2 none", 1, 0, {"none": 1}),
        (f"10.1.0.2 {REST}", 1, 0, {}),
    ],
)
def test_columns_that_versions_add_or_leave_out_change_no_count(
    line: str, clients: int, authenticated: int, state: dict[str, int]
) -> None:
    found = parse_list(f"{line}\n".encode())
    assert (found.clients, found.authenticated, found.state) == (clients, authenticated, state)


@pytest.mark.parametrize(
    "raw",
    [
        LIST[:-1],
        LIST[:60],
        b"10.1.0.2\n",
        b"usage: chilli_query [ -s <socket> ]\n",
        f"{MAC} 10.1.0.2 open {REST}\n".encode(),
        f"{MAC} 10.1.0.2 pass 5ce0a336 1\n".encode(),
        b'{ "sessions":[]}\n',
    ],
)
def test_half_a_list_or_another_text_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_list(raw)


def test_its_json_says_the_same() -> None:
    found = parse_json(json.dumps(SESSIONS).encode())
    assert (found.clients, found.authenticated, found.newest_session_s) == (3, 1, 96)
    assert found.state == {"pass": 1, "dnat": 1}
    assert parse_json(b'{ "sessions":[]}').clients == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        json.dumps(SESSIONS).encode()[:-1],
        b"{}",
        b"[]",
        b'{"sessions": 1}',
        b'{"sessions": [1]}',
        b'{"sessions": [{"clientState": 1}]}',
        b'{"sessions": [{"clientState": 0, "dhcpState": "open"}]}',
        b"[" * 100_000,
    ],
)
def test_half_the_json_or_another_one_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_json(raw)


def listing(waiting: int, *sessions_s: int) -> bytes:
    through = "".join(f"{MAC} 10.1.0.1 pass a 1 u {age}/0 0/0 0/0 0/0 0 1 0%/0 0%/0 -\n" for age in sessions_s)
    return (f"{MAC} 10.1.0.2 dnat {REST}\n" * waiting + through).encode()


def stuck(probe: Chilli, minute: float, waiting: int, *sessions_s: int) -> bool:
    return say(probe, "chilli-list", listing(waiting, *sessions_s), at(1000 + minute * 60))["login-stuck"] is True


def test_many_who_wait_are_stuck_until_a_young_session_is_seen() -> None:
    probe = Chilli(HotspotSettings())
    assert not stuck(probe, 0, 10, 5000)
    assert not stuck(probe, 14.9, 10, 5894)
    assert stuck(probe, 15, 10, 5900)
    assert not stuck(probe, 16, 10, 5960, 59)
    assert stuck(probe, 31, 10, 6860, 959)
    assert not stuck(probe, 32, 9, 6920, 1019)


def test_a_portal_that_is_gone_is_down_and_told_once() -> None:
    probe = Chilli(HotspotSettings())
    first, second = probe.down("it ended with 1", at(60)), probe.down("it ended with 1", at(120))
    assert (values(first), problems(first)) == ({"up": False}, ["chilli-list: it ended with 1"])
    assert (values(second), problems(second)) == ({"up": False}, [])


def test_facts_of_another_probe_are_a_fault_of_the_program() -> None:
    with pytest.raises(TypeError):
        list(Chilli(HotspotSettings()).take(Facts(), at(0)))
