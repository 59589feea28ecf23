"""The programs of the city: each runs in a namespace, keeps its words in a log, and is waited for until it serves."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.hotspot.namespaces import entering

_READY_S = 15.0


def until(what: str, holds: Callable[[], bool], *, within_s: float = _READY_S) -> None:
    """Wait until something holds; real programs have no other clock than the real one."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"{what}: not within {within_s:g} s"
        time.sleep(0.02)


class Program:
    """One running program.

    Args:
        log: Takes its output and its errors, anew.
        namespace: Where it runs.
        command: What runs.
        variables: Environment that it gets besides ours.
        talks: Its input and output belong to the caller instead.
    """

    def __init__(
        self,
        log: Path,
        namespace: str,
        command: Sequence[str],
        *,
        variables: Mapping[str, str] | None = None,
        talks: bool = False,
    ) -> None:
        self.log = log
        with log.open("wb") as words:
            self._process = subprocess.Popen(
                entering(namespace, command),
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else words,
                stderr=words,
                text=True,
                env={**os.environ, **(variables or {})},
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self._process.poll() is not None

    def wait_for(self, what: str, holds: Callable[[], bool], *, within_s: float = _READY_S) -> None:
        """Wait until it serves; one that ended meanwhile has failed."""

        def served() -> bool:
            assert self._process.poll() is None, f"{what} ended with {self._process.returncode}: {self.words()}"
            return holds()

        until(f"{what}: {self.words()}", served, within_s=within_s)

    def words(self) -> str:
        """Return the end of its log."""
        return self.log.read_text("utf-8", "replace")[-2000:]

    def says(self, line: str) -> str:
        """Give it a line and return its next one."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self.hears()

    def hears(self) -> str:
        """Return its next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"it ended: {self.words()}"
        return line.rstrip("\n")

    def asks(self, line: str) -> dict[str, Any]:
        """Give it a line and return its next one, read as JSON."""
        found: dict[str, Any] = json.loads(self.says(line))
        return found

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, with SIGKILL as a crash does, and wait until it is gone."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
