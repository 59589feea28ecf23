"""Child processes and what they cost, read from /proc as the kernel counts it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a process has cost so far.

    Attributes:
        rss_mb: Resident memory now, in MB (2^20 bytes).
        cpu_s: User and system time since its start.
        switches: Voluntary context switches of all its threads since its start.
    """

    rss_mb: float
    cpu_s: float
    switches: int


def cost(pid: int) -> Cost:
    """Look at a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    rss_kib = _status(Path(f"/proc/{pid}/status"), "VmRSS")
    threads = Path(f"/proc/{pid}/task").iterdir()
    switches = sum(_status(thread / "status", "voluntary_ctxt_switches") for thread in threads)
    return Cost(rss_mb=rss_kib / _KIB, cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS, switches=switches)


def _status(path: Path, key: str) -> int:
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0])
    raise KeyError(key)


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, *, environ: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process for the length of a block; it is ended with SIGTERM, then SIGKILL."""
    with log.open("ab") as out:
        process = subprocess.Popen(list(command), stdout=out, stderr=out, env=environ)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def gardu(*words: str) -> list[str]:
    """Return the command line of a gardu command in this environment."""
    return [sys.executable, "-sP", "-m", "agent", *words]


def center(*words: str) -> list[str]:
    """Return the command line of a gardu-center command in this environment."""
    return [sys.executable, "-sP", "-m", "center.cli.main", *words]


def until(ready: Callable[[], bool], within_s: float, what: str, *, look_s: float = 0.02) -> float:
    """Wait for something and return the time it took, in s. Raises TimeoutError."""
    begun = time.monotonic()
    while not ready():
        if time.monotonic() - begun > within_s:
            raise TimeoutError(f"{what}: not within {within_s:.0f} s")
        time.sleep(look_s)
    return time.monotonic() - begun
