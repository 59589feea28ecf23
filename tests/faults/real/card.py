"""A small SD card: ext4 on a loop device that fills up, stalls, goes read-only, dies, is put in again. Needs root."""

import contextlib
import errno
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.center.processes import until

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_PROGRAMS = ("mkfs.ext4", "losetup", "mount", "umount")
_SHUTDOWN, _NO_FLUSH = 0x8004587D, struct.pack("I", 2)  # EXT4_IOC_SHUTDOWN: Linux, fs/ext4/ext4.h
_FREEZE, _THAW = 0xC0045877, 0xC0045878  # FIFREEZE, FITHAW: Linux, include/uapi/linux/fs.h
_BLOCK = 1024
_PIECE = 64 * 1024
_PATIENCE_S = 30


def _missing() -> str:
    if os.geteuid():
        return "not root"
    if not Path("/dev/loop-control").exists():
        return "no loop devices"
    return ", ".join(f"no {name}" for name in _PROGRAMS if shutil.which(name, path=_PATH) is None)


MISSING = _missing()
"""Why there can be no card here; empty when there can."""

needs_card = pytest.mark.skipif(bool(MISSING), reason=f"FULL AND DEAD DISKS ARE NOT TESTED HERE: {MISSING}")


class Card:
    """One card, mounted while the context is open; whatever happened to it, nothing of it stays behind.

    Args:
        image: File that holds it.
        folder: Where it shows.
        size_bytes: Its size, with what ext4 takes for itself.
    """

    def __init__(self, image: Path, folder: Path, *, size_bytes: int) -> None:
        self._image = image
        self.folder = folder
        self._size_bytes = size_bytes
        self._foreign = folder / "foreign"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._image.open("wb") as image:
            image.truncate(self._size_bytes)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", "-b", str(_BLOCK), str(self._image))
        self.put_in()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while os.path.ismount(self.folder):
            _run("umount", "--lazy", str(self.folder))
        until("nothing uses the card any more", lambda: not self._devices())
        self._image.unlink()

    def put_in(self) -> None:
        """Mount it, over its dead self if there is one: open files stay dead, every path leads to the new one."""
        for device in self._devices():
            with open(device, "rb") as old:  # noqa: PTH123 - what the dead one still has in its cache goes first
                os.fsync(old.fileno())
        device = _run("losetup", "--find", "--show", str(self._image))
        try:
            _run("mount", "-o", "errors=remount-ro", device, str(self.folder))
        finally:
            _run("losetup", "--detach", device)  # goes with the last mount

    def go_read_only(self) -> None:
        """Meet an error, as ext4 does on a bad card: from now on every write is refused with EROFS."""
        Path(f"/sys/fs/ext4/{Path(self._device()).name}/trigger_fs_error").write_text("1")

    def die(self) -> None:
        """Answer every call with EIO; what was not synced is gone."""
        with self._open() as folder:
            fcntl.ioctl(folder, _SHUTDOWN, _NO_FLUSH)

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """Let every write wait meanwhile, as a card does that tidies itself up."""
        with self._open() as folder:
            fcntl.ioctl(folder, _FREEZE, 0)
            try:
                yield
            finally:
                fcntl.ioctl(folder, _THAW, 0)

    def fill(self) -> int:
        """Let somebody else's file take every block that is free; return its size."""
        file = os.open(self._foreign, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            size_bytes = _PIECE
            while size_bytes >= _BLOCK:
                try:
                    os.write(file, bytes(size_bytes))
                    os.fsync(file)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size_bytes //= 2
            return os.fstat(file).st_size
        finally:
            os.close(file)

    def free(self) -> None:
        """Remove that file again, for good."""
        self._foreign.unlink(missing_ok=True)
        with self._open() as folder:
            os.fsync(folder)

    def free_bytes(self) -> int:
        """Return the bytes that anybody may still write."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    @contextlib.contextmanager
    def _open(self) -> Iterator[int]:
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield folder
        finally:
            os.close(folder)

    def _devices(self) -> list[str]:
        return _run("losetup", "--associated", str(self._image), "--noheadings", "--output", "NAME").split()

    def _device(self) -> str:
        """Return the device of the mount on top."""
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
        return next(device for device, folder, *_ in reversed(mounts) if folder == str(self.folder))


def _run(*words: str) -> str:
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=_PATIENCE_S, env={**os.environ, "PATH": _PATH}
    )
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.strip()}"
    return done.stdout.strip()
