"""The one thread that owns the spool: a card may block it for seconds, and nothing else waits with it."""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from agent.spool.keeper import Keeper

T = TypeVar("T")
_Job = Callable[[], None]


class Writer:
    """Runs calls on the keeper one after the other, in a thread of its own."""

    def __init__(self, keeper: Keeper, loop: asyncio.AbstractEventLoop) -> None:
        self._keeper = keeper
        self._loop = loop
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="spool", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def call(self, work: Callable[[Keeper], T]) -> T:
        """Run ``work`` on the keeper; raise what it raises. Once handed over it runs, even if nobody waits any more."""
        answer: asyncio.Future[T] = self._loop.create_future()

        def job() -> None:
            try:
                result = work(self._keeper)
            except BaseException as error:  # noqa: BLE001 - carried over to the loop, where it belongs
                self._tell(_fail, answer, error)
            else:
                self._tell(_succeed, answer, result)

        self._jobs.put(job)
        return await answer

    async def stop(self) -> None:
        """Finish what is in line and end the thread."""
        await self.call(lambda _: None)
        self._jobs.put(None)
        self._thread.join()

    def _tell(self, settle: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(settle, *args)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def _succeed(answer: "asyncio.Future[T]", result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: "asyncio.Future[T]", error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
