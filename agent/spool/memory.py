"""Segments in memory, with the calls of a disk: where rows go while the disk refuses. Gone with the process."""

import errno

from agent.spool.frames import Name
from agent.wire.batch import Stream

_FREE_BYTES = 2**40


class MemoryDisk:
    """A disk that never refuses. What it may hold is bounded by the spool that writes to it."""

    def __init__(self) -> None:
        self._segments: dict[str, bytearray] = {}
        self._open: dict[int, bytearray] = {}
        self._next = 0

    def prepare(self) -> list[Name]:
        """Return no segments: a run in memory begins with nothing."""
        return []

    def read(self, name: Name) -> bytes:
        """Return a whole segment. Raises OSError when it is not here."""
        return bytes(self._find(name))

    def read_at(self, name: Name, offset: int, length: int) -> bytes:
        """Return a piece of a segment; shorter at its end. Raises OSError when it is not here."""
        return bytes(self._find(name)[offset : offset + length])

    def _find(self, name: Name) -> bytearray:
        found = self._segments.get(str(name))
        if found is None:
            raise OSError(errno.ENOENT, "no such segment in memory")
        return found

    def cut(self, name: Name, size_bytes: int) -> None:
        """Cut the end of a segment off."""
        del self._find(name)[size_bytes:]

    def create(self, name: Name) -> int:
        """Begin a segment and return its descriptor."""
        self._next += 1
        self._open[self._next] = self._segments[str(name)] = bytearray()
        return self._next

    def reserve(self, stream: Stream, size_bytes: int) -> bool:  # noqa: ARG002 - a disk's question
        """Return False: memory is never full."""
        return False

    def create_reserved(self, name: Name) -> int:
        """Raise OSError: nothing was reserved."""
        raise OSError(errno.ENOENT, f"nothing is reserved for {name}")

    def append(self, descriptor: int, data: bytes) -> None:
        """Write bytes at the end."""
        self._open[descriptor] += data

    def sync(self, descriptor: int, *, new: bool) -> None:
        """Do nothing: memory is as safe as it will ever be."""

    def close(self, descriptor: int) -> None:
        """Let go of a segment."""
        del self._open[descriptor]

    def remove(self, name: Name) -> None:
        """Remove a segment."""
        self._segments.pop(str(name), None)

    def free_bytes(self) -> int:
        """Return a number beyond any floor."""
        return _FREE_BYTES
