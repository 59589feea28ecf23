"""Whether the internet is there, judged by pages, echoes and what is known of names."""

import json
from dataclasses import asdict

import pytest

from agent.cli.main import main
from drivers.driver import Event, Problem
from drivers.hotspot import echo, http_head
from drivers.hotspot.settings import HotspotSettings
from drivers.hotspot.wan import Wan, best, is_online, parse_gateway, parse_net
from drivers.probe import AnswerError, Facts
from tests.drivers.hotspot.recorded import at, problems, sample, say, values

ONLINE, CAPTIVE = sample("http-online.txt"), sample("http-captive-302.txt")
INTERCEPTED = sample("http-intercepted.txt")
LOST = b"echoes net - - - - -"
HEARD = b"echoes net 20.0 21.0 - 20.5 29.5"


def probe() -> Wan:
    return Wan(HotspotSettings())


@pytest.mark.parametrize(
    ("name", "status", "state", "sends_to"),
    [
        ("online", 204, "online", None),
        ("captive-302", 302, "captive", "login.portal.example"),
        ("captive-511", 511, "captive", None),
        ("intercepted", 200, "intercepted", None),
    ],
)
def test_each_state_is_told_by_the_head_of_an_answer(name: str, status: int, state: str, sends_to: str | None) -> None:
    raw = sample(f"http-{name}.txt")
    facts = http_head.parse(raw)
    assert (facts.status, facts.state, facts.sends_to) == (status, state, sends_to)
    assert http_head.parse(raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")) == facts
    assert values(probe().answer("wan-check", raw, at(0))) == {"state": state}


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 204 No Content\r\nContent-Length: 12\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 404 Not Found\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\nno field at all\r\n\r\n",
    ],
)
def test_anything_but_an_empty_204_is_somebody_between(raw: bytes) -> None:
    assert http_head.parse(raw).state == "intercepted"


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("https://welcome2.wifi.example/login?mac=00-00-5e-00-53-01", "welcome2.wifi.example"),
        ("//Portal.Example.:8080", "portal.example"),
        ("http://user1:token@portal.example/", "portal.example"),
        ("http://192.0.2.1/login", None),
        ("http://[2001:db8::1]/login", None),
        ("/login", None),
        ("http://budi-iphone/", None),
        ("", None),
    ],
)
def test_of_a_redirect_only_the_name_of_its_host_is_kept(location: str, name: str | None) -> None:
    assert http_head.parse(f"HTTP/1.1 307 T\r\nLocation: {location}\r\n\r\n".encode()).sends_to == name


@pytest.mark.parametrize(
    "raw", [b"", b"\x00\xff", b"HTTP/1.1 204 No Content\r\nDate:", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 2O4 x\r\n\r\n"]
)
def test_what_is_no_whole_head_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        http_head.parse(raw)


def test_one_page_that_is_reached_is_enough_and_a_portal_counts_before_an_unknown() -> None:
    assert best([INTERCEPTED, CAPTIVE, ONLINE]) == ONLINE
    assert best([INTERCEPTED, CAPTIVE]) == CAPTIVE
    assert is_online(ONLINE)
    assert not is_online(CAPTIVE)


def test_a_portal_of_the_carrier_is_named_once_and_its_end_is_told() -> None:
    one = probe()
    events = [
        event for raw in (ONLINE, CAPTIVE, CAPTIVE, ONLINE, ONLINE) for event in one.answer("wan-check", raw, at(0))
    ]
    told = [(event.detail, event.ok) for event in events if isinstance(event, Problem)]
    assert told == [
        ("captive: it sends to login.portal.example", False),
        ("online: a page that should answer 204 is answered 204", True),
    ]


def test_a_page_that_is_not_the_right_one_is_told_by_its_status() -> None:
    assert problems(probe().answer("wan-check", INTERCEPTED, at(0))) == [
        "intercepted: a page that should answer 204 is answered 200"
    ]


def judged(one: Wan, *, names_work: bool, has_route: bool = True, why: str = "no answer in time") -> list[Event]:
    return one.unanswered(why, names_work=names_work, has_route=has_route, now=at(0))


def test_pages_that_nobody_answers_while_names_work_mean_down() -> None:
    events = judged(probe(), names_work=True)
    assert values(events) == {"state": "down"}
    assert problems(events) == ["down: no page answers: no answer in time"]


def test_no_default_route_means_down_whatever_names_say() -> None:
    events = judged(probe(), names_work=False, has_route=False)
    assert values(events) == {"state": "down"}
    assert problems(events) == ["down: there is no default route"]


def test_dead_names_do_not_look_like_a_dead_uplink_while_echoes_come_back() -> None:
    one = probe()
    say(one, "wan-net", HEARD)
    assert judged(one, names_work=False)[0] == next(one.reading("state", "online", at(0)))


def test_dead_names_and_echoes_that_once_came_back_mean_down() -> None:
    one = probe()
    say(one, "wan-net", HEARD)
    judged(one, names_work=False)
    say(one, "wan-net", LOST)
    assert values(judged(one, names_work=False)) == {"state": "down"}


def test_dead_names_where_echoes_never_passed_prove_nothing() -> None:
    one = probe()
    say(one, "wan-net", LOST)
    events = judged(one, names_work=False)
    assert values(events) == {}
    assert problems(events) == ["wan-check: names are not answered, so no page can be asked"]


def test_echoes_of_an_earlier_round_prove_nothing() -> None:
    one = probe()
    say(one, "wan-net", HEARD)
    one.answer("wan-check", ONLINE, at(0))
    assert values(judged(one, names_work=False)) == {}
    say(one, "wan-net", HEARD)
    judged(one, names_work=True)
    assert values(judged(one, names_work=False)) == {}


def test_five_echoes_give_their_middle_their_unrest_and_their_loss() -> None:
    assert say(probe(), "wan-net", HEARD) == {"net-rtt": 20.75, "net-jitter": 3.5, "net-loss": 0.2}
    assert say(probe(), "wan-gateway", b"echoes gateway 1 2 9") == {"gw-rtt": 2.0, "gw-loss": 0.0}
    assert say(probe(), "wan-net", b"echoes net - 7.5") == {"net-rtt": 7.5, "net-loss": 0.5}


def test_lost_echoes_have_no_round_trip_and_never_zero() -> None:
    assert say(probe(), "wan-net", LOST) == {"net-loss": 1.0}


@pytest.mark.parametrize(
    "raw", [b"", b"echoes net", b"echoes gateway 1", b"echoes net x", b"echoes net nan", b"echoes net -1"]
)
def test_other_words_are_no_echoes(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_net(raw)


def test_what_was_measured_is_written_down_and_read_again() -> None:
    line = echo.spelled("gateway", [0.4, None, 0.6])
    assert line == b"echoes gateway 0.400 - 0.600"
    assert asdict(parse_gateway(line)) == {"sent": 3, "loss": 0.3333, "rtt_ms": 0.5, "jitter_ms": 0.2}


@pytest.mark.parametrize("v6", [False, True])
def test_a_reply_is_known_by_its_type_and_sequence(*, v6: bool) -> None:
    request = echo.request(513, v6=v6)
    assert request[6:8] == b"\x02\x01"
    reply = bytes((129 if v6 else 0,)) + request[1:]
    assert echo.answered(reply, v6=v6) == 513
    assert echo.answered(request, v6=v6) is None
    assert echo.answered(reply[:7], v6=v6) is None
    assert echo.answered(reply, v6=not v6) is None


def test_the_time_of_the_page_is_given_only_where_every_metric_is_wanted() -> None:
    assert probe().took(12.5, at(0)) == []
    assert values(Wan(HotspotSettings(every_metric=True)).took(12.5, at(0))) == {"http-ms": 12.5}


def test_facts_of_another_probe_are_a_bug() -> None:
    with pytest.raises(TypeError):
        list(probe().take(Facts(), at(0)))


@pytest.mark.parametrize("name", ["online", "captive-302", "captive-511", "intercepted"])
def test_a_recorded_head_is_read_and_gives_nothing_of_a_guest(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["probe", "run", "wan", "--file", f"tests/vectors/hotspot/http-{name}.txt", "--json"])
    out = capsys.readouterr().out
    assert json.loads(out)["facts"]["wan-check"]["status"] in {204, 302, 511, 200}
    assert not any(token in out for token in ("192.0.2", "00:00:5e", "00005e", "splash"))
