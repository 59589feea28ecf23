"""Recording a history: the workload on an ext4 whose every block write and flush is written down, or on plain files."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults.powercut.history import History
from tests.faults.powercut.mounts import loop, make_ext4, mounted, unmount

SPOOL = "spool"
"""The spool's folder on the card."""
_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Recorded:
    """A history under a file system, from an empty one on.

    Attributes:
        base: The card before the first record.
        history: All that happened.
        options: How the file system was mounted.
    """

    base: bytes
    history: History
    options: str


def record_blocks(work: Path, *, seed: int, disk: str, options: str = "") -> Recorded:
    """Run the workload on a recorded card. Raises OSError, or CalledProcessError with what the workload said."""
    base, target, log, folder = work / "base.img", work / "card.img", work / "log", work / "mount"
    target.touch()
    folder.mkdir()
    make_ext4(base)
    with _served(base, target, log), loop(target, direct=True) as device, mounted(device, folder, options):
        _work(folder / SPOOL, log, seed, disk)
        history = History.load(log)  # before the unmount: nothing of a clean end is in it
    return Recorded(base=base.read_bytes(), history=history, options=options)


def record_files(work: Path, *, seed: int, disk: str) -> History:
    """Run the workload on plain files and return what it did to them. Raises CalledProcessError."""
    _work(work / SPOOL, work / "log", seed, disk)
    return History.load(work / "log")


def _work(folder: Path, log: Path, seed: int, disk: str) -> None:
    command = [sys.executable, "-m", "tests.faults.powercut.workload", str(folder), str(log), str(seed), disk]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)


@contextlib.contextmanager
def _served(base: Path, target: Path, log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.faults.powercut.fuse", str(base), str(target), str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            if server.stdout is None or server.stdout.readline() != "ready\n":
                raise OSError("the recorder under FUSE did not start")
            yield
        finally:
            with contextlib.suppress(OSError):  # it did not come as far as the mount
                unmount(target)
            try:
                server.wait(_SECONDS)
            finally:
                server.kill()
