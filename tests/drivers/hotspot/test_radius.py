"""Status-Server: asking a RADIUS server whether it is there."""

import hashlib
import hmac
import json

import pytest

from agent.cli.main import main
from drivers.driver import Event, Problem
from drivers.hotspot.radius import SOURCE, Radius, parse, proves, status_request
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts
from tests.drivers.hotspot.recorded import at, problems, sample, say, values

SECRETS = {"rfc5997-auth": b"xyzzy5461", "freeradius-auth": b"rahasia", "freeradius-acct": b"rahasia"}
RECORDED = sample("radius-rfc5997-auth.bin")
REQUEST, REPLY, SECRET = RECORDED[:38], RECORDED[38:], SECRETS["rfc5997-auth"]
DOWN = "no answer: it is down, or the secret is wrong"


def signed(*, secret: bytes = SECRET, attribute: bytes | None = None, flaw: int = 0) -> bytes:
    """Return an Access-Accept with a Message-Authenticator, as servers send it since 2024."""
    head = REPLY[:2] + (20 + 18).to_bytes(2, "big")
    attribute = attribute or b"\x50\x12"
    mark = hmac.new(secret, head + REQUEST[4:20] + attribute + bytes(16), "md5").digest()
    attributes = attribute + bytes((mark[0] ^ flaw,)) + mark[1:]
    return head + hashlib.md5(head + REQUEST[4:20] + attributes + secret).digest() + attributes  # noqa: S324


def test_the_request_is_the_one_of_the_rfc() -> None:
    assert status_request(SECRET, number=REQUEST[1], authenticator=REQUEST[4:20]) == REQUEST


@pytest.mark.parametrize("name", SECRETS)
def test_a_recorded_answer_is_proven_by_the_secret_only(name: str) -> None:
    raw = sample(f"radius-{name}.bin")
    request, reply = raw[:38], raw[38:]
    assert proves(reply, request, SECRETS[name])
    assert not proves(reply, request, b"salah")
    assert not proves(reply[:-1] + bytes((reply[-1] ^ 1,)), request, SECRETS[name])
    assert not proves(reply, request[:4] + bytes(16) + request[20:], SECRETS[name])


def test_an_answer_to_another_request_or_half_of_one_proves_nothing() -> None:
    other = REQUEST[:1] + bytes((REQUEST[1] ^ 1,)) + REQUEST[2:]
    assert not proves(REPLY, other, SECRET)
    assert not proves(REPLY[:-1], REQUEST, SECRET)
    assert not proves(b"", REQUEST, SECRET)


def test_a_message_authenticator_in_the_answer_must_be_right_too() -> None:
    assert proves(signed(), REQUEST, SECRET)
    assert not proves(signed(flaw=1), REQUEST, SECRET)
    assert not proves(signed(secret=b"salah"), REQUEST, SECRET)
    assert parse(signed()).signed


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("rfc5997-auth", "Access-Accept"),
        ("freeradius-auth", "Access-Accept"),
        ("freeradius-acct", "Accounting-Response"),
    ],
)
def test_a_reply_means_up_alone_or_behind_its_request(
    name: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = sample(f"radius-{name}.bin")
    assert parse(raw).answer == parse(raw[38:]).answer == answer
    assert main(["probe", "run", "radius", "--file", f"tests/vectors/hotspot/radius-{name}.bin", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["senml"] == [{"n": "svc/radius-up", "u": "1", "vb": True}]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        REQUEST,
        REPLY[:-1],
        REPLY + b"\0",
        REQUEST[:37],
        REQUEST + REPLY[:-1],
        REQUEST + b"\x02\x00" + REPLY[2:],
        b"\x03" + REPLY[1:],
        REPLY[:3] + b"\x15" + REPLY[4:] + b"\x50",
        REPLY[:3] + b"\x16" + REPLY[4:] + b"\x50\x01",
        REPLY[:3] + b"\x16" + REPLY[4:] + b"\x50\x02",
        REPLY[:3] + b"\x16" + REPLY[4:] + b"\x08\x06",
    ],
)
def test_anything_else_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse(raw)


def test_a_reply_with_other_attributes_is_read() -> None:
    assert not parse(REPLY[:3] + b"\x1a" + REPLY[4:] + b"\x12\x06abcd").signed


def test_down_is_told_once_and_so_is_up_again() -> None:
    probe = Radius(HotspotSettings())
    events: list[Event] = [*probe.down(DOWN, at(0)), *probe.down(DOWN, at(1))]
    assert values(events) == {"radius-up": False}
    assert problems(events) == [DOWN]
    assert say(probe, SOURCE, REPLY) == {"radius-up": True}
    again = [event for event in probe.answer(SOURCE, REPLY, at(2)) if isinstance(event, Problem)]
    assert again == []


def test_facts_of_another_probe_are_a_bug() -> None:
    with pytest.raises(TypeError):
        list(Radius(HotspotSettings()).take(Facts(), at(0)))
