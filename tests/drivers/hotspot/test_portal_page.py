"""The portal's page and its API."""

import pytest

from drivers.driver import Problem
from drivers.hotspot.portal_page import PortalApi, PortalPage, parse_api, parse_page
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts
from tests.drivers.hotspot.recorded import at, problems, sample, say, values

CAPTIVE = sample("capport-captive.json")
TYPE = "application/captive+json"
WHOLE = b"""{"captive": false, "user-portal-url": "https://portal.example.id/p", "venue-info-url": "https://v.example.id",
 "can-extend-session": true, "seconds-remaining": 326, "bytes-remaining": 2e6, "of-tomorrow": {"a": []}}"""


@pytest.mark.parametrize(
    ("said", "up"), [("200 12.5", True), ("302 1", True), ("403 1", False), ("511 1", False), ("down", False)]
)
def test_a_page_or_a_way_to_it_is_up_and_a_refusal_is_not(said: str, *, up: bool) -> None:
    assert say(PortalPage(HotspotSettings()), "portal-page-answer", said.encode()) == {"page-up": up}


def test_its_time_is_given_with_every_metric() -> None:
    probe = PortalPage(HotspotSettings(every_metric=True))
    assert say(probe, "portal-page-answer", b"200 12.5") == {"page-up": True, "page-ms": 12.5}
    assert say(probe, "portal-page-answer", b"down") == {"page-up": False}


@pytest.mark.parametrize("raw", [b"", b"200", b"200 fast", b"200 1 2", b"200 nan", b"up"])
def test_anything_else_is_no_answer_of_a_page(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_page(raw)


def test_a_page_that_nobody_serves_is_told_once() -> None:
    probe = PortalPage(HotspotSettings())
    first, second = probe.down("nobody listens", at(1)), probe.down("nobody listens", at(2))
    assert (values(first), problems(first)) == ({"page-up": False}, ["portal-page-answer: nobody listens"])
    assert (values(second), problems(second)) == ({"page-up": False}, [])


def test_of_pages_the_api_names_only_that_they_are_named_is_kept() -> None:
    found = parse_api(WHOLE)
    assert (found.captive, found.user_portal_url_given, found.venue_info_url_given) == (False, True, True)
    assert (found.can_extend_session, found.seconds_remaining, found.bytes_remaining) == (True, 326, 2_000_000)
    assert "example" not in repr(found)


def test_what_the_api_leaves_out_or_says_wrongly_is_not_claimed() -> None:
    found = parse_api(CAPTIVE)
    assert (found.captive, found.venue_info_url_given, found.can_extend_session) == (True, False, None)
    assert (found.seconds_remaining, found.bytes_remaining) == (None, None)
    odd = b'{"captive": true, "seconds-remaining": true, "bytes-remaining": -1, "can-extend-session": "no"}'
    found = parse_api(odd)
    assert (found.can_extend_session, found.seconds_remaining, found.bytes_remaining) == (None, None, None)
    assert parse_api(b'{"captive": true, "bytes-remaining": 1e999}').bytes_remaining is None


@pytest.mark.parametrize(
    "raw", [b"", CAPTIVE.rstrip()[:-1], b"[true]", b'{"captive": "yes"}', b"{}", b"<html>", b"[" * 100_000]
)
def test_half_an_answer_or_another_one_is_none_of_the_api(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_api(raw)


@pytest.mark.parametrize("media_type", [TYPE, f"{TYPE}; charset=utf-8", TYPE.upper()])
def test_an_api_that_answers_as_it_must_is_right(media_type: str) -> None:
    events = PortalApi(HotspotSettings()).said(200, media_type, CAPTIVE, at(0))
    assert (values(events), problems(events)) == ({"api-ok": True}, [])


@pytest.mark.parametrize(
    ("status", "media_type", "body", "why"),
    [
        (404, TYPE, CAPTIVE, "it answers with status 404"),
        (302, TYPE, CAPTIVE, "it answers with status 302"),
        (200, "application/json", CAPTIVE, "its answer is not marked as application/captive+json, so phones ignore it"),
        (200, "", CAPTIVE, "its answer is not marked as application/captive+json, so phones ignore it"),
        (200, TYPE, b"<html>", "not understood: no JSON"),
        (200, TYPE, b"{}", "not understood: a JSON object in which captive is true or false is expected"),
    ],
)
def test_an_api_that_answers_otherwise_is_wrong(status: int, media_type: str, body: bytes, why: str) -> None:
    probe = PortalApi(HotspotSettings())
    first, second = (probe.said(status, media_type, body, at(second)) for second in (0, 300))
    assert (values(first), problems(first)) == ({"api-ok": False}, [f"portal-api-answer: {why}"])
    assert (values(second), problems(second)) == ({"api-ok": False}, [])
    again = probe.said(200, TYPE, CAPTIVE, at(600))
    assert values(again) == {"api-ok": True}
    assert [event.ok for event in again if isinstance(event, Problem)] == [True]


def test_facts_of_another_probe_are_a_fault_of_the_program() -> None:
    for probe in (PortalApi(HotspotSettings()), PortalPage(HotspotSettings())):
        with pytest.raises(TypeError):
            list(probe.take(Facts(), at(0)))
