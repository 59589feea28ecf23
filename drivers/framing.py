"""Shared codecs: a stream of bytes, cut anywhere, into whole frames and what had to be dropped.

Every codec resynchronises the same way: a frame that fails costs one byte, and the search goes on behind it. What comes
out depends only on the bytes, never on how they were cut. Memory is bounded, work is linear in the input.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

_RAW_KEPT = 64  # bytes of a rejected stretch that are shown
_NOISE_MAX = 1024  # bytes of noise that one event may stand for


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a whole frame is not believed.

    Attributes:
        reason: Constant text, e.g. ``"checksum"``.
        detail: For people, e.g. ``"expected d5, got d6"``.
    """

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Bytes that made no frame.

    Attributes:
        reason: Constant text, e.g. ``"noise"``.
        detail: For people.
        raw: The bytes, at most 64.
        count: Bytes of the stream that are gone with it.
    """

    reason: str
    detail: str = ""
    raw: bytes
    count: int


Piece = bytes | Dropped
Check = Callable[[bytes], Fault | None]


class Codec(Protocol):
    """Cuts a stream into frames."""

    def feed(self, data: bytes) -> list[Piece]:
        """Take bytes; return the frames and drops they complete, in order."""
        ...

    def rest(self) -> list[Dropped]:
        """Give up what is held and return it as dropped."""
        ...

    @property
    def held(self) -> int:
        """Bytes kept for later."""
        ...


def sum8(data: bytes) -> int:
    """Sum of all bytes modulo 256."""
    return sum(data) & 0xFF


def xor8(data: bytes) -> int:
    """All bytes exclusive-ored."""
    value = 0
    for byte in data:
        value ^= byte
    return value


class Noise:
    """Gathers bytes that belong to no frame, so that a stretch of them is one event."""

    __slots__ = ("_count", "_raw")

    def __init__(self) -> None:
        self._raw = b""
        self._count = 0

    def add(self, data: bytes, out: list[Piece]) -> None:
        """Gather bytes; append an event for each full stretch."""
        while data:
            taken = data[: _NOISE_MAX - self._count]
            data = data[len(taken) :]
            self._raw += taken[: _RAW_KEPT - len(self._raw)]
            self._count += len(taken)
            if self._count == _NOISE_MAX:
                self.flush(out)

    def flush(self, out: list[Piece]) -> None:
        """Append an event for what was gathered, if anything was."""
        out += self.take()

    def take(self) -> list[Dropped]:
        """Give up what was gathered."""
        gone = [Dropped(reason="noise", raw=self._raw, count=self._count)] if self._count else []
        self._raw, self._count = b"", 0
        return gone

    @property
    def held(self) -> int:
        """Bytes kept to show."""
        return len(self._raw)


class FixedFrame:
    """Frames that begin with one of some marks, have the length of their mark and pass a check.

    Args:
        marks: Possible first bytes, all of one length.
        length: Bytes in a frame; a mapping where each mark has its own.
        check: Says what is wrong with a frame of that length, None when nothing is.
    """

    __slots__ = ("_buffer", "_check", "_lengths", "_mark", "_mark_bytes", "_noise")

    def __init__(self, marks: tuple[bytes, ...], length: int | Mapping[bytes, int], check: Check) -> None:
        self._mark = re.compile(b"|".join(re.escape(mark) for mark in marks), re.DOTALL)
        self._mark_bytes = len(marks[0])
        self._lengths = dict.fromkeys(marks, length) if isinstance(length, int) else dict(length)
        self._check = check
        self._buffer = b""
        self._noise = Noise()

    def feed(self, data: bytes) -> list[Piece]:
        """Take bytes; return the frames and drops they complete, in order."""
        out: list[Piece] = []
        buffer = self._buffer + data
        at = 0
        while found := self._mark.search(buffer, at):
            self._noise.add(buffer[at : found.start()], out)
            at = found.start()
            length = self._lengths[found.group()]
            if len(buffer) - at < length:
                break
            frame = buffer[at : at + length]
            fault = self._check(frame)
            self._noise.flush(out)
            if fault is None:
                out.append(frame)
                at += length
            else:
                out.append(Dropped(reason=fault.reason, detail=fault.detail, raw=frame, count=1))
                at += 1  # a good frame may start inside the bad one
        else:
            keep = max(at, len(buffer) - self._mark_bytes + 1)  # the last bytes may be half a mark
            self._noise.add(buffer[at:keep], out)
            at = keep
        self._buffer = buffer[at:]
        return out

    def rest(self) -> list[Dropped]:
        """Give up what is held and return it as dropped."""
        out = self._noise.take()
        if self._buffer:
            length = self._lengths.get(self._buffer[: self._mark_bytes], max(self._lengths.values()))
            detail = f"{len(self._buffer)} of {length} bytes"
            out.append(
                Dropped(reason="incomplete", detail=detail, raw=self._buffer[:_RAW_KEPT], count=len(self._buffer))
            )
        self._buffer = b""
        return out

    @property
    def held(self) -> int:
        """Bytes kept for later."""
        return len(self._buffer) + self._noise.held


class LineFrame:
    """Lines of text that end with one of some bytes.

    Args:
        ends: Each of these bytes ends a line; empty lines are skipped.
        max_length: Longest line in bytes; a longer one is dropped up to its end, unless a start mark follows in it.
        start: Mark, or marks, a line begins with, included in the frame; what stands before it is noise. Empty: none.
        check: Says what is wrong with a line. With a start mark the search goes on at the next mark inside it.
        whole_only: Drop what comes before the first end: it may be the tail of a line that began unheard.
    """

    __slots__ = ("_buffer", "_check", "_cut", "_ends", "_max", "_noise", "_start", "_tail", "_whole_only")

    def __init__(
        self,
        ends: bytes,
        max_length: int,
        check: Check,
        *,
        start: bytes | tuple[bytes, ...] = b"",
        whole_only: bool = False,
    ) -> None:
        self._ends = re.compile(b"[" + re.escape(ends) + b"]")
        self._max = max_length
        self._check = check
        marks = (start,) if isinstance(start, bytes) else start
        self._start = re.compile(b"|".join(re.escape(mark) for mark in marks)) if start else None
        self._buffer = b""
        self._cut = False
        self._whole_only = whole_only
        self._tail = whole_only
        self._noise = Noise()

    def feed(self, data: bytes) -> list[Piece]:
        """Take bytes; return the lines and drops they complete, in order."""
        out: list[Piece] = []
        at = 0
        for end in self._ends.finditer(data):
            self._grow(data[at : end.start()], out)
            at = end.end()
            self._line(out)
        self._grow(data[at:], out)
        return out

    def _grow(self, data: bytes, out: list[Piece]) -> None:
        """Lengthen the open line; what is beyond the limit leaves at its front."""
        line = self._buffer + data
        if (extra := len(line) - self._max) > 0:
            self._noise.add(line[:extra], out)
            line = line[extra:]
            self._cut = True
        self._buffer = line

    def _line(self, out: list[Piece]) -> None:
        line, self._buffer = self._buffer, b""
        cut, self._cut = self._cut, False
        tail, self._tail = self._tail, False
        if not line:
            return
        if self._start:
            self._search(self._start, line, out)
        elif cut or tail:
            self._noise.flush(out)
            reason = "too long" if cut else "partial"
            out.append(Dropped(reason=reason, raw=line[:_RAW_KEPT], count=len(line)))
        else:
            self._noise.flush(out)
            fault = self._check(line)
            out.append(line if fault is None else _dropped(fault, line, len(line)))

    def _search(self, start: re.Pattern[bytes], line: bytes, out: list[Piece]) -> None:
        """Find the first start mark in the line from which it passes the check."""
        marks = [found.start() for found in start.finditer(line)]
        self._noise.add(line[: marks[0]] if marks else line, out)
        for at, later in pairwise([*marks, len(line)]):
            self._noise.flush(out)
            fault = self._check(line[at:])
            if fault is None:
                out.append(line[at:])
                return
            out.append(_dropped(fault, line[at:], later - at))

    def rest(self) -> list[Dropped]:
        """Give up what is held and return it as dropped."""
        out = self._noise.take()
        if self._buffer:
            out.append(_dropped(Fault(reason="incomplete", detail="no line end"), self._buffer, len(self._buffer)))
        self._buffer, self._cut, self._tail = b"", False, self._whole_only
        return out

    @property
    def held(self) -> int:
        """Bytes kept for later."""
        return len(self._buffer) + self._noise.held


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How messages of one kind begin, end and are checked, for `EndedFrame`.

    Attributes:
        starts: Each of these bytes may begin one.
        end: Matches the last bytes of one, check bytes behind its end mark included.
        end_max: Bytes of the longest such match.
        longest: Bytes within which the end must begin.
        check: Says what is wrong with a whole message, None when nothing is.
        common: The start is common in other talk, so that what fails is noise.
    """

    starts: bytes
    end: re.Pattern[bytes]
    end_max: int
    longest: int
    check: Check
    common: bool = False


class EndedFrame:
    """Messages of one or more forms that have no length but an end. What fails costs one byte.

    Args:
        forms: Their starts differ.
    """

    __slots__ = ("_buffer", "_form", "_forms", "_noise", "_searched", "_starts")

    def __init__(self, *forms: Form) -> None:
        self._forms = {start: form for form in forms for start in form.starts}
        self._starts = re.compile(b"[" + re.escape(bytes(self._forms)) + b"]")
        self._buffer = b""
        self._form: Form | None = None
        self._searched = 1  # before it no end of that form begins
        self._noise = Noise()

    def feed(self, data: bytes) -> list[Piece]:
        """Take bytes; return the messages and drops they complete, in order."""
        out: list[Piece] = []
        self._buffer += data
        while self._buffer:
            start = self._starts.search(self._buffer)
            self._skip(start.start() if start else len(self._buffer), out)
            if not self._buffer:
                break
            form = self._forms[self._buffer[0]]
            if form is not self._form:
                self._form, self._searched = form, 1
            end = form.end.search(self._buffer, self._searched)
            if end is not None and end.start() <= form.longest:
                self._take(form, self._buffer[: end.end()], out)
                continue
            if end is None:
                self._searched = max(1, len(self._buffer) - form.end_max + 1)
                if len(self._buffer) < form.longest + form.end_max:
                    break
            fault = Fault(reason="too long", detail=f"no end in {form.longest} bytes")
            self._fail(form, fault, self._buffer[: form.longest], out)
        return out

    def _take(self, form: Form, message: bytes, out: list[Piece]) -> None:
        fault = form.check(message)
        if fault is not None:
            self._fail(form, fault, message, out)
            return
        self._noise.flush(out)
        out.append(message)
        self._forget(len(message))

    def _fail(self, form: Form, fault: Fault, message: bytes, out: list[Piece]) -> None:
        """A good message may begin inside the bad one."""
        if form.common:
            self._skip(1, out)
            return
        self._noise.flush(out)
        out.append(_dropped(fault, message, 1))
        self._forget(1)

    def _skip(self, count: int, out: list[Piece]) -> None:
        self._noise.add(self._buffer[:count], out)
        self._forget(count)

    def _forget(self, count: int) -> None:
        self._buffer, self._searched = self._buffer[count:], max(1, self._searched - count)

    def rest(self) -> list[Dropped]:
        """Give up what is held and return it as dropped."""
        out = self._noise.take()
        if self._buffer:
            out.append(_dropped(Fault(reason="incomplete", detail="no end"), self._buffer, len(self._buffer)))
        self._forget(len(self._buffer))
        return out

    @property
    def held(self) -> int:
        """Bytes kept for later."""
        return len(self._buffer) + self._noise.held


def _dropped(fault: Fault, raw: bytes, count: int) -> Dropped:
    return Dropped(reason=fault.reason, detail=fault.detail, raw=raw[:_RAW_KEPT], count=count)
