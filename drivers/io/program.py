"""Asks a program that has no socket or file to ask instead; rarely, with a deadline, and never left behind."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence

from drivers.driver import Event
from drivers.io.answers import reason
from drivers.probe import ANSWER_BYTES, Moment, Probe

WITHIN_S = 5.0
"""Longest time that a program may take, in s."""

_LAST_WORDS_S = 1.0


async def output(command: Sequence[str], *, within_s: float) -> bytes:
    """Return what a program prints, at most `ANSWER_BYTES` of it; one that is late, or prints on, is killed.

    Raises:
        OSError: It cannot be started, fails, or is late.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # what it starts itself ends with it
    )
    status = None
    try:
        async with asyncio.timeout(within_s):
            said = await _printed(process)
            status = await process.wait()
    finally:
        if status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_S):
                    await process.communicate()
    if status:
        raise OSError(0, f"it ended with {status}")
    return said


async def _printed(process: asyncio.subprocess.Process) -> bytes:
    found = bytearray()
    stream = process.stdout
    while stream is not None and (chunk := await stream.read(4096)):
        found += chunk
        if len(found) > ANSWER_BYTES:
            raise OSError(0, "it prints without end")
    return bytes(found)


async def program(
    probe: Probe, source: str, command: Sequence[str], now: Moment, *, within_s: float | None = None
) -> list[Event]:
    """Hand what a program prints to a probe as the answer of one of its sources."""
    try:
        raw = await output(command, within_s=WITHIN_S if within_s is None else within_s)
    except OSError as error:
        return probe.silent(source, reason(error))
    return probe.answer(source, raw, now)
