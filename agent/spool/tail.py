"""The open end of one stream: frames wait here until the sync that covers them has returned.

After a failed sync a file is never written again. What it may have forgotten is written, the same bytes, to a new
segment, so nothing that was numbered or signed ever gets a second meaning.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass

from agent.errors import SpoolError
from agent.spool import frames
from agent.spool.chains import BatchKey, Segment
from agent.spool.disk import Disk
from agent.spool.frames import Head, Name
from agent.spool.index import Index
from agent.wire.batch import Stream
from agent.wire.bodies import End

_HEAD_BYTES = 256
"""Room for the head of a segment."""
_MOST_UNSYNCED_FILES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One frame on its way to the disk.

    Attributes:
        data: The frame.
        rows_to: Highest seq in a ROWS frame.
        end: Where the chain stands behind it, for a batch of this chain.
        copy: Of a batch that is copied forward.
        alone: True when it is synced before anything behind it is written.
    """

    data: bytes
    rows_to: int = 0
    end: End | None = None
    copy: BatchKey | None = None
    alone: bool = False


class Tail:
    """Appends to one run and stream, a segment after the other."""

    def __init__(self, disk: Disk, index: Index, *, run: bytes, stream: Stream, segment_bytes: int) -> None:
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

    def append(self, piece: Piece) -> None:
        """Put a frame in line."""
        self._waiting.append(piece)

    @property
    def waiting_bytes(self) -> int:
        """Bytes in line."""
        return sum(len(piece.data) for piece in self._waiting)

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
        data = b"".join(piece.data for piece in portion)
        try:
            segment, descriptor = self._place(len(data), head, seq0)
            self._disk.append(descriptor, data)
            self._disk.sync(descriptor, new=self._new)
        except OSError as error:
            self._abandon(len(data))
            self.refused = True
            raise SpoolError(f"the disk refuses to keep rows: {error.strerror}") from error
        self._new = self.refused = False
        del self._waiting[: len(portion)]
        for piece in portion:
            if piece.end is not None:
                segment.put(piece.end.n, segment.size_bytes)
            if piece.copy is not None:
                segment.copies[piece.copy] = segment.size_bytes
            segment.rows_to = max(segment.rows_to, piece.rows_to)
            segment.size_bytes += len(piece.data)
        return portion

    def _portion(self) -> list[Piece]:
        size_bytes = _HEAD_BYTES
        for at, piece in enumerate(self._waiting):
            size_bytes += len(piece.data)
            if at and size_bytes > self._segment_bytes:
                return self._waiting[:at]
            if piece.alone:
                return self._waiting[: at + 1]
        return list(self._waiting)

    def _place(self, size_bytes: int, head: Callable[[], Head], seq0: int) -> tuple[Segment, int]:
        if self.segment is not None and self._descriptor is not None:
            if self.segment.size_bytes + size_bytes <= self._segment_bytes:
                return self.segment, self._descriptor
            self.give_up()
        self._clear_away()
        self._index.counter += 1
        name = Name(counter=self._index.counter, run=self._run, stream=self._stream, seq0=seq0)
        try:
            descriptor = self._disk.create(name)
        except OSError:
            self._unsynced.append(name)  # an error may come after the file was made
            raise
        state = head()
        first = frames.encode_head(state)
        segment = Segment(name=name, head=state, size_bytes=len(first))
        self._index.segments.append(segment)
        self.segment, self._descriptor, self._new = segment, descriptor, True
        self._disk.append(descriptor, first)
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
