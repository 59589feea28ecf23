"""An event loop on virtual time: when nothing is ready it jumps to the next timer, and nothing else ever waits."""

import asyncio
import contextvars
import itertools
from asyncio.base_events import BaseEventLoop
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")
_COUNTER = itertools.count()
_SPELL_S = 10.0
_MOST_STEPS = 50_000
"""Steps of the loop in one spell; a busy node, broker and center take some hundreds."""


class Asleep(Exception):  # noqa: N818 - a state, and a bug of the simulation
    """Every task waits and no timer is set: nothing can ever happen again."""


class Spinning(Exception):  # noqa: N818 - a state, and a bug of what runs here
    """Tasks wake one another without end while next to no time passes: on a real box this burns the processor."""


class _Task(asyncio.Task[T]):
    """A task whose place in a set does not depend on where it lies in memory."""

    def __init__(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        loop: asyncio.AbstractEventLoop,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> None:
        self._number = next(_COUNTER)
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


def _make_task(
    loop: asyncio.AbstractEventLoop,
    coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
    context: contextvars.Context | None = None,
) -> _Task[T]:
    return _Task(coro, loop=loop, context=context)


class _Timers:
    """Stands where the selector stands: waiting for a time moves the clock there."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._spell = (0, 0)

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise Asleep
        self.now_s += timeout
        spell, count = int(self.now_s // _SPELL_S), self._spell[1]
        self._spell = (spell, count + 1 if spell == self._spell[0] else 0)
        if count > _MOST_STEPS:
            raise Spinning(f"{count} steps of the loop before {self.now_s:.3f} s")
        return []


class VirtualLoop(BaseEventLoop):
    """A loop without descriptors, signals or threads."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Timers()
        self.set_task_factory(_make_task)

    def time(self) -> float:
        return self._selector.now_s

    def _process_events(self, events: list[object]) -> None:
        """Nothing comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody else could wake this loop."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on virtual time."""
    loop = VirtualLoop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main)
    finally:
        _cancel_all(loop)
        asyncio.set_event_loop(None)
        loop.close()


def _cancel_all(loop: VirtualLoop) -> None:
    left = sorted(asyncio.all_tasks(loop), key=hash)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
