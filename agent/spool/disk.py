"""The folder of segments: the only module that touches files of the spool.

Calls may block for seconds on a bad card.
"""

import contextlib
import os
from pathlib import Path

from agent.errors import SpoolError
from agent.spool.frames import Name, parse_name

_MODE = 0o640


class Disk:
    """One folder of segments. Segments are only appended to and removed whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

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

    def append(self, descriptor: int, data: bytes) -> None:
        """Write bytes at the end. Raises OSError."""
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

    def _path(self, name: Name) -> Path:
        return self._folder / str(name)

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _counter(name: Name) -> int:
    return name.counter
