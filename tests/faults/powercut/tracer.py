"""Writes down what a process does to the files of one folder, at the calls of ``os``.

It stands in for the functions of ``os`` in a process of its own. A call that would slip by (a file opened for writing
in another way) is an error, so that the record can be trusted.
"""

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path

from tests.faults.powercut.history import Create, FileOp, Rename, Resize, Sync, SyncFolder, Unlink, Write  # fmt: skip

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_Name = str | os.PathLike[str]


class Tracer:
    """Follows one folder from the moment it is empty.

    Args:
        folder: Absolute.
        emit: Told each operation after it was done.
    """

    def __init__(self, folder: Path, emit: Callable[[FileOp], None]) -> None:
        self._folder = str(folder)
        self._emit = emit
        self._numbers = itertools.count(1)
        self._names: dict[str, int] = {}
        self._sizes: dict[int, int] = {}
        self._files: dict[int, int] = {}
        self._folders: set[int] = set()
        self._inside = False

    def install(self) -> None:
        """Stand in for the functions of ``os`` until the process ends."""
        self._open, self._close, self._write, self._pwrite = os.open, os.close, os.write, os.pwrite
        self._fsync, self._fdatasync = os.fsync, os.fdatasync
        self._unlink, self._rename = os.unlink, os.rename
        self._truncate, self._ftruncate, self._allocate = os.truncate, os.ftruncate, os.posix_fallocate
        os.open, os.close, os.write, os.pwrite = self.open, self.close, self.write, self.pwrite  # type: ignore[assignment]  # as they are called here
        os.fsync, os.fdatasync = self.fsync, self.fdatasync  # type: ignore[assignment]  # likewise
        os.unlink = os.remove = self.unlink  # type: ignore[assignment]  # likewise
        os.rename = os.replace = self.rename  # type: ignore[assignment]  # likewise
        os.truncate, os.ftruncate, os.posix_fallocate = self.truncate, self.ftruncate, self.allocate  # type: ignore[assignment]  # likewise
        sys.addaudithook(self._watch)

    def _name(self, path: _Name) -> str | None:
        parent, name = os.path.split(os.path.abspath(path))  # noqa: PTH100 - the path as given, links and all
        return name if parent == self._folder else None

    def _watch(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._inside or event not in ("open", "os.rename", "os.remove", "os.truncate"):
            return
        path = arguments[0]
        writes = event != "open" or (isinstance(arguments[2], int) and arguments[2] & _WRITES)
        if writes and isinstance(path, str | os.PathLike) and self._name(path) is not None:
            raise RuntimeError(f"{event} of {path} slips by the tracer: use the calls of os that it follows")

    def open(self, path: _Name, flags: int, mode: int = 0o777) -> int:
        name = self._name(path)
        self._inside = name is not None
        try:
            descriptor = self._open(path, flags, mode)
        finally:
            self._inside = False
        if os.path.abspath(path) == self._folder:  # noqa: PTH100 - as above
            self._folders.add(descriptor)
        elif name is not None:
            if name not in self._names:
                self._names[name] = next(self._numbers)
                self._sizes[self._names[name]] = 0
                self._emit(Create(name, self._names[name]))
            self._files[descriptor] = self._names[name]
            if flags & os.O_TRUNC:
                self._resized(self._names[name], 0)
        return descriptor

    def close(self, descriptor: int) -> None:
        self._files.pop(descriptor, None)
        self._folders.discard(descriptor)
        self._close(descriptor)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        done = self._write(descriptor, data)
        if descriptor in self._files:
            end = os.lseek(descriptor, 0, os.SEEK_CUR)
            self._written(self._files[descriptor], end - done, bytes(data[:done]))
        return done

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        done = self._pwrite(descriptor, data, offset)
        if descriptor in self._files:
            self._written(self._files[descriptor], offset, bytes(data[:done]))
        return done

    def _written(self, file: int, offset: int, data: bytes) -> None:
        self._sizes[file] = max(self._sizes[file], offset + len(data))
        self._emit(Write(file, offset, data))

    def _resized(self, file: int, size_bytes: int) -> None:
        if self._sizes[file] != size_bytes:
            self._sizes[file] = size_bytes
            self._emit(Resize(file, size_bytes))

    def fsync(self, descriptor: int) -> None:
        self._fsync(descriptor)
        self._synced(descriptor)

    def fdatasync(self, descriptor: int) -> None:
        self._fdatasync(descriptor)
        self._synced(descriptor)

    def _synced(self, descriptor: int) -> None:
        if descriptor in self._folders:
            self._emit(SyncFolder())
        elif descriptor in self._files:
            self._emit(Sync(self._files[descriptor]))

    def unlink(self, path: _Name, *, dir_fd: int | None = None) -> None:
        name = self._name(path)
        self._inside = name is not None
        try:
            self._unlink(path, dir_fd=dir_fd)
        finally:
            self._inside = False
        if name is not None:
            del self._names[name]
            self._emit(Unlink(name))

    def rename(self, old: _Name, new: _Name) -> None:
        names = self._name(old), self._name(new)
        self._inside = None not in names
        try:
            self._rename(old, new)
        finally:
            self._inside = False
        if names[0] is not None and names[1] is not None:
            self._names[names[1]] = self._names.pop(names[0])
            self._emit(Rename(names[0], names[1]))

    def truncate(self, path: _Name, size_bytes: int) -> None:
        name = self._name(path)
        self._inside = name is not None
        try:
            self._truncate(path, size_bytes)
        finally:
            self._inside = False
        if name is not None:
            self._resized(self._names[name], size_bytes)

    def ftruncate(self, descriptor: int, size_bytes: int) -> None:
        self._ftruncate(descriptor, size_bytes)
        if descriptor in self._files:
            self._resized(self._files[descriptor], size_bytes)

    def allocate(self, descriptor: int, offset: int, length: int) -> None:
        self._allocate(descriptor, offset, length)
        if descriptor in self._files:
            file = self._files[descriptor]
            self._resized(file, max(self._sizes[file], offset + length))
