"""The folder of segments: the only module that touches files of the spool.

Calls may block for seconds on a bad card.
"""

import contextlib
import ctypes
import errno
import os
from functools import cache
from pathlib import Path
from typing import Protocol

from agent.errors import SpoolError
from agent.spool.frames import Name, parse_name
from agent.wire.batch import Stream

_MODE = 0o640
_PROBE = "probe"
_RESERVE_FROM = 4
"""Space is reserved anew once so many times as much is free."""
_AHEAD_BYTES = 2**20
_BLOCK_BYTES = 512  # unit of st_blocks. Source: stat(2)
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE. Source: fallocate(2)


class Medium(Protocol):
    """What keeps segments: a folder on disk, or memory."""

    def prepare(self) -> list[Name]:
        """Return the segments, oldest first. Raises SpoolError."""

    def read(self, name: Name) -> bytes:
        """Return a whole segment. Raises OSError."""

    def read_at(self, name: Name, offset: int, length: int) -> bytes:
        """Return a piece of a segment; shorter at its end. Raises OSError."""

    def cut(self, name: Name, size_bytes: int) -> None:
        """Cut a torn tail off. Raises OSError."""

    def create(self, name: Name) -> int:
        """Begin a segment and return its descriptor. Raises OSError."""

    def reserve(self, stream: Stream, size_bytes: int) -> bool:
        """Keep space for one segment, so that a full disk can still be written to; True when it is there."""

    def create_reserved(self, name: Name) -> int:
        """Begin a segment in the space that was kept, which is used up by that. Raises OSError."""

    def append(self, descriptor: int, data: bytes) -> None:
        """Write bytes at the end. Raises OSError."""

    def sync(self, descriptor: int, *, new: bool) -> None:
        """Force a segment to the medium; a new one with its name. Raises OSError."""

    def close(self, descriptor: int) -> None:
        """Let go of a segment."""

    def remove(self, name: Name) -> None:
        """Remove a segment. Raises OSError."""

    def free_bytes(self) -> int:
        """Return the bytes that may still be written. Raises OSError."""


class Disk:
    """One folder of segments. Segments are only appended to and removed whole."""

    def __init__(self, folder: Path, *, ahead_bytes: int = _AHEAD_BYTES) -> None:
        """Make a disk.

        Args:
            folder: Where the segments lie; made when it is missing.
            ahead_bytes: Space taken at once for a segment, its size: syncs then change no map of free blocks.
        """
        self._folder = folder
        self._ahead_bytes = ahead_bytes

    def prepare(self) -> list[Name]:
        """Make the folder if needed and return its segments, oldest first.

        Everything is forced to the medium and dropped from the cache, so what is read next is what the card holds.

        Raises:
            SpoolError: the folder cannot be made or read.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            found = sorted((name for entry in self._folder.iterdir() if (name := parse_name(entry.name))), key=_counter)
            for name in found:
                self._settle(name)
            for stream in Stream:
                with contextlib.suppress(OSError):  # on a card that is read-only it does no harm
                    self._reserve(stream).unlink(missing_ok=True)  # one from before a cut may lack its space
            self._sync_folder()
        except OSError as error:
            raise SpoolError(f"the spool's folder {self._folder} cannot be used: {error.strerror}") from error
        return found

    def _settle(self, name: Name) -> None:
        with contextlib.suppress(OSError):  # a file that cannot be synced is still read: its frames carry CRCs
            descriptor = os.open(self._path(name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)

    def read(self, name: Name) -> bytes:
        """Return a whole segment. Raises OSError."""
        return self._path(name).read_bytes()

    def read_at(self, name: Name, offset: int, length: int) -> bytes:
        """Return a piece of a segment; shorter at its end. Raises OSError."""
        descriptor = os.open(self._path(name), os.O_RDONLY)
        try:
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)

    def cut(self, name: Name, size_bytes: int) -> None:
        """Cut a torn tail off. Raises OSError."""
        os.truncate(self._path(name), size_bytes)

    def create(self, name: Name) -> int:
        """Begin a segment and return its descriptor. Raises OSError."""
        return os.open(self._path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, _MODE)

    def reserve(self, stream: Stream, size_bytes: int) -> bool:
        """Keep space for one segment, so that a full disk can still be written to; True when it is there."""
        path = self._reserve(stream)
        try:
            if path.exists():
                return True
            if self.free_bytes() < _RESERVE_FROM * size_bytes:
                return False
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
            try:
                _allocate(descriptor, 0, size_bytes)
            finally:
                os.close(descriptor)
        except OSError:
            return False
        return True

    def create_reserved(self, name: Name) -> int:
        """Begin a segment in the space that was kept, which is used up by that. Raises OSError."""
        self._reserve(name.stream).rename(self._path(name))
        return os.open(self._path(name), os.O_WRONLY | os.O_APPEND)

    def _reserve(self, stream: Stream) -> Path:
        return self._folder / f"{stream.name.lower()}.reserve"

    def append(self, descriptor: int, data: bytes) -> None:
        """Write bytes at the end. Raises OSError."""
        found = os.fstat(descriptor)
        if found.st_size + len(data) > found.st_blocks * _BLOCK_BYTES:
            with contextlib.suppress(OSError):  # a wish only: the write itself says what is wrong
                _allocate(descriptor, found.st_size, len(data) + self._ahead_bytes)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def sync(self, descriptor: int, *, new: bool) -> None:
        """Force a segment to the medium; a new one with its name in the folder. Raises OSError."""
        if new:
            os.fsync(descriptor)
            self._sync_folder()
        else:
            os.fdatasync(descriptor)

    def close(self, descriptor: int) -> None:
        """Let go of a segment; its data was synced or is given up."""
        try:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size)  # gives back what was taken ahead
            os.close(descriptor)
        except OSError:
            return  # a dying card reports its old errors once more here

    def remove(self, name: Name) -> None:
        """Remove a segment. Raises OSError."""
        self._path(name).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Return the bytes an ordinary user may still write. Raises OSError."""
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def probe(self, size_bytes: int) -> None:
        """Find out whether the disk takes so many bytes again. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / _PROBE
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
            try:
                os.posix_fallocate(descriptor, 0, size_bytes)
                os.write(descriptor, b"?")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        finally:
            path.unlink(missing_ok=True)

    def _path(self, name: Name) -> Path:
        return self._folder / str(name)

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _allocate(descriptor: int, offset: int, size_bytes: int) -> None:
    """Take blocks for a piece of a file without changing its size, which Python's own call cannot. Raises OSError."""
    try:
        call = _libc().fallocate64
    except AttributeError as error:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP)) from error
    if call(descriptor, _KEEP_SIZE, ctypes.c_int64(offset), ctypes.c_int64(size_bytes)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _counter(name: Name) -> int:
    return name.counter
