"""The open end of one stream: frames wait here until the sync that covers them has returned.

After a failed sync a file is never written again. What it may have forgotten is written, the same frames, to a new
segment, so nothing that was numbered or signed ever gets a second meaning.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass

from agent.errors import SpoolError
from agent.spool import frames
from agent.spool.chains import BatchKey, Numbered, Segment
from agent.spool.disk import Medium
from agent.spool.frames import Head, Name
from agent.spool.index import Index
from agent.wire.batch import Kind, Stream
from agent.wire.bodies import End

_HEAD_BYTES = 256
"""Room for the head of a segment."""
_MOST_UNSYNCED_FILES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One frame on its way to the disk.

    Attributes:
        data: The frame without its CRC, which the segment gives it.
        rows_to: Highest seq in a ROWS frame.
        end: Where the chain stands behind it, for a batch of this chain.
        copy: Of a batch that is copied forward.
        alone: True when it is synced before anything behind it is written.
        rows: What a batch of readings seals.
        record: Kind and body of a record that another run would have to tell in its place.
    """

    data: bytes
    rows_to: int = 0
    end: End | None = None
    copy: BatchKey | None = None
    alone: bool = False
    rows: Numbered | None = None
    record: tuple[Kind, bytes] | None = None

    @property
    def size_bytes(self) -> int:
        """Length of the frame in a segment."""
        return frames.CRC_BYTES + len(self.data)


class Tail:
    """Appends to one run and stream, a segment after the other.

    Attributes:
        segment: The one that is written.
        refused: True while the disk refuses what is in line.
        full: True while it does so because it is full.
        reserves: How many segments' space is kept for that.
    """

    def __init__(self, disk: Medium, index: Index, *, run: bytes, stream: Stream, segment_bytes: int) -> None:
        self._disk = disk
        self._index = index
        self._run = run
        self._stream = stream
        self._segment_bytes = segment_bytes
        self._waiting: list[Piece] = []
        self._descriptor: int | None = None
        self._new = False
        self._unsynced: list[Name] = []
        self.segment: Segment | None = None
        self.refused = False
        self.full = False
        self.reserves = 0

    def append(self, piece: Piece) -> None:
        """Put a frame in line."""
        self._waiting.append(piece)

    @property
    def waiting_bytes(self) -> int:
        """Bytes in line."""
        return sum(piece.size_bytes for piece in self._waiting)

    def drop(self) -> list[Piece]:
        """Close the segment for good and return what is in line, which is forgotten here."""
        self.give_up()
        line, self._waiting = self._waiting, []
        return line

    def flush(self, head: Callable[[], Head], *, seq0: int) -> list[Piece]:
        """Write and sync what waits, as far as one segment and one sync may hold it; return it.

        Args:
            head: The head of a new segment: where the chain stands before the first frame in line.
            seq0: Number of the first row that is not on disk yet, for a new segment's name.

        Raises:
            SpoolError: the disk refused; the frames stay in line.
        """
        portion = self._portion()
        if not portion:
            return []
        try:
            segment = self._write(portion, head, seq0)
        except OSError as error:
            self.full = error.errno == errno.ENOSPC
            self.refused = True
            raise SpoolError(f"the disk refuses to keep rows: {error.strerror}") from error
        self._new = self.refused = self.full = False
        del self._waiting[: len(portion)]
        for piece in portion:
            if piece.end is not None:
                segment.put(piece.end.n, segment.size_bytes)
            if piece.copy is not None:
                segment.copies[piece.copy] = segment.size_bytes
            segment.rows_to = max(segment.rows_to, piece.rows_to)
            segment.size_bytes += piece.size_bytes
        return portion

    def _write(self, portion: list[Piece], head: Callable[[], Head], seq0: int) -> Segment:
        """Write and sync, on a full disk into the space that was reserved. Raises OSError."""
        try:
            return self._write_to(self._disk.create, portion, head, seq0)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            try:
                return self._write_to(self._disk.create_reserved, portion, head, seq0)
            except OSError:
                raise error from None

    def _write_to(
        self, create: Callable[[Name], int], portion: list[Piece], head: Callable[[], Head], seq0: int
    ) -> Segment:
        size_bytes = sum(piece.size_bytes for piece in portion)
        try:
            segment, descriptor = self._place(create, size_bytes, head, seq0)
            self._disk.append(descriptor, frames.bind(segment.name, (piece.data for piece in portion)))
            self._disk.sync(descriptor, new=self._new)
        except OSError:
            self._abandon(size_bytes)
            raise
        return segment

    def _portion(self) -> list[Piece]:
        size_bytes = _HEAD_BYTES
        for at, piece in enumerate(self._waiting):
            size_bytes += piece.size_bytes
            if at and size_bytes > self._segment_bytes:
                return self._waiting[:at]
            if piece.alone:
                return self._waiting[: at + 1]
        return list(self._waiting)

    def _place(
        self, create: Callable[[Name], int], size_bytes: int, head: Callable[[], Head], seq0: int
    ) -> tuple[Segment, int]:
        if self.segment is not None and self._descriptor is not None:
            if self.segment.size_bytes + size_bytes <= self._segment_bytes:
                return self.segment, self._descriptor
            self.give_up()
        self._clear_away()
        self._index.counter += 1
        name = Name(counter=self._index.counter, run=self._run, stream=self._stream, seq0=seq0)
        try:
            descriptor = create(name)
        except OSError:
            self._unsynced.append(name)  # an error may come after the file was made
            raise
        state = head()
        first = frames.bind(name, [frames.encode_head(state)])
        segment = Segment(name=name, head=state, size_bytes=len(first))
        self._index.segments.append(segment)
        self.segment, self._descriptor, self._new = segment, descriptor, True
        self._disk.append(descriptor, first)
        self.reserves = int(self._disk.reserve(self._stream, self._segment_bytes))
        return segment, descriptor

    def _abandon(self, size_bytes: int) -> None:
        """Never write this file again; one that was never synced holds nothing that is not in line, so it goes."""
        opened = self._descriptor is not None
        self.give_up()
        if opened and self.segment is not None:
            self.segment.size_bytes += size_bytes  # some of it may be there
            if self._new:
                self._index.segments.remove(self.segment)
                self._unsynced.append(self.segment.name)
        self._new = False
        for name in list(self._unsynced):
            self._remove(name)

    def _clear_away(self) -> None:
        """Remove files that were never synced. Raises OSError while too many of them cannot be removed."""
        for name in list(self._unsynced):
            self._remove(name)
        if len(self._unsynced) >= _MOST_UNSYNCED_FILES:
            raise OSError(errno.EIO, "segments that were never synced cannot be removed")

    def _remove(self, name: Name) -> None:
        try:
            self._disk.remove(name)
        except OSError:
            return  # tried again before the next one is made
        self._unsynced.remove(name)

    def give_up(self) -> None:
        """Close the segment; the next frame begins a new one."""
        if self._descriptor is not None:
            self._disk.close(self._descriptor)
        self._descriptor = None
