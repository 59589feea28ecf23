"""Noise by the megabyte, of several kinds, and what a driver made of it."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from drivers.conformance.play import NS, Play, live
from drivers.conformance.subject import Subject

_MOST_CHUNK = 700
_MOST_PAUSE_NS = 2 * NS
_PAUSES = 7
_BABBLE = bytes(range(0x20, 0x7F)) + b"\r\n\t"
_PIECES = 8  # cut frames in a chunk
_SEED = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Toll:
    """What noise did.

    Attributes:
        size_bytes: How much of it there was.
        taken: Values that the driver read out of it.
        believed: Those of them that the runtime did not doubt.
        most_held: Most bytes that were held at once.
    """

    size_bytes: int
    taken: int
    believed: int
    most_held: int


def _uniform(_subject: Subject, chance: random.Random) -> Iterator[bytes]:
    while True:
        yield chance.randbytes(chance.randint(1, _MOST_CHUNK))


def _babble(_subject: Subject, chance: random.Random) -> Iterator[bytes]:
    while True:
        yield bytes(chance.choices(_BABBLE, k=chance.randint(1, _MOST_CHUNK)))


def _constant(_subject: Subject, chance: random.Random) -> Iterator[bytes]:
    while True:
        yield chance.choice((b"\x00", b"\xff")) * chance.randint(1, _MOST_CHUNK)


def _strangers(subject: Subject, chance: random.Random) -> Iterator[bytes]:
    """Frames of all other families, each cut at random."""
    while True:
        yield b"".join(_piece(chance.choice(subject.strangers), chance) for _ in range(_PIECES)) or b"\x00"


def _piece(frame: bytes, chance: random.Random) -> bytes:
    first, last = sorted((chance.randint(0, len(frame)), chance.randint(0, len(frame))))
    return frame[first:last]


def _beginnings(subject: Subject, chance: random.Random) -> Iterator[bytes]:
    header = beginning([one.frame for one in live(subject)])
    while True:
        yield header * chance.randint(1, _MOST_CHUNK // len(header) + 1)


def beginning(frames: Sequence[bytes]) -> bytes:
    """What all frames begin with, but for the last byte of the shortest; their first byte when they differ in it."""
    first, last = min(frames), max(frames)
    length = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), 0)
    return first[: max(1, length or len(min(frames, key=len)) - 1)]


FLOODS: Mapping[str, Callable[[Subject, random.Random], Iterator[bytes]]] = {
    "random": _uniform,
    "babble": _babble,
    "00 and FF": _constant,
    "other frames": _strangers,
    "own header": _beginnings,
}
"""Kinds of noise by what they are made of."""


def flood(subject: Subject, kind: str, size_bytes: int, seed: int = _SEED) -> Toll:
    """Let noise of one kind come in chunks at random times."""
    chance = random.Random(f"{kind} {seed}")  # noqa: S311 - the same on each run
    pauses_ns = [chance.randrange(_MOST_PAUSE_NS) for _ in range(_PAUSES)]
    return endure(subject, _cut_off(FLOODS[kind](subject, chance), size_bytes), pauses_ns)


def _cut_off(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    while size > 0:
        chunk = next(chunks)[:size]
        size -= len(chunk)
        yield chunk


def endure(subject: Subject, chunks: Iterator[bytes] | Sequence[bytes], pauses_ns: Sequence[int]) -> Toll:
    """Let noise come at any times, to a driver that has settled and, where it asks, has just asked."""
    play = Play(subject, dict(live(subject)[0].options), subject.vectors)
    play.settle()
    size = taken = believed = most_held = 0
    for number, chunk in enumerate(chunks):
        if number % 2:
            play.listening()
        found = play.judged(play.hear(chunk))
        size += len(chunk)
        taken += len(found)
        believed += sum(not reading.quality for reading in found)
        most_held = max(most_held, getattr(play.driver, "held", 0))
        if pauses_ns:
            play.now_ns += pauses_ns[number % len(pauses_ns)]
            due_ns = play.bus.deadline()
            if due_ns is not None and due_ns <= play.now_ns:
                play.step()
        play.events.clear()
        play.sent.clear()
    return Toll(size_bytes=size, taken=taken, believed=believed, most_held=most_held)
