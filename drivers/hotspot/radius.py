"""Whether the RADIUS server of the guests answers, without logging anybody in. Pure.

Source: RFC 5997, sections 2.1 and 4 (Status-Server and what answers it); RFC 2865, section 3 (packet, Response
Authenticator); RFC 3579, section 3.2 (Message-Authenticator). RADIUS is built on MD5.
"""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Event, Problem
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source

SOURCE = "radius-status"
"""The one source."""
AUTHENTICATOR_BYTES = 16
"""Random bytes that a request carries."""

INFO = DriverInfo(
    name="radius",
    title="RADIUS server of the guests",
    family="radius",
    mode="poll",
    channels=(Channel(name="radius-up", unit="1", kind="state", doc="true while it answers Status-Server"),),
    every_s=60.0,
    stale_after_s=300.0,
    source="RFC 5997",
)
_STATUS_SERVER = 12
_ANSWERS = {2: "Access-Accept", 5: "Accounting-Response"}
_HEAD_BYTES = 4 + AUTHENTICATOR_BYTES  # code, identifier, length 2, authenticator
_LONGEST_BYTES = 4096
_MESSAGE_AUTHENTICATOR, _SIGNED_BYTES = 80, 18
_LEAST_ATTRIBUTE_BYTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReply(Facts):
    """A reply to Status-Server.

    Attributes:
        answer: ``Access-Accept`` from a port that logs in, ``Accounting-Response`` from one that counts.
        signed: It carries a Message-Authenticator.
    """

    answer: str
    signed: bool


def status_request(secret: bytes, *, number: int, authenticator: bytes) -> bytes:
    """Return a Status-Server packet, signed.

    Args:
        secret: Shared with the server.
        number: Identifier, 0 to 255.
        authenticator: `AUTHENTICATOR_BYTES` random bytes.
    """
    head = bytes((_STATUS_SERVER, number)) + (_HEAD_BYTES + _SIGNED_BYTES).to_bytes(2, "big") + authenticator
    attribute = bytes((_MESSAGE_AUTHENTICATOR, _SIGNED_BYTES))
    return head + attribute + _signature(secret, head + attribute + bytes(AUTHENTICATOR_BYTES))


def proves(raw: bytes, request: bytes, secret: bytes) -> bool:
    """Return whether a datagram is the answer to this request by somebody who knows the secret."""
    try:
        at = _signature_at(raw)
    except AnswerError:
        return False
    if raw[1] != request[1]:
        return False
    as_asked = raw[:4] + request[4:_HEAD_BYTES] + raw[_HEAD_BYTES:]
    seal = hashlib.md5(as_asked + secret).digest()  # noqa: S324 - RFC 2865, section 3
    if not hmac.compare_digest(seal, raw[4:_HEAD_BYTES]):
        return False
    if at is None:
        return True
    end = at + AUTHENTICATOR_BYTES
    blank = as_asked[:at] + bytes(AUTHENTICATOR_BYTES) + as_asked[end:]
    return hmac.compare_digest(_signature(secret, blank), raw[at:end])


def parse(raw: bytes) -> StatusReply:
    """Read a reply, which may stand behind its request as both went over the wire."""
    reply = raw
    if raw[:1] == bytes((_STATUS_SERVER,)):
        length = int.from_bytes(raw[2:4], "big")
        _signature_at(raw[:length])
        reply = raw[length:]
        if reply[1:2] != raw[1:2]:
            raise AnswerError("a reply to another request")
    at = _signature_at(reply)
    if reply[0] not in _ANSWERS:
        raise AnswerError("an Access-Accept or an Accounting-Response is expected")
    return StatusReply(answer=_ANSWERS[reply[0]], signed=at is not None)


class Radius(Probe):
    """Sensor ``svc``."""

    sources = (Source(name=SOURCE, title="reply to Status-Server, or request and reply", parse=parse),)

    def __init__(self, _settings: HotspotSettings) -> None:
        super().__init__(INFO, "svc")
        self._told = ""

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give that it answers."""
        if not isinstance(facts, StatusReply):
            raise TypeError(facts)
        yield from self._is("", now)

    def down(self, why: str, now: Moment) -> list[Event]:
        """Give that it does not, and why."""
        return list(self._is(why, now))

    def _is(self, why: str, now: Moment) -> Iterator[Event]:
        yield from self.reading("radius-up", not why, now)
        if why != self._told:
            self._told = why
            yield Problem(sensor=self.sensor, code="radius", detail=why or "it answers", ok=not why)


def _signature(secret: bytes, packet: bytes) -> bytes:
    return hmac.new(secret, packet, "md5").digest()


def _signature_at(raw: bytes) -> int | None:
    """Walk a packet; return where the value of its Message-Authenticator begins, None without one.

    Raises:
        AnswerError: It is no RADIUS packet, or half of one.
    """
    if not _HEAD_BYTES <= len(raw) <= _LONGEST_BYTES or int.from_bytes(raw[2:4], "big") != len(raw):
        raise AnswerError("one whole RADIUS packet is expected")
    at, found = _HEAD_BYTES, None
    while at < len(raw):
        kind, length = raw[at], raw[at + 1] if at + 1 < len(raw) else 0
        if length < _LEAST_ATTRIBUTE_BYTES or at + length > len(raw):
            raise AnswerError("half an attribute in a RADIUS packet")
        if kind == _MESSAGE_AUTHENTICATOR:
            if length != _SIGNED_BYTES:
                raise AnswerError("a Message-Authenticator of 16 bytes is expected")
            found = at + _LEAST_ATTRIBUTE_BYTES
        at += length
    return found
