"""An event loop whose clock jumps to the next timer: a day passes in seconds."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine


class _Jumping(selectors.SelectSelector):
    """Waits for nothing; tells how long it would have."""

    def __init__(self, skip: Callable[[float], None]) -> None:
        super().__init__()
        self._skip = skip

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found and timeout:
            self._skip(timeout)
        return found


class QuickLoop(asyncio.SelectorEventLoop):
    """Its time is its own."""

    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(_Jumping(self._skip))

    def time(self) -> float:
        return self.now_s

    def _skip(self, seconds: float) -> None:
        self.now_s += seconds


def run(work: Callable[[QuickLoop], Coroutine[None, None, None]]) -> None:
    """Run to the end."""
    loop = QuickLoop()
    try:
        loop.run_until_complete(work(loop))
    finally:
        loop.close()
