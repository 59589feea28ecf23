"""File systems, loop devices and mounts of the power-cut test; whatever is made here is undone here."""

import contextlib
import ctypes
import errno
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("mkfs.ext4", "e2fsck", "losetup")
IMAGE_BYTES = 10 * 2**20
_BACKUP_BLOCK = 1024
"""Where the first backup of the superblock lies: a card of ordinary size has it where e2fsck looks by itself."""
_NO_ATIME = 1024  # MS_NOATIME
_REPAIRED = 3
"""Highest exit status of e2fsck when nothing is left to repair."""
_DETACH = 2  # MNT_DETACH
_LIBC = ctypes.CDLL(None, use_errno=True)
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def _checked(status: int, what: str) -> None:
    if status:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str | Path, target: Path, kind: str, options: str = "") -> None:
    """Mount. Raises OSError."""
    status = _LIBC.mount(str(source).encode(), str(target).encode(), kind.encode(), _NO_ATIME, options.encode())
    _checked(status, f"mount {source} on {target}")


def unmount(target: Path) -> None:
    """Unmount; what stays busy is detached, so that no mount is left behind, and told. Raises OSError."""
    for _ in range(50):
        if _LIBC.umount2(str(target).encode(), 0) == 0:
            return
        if ctypes.get_errno() != errno.EBUSY:
            break
        time.sleep(0.02)
    _checked(_LIBC.umount2(str(target).encode(), _DETACH), f"unmount {target}")
    raise OSError(errno.EBUSY, f"{target} stayed busy: something on it is still open")


def settle(folder: Path) -> None:
    """Have the kernel write back what it holds of a file system, as it does by itself after half a minute."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _checked(_LIBC.syncfs(descriptor), f"syncfs of {folder}")
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def mounted(source: str | Path, target: Path, options: str = "") -> Iterator[None]:
    """Have ext4 mounted. Raises OSError when it cannot be."""
    mount(source, target, "ext4", options)
    try:
        yield
    finally:
        unmount(target)


@contextlib.contextmanager
def loop(file: Path, *, direct: bool = False) -> Iterator[Path]:
    """Have a file as a block device. Raises OSError when it cannot be."""
    options = ["--direct-io=on"] if direct else []
    device = Path(_run("losetup", "--find", "--show", *options, str(file)).strip())
    try:
        yield device
    finally:
        _run("losetup", "--detach", str(device))


def make_ext4(file: Path) -> None:
    """Make a small ext4 as Debian makes it: 4 KiB blocks, a journal, checksums."""
    with file.open("wb") as image:
        image.truncate(IMAGE_BYTES)
    extended = "lazy_itable_init=0,lazy_journal_init=0,nodiscard"
    _run(
        "mkfs.ext4",
        "-q",
        "-b",
        "4096",
        "-J",
        "size=4",
        "-N",
        "256",
        "-g",
        str(_BACKUP_BLOCK),
        "-E",
        extended,
        str(file),
    )


def check_ext4(device: Path) -> None:
    """Repair a file system without a question, as a Pi does at boot. Raises OSError when it cannot be repaired."""
    for backup in ((), ("-b", str(_BACKUP_BLOCK), "-B", "4096")):
        command = ("e2fsck", "-fy", *backup, str(device))
        done = subprocess.run(command, check=False, capture_output=True, text=True, env={"PATH": _PATH})
        if done.returncode <= _REPAIRED:
            return
    raise OSError(errno.EIO, f"e2fsck gives up: {done.stdout[-500:]}{done.stderr[-500:]}")


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={"PATH": _PATH})
    if done.returncode:
        raise OSError(errno.EIO, f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def missing() -> str | None:
    """Return what this machine lacks for recording blocks under a file system; None when all is here."""
    if os.geteuid():
        return "only root may mount and attach loop devices"
    for name in ("/dev/fuse", "/dev/loop-control"):
        if not os.access(name, os.R_OK | os.W_OK):
            return f"{name} is missing or locked"
    programs = [program for program in PROGRAMS if shutil.which(program, path=_PATH) is None]
    if programs:
        return f"programs are missing: {', '.join(programs)} (Debian: e2fsprogs, mount)"
    with tempfile.TemporaryDirectory(prefix="gardu-powercut-") as folder:
        image, target = Path(folder, "image"), Path(folder, "mount")
        target.mkdir()
        try:
            make_ext4(image)
            with loop(image) as device, mounted(device, target):
                return None
        except OSError as error:
            return f"an ext4 on a loop device cannot be mounted: {error.strerror}"
