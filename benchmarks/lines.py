"""Sensors for the peers: lines of text or SDS011 frames on pseudo-terminals, each value once, at 1 Hz or at full speed.

A peer cannot be asked what it took. So every value is the number of its frame, and the receiver counts.
"""

import os
import select
import threading
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TENTHS = 10
_WAIT_S = 0.2
_FEED_S = 0.01


def text(number: int) -> bytes:
    """Return a line a gateway can cut at fixed places: two values, 7 characters each."""
    return b"%07.1f %07.1f\n" % (number / _TENTHS, number / _TENTHS)


def sds011(number: int) -> bytes:
    """Return an SDS011 frame whose two values are the number, in tenths."""
    body = number.to_bytes(2, "little") * 2 + b"\x01\x02"
    return b"\xaa\xc0" + body + bytes([sum(body) & 0xFF]) + b"\xab"


@dataclass(slots=True)
class _Line:
    ours: int
    theirs: int
    number: int = 0
    rest: bytes = b""


class Lines:
    """Sensors on lines of their own, as a context: a thread of this process speaks for them.

    Args:
        links: Where the lines appear.
        frame: Makes the frame of a number.
    """

    def __init__(self, links: list[Path], frame: Callable[[int], bytes]) -> None:
        self._links = links
        self._frame = frame
        self._lines: list[_Line] = []
        self._stop = threading.Event()
        self._quiet = threading.Event()
        self._thread = threading.Thread(target=self._speak, daemon=True)

    def __enter__(self) -> Self:
        for link in self._links:
            ours, theirs = os.openpty()
            tty.setraw(theirs)
            os.set_blocking(ours, False)
            link.unlink(missing_ok=True)
            link.symlink_to(os.ttyname(theirs))
            self._lines.append(_Line(ours=ours, theirs=theirs))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for line in self._lines:
            os.close(line.ours)
            os.close(line.theirs)

    def feed(self, frames: int) -> int:
        """Send so many frames on each line, 100 a second or as fast as they are read; return the first one's number.

        From then on the lines are silent. No faster: ThingsBoard keeps one value a millisecond and channel.
        """
        self._quiet.set()
        self._stop.wait(2 * _WAIT_S)
        first = max(line.number for line in self._lines) + 1
        begun_s = time.monotonic()
        for line in self._lines:
            line.number = first - 1
        for turn in range(1, frames + 1):
            for line in self._lines:
                self._write(line)
                while line.rest:
                    select.select([], [line.ours], [])
                    self._write(line)
            self._stop.wait(max(0.0, begun_s + turn * _FEED_S - time.monotonic()))
        return first

    def _speak(self) -> None:
        while not self._stop.wait(1.0):
            if not self._quiet.is_set():
                for line in self._lines:
                    self._write(line)

    def _write(self, line: _Line) -> None:
        if not line.rest:
            line.number += 1
            line.rest = self._frame(line.number)
        try:
            line.rest = line.rest[os.write(line.ours, line.rest) :]
        except BlockingIOError:
            return
