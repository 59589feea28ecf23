"""Network namespaces of a test: all made here, and all taken away however its run ends.

They carry the run's process id in their names. A warden, a process of its own, waits on a pipe for the run to end, well
or badly, ends what still runs in them and removes them; what a warden that was killed too has left is swept by the next
run. Run as ``python -m tests.hotspot.namespaces PREFIX`` it is that warden.
"""

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_NAME = re.compile(r"gardu-(\d+)-\d+-[a-z0-9]+")
_RUNS = itertools.count()
_GONE_S = 5.0


def ip(*arguments: str) -> str:
    """Run ``ip`` and return what it says; raises CalledProcessError with its words in stderr."""
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


class Namespaces:
    """Some namespaces of this process and their warden."""

    def __init__(self) -> None:
        assert os.geteuid() == 0, "network namespaces need root: sudo make test-hotspot"
        for name in _all():
            found = _NAME.fullmatch(name)
            if found and not Path(f"/proc/{found[1]}").exists():
                _remove(name)
        self._prefix = f"gardu-{os.getpid()}-{next(_RUNS)}-"
        self._warden = subprocess.Popen(
            [sys.executable, "-m", "tests.hotspot.namespaces", self._prefix],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C ends the run, and the warden clears up after it
        )

    def make(self, short: str) -> str:
        """Make one with its loopback up; return its whole name."""
        name = self._prefix + short
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
        return name

    def close(self) -> None:
        """End what runs in them and remove them."""
        assert self._warden.stdin is not None
        self._warden.stdin.close()
        assert self._warden.wait(timeout=30) == 0


def entering(name: str, command: Sequence[str]) -> list[str]:
    """Return the command that runs a command in a namespace."""
    return ["ip", "netns", "exec", name, *command]


def _all() -> list[str]:
    return [line.split()[0] for line in ip("netns", "list").splitlines() if line]


def _remove(name: str) -> None:
    until = time.monotonic() + _GONE_S
    while (pids := ip("netns", "pids", name).split()) and time.monotonic() < until:
        for pid in pids:
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)
    ip("netns", "del", name)


def _guard(prefix: str) -> None:
    sys.stdin.buffer.read()
    for name in _all():
        if name.startswith(prefix):
            _remove(name)


if __name__ == "__main__":
    _guard(sys.argv[1])
