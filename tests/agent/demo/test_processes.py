import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from agent.demo.errors import DemoError
from agent.demo.processes import Process, environment, run

SLEEP = (sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)")
DEAF = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)",
)


def played(scenario: Coroutine[None, None, None]) -> None:
    async def play() -> None:
        async with asyncio.timeout(30):
            await scenario

    asyncio.run(play())


def test_a_process_that_ends_by_itself_is_named_with_the_last_lines_of_its_log(tmp_path: Path) -> None:
    async def scenario() -> None:
        process = Process("the broker", tmp_path / "broker.log")
        await process.start((sys.executable, "-c", "print('port taken'); raise SystemExit(3)"))
        with pytest.raises(DemoError, match=r"(?s)the broker ended by itself, exit code 3.*broker\.log.*port taken"):
            await process.watch()

    played(scenario())


def test_a_signal_is_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        process = Process("the center", tmp_path / "log")
        await process.start((sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"))
        with pytest.raises(DemoError, match=r"by SIGKILL(?s:.*)\(nothing\)"):
            await process.watch()

    played(scenario())


@pytest.mark.parametrize("command", [SLEEP, DEAF], ids=["willing", "deaf"])
def test_a_process_is_ended_in_order_or_else_by_force(
    tmp_path: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.demo.processes._STOP_S", 0.2)

    async def scenario() -> None:
        process = Process("x", tmp_path / "log")
        await process.start(command, read=True)
        assert await process.output.readline() == b"ready\n"
        watch = asyncio.create_task(process.watch())
        assert process.running
        code = await process.stop()
        assert code == (-signal.SIGKILL if command is DEAF else -signal.SIGTERM)
        await watch
        assert not process.running

    played(scenario())


def test_a_process_that_was_killed_can_be_started_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        process = Process("the node", tmp_path / "log")
        await process.start(SLEEP)
        first = asyncio.create_task(process.watch())
        await process.kill()
        await process.start(SLEEP)
        await first
        assert process.running
        await process.stop()

    played(scenario())


def test_what_was_never_started_is_ended_already(tmp_path: Path) -> None:
    async def scenario() -> None:
        process = Process("x", tmp_path / "log")
        assert await process.stop() == 0
        await process.watch()
        with pytest.raises(DemoError, match="not read"):
            assert process.output

    played(scenario())


def test_a_command_gives_its_output_or_says_why_not() -> None:
    async def scenario() -> None:
        assert await run("x", (sys.executable, "-c", "print('fine')")) == "fine\n"
        with pytest.raises(DemoError, match="x failed, exit code 1: no good"):
            await run("x", (sys.executable, "-c", "raise SystemExit('no good')"))

    played(scenario())


def test_children_do_not_hear_of_the_service_that_started_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    monkeypatch.setenv("LANG", "C.UTF-8")
    assert "NOTIFY_SOCKET" not in environment()
    assert environment()["LANG"] == "C.UTF-8"


def test_a_process_dies_with_its_parent_even_when_that_is_killed() -> None:
    program = (
        "import os, subprocess, sys, time\n"
        "leash = [sys.executable, '-sP', '-m', 'agent.demo.leash', str(os.getpid()), 'sleep', '60']\n"
        "print(subprocess.Popen(leash).pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert become(child, "sleep")
        parent.kill()
        parent.wait()
        assert gone(child)


def eventually(is_so: Callable[[], bool]) -> bool:
    end_s = time.monotonic() + 10
    while not is_so():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.01)
    return True


def become(pid: int, name: str) -> bool:
    """Wait until a process runs a program."""
    return eventually(lambda: Path(f"/proc/{pid}/comm").read_text("ascii").strip() == name)


def gone(pid: int) -> bool:
    """Wait until a process is gone; a dead one may wait for its new parent to notice."""

    def is_gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    return eventually(is_gone)
