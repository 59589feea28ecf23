"""What openNDS says on its control socket."""

import json

import pytest

from drivers.driver import Problem
from drivers.hotspot.opennds import Counts, Opennds, parse_json, parse_status
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts
from tests.drivers.hotspot.recorded import at, problems, sample, say, values

STATUS = sample("opennds-9.10-status.txt")
JSON = sample("opennds-9.10-json-preauth.json")
BROKEN = sample("opennds-9.6-json-malformed.txt")


def guests(*states: str, length: object = None) -> dict[str, object]:
    held = {f"02:00:00:00:00:{at:02x}": {"token": "482b235c", "state": state} for at, state in enumerate(states)}
    return {"client_list_length": str(len(states)) if length is None else length, "clients": held}


def status(*, auths: int = 0, waiting: int = 0, uptime: str = "4m 52s") -> bytes:
    text = STATUS.decode().replace("since start: 1", f"since start: {auths}").replace("4m 52s", uptime)
    head, tail = text.split("Client 0")
    client = tail.partition("====")[0].replace("Authenticated", "Preauthenticated")
    return f"{head}{waiting * f'Client 0{client}'}====\n========\n".encode()


def test_guests_are_counted_by_what_the_portal_lets_them_do() -> None:
    raw = json.dumps(guests("Authenticated", "Trusted", "Blocked", "AuthBlocked", "Preauthenticated", "new")).encode()
    found = parse_json(raw)
    assert (found.clients, found.authenticated, found.preauthenticated) == (6, 1, 1)
    assert (found.trusted, found.blocked, found.json_valid, found.tolerant) == (1, 2, True, None)


@pytest.mark.parametrize("length", ["3", 3])
def test_a_count_may_be_text_or_a_number(length: object) -> None:
    assert parse_json(json.dumps(guests(length=length)).encode()).clients == 3


@pytest.mark.parametrize(
    "raw",
    [
        BROKEN,
        BROKEN.replace(b"\n", b"\r\n"),
        BROKEN.replace(b'"custom":"bmE="', b'"custom":"}{"'),
        BROKEN.replace(b'"bmE="', rb'"a \" }"'),
    ],
)
def test_json_with_commas_missing_or_too_many_still_gives_its_counts(raw: bytes) -> None:
    found = parse_json(raw)
    assert not found.json_valid
    assert found.tolerant == Counts(clients=1, authenticated=1, preauthenticated=0, trusted=0, blocked=0)
    assert (found.clients, found.authenticated) == (1, 1)
    assert values(Opennds(HotspotSettings()).answer("opennds-json", raw, at(0))) == {
        "up": True,
        "clients-auth": 1,
        "clients-pre": 0,
    }


def test_json_nested_beyond_reason_is_read_as_far_as_its_counts_go() -> None:
    raw = b'{"client_list_length":"0","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert not parse_json(raw).json_valid


@pytest.mark.parametrize("cut", [1, 2, 5, 60, 400, 700])
@pytest.mark.parametrize("raw", [JSON.rstrip(), BROKEN.rstrip()])
def test_half_of_the_json_is_refused(raw: bytes, cut: int) -> None:
    with pytest.raises(AnswerError):
        parse_json(raw[:-cut])


@pytest.mark.parametrize("raw", [b"", b"{}", b'{"captive": true}', b"[1]", b'{"client_list_length":"1"} x', STATUS])
def test_another_answer_is_no_list_of_guests(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_json(raw)


def test_the_status_tells_version_uplink_logins_and_guests() -> None:
    found = parse_status(STATUS)
    assert (found.version, found.uptime_s, found.upstream_online) == ("9.10.0", 292, True)
    assert (found.auths_since_start, found.clients, found.authenticated) == (1, 1, 1)
    assert parse_status(STATUS.replace(b"\n", b"\r\n")) == found


@pytest.mark.parametrize(
    ("uptime", "seconds"), [("61s", 61), ("59m 1s", 3541), ("1h 0m 2s", 3602), ("3d 0h 1m 0s", 259_260)]
)
def test_the_time_since_its_start_is_read_in_all_its_forms(uptime: str, seconds: int) -> None:
    assert parse_status(status(uptime=uptime)).uptime_s == seconds


@pytest.mark.parametrize(
    ("uptime", "line", "online"),
    [
        ("59s", b"Upstream gateway(s) [ online:198.51.100.1,gwan  ]", None),
        ("13s", b"All Upstream gateway(s) are offline or not connected [  ]", None),
        ("1m 0s", b"All Upstream gateway(s) are offline or not connected [ offline:198.51.100.1,gwan ]", False),
        ("1m 0s", b"Upstream gateway(s) [ offline:192.0.2.1,b online:198.51.100.1,a ]", True),
        ("1m 0s", b"Walled garden: none", None),
    ],
)
def test_what_it_says_of_its_uplink_counts_after_its_first_minute(
    uptime: str, line: bytes, *, online: bool | None
) -> None:
    raw = status(uptime=uptime).replace(b"Upstream gateway(s) [ online:198.51.100.1,gwan  ]", line)
    assert parse_status(raw).upstream_online is online


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        STATUS[:-12],
        STATUS[:600],
        STATUS[:-400],
        STATUS.replace(b"openNDS", b"otherNDS"),
        STATUS.replace(b"Current clients: 1", b"Current clients: some"),
        JSON,
    ],
)
def test_half_a_status_or_another_text_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_status(raw)


def test_the_status_gives_every_channel() -> None:
    assert say(Opennds(HotspotSettings()), "opennds-status", STATUS) == {
        "up": True,
        "clients-auth": 1,
        "clients-pre": 0,
        "auths": 1,
        "login-stuck": False,
    }


def stuck(probe: Opennds, minute: float, *, auths: int, waiting: int) -> bool:
    found = say(probe, "opennds-status", status(auths=auths, waiting=waiting), at(minute * 60))
    assert found["clients-pre"] == waiting
    return found["login-stuck"] is True


def test_ten_who_wait_a_quarter_of_an_hour_without_one_login_are_stuck() -> None:
    probe = Opennds(HotspotSettings())
    assert [stuck(probe, minute, auths=7, waiting=10) for minute in (0, 5, 14.9, 15, 30)] == [False] * 3 + [True] * 2
    assert not stuck(probe, 31, auths=8, waiting=10)
    assert not stuck(probe, 45, auths=8, waiting=10)
    assert stuck(probe, 46, auths=8, waiting=10)
    assert not stuck(probe, 47, auths=8, waiting=9)


def test_a_portal_that_began_anew_gets_its_quarter_of_an_hour_again() -> None:
    probe = Opennds(HotspotSettings())
    assert not stuck(probe, 0, auths=7, waiting=12)
    assert not stuck(probe, 15, auths=0, waiting=12)
    assert stuck(probe, 30, auths=0, waiting=12)


def test_a_portal_that_is_gone_is_down_and_told_once() -> None:
    probe = Opennds(HotspotSettings())
    stuck(probe, 0, auths=7, waiting=12)
    first, second = probe.down("nobody listens", at(60)), probe.down("nobody listens", at(120))
    assert (values(first), problems(first)) == ({"up": False}, ["opennds-status: nobody listens"])
    assert (values(second), problems(second)) == ({"up": False}, [])
    assert not stuck(probe, 15, auths=7, waiting=12)


def test_once_the_status_is_understood_again_all_is_well_again() -> None:
    probe = Opennds(HotspotSettings())
    for source in ("opennds-status", "opennds-json"):
        assert problems(probe.answer(source, b"?", at(0))) != []
    again = probe.answer("opennds-status", STATUS, at(60))
    assert [event.ok for event in again if isinstance(event, Problem)] == [True, True]  # of each source


def test_facts_of_another_probe_are_a_fault_of_the_program() -> None:
    with pytest.raises(TypeError):
        list(Opennds(HotspotSettings()).take(Facts(), at(0)))
