import asyncio
import threading

import pytest

from drivers.io.aside import Aside


def test_a_call_that_hangs_costs_its_own_deadline_only_and_is_not_piled_up() -> None:
    release = threading.Event()
    started: list[int] = []

    def hangs() -> bytes:
        started.append(1)
        release.wait(10)
        return b"late"

    async def ask() -> None:
        aside = Aside("test")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await aside.run(hangs)
        with pytest.raises(OSError, match="still hangs"):
            await aside.run(hangs)
        release.set()
        (thread,) = [each for each in threading.enumerate() if each.name == "test"]
        thread.join(10)
        assert await aside.run(lambda: b"well again") == b"well again"
        assert await aside.run(lambda: b"and again") == b"and again"

    asyncio.run(ask())
    assert started == [1]


def test_an_answer_after_the_end_of_the_loop_is_forgotten() -> None:
    release = threading.Event()

    def hangs() -> bytes:
        release.wait(10)
        return b"late"

    async def ask() -> None:
        async with asyncio.timeout(0.05):
            await Aside("late").run(hangs)

    with pytest.raises(TimeoutError):
        asyncio.run(ask())
    (thread,) = [each for each in threading.enumerate() if each.name == "late"]
    release.set()
    thread.join(10)
    assert not thread.is_alive()


def test_what_the_call_raises_reaches_who_waits() -> None:
    def fails() -> bytes:
        raise OSError(19, "gone")

    with pytest.raises(OSError, match="gone"):
        asyncio.run(Aside("test").run(fails))
