"""Messages of generic netlink, as bytes. Pure.

Source: Linux include/uapi/linux/netlink.h and genetlink.h; all numbers stand in the byte order of the machine.
"""

import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from drivers.probe import AnswerError

CONTROL_FAMILY = 16
"""The family that knows the numbers of all others."""
REQUEST, ACKNOWLEDGE, DUMP = 0x1, 0x4, 0x300
"""Flags of a request."""
ERROR, DONE = 2, 3
"""Kinds of messages that end an answer."""

_HEADER = struct.Struct("=IHHII")  # length, kind, flags, number, port
_COMMAND = struct.Struct("=BBH")  # command, version, reserved
_ATTRIBUTE = struct.Struct("=HH")  # length, kind
_ERRNO = struct.Struct("=i")
_KIND = 0x3FFF  # the two bits above say nested and network byte order
_ORDER: Literal["little", "big"] = sys.byteorder
_GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 3, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message.

    Attributes:
        kind: Number of the family, or `ERROR` or `DONE`.
        number: Of the request that it answers.
        command: What it says.
        body: Its attributes; of `ERROR` and `DONE` all after the header.
    """

    kind: int
    number: int
    command: int
    body: bytes

    @property
    def errno(self) -> int:
        """What went wrong, of `ERROR` and `DONE`; 0 when nothing did."""
        return -integer(self.body[: _ERRNO.size], signed=True) if len(self.body) >= _ERRNO.size else 0


def request(kind: int, command: int, *, flags: int, number: int, attributes: Mapping[int, bytes]) -> bytes:
    """Return a request."""
    body = _COMMAND.pack(command, 1, 0)
    for name, value in attributes.items():
        length = _ATTRIBUTE.size + len(value)
        body += _ATTRIBUTE.pack(length, name) + value + bytes(_aligned(length) - length)
    return _HEADER.pack(_HEADER.size + len(body), kind, flags | REQUEST, number, 0) + body


def family_request(name: str, number: int) -> bytes:
    """Return the question for the number of a family."""
    asked = {_FAMILY_NAME: name.encode() + b"\0"}
    return request(CONTROL_FAMILY, _GET_FAMILY, flags=ACKNOWLEDGE, number=number, attributes=asked)


def family_number(message: Message) -> int | None:
    """Return the number of the family that an answer names; None when it names none."""
    if message.kind != CONTROL_FAMILY or _FAMILY_ID not in (said := attributes(message.body)):
        return None
    return integer(said[_FAMILY_ID])


def messages(raw: bytes) -> Iterator[Message]:
    """Take a datagram, or several in a row, apart.

    Raises:
        AnswerError: It is not made of whole messages.
    """
    at = 0
    while at < len(raw):
        if len(raw) - at < _HEADER.size:
            raise AnswerError("half a netlink message")
        length, kind, _, number, _ = _HEADER.unpack_from(raw, at)
        body = raw[at + _HEADER.size : at + length]
        if length < _HEADER.size or at + length > len(raw):
            raise AnswerError("whole netlink messages are expected")
        if kind in (ERROR, DONE):
            yield Message(kind=kind, number=number, command=0, body=body)
        elif len(body) >= _COMMAND.size:
            yield Message(kind=kind, number=number, command=body[0], body=body[_COMMAND.size :])
        else:
            raise AnswerError("a generic netlink message without a command")
        at += _aligned(length)


def attributes(body: bytes) -> dict[int, bytes]:
    """Take the attributes of a message, or of a nested attribute, apart.

    Raises:
        AnswerError: One is longer than what it stands in.
    """
    found: dict[int, bytes] = {}
    at = 0
    while len(body) - at >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size or at + length > len(body):
            raise AnswerError("a netlink attribute is longer than its message")
        found[kind & _KIND] = body[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)
    return found


def integer(value: bytes, *, signed: bool = False) -> int:
    """Read a number of any width."""
    return int.from_bytes(value, _ORDER, signed=signed)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
