"""A simulator on a pseudo-terminal: other programs open it as if a sensor were plugged in. Linux only."""

import contextlib
import fcntl
import os
import select
import struct
import termios
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

from drivers.simulate.simulator import Simulator

_READ_BYTES = 4096
_UNREAD_MAX = 1024  # what nobody reads is lost, as on a wire
_LONGEST_WAIT_S = 0.5
_NS = 1_000_000_000


@contextlib.contextmanager
def opened(link: Path | None = None) -> Iterator[tuple[int, int, str]]:
    """Open a pair in raw mode; closing it looks like pulling the plug.

    Args:
        link: A stable name that points at it while it is open; an old link of that name is replaced.

    Yields:
        Our end, the sensor user's end (held so that its settings stay), and the path to open.

    Raises:
        OSError: No pair is left, or the link cannot be made.
    """
    ours, theirs = os.openpty()
    try:
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        path = os.ttyname(theirs)
        if link is None:
            yield ours, theirs, path
            return
        fresh = link.with_name(f".{link.name}.{os.getpid()}")
        fresh.symlink_to(path)
        try:
            if link.exists() and not link.is_symlink():
                raise FileExistsError(f"{link} is no link; it will not be replaced")
            fresh.replace(link)
            yield ours, theirs, str(link)
        finally:
            fresh.unlink(missing_ok=True)
            if link.is_symlink() and str(link.readlink()) == path:
                link.unlink()
    finally:
        os.close(ours)
        os.close(theirs)


def serve(
    simulator: Simulator,
    *,
    link: Path | None = None,
    ready: Callable[[str], None],
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Let a simulator speak until stopped.

    Args:
        simulator: Who speaks.
        link: A stable name for the pseudo-terminal.
        ready: Called once with the path to open.
        stopped: Asked at least twice a second.

    Raises:
        OSError: The pseudo-terminal or its link cannot be made.
    """
    with opened(link) as (ours, theirs, path):
        ready(path)
        while not stopped():
            now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            _write(ours, theirs, simulator.tick(now_ns))
            due_ns = simulator.deadline()
            wait_s = _LONGEST_WAIT_S if due_ns is None else min(_LONGEST_WAIT_S, max(0.0, (due_ns - now_ns) / _NS))
            if select.select([ours], [], [], wait_s)[0]:
                data = os.read(ours, _READ_BYTES)
                _write(ours, theirs, simulator.receive(data, time.clock_gettime_ns(time.CLOCK_BOOTTIME)))


def _write(ours: int, theirs: int, frames: list[bytes]) -> None:
    for frame in frames:
        (unread,) = struct.unpack("i", fcntl.ioctl(theirs, termios.FIONREAD, b"\0" * 4))
        if unread > _UNREAD_MAX:
            termios.tcflush(theirs, termios.TCIFLUSH)
        with contextlib.suppress(BlockingIOError):  # full: lost, as on a wire
            os.write(ours, frame)
