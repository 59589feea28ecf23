"""Follows the demo as any program could: the daemon's socket on one side, ``gardu-center`` on the other."""

import asyncio
import contextlib
from pathlib import Path

from agent.demo.answers import heard, kept
from agent.demo.board import Board
from agent.demo.processes import Process
from agent.demo.scenario import PROTOCOLS
from agent.readings_socket import FILE

_AGAIN_S = 0.03
ALARMS = "alarm"
"""Sensor under which the changes of alarms are told."""


async def follow_node(board: Board, run_folder: Path) -> None:
    """Take every reading the node tells of, for ever, over all its lives."""
    loop = asyncio.get_running_loop()
    counted = 0  # lives whose first readings were counted
    while True:
        with contextlib.suppress(OSError, ValueError):
            reader, writer = await asyncio.open_unix_connection(str(run_folder / FILE))
            try:
                is_old = counted >= len(board.tally.lives)  # then the first pack repeats what was counted
                counted = len(board.tally.lives)
                async for line in reader:
                    reading = heard(line)
                    if reading is None:
                        is_old = False
                        continue
                    board.hear(reading, loop.time())
                    if not is_old and _is_counted(reading.path):
                        board.tally.tell()
            finally:
                writer.transport.abort()
        await asyncio.sleep(_AGAIN_S)


async def follow_center(board: Board, readings: Process) -> None:
    """Take every reading the center shows, until it shows no more."""
    loop = asyncio.get_running_loop()
    async for line in readings.output:
        row = kept(line)
        if not _is_counted(row.path):
            continue
        board.tally.settle(row.path, row.run, row.boot_ms, alarm=row.alarm, now_s=loop.time())


def _is_counted(path: str) -> bool:
    """Return whether every reading of this path is sent; of its own health the node tells more than it sends."""
    return path.partition("/")[0] in {ALARMS, *PROTOCOLS}
