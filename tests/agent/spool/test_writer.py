"""The thread of the spool."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from agent.seal import Sealer
from agent.spool.disk import Disk
from agent.spool.keeper import Keeper
from agent.spool.spool import Facts, Settings
from agent.spool.writer import Writer
from agent.wire.keys import Signer


def with_writer(folder: Path, work: Callable[[Writer], Coroutine[None, None, None]]) -> None:
    async def main() -> None:
        sealer = Sealer(city="bandung", node="dago-01", run=b"r" * 16, signer=Signer(b"n" * 32))
        writer = Writer(Keeper(Disk(folder), sealer, Settings(), Facts()), asyncio.get_running_loop())
        writer.start()
        await work(writer)
        await writer.stop()

    asyncio.run(main())


def test_calls_run_one_after_the_other_in_a_thread_of_their_own(tmp_path: Path) -> None:
    async def work(writer: Writer) -> None:
        threads: list[str] = []
        order: list[int] = []

        def note(number: int) -> int:
            threads.append(threading.current_thread().name)
            order.append(number)
            return number

        answers = await asyncio.gather(*(writer.call(lambda _, n=n: note(n)) for n in range(20)))  # type: ignore[misc]  # mypy: default arguments
        assert answers == order == list(range(20))
        assert set(threads) == {"spool"}

    with_writer(tmp_path, work)


def test_what_a_call_raises_comes_to_who_asked_and_the_thread_lives_on(tmp_path: Path) -> None:
    def fail(_: Keeper) -> None:
        raise ZeroDivisionError

    async def work(writer: Writer) -> None:
        with pytest.raises(ZeroDivisionError):
            await writer.call(fail)
        assert await writer.call(lambda _: 7) == 7

    with_writer(tmp_path, work)


def test_a_call_that_was_handed_over_runs_even_when_nobody_waits_any_more(tmp_path: Path) -> None:
    async def work(writer: Writer) -> None:
        gate, done = threading.Event(), threading.Event()
        blocker = asyncio.ensure_future(writer.call(lambda _: gate.wait(5)))
        late = asyncio.ensure_future(writer.call(lambda _: done.set()))
        failing = asyncio.ensure_future(writer.call(lambda _: 1 // 0))
        await asyncio.sleep(0)
        late.cancel()
        failing.cancel()
        gate.set()
        await blocker
        await writer.call(lambda _: None)
        assert done.is_set()
        assert late.cancelled()

    with_writer(tmp_path, work)


def test_stop_finishes_what_is_in_line(tmp_path: Path) -> None:
    done: list[int] = []

    async def work(writer: Writer) -> None:
        calls = [asyncio.ensure_future(writer.call(lambda _, n=n: done.append(n))) for n in range(5)]  # type: ignore[misc]  # mypy: default arguments
        await asyncio.sleep(0)
        await writer.stop()
        assert all(call.done() for call in calls)
        assert "spool" not in [thread.name for thread in threading.enumerate()]
        writer._thread = threading.Thread(target=writer._work)  # so that the fixture may stop it once more
        writer.start()

    with_writer(tmp_path, work)
    assert done == [0, 1, 2, 3, 4]


def test_an_answer_after_the_loop_was_closed_harms_nobody(tmp_path: Path) -> None:
    gate = threading.Event()
    made: list[Writer] = []

    async def main() -> None:
        sealer = Sealer(city="bandung", node="dago-01", run=b"r" * 16, signer=Signer(b"n" * 32))
        writer = Writer(Keeper(Disk(tmp_path), sealer, Settings(), Facts()), asyncio.get_running_loop())
        writer.start()
        made.append(writer)
        task = asyncio.ensure_future(writer.call(lambda _: gate.wait(5)))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(main())
    gate.set()
    made[0]._jobs.put(None)
    made[0]._thread.join(5)
    assert not made[0]._thread.is_alive()


def test_the_loop_runs_on_while_the_disk_blocks(tmp_path: Path) -> None:
    async def work(writer: Writer) -> None:
        call = asyncio.ensure_future(writer.call(lambda _: time.sleep(0.2)))
        turns = 0
        while not call.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert turns > 20

    with_writer(tmp_path, work)
