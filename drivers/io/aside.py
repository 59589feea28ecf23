"""Runs a call that may hang in the kernel beside the loop, one at a time, and never waits for it longer than told."""

import asyncio
import contextlib
import errno
import threading
from collections.abc import Callable


class Aside:
    """One place for one call at a time; each runs on a thread of its own that the process need not wait for.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._call: _Call | None = None

    async def run(self, work: Callable[[], bytes]) -> bytes:
        """Return what the call returns. The caller sets the deadline; a call that misses it goes on alone.

        Raises:
            OSError: By the call; or the last one still hangs.
        """
        if self._call is not None and not self._call.ended:
            raise OSError(errno.EBUSY, "the last question still hangs in the kernel")
        self._call = _Call(work)
        threading.Thread(target=self._call.run, name=self._name, daemon=True).start()
        return await self._call.result


class _Call:
    def __init__(self, work: Callable[[], bytes]) -> None:
        self.ended = False
        self._work = work
        self._loop = asyncio.get_running_loop()
        self.result: asyncio.Future[bytes] = self._loop.create_future()

    def run(self) -> None:
        try:
            found: bytes | Exception = self._work()
        except Exception as error:  # noqa: BLE001 - a bug must reach the task that waits, not die with this thread
            found = error
        self.ended = True
        with contextlib.suppress(RuntimeError):  # the loop ended meanwhile
            self._loop.call_soon_threadsafe(self._settle, found)

    def _settle(self, found: bytes | Exception) -> None:
        if self.result.done():  # nobody waits any longer
            return
        if isinstance(found, Exception):
            self.result.set_exception(found)
        else:
            self.result.set_result(found)
