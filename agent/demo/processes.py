"""The demo's processes: each has a log, is watched, and none outlives the demo."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.demo.errors import DemoError

PYTHON = (sys.executable, "-sP", "-m")
GARDU = (*PYTHON, "agent")
CENTER = (*PYTHON, "center.cli.main")

_LEASH = (*PYTHON, "agent.demo.leash")
_FOREIGN = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "PYTHONPATH", "PYTHONHOME")
"""Of the environment: what belongs to the demo's own service or shell and would confuse its children."""
_STOP_S = 5.0
_COMMAND_S = 60.0
_TOLD_LINES = 8
_LINE_BYTES = 1024 * 1024


class Process:
    """One running program.

    Args:
        name: For people.
        log: Where its standard error goes, and its output unless that is read.
    """

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._process: asyncio.subprocess.Process | None = None
        self._ended: asyncio.subprocess.Process | None = None

    async def start(self, command: Sequence[str], *, read: bool = False) -> None:
        """Start it; with ``read`` its output can be read line by line."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *_LEASH,
                str(os.getpid()),
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if read else log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which ends them in order
                env=environment(),
                limit=_LINE_BYTES,
            )

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def output(self) -> asyncio.StreamReader:
        """What it says. Raises DemoError when it is not read."""
        if self._process is None or self._process.stdout is None:
            raise DemoError(f"{self.name} is not read")
        return self._process.stdout

    async def watch(self) -> None:
        """Return when it was stopped by us. Raises DemoError when it ends by itself."""
        process = self._process
        if process is None:
            return
        code = await process.wait()
        if self._ended is not process:
            raise DemoError(f"{self.name} ended by itself, {_how(code)}; {self.told()}")

    async def stop(self) -> int:
        """End it in order, or else by force; return its exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End it at once, as a power cut would."""
        await self._end(signal.SIGKILL)

    def kill_now(self) -> None:
        """End it at once without waiting."""
        self._signal(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._signal(number)
        try:
            async with asyncio.timeout(_STOP_S):
                return await self._process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            return await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        self._ended = self._process
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def told(self) -> str:
        """Return the last lines of its log, for people."""
        lines = text_of(self.log).splitlines()[-_TOLD_LINES:]
        return "\n".join([f"the last lines of {self.log.name}:", *[f"  {line}" for line in lines or ["(nothing)"]]])


async def run(name: str, command: Sequence[str], *, accept: Sequence[int] = (0,)) -> str:
    """Run a program to its end and return its output. Raises DemoError when its exit code is another one."""
    process = await asyncio.create_subprocess_exec(
        *_LEASH,
        str(os.getpid()),
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env=environment(),
    )
    try:
        async with asyncio.timeout(_COMMAND_S):
            said, complained = await process.communicate()
    except TimeoutError:
        raise DemoError(f"{name} takes longer than {_COMMAND_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    code = await process.wait()
    if code not in accept:
        raise DemoError(f"{name} failed, {_how(code)}: {complained.decode('utf-8', 'replace').strip()}")
    return said.decode("utf-8", "replace")


def environment() -> dict[str, str]:
    """Return the environment of a child."""
    return {name: value for name, value in os.environ.items() if name not in _FOREIGN}


def text_of(path: Path) -> str:
    """Return what is in a log; nothing when there is none."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
