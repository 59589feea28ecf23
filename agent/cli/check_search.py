"""Which of the usual checks guards frames that are known to be good. No I/O."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from drivers.framing import sum8, xor8
from drivers.serial.rtu import crc16

_MOST_START = 4  # bytes of a head that a sum may leave out
_SHORTEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A check, and how it is written in Python.

    Attributes:
        integrity: As a driver's info names it.
        total: Expression for what is computed of ``frame``.
        said: Expression for what the frame says.
        helper: Function that the expression calls, and the module it is from; empty where it calls none of ours.
    """

    integrity: Literal["crc16", "sum8", "sum16", "xor"]
    total: str
    said: str
    helper: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class _Candidate:
    found: Found
    total: Callable[[bytes], int]
    said: Callable[[bytes], int]


def find_check(frames: Sequence[bytes]) -> Found | None:
    """Return the check that all frames pass; None when none does, or too few frames are known to tell."""
    different = set(frames)
    for one in _candidates(min(map(len, frames))):
        strong = one.found.integrity in ("crc16", "sum16")
        if (strong or len(different) > 1) and all(one.total(frame) == one.said(frame) for frame in frames):
            return one.found
    return None


def _candidates(shortest: int) -> Iterator[_Candidate]:
    if shortest < _SHORTEST + 1:
        return
    for order in ("little", "big"):
        said = f'int.from_bytes(frame[-2:], "{order}")'
        found = Found(integrity="crc16", total="crc16(frame[:-2])", said=said, helper=("drivers.serial.rtu", "crc16"))
        yield _Candidate(found, lambda frame: crc16(frame[:-2]), _word(order))
    found = Found(integrity="sum16", total="sum(frame[:-2]) & 0xFFFF", said=said, helper=None)
    yield _Candidate(found, lambda frame: sum(frame[:-2]) & 0xFFFF, _word("big"))
    for end in (-1, -2):  # the last byte, or the one before an end mark
        for start in range(min(_MOST_START, shortest - _SHORTEST)):
            yield from _eight(start, end)


def _eight(start: int, end: int) -> Iterator[_Candidate]:
    """Checks of one byte over a part of the frame."""
    part = f"frame[{start or ''}:{end}]"
    folds: tuple[tuple[Literal["sum8", "xor"], str, str, Callable[[bytes], int]], ...] = (
        ("sum8", "sum8", f"sum8({part})", sum8),
        ("sum8", "sum8", f"-sum8({part}) & 0xFF", lambda data: -sum8(data) & 0xFF),
        ("xor", "xor8", f"xor8({part})", xor8),
    )
    for integrity, function, total, fold in folds:
        found = Found(integrity=integrity, total=total, said=f"frame[{end}]", helper=("drivers.framing", function))
        yield _Candidate(found, partial(_folded, fold, start, end), partial(_byte, end))


def _folded(fold: Callable[[bytes], int], start: int, end: int, frame: bytes) -> int:
    return fold(frame[start:end])


def _byte(end: int, frame: bytes) -> int:
    return frame[end]


def _word(order: str) -> Callable[[bytes], int]:
    if order == "big":
        return lambda frame: int.from_bytes(frame[-2:], "big")
    return lambda frame: int.from_bytes(frame[-2:], "little")
