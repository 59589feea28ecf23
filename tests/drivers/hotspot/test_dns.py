"""Whether names are looked up, by the hotspot's own server and by the one behind it."""

import json

import pytest

from agent.cli.main import main
from drivers.driver import Event, Problem
from drivers.hotspot.dns import INVALID, LOCAL, UP, Dns, parse_look_up
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts
from tests.drivers.hotspot.recorded import at, problems, sample, say, values

FOUND, NONE, REFUSED = (sample(f"dns-dnsmasq-{name}.bin") for name in ("address", "no_such_name", "refused"))
FAILED = NONE[:3] + b"\x82" + NONE[4:]
TRUNCATED = FOUND[:2] + b"\x87" + FOUND[3:]


def probe() -> Dns:
    return Dns(HotspotSettings())


def test_an_address_is_an_answer_and_so_is_that_there_is_no_such_name() -> None:
    for raw in (FOUND, NONE):
        assert values(probe().looked_up(LOCAL, raw, 1.5, at(0))) == {"local-ms": 1.5, "fail": 0.0}
    assert values(probe().looked_up(UP, FOUND, 20.0, at(0))) == {"up-ms": 20.0, "up-fail": 0.0}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (FAILED, "server failure"),
        (REFUSED, "refused"),
        (TRUNCATED, "truncated"),
        (NONE[:3] + b"\x89" + NONE[4:], "error 9"),
    ],
)
def test_an_answer_that_helps_nobody_is_a_failure_without_a_time(raw: bytes, words: str) -> None:
    events = probe().looked_up(LOCAL, raw, 1.5, at(0))
    assert values(events) == {"fail": 1.0}
    assert problems(events) == [f"dns-local: it answers {words}"]


def test_silence_and_garbage_are_failures_too() -> None:
    one = probe()
    assert values(one.unanswered(LOCAL, "no answer in time", at(0))) == {"fail": 1.0}
    assert values(one.looked_up(LOCAL, FOUND[:-1], 1.5, at(1))) == {"fail": 1.0}
    assert not one.works(LOCAL)


def test_the_share_of_failures_is_that_of_the_last_five_minutes() -> None:
    one = probe()
    for minute in range(4):
        one.unanswered(UP, "no answer in time", at(60 * minute))
    assert values(one.looked_up(UP, FOUND, 1.0, at(240)))["up-fail"] == 0.8
    assert values(one.looked_up(UP, FOUND, 1.0, at(300)))["up-fail"] == 0.6
    assert values(one.looked_up(UP, FOUND, 1.0, at(900))) == {"up-ms": 1.0, "up-fail": 0.0}


def test_a_failing_server_is_told_once_and_so_is_its_recovery() -> None:
    one = probe()
    events: list[Event] = []
    for raw in (FAILED, FAILED, FOUND, FOUND):
        events += one.looked_up(LOCAL, raw, 1.0, at(0))
    told = [(event.code, event.ok) for event in events if isinstance(event, Problem)]
    assert told == [("dns-local", False), ("dns-local", True)]


def test_one_server_is_not_blamed_for_the_other() -> None:
    one = probe()
    one.unanswered(LOCAL, "nobody listens", at(0))
    assert values(one.looked_up(UP, FOUND, 1.0, at(0))) == {"up-ms": 1.0, "up-fail": 0.0}
    assert one.works(UP)
    assert not one.works(LOCAL)
    assert not probe().works(LOCAL)


def test_an_address_for_a_name_that_cannot_exist_is_a_hijack() -> None:
    assert say(probe(), INVALID, FOUND) == {"hijacked": True}
    assert say(probe(), INVALID, NONE) == {"hijacked": False}
    assert say(probe(), INVALID, FAILED) == {}


def test_facts_of_another_probe_are_a_bug() -> None:
    assert list(probe().take(parse_look_up(FOUND), at(0))) == []
    with pytest.raises(TypeError):
        list(probe().take(Facts(), at(0)))


@pytest.mark.parametrize("cut", range(1, len(FOUND)))
def test_an_answer_cut_anywhere_is_refused(cut: int) -> None:
    with pytest.raises(AnswerError):
        parse_look_up(FOUND[:cut])


@pytest.mark.parametrize(("name", "rcode"), [("address", 0), ("no_such_name", 3), ("refused", 5)])
def test_a_recorded_answer_is_read_without_its_addresses(
    name: str, rcode: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", "run", "dns", "--file", f"tests/vectors/hotspot/dns-dnsmasq-{name}.bin", "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["facts"]["dns-local"]["rcode"] == rcode
    assert "192.0.2" not in out
