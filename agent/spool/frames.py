"""Frames of a segment: crc32 u32 | length u32 | kind u8 | body, little endian.

The CRC goes over the name of the segment's file and all of the frame after it: in a file system that was repaired, a
good frame of another segment is damage here.

A segment's name is ``counter-run-stream-seq0``: the counter grows with every segment of a spool and so orders runs.
"""

import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import cbor2

from agent.wire.batch import ID_BYTES, Kind, Stream
from agent.wire.bodies import End
from agent.wire.errors import WireError
from agent.wire.senml import Row

_HEADER = struct.Struct("<IIB")
_CRC = struct.Struct("<I")
CRC_BYTES = _CRC.size
HEADER_BYTES = _HEADER.size
BODY_BYTES = 512 * 1024
"""Longest body; a longer length is damage."""
_KINDS = 64
_LIKELY = re.compile(rb"(?=.{6}[\x00-\x08]\x00[\x01-\x3f])", re.DOTALL)
"""Where a header may begin: its length is within bounds and its kind is one; passes over damage at the speed of C."""
FOREIGN = (WireError, ValueError, TypeError, OverflowError, struct.error, cbor2.CBORError)
"""What reading a body may raise whose CRC holds but which is not ours: kept, not understood."""

_BATCH = struct.Struct(f"<QQIB{ID_BYTES}s")
_NO_ORIGIN = bytes(ID_BYTES)


class FrameKind(IntEnum):
    """What a frame holds. Unknown kinds with a good CRC are kept."""

    HEAD = 1
    ROWS = 2
    BATCH = 3
    MARK = 4
    COPY = 5
    END = 6


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame whose CRC holds. ``offset`` is where it begins in the segment."""

    kind: int
    body: bytes
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a segment's bytes hold.

    Attributes:
        frames: The good ones, in order.
        end: Where the last good frame ends; bytes after it are a torn tail.
        torn_bytes: Length of that tail.
        damaged: Places with bad bytes that have good frames after them.
    """

    frames: tuple[Frame, ...]
    end: int
    torn_bytes: int
    damaged: int


# -- names of segments ------------------------------------------------------------------------------------------------

_STREAM_WORDS = {Stream.ALARM: "alarm", Stream.TELEMETRY: "telemetry"}
_NAME = re.compile(r"(\d{10})-([0-9a-f]{32})-(alarm|telemetry)-(\d{16})\.seg", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """Name of a segment."""

    counter: int
    run: bytes
    stream: Stream
    seq0: int

    @property
    def seed(self) -> int:
        """Where the CRC of each of its frames begins."""
        return zlib.crc32(str(self).encode())

    def __str__(self) -> str:
        return f"{self.counter:010d}-{self.run.hex()}-{_STREAM_WORDS[self.stream]}-{self.seq0:016d}.seg"


def parse_name(text: str) -> Name | None:
    """Read the name of a segment; None when it is none."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    stream = Stream.ALARM if found[3] == _STREAM_WORDS[Stream.ALARM] else Stream.TELEMETRY
    return Name(counter=int(found[1]), run=bytes.fromhex(found[2]), stream=stream, seq0=int(found[4]))


# -- frames -----------------------------------------------------------------------------------------------------------


def encode(kind: FrameKind, body: bytes) -> bytes:
    """Return a frame without its CRC."""
    return _HEADER.pack(0, len(body), kind)[CRC_BYTES:] + body


def bind(name: Name, made: Iterable[bytes]) -> bytes:
    """Return the bytes of frames in the segment of that name: each one with its CRC."""
    seed = name.seed
    return b"".join(part for frame in made for part in (_CRC.pack(zlib.crc32(frame, seed)), frame))


def _at(data: bytes, offset: int, seed: int) -> Frame | None:
    if offset + HEADER_BYTES > len(data):
        return None
    crc, length, kind = _HEADER.unpack_from(data, offset)
    end = offset + HEADER_BYTES + length
    if length > BODY_BYTES or not 0 < kind < _KINDS or end > len(data):
        return None
    with memoryview(data) as view:
        if zlib.crc32(view[offset + CRC_BYTES : end], seed) != crc:
            return None
    return Frame(kind, data[offset + HEADER_BYTES : end], offset)


def frames(name: Name, data: bytes) -> Iterator[Frame]:
    """Yield the good frames of a segment, stepping over bad bytes."""
    seed, offset = name.seed, 0
    while offset < len(data):
        frame = _at(data, offset, seed)
        if frame is None:
            likely = _LIKELY.search(data, offset + 1)
            offset = len(data) if likely is None else likely.start()
            continue
        yield frame
        offset += HEADER_BYTES + len(frame.body)


def scan(name: Name, data: bytes) -> Scan:
    """Read a whole segment."""
    found = tuple(frames(name, data))
    end = damaged = 0
    for frame in found:
        damaged += frame.offset != end
        end = frame.offset + HEADER_BYTES + len(frame.body)
    return Scan(frames=found, end=end, torn_bytes=len(data) - end, damaged=damaged)


def frame_at(name: Name, data: bytes) -> Frame | None:
    """Read the one frame of a segment that fills ``data``; None when its CRC fails."""
    frame = _at(data, 0, name.seed)
    return frame if frame is not None and HEADER_BYTES + len(frame.body) == len(data) else None


def length_at(header: bytes) -> int:
    """Return the size in bytes of the frame that a header announces; 0 when it cannot be one."""
    if len(header) < HEADER_BYTES:
        return 0
    _, length, _ = _HEADER.unpack_from(header)
    return HEADER_BYTES + length if length <= BODY_BYTES else 0


# -- bodies -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """First frame of a segment: whose it is and where its chain stood.

    Attributes:
        node: ``city/node``.
        boot: Kernel boot id of the run.
        end: n, hash and seq so far.
        at_boot_ms: When the segment was begun.
        at_utc_ms: The same in UTC where believed.
    """

    node: str
    boot: bytes
    end: End
    at_boot_ms: int
    at_utc_ms: int | None


def encode_head(head: Head) -> bytes:
    """Return the HEAD frame."""
    end = head.end
    body = [head.node, head.boot, end.n, end.hash, end.seq, head.at_boot_ms, head.at_utc_ms]
    return encode(FrameKind.HEAD, cbor2.dumps(body))


def decode_head(body: bytes) -> Head:
    """Read a HEAD body that this module wrote."""
    node, boot, n, digest, seq, at_boot_ms, at_utc_ms = cbor2.loads(body)
    return Head(node=node, boot=boot, end=End(n=n, hash=digest, seq=seq), at_boot_ms=at_boot_ms, at_utc_ms=at_utc_ms)


def encode_rows(seq0: int, rows: Sequence[Row]) -> bytes:
    """Return the ROWS frame of rows that are not in a batch yet, numbered from ``seq0``."""
    return encode(
        FrameKind.ROWS, cbor2.dumps([seq0, [[r.path, r.unit, r.boot_ms, r.value, list(r.flags)] for r in rows]])
    )


def decode_rows(body: bytes) -> tuple[int, list[Row]]:
    """Read a ROWS body that this module wrote: (seq0, rows)."""
    seq0, rows = cbor2.loads(body)
    return seq0, [
        Row(path=path, unit=unit, boot_ms=boot_ms, value=value, flags=tuple(flags))
        for path, unit, boot_ms, value, flags in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFacts:
    """What the spool needs to know of a batch without opening it."""

    n: int
    seq0: int
    count: int
    kind: Kind
    origin: bytes | None


def encode_batch(facts: BatchFacts, message: bytes, *, copied: bool = False) -> bytes:
    """Return the BATCH frame of a message, or its COPY when it was copied forward from an older segment."""
    prefix = _BATCH.pack(facts.n, facts.seq0, facts.count, facts.kind, facts.origin or _NO_ORIGIN)
    return encode(FrameKind.COPY if copied else FrameKind.BATCH, prefix + message)


def batch_facts(body: bytes) -> BatchFacts:
    """Read the facts in front of a BATCH or COPY body."""
    n, seq0, count, kind, origin = _BATCH.unpack_from(body)
    return BatchFacts(n=n, seq0=seq0, count=count, kind=Kind(kind), origin=None if origin == _NO_ORIGIN else origin)


def rows_span(body: bytes) -> tuple[int, int]:
    """Return (seq0, count) of a ROWS body."""
    seq0, rows = cbor2.loads(body)
    return seq0, len(rows)


def message_of(frame: Frame) -> bytes:
    """Return the message in a BATCH or COPY frame, the exact bytes that were signed."""
    return frame.body[_BATCH.size :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What the center has settled of one chain: all up to n, and ranges above it; and what it refused for good."""

    run: bytes
    stream: Stream
    n: int
    ranges: tuple[tuple[int, int], ...]
    refused: tuple[int, ...] = ()


def encode_mark(mark: Mark) -> bytes:
    """Return the MARK frame."""
    body = [mark.run, int(mark.stream), mark.n, [list(span) for span in mark.ranges], list(mark.refused)]
    return encode(FrameKind.MARK, cbor2.dumps(body))


def decode_mark(body: bytes) -> Mark:
    """Read a MARK body that this module wrote."""
    run, stream, n, ranges, refused = cbor2.loads(body)
    spans = tuple((first, last) for first, last in ranges)
    return Mark(run=run, stream=Stream(stream), n=n, ranges=spans, refused=tuple(refused))


def encode_end(end: End) -> bytes:
    """Return the END frame: this run was closed cleanly, and this is where its chain and its rows end."""
    return encode(FrameKind.END, cbor2.dumps([end.n, end.hash, end.seq]))


def decode_end(body: bytes) -> End:
    """Read an END body that this module wrote."""
    n, digest, seq = cbor2.loads(body)
    return End(n=n, hash=digest, seq=seq)
