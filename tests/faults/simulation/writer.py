"""The spool's thread, run in the loop: same interface, same order, the card's waits on virtual time."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from agent.spool.keeper import Keeper
from agent.spool.writer import Writer
from tests.faults.simulation.card import Gone, SimCard

T = TypeVar("T")
_Job = Callable[[], None]


class InlineWriter(Writer):
    """Runs calls on the keeper one after the other, each as long as the card takes.

    Attributes:
        asked_s: When the call that runs now was asked for.
    """

    def __init__(self, keeper: Keeper, card: SimCard, ended: Callable[[], None]) -> None:
        self._keeper = keeper
        self._card = card
        self._ended = ended
        self._line: deque[tuple[float, _Job]] = deque()
        self._filled = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._serve())
        self.asked_s = 0.0

    def start(self) -> None:
        """It runs from the beginning."""

    async def call(self, work: Callable[[Keeper], T]) -> T:
        answer: asyncio.Future[T] = self._loop.create_future()

        def job() -> None:
            try:
                settle = partial(answer.set_result, work(self._keeper))
            except Exception as error:  # noqa: BLE001 - carried over to the caller, where it belongs
                settle = partial(answer.set_exception, error)
            self._loop.call_later(self._card.spent_s, self._answer, answer, settle)

        self._line.append((self._loop.time(), job))
        self._filled.set()
        return await answer

    def _answer(self, answer: "asyncio.Future[T]", settle: Callable[[], None]) -> None:
        """The caller learns of it when the card is done, unless one of them is gone."""
        if not answer.done() and not self._card.gone:
            settle()

    async def _serve(self) -> None:
        while True:
            while self._line:
                self.asked_s, job = self._line.popleft()
                self._card.spent_s = 0.0
                try:
                    job()
                except Gone:
                    self._ended()
                    return
                await asyncio.sleep(self._card.spent_s)
            self._filled.clear()
            await self._filled.wait()

    async def stop(self) -> None:
        await self.call(lambda _: None)
        self.kill()

    def kill(self) -> None:
        """End in the middle of whatever it does."""
        self._task.cancel()
