"""Sensors on pseudo-terminals: units that say as much as a line may carry, and noise that arrives to the last byte."""

import contextlib
import fcntl
import json
import math
import os
import select
import struct
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path

from drivers.driver import Line
from drivers.framing import sum8
from drivers.io.pty import opened
from drivers.simulate.simulator import NS, Simulator, Talker

PATIENCE_S = 30.0
_LONGEST_WAIT_S = 0.02
_UNREAD_MAX = 1024  # what nobody reads is lost, as on a wire


class Counting:
    """Prints lines of JSON with a number that it never says twice; at least ``every_s`` lies between two of them."""

    def __init__(self, *, first: int, every_s: float) -> None:
        self.line = Line(baud=9600)
        self.first = self.next = first
        self._every_ns = round(every_s * NS)
        self._due_ns = 0

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:  # noqa: ARG002 - it does not listen
        return []

    def tick(self, now_ns: int) -> list[bytes]:
        if now_ns < self._due_ns:
            return []
        self._due_ns = now_ns + self._every_ns
        said = json.dumps({"n": self.next, "half": self.next / 2})
        self.next += 1
        return [f"{said}\r\n".encode()]

    def deadline(self) -> int:
        return self._due_ns


class Water(Talker):
    """An ultrasonic sensor over water that stands where the test wants it. Frame: as in `drivers.simulate`."""

    def __init__(self, distance_m: Callable[[float], float], *, every_s: float) -> None:
        super().__init__(line=Line(baud=9600), every_s=every_s)
        self.distance_m = distance_m

    def frames(self, now_ns: int) -> list[bytes]:
        body = b"\xff" + round(self.distance_m(now_ns / NS) * 1000).to_bytes(2, "big")
        return [body + bytes((sum8(body),))]


def tide(middle_m: float, swing_m: float, period_s: float) -> Callable[[float], float]:
    """Water that goes up and down for ever."""
    return lambda now_s: middle_m + swing_m * math.sin(math.tau * now_s / period_s)


class Socket:
    """Where a unit is plugged in: a thread speaks for it behind a stable name."""

    def __init__(self, unit: Simulator, link: Path) -> None:
        self.unit = unit
        self._link = link
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._noise = b""
        self._quiet = threading.Event()

    def plug(self) -> None:
        ready = threading.Event()
        self._stop.clear()
        self._thread = threading.Thread(target=self._speak, args=(ready,), name=f"unit {self._link.name}", daemon=True)
        self._thread.start()
        assert ready.wait(PATIENCE_S), f"no pseudo-terminal for {self._link.name}"

    def pull(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(PATIENCE_S)
            self._thread = None

    def make_noise(self, noise: bytes) -> None:
        """Put bytes on the line as fast as the other end reads them; returns when the last one is there."""
        self._quiet.clear()
        self._noise = noise
        assert self._quiet.wait(PATIENCE_S), f"{self._link.name}: {len(self._noise)} bytes of noise are not read"

    def _speak(self, ready: threading.Event) -> None:
        with opened(self._link) as (ours, theirs, _):
            ready.set()
            while not self._stop.is_set():
                self._write_noise(ours)
                now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                for frame in self.unit.tick(now_ns):
                    _write(ours, theirs, frame)
                due_ns = self.unit.deadline()
                wait_s = _LONGEST_WAIT_S if due_ns is None else min(_LONGEST_WAIT_S, max(0.0, (due_ns - now_ns) / NS))
                if select.select([ours], [], [], wait_s)[0]:
                    for frame in self.unit.receive(os.read(ours, 4096), now_ns):
                        _write(ours, theirs, frame)

    def _write_noise(self, ours: int) -> None:
        while self._noise and not self._stop.is_set():
            if select.select([], [ours], [], _LONGEST_WAIT_S)[1]:
                self._noise = self._noise[os.write(ours, self._noise[:512]) :]
        self._quiet.set()


def _write(ours: int, theirs: int, frame: bytes) -> None:
    (unread,) = struct.unpack("i", fcntl.ioctl(theirs, termios.FIONREAD, b"\0" * 4))
    if unread > _UNREAD_MAX:
        termios.tcflush(theirs, termios.TCIFLUSH)
    with contextlib.suppress(BlockingIOError):
        os.write(ours, frame)
