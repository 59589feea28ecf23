"""Echo requests and replies of ICMP as a datagram socket carries them, and what five of them say. Pure.

Source: RFC 792 and RFC 4443, section 4 (types, places); Linux net/ipv4/ping.c: on such a socket the kernel sets the
identifier and the checksum, and a reply comes without the head of its packet.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from drivers.probe import AnswerError, Facts

_HEAD = struct.Struct(">BBHHH")  # type, code, checksum, identifier, sequence
_REQUEST, _REPLY = 8, 0
_REQUEST_V6, _REPLY_V6 = 128, 129
_LOST = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Echoes(Facts):
    """What a few echoes to one host gave.

    Attributes:
        sent: How many were sent.
        loss: Share that was not answered, 0 to 1.
        rtt_ms: Middle one of the round trips, in ms; None when none came back.
        jitter_ms: Mean change from one round trip to the next, in ms; None with fewer than two.
    """

    sent: int
    loss: float
    rtt_ms: float | None
    jitter_ms: float | None


def request(sequence: int, *, v6: bool) -> bytes:
    """Return an echo request."""
    return _HEAD.pack(_REQUEST_V6 if v6 else _REQUEST, 0, 0, 0, sequence)


def answered(raw: bytes, *, v6: bool) -> int | None:
    """Return the sequence number that a reply answers; None for anything else."""
    if len(raw) < _HEAD.size:
        return None
    kind, code, _, _, sequence = _HEAD.unpack_from(raw)
    number: int = sequence
    return number if (kind, code) == (_REPLY_V6 if v6 else _REPLY, 0) else None


def spelled(target: str, round_trips_ms: Sequence[float | None]) -> bytes:
    """Write round trips down as one line: ``echoes net 20.1 19.8 - 20.4 21.0``, a dash for a lost one."""
    words = [_LOST if each is None else f"{each:.3f}" for each in round_trips_ms]
    return " ".join(("echoes", target, *words)).encode()


def parse(raw: bytes, target: str) -> Echoes:
    """Read such a line.

    Raises:
        AnswerError: It is something else, or of another target.
    """
    words = raw.decode("ascii", "replace").split()
    if words[:2] != ["echoes", target] or not words[2:]:
        raise AnswerError(f"echoes {target} and round trips in ms are expected")
    try:
        times = [None if word == _LOST else float(word) for word in words[2:]]
    except ValueError:
        raise AnswerError("a round trip in ms is expected, or a dash") from None
    came = [each for each in times if each is not None]
    if not all(0 <= each < float("inf") for each in came):
        raise AnswerError("a round trip in ms is expected, or a dash")
    steps = [abs(after - before) for before, after in pairwise(came)]
    return Echoes(
        sent=len(times),
        loss=round(1 - len(came) / len(times), 4),
        rtt_ms=round(_middle(came), 3) if came else None,
        jitter_ms=round(sum(steps) / len(steps), 3) if steps else None,
    )


def _middle(values: Sequence[float]) -> float:
    """Return the median; the module of that name costs a megabyte."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2
