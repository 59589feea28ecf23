"""Runs a demo from the first folder to the last: builds the stage, plays the story, keeps the view fresh."""

import asyncio
import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.demo.board import Board
from agent.demo.errors import DemoError
from agent.demo.folders import folders
from agent.demo.result import Result
from agent.demo.scenario import timeline
from agent.demo.stage import built
from agent.demo.story import Story, steps

_FRAME_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for.

    Attributes:
        for_s: How long the story takes.
        seed: Chooses the sensors' values.
        keep: A new folder for all that is made; None when it need not stay.
        broker: ``auto``, ``mosquitto`` or ``amqtt``.
    """

    for_s: float
    seed: int
    keep: Path | None
    broker: str


class View(Protocol):
    """Shows a demo."""

    def show(self, board: Board, now_s: float) -> None:
        """Show how it stands now."""
        ...

    def close(self, board: Board, now_s: float) -> None:
        """Show the end and let go of the terminal."""
        ...


async def perform(options: Options, view: View) -> Result:
    """Play the demo. Raises DemoError when it cannot go on; nothing of it stays behind either way."""
    loop = asyncio.get_running_loop()
    _end_on_signals(loop)
    begun_s = loop.time()
    board = Board(for_s=options.for_s, steps=steps())
    try:
        with folders(options.keep) as where:
            async with asyncio.TaskGroup() as tasks:
                fresh = tasks.create_task(_keep_fresh(view, board))
                async with built(board, where, seed=options.seed, wanted=options.broker, tasks=tasks) as stage:
                    story = Story(stage, board, timeline(options.for_s), seed=options.seed)
                    await story.play()
                fresh.cancel()
    except* DemoError as group:
        raise _first(group) from None
    finally:
        with contextlib.suppress(BrokenPipeError):
            view.close(board, loop.time())
    if story.proof is None:
        raise DemoError("the story ended without its proof")
    return Result(
        proof=story.proof,
        tally=board.tally,
        killed=story.killed,
        broker=board.broker,
        seconds=loop.time() - begun_s,
    )


def _end_on_signals(loop: asyncio.AbstractEventLoop) -> None:
    """Let SIGTERM and SIGHUP end the demo in order, as Ctrl-C does."""
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)


async def _keep_fresh(view: View, board: Board) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            view.show(board, loop.time())
        except BrokenPipeError:
            raise DemoError("nobody reads what it says any more") from None
        await asyncio.sleep(_FRAME_S)


def _first(group: BaseExceptionGroup[DemoError]) -> DemoError:
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise ValueError(group)
