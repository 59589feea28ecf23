"""One question to a DNS server and its answer, as bytes. Pure.

Source: RFC 1035, sections 3.2 and 4.1; RFC 3596 (AAAA).
"""

import ipaddress
import struct
from dataclasses import dataclass

from drivers.probe import AnswerError

A, TXT, AAAA = 1, 16, 28
"""Types of records."""
INTERNET, CHAOS = 1, 3
"""Classes of records."""

_HEADER = struct.Struct(">HHHHHH")
_FIXED = struct.Struct(">HHIH")  # type, class, time to live, length
_RECURSION_DESIRED = 0x0100
_IS_ANSWER = 0x8000
_OPCODE = 0x7800  # 0: a standard question
_TRUNCATED = 0x0200
_RCODE = 0x000F
_POINTER = 0xC0
_LONGEST_LABEL = 63
_IPV4_BYTES, _IPV6_BYTES = 4, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a server said.

    Attributes:
        rcode: 0 no error, 2 server failure, 3 no such name, 5 refused.
        addresses: Of A and AAAA records.
        texts: Strings of TXT records, one tuple for each record.
        truncated: It did not fit into a datagram; what is here is a part.
    """

    rcode: int
    addresses: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    truncated: bool = False


def question(name: str, *, number: int, kind: int = A, of_class: int = INTERNET) -> bytes:
    """Return a question for a name.

    Raises:
        ValueError: The name has an empty or a too long label.
    """
    labels = [label.encode("idna") if not label.isascii() else label.encode() for label in name.rstrip(".").split(".")]
    if not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
        raise ValueError(f"{name!r} is no name of a host")
    spelled = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    return _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0) + spelled + struct.pack(">HH", kind, of_class)


def answers(raw: bytes, number: int) -> bool:
    """Return whether a datagram is an answer to the question of this number."""
    return len(raw) >= _HEADER.size and raw[:2] == number.to_bytes(2, "big") and bool(raw[2] & (_IS_ANSWER >> 8))


def reply(raw: bytes) -> Reply:
    """Read an answer.

    Raises:
        AnswerError: It is no answer, or half of one.
    """
    try:
        return _reply(raw)
    except (IndexError, struct.error, UnicodeDecodeError):
        raise AnswerError("half an answer of a DNS server") from None


def _reply(raw: bytes) -> Reply:
    _, flags, questions, records, *others = _HEADER.unpack_from(raw)
    if not flags & _IS_ANSWER or flags & _OPCODE or questions > 1:
        raise AnswerError("an answer of a DNS server is expected, not a question")
    at = _HEADER.size
    for _ in range(questions):
        at = _skip_name(raw, at) + 4
    addresses: list[str] = []
    texts: list[tuple[str, ...]] = []
    for number in range(records + sum(others)):
        at = _skip_name(raw, at)
        kind, _, _, length = _FIXED.unpack_from(raw, at)
        at += _FIXED.size
        data = raw[at : at + length]
        if len(data) < length:
            raise AnswerError("half an answer of a DNS server")
        at += length
        if number >= records:
            continue  # of no use here, but an answer that is cut in them was cut on its way
        if (kind, length) in {(A, _IPV4_BYTES), (AAAA, _IPV6_BYTES)}:
            addresses.append(str(ipaddress.ip_address(data)))
        elif kind == TXT:
            texts.append(_strings(data))
    return Reply(
        rcode=flags & _RCODE, addresses=tuple(addresses), texts=tuple(texts), truncated=bool(flags & _TRUNCATED)
    )


def _skip_name(raw: bytes, at: int) -> int:
    while length := raw[at]:
        if length & _POINTER == _POINTER:
            return at + 2
        if length & _POINTER:
            raise AnswerError("an answer of a DNS server has a name with a label of no known kind")
        at += 1 + length
    return at + 1


def _strings(data: bytes) -> tuple[str, ...]:
    found, at = [], 0
    while at < len(data):
        end = at + 1 + data[at]
        if end > len(data):
            raise AnswerError("half an answer of a DNS server")
        found.append(data[at + 1 : end].decode("ascii"))
        at = end
    return tuple(found)
