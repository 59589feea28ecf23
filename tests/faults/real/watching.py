"""Watches a town from outside while it works: readings as the node takes them, alarms as the center commits them."""

import contextlib
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from agent.wire.batch import Stream

_LOOK_S = 0.01
_PATIENCE_S = 10.0


class Ear:
    """Listens at the node's socket of readings.

    Attributes:
        heard: When each reading came, s of the steady clock, by sensor.
        numbers: Every value of each channel that counts.
    """

    def __init__(self, run_folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(run_folder / "readings.sock"))
        self.heard: dict[str, list[float]] = {}
        self.numbers: dict[str, set[float]] = {}
        self._thread = threading.Thread(target=self._listen, name="ear", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with self._socket.makefile("rb") as said, contextlib.suppress(OSError):
            for line in said:
                for record in json.loads(line)[:1]:
                    sensor, _, channel = record["n"].partition("/")
                    self.heard.setdefault(sensor, []).append(time.monotonic())
                    if channel == "count":
                        self.numbers.setdefault(record["n"], set()).add(record["v"])

    def longest_silence_s(self, since_s: float, until_s: float) -> float:
        """Return the longest time between two readings of one sensor."""
        longest_s = 0.0
        for sensor, heard in self.heard.items():
            if sensor == "alarm":
                continue  # says something when something happens
            moments = [since_s, *(moment for moment in heard if since_s <= moment <= until_s), until_s]
            longest_s = max(longest_s, *(after - before for before, after in pairwise(moments)))
        return longest_s

    def leave(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(_PATIENCE_S)
        self._socket.close()


@contextlib.contextmanager
def listening(run_folder: Path) -> Iterator[Ear]:
    """Listen meanwhile; the node must be up."""
    ear = Ear(run_folder)
    try:
        yield ear
    finally:
        ear.leave()


class Eye:
    """Looks at the center's store all the time and notes when a batch was there.

    Attributes:
        seen: Id of a batch's row and when it was seen, s of the steady clock, for alarms and for telemetry.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self.seen: dict[Stream, list[tuple[int, float]]] = {stream: [] for stream in Stream}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="eye", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        query = "SELECT batches.id, stream FROM batches JOIN chains ON chain = chains.id WHERE batches.id > ?"
        last = 0
        with contextlib.closing(sqlite3.connect(f"file:{self._store}?mode=ro", uri=True)) as view:
            while not self._stop.wait(_LOOK_S):
                for number, stream in view.execute(query, (last,)).fetchall():
                    self.seen[Stream(stream)].append((number, time.monotonic()))
                    last = max(last, number)

    def leave(self) -> None:
        self._stop.set()
        self._thread.join(_PATIENCE_S)


@contextlib.contextmanager
def looking(store: Path) -> Iterator[Eye]:
    """Look meanwhile; the store must be there."""
    eye = Eye(store)
    try:
        yield eye
    finally:
        eye.leave()
