"""The tasks of the probes: sources that hang, flood, fail or half-answer cost the others nothing."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.probing import _next_turn, own_collector, spread_s
from drivers.driver import Event, Problem, Rejected
from drivers.hotspot.conntrack import Conntrack
from drivers.hotspot.settings import HotspotSettings
from drivers.io import udp
from drivers.io.answers import file, stream_reply
from drivers.probe import Moment, Probe
from drivers.reading import Reading

EVERY_S = 0.05
TIMEOUT_S = 0.3
SIZE = b"64\n"


class Collecting:
    """A collector whose way of asking is handed in."""

    timeout_s = TIMEOUT_S
    every_s = EVERY_S

    def __init__(self, ask: Callable[[Probe, Moment], Awaitable[list[Event]]]) -> None:
        self.probe: Probe = Conntrack(HotspotSettings())
        self.closed = False
        self._ask = ask

    async def collect(self, now: Moment) -> list[Event]:
        return await self._ask(self.probe, now)

    def close(self) -> None:
        self.closed = True


class Taken:
    """A sink that notes when what came."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.at: list[float] = []

    def take(self, event: Event) -> None:
        self.events.append(event)
        self.at.append(time.monotonic())

    def told(self) -> list[tuple[str, bool]]:
        return [(event.detail, event.ok) for event in self.events if isinstance(event, Problem)]


def moment() -> Moment:
    return Moment(boot_ns=time.monotonic_ns())


def owned(collector: Collecting, sink: Taken) -> asyncio.Task[None]:
    return asyncio.create_task(own_collector(collector, sink, moment=moment, offset_s=0.0, alive=lambda: None))


@asynccontextmanager
async def running(*collectors: Collecting) -> AsyncIterator[list[Taken]]:
    sinks = [Taken() for _ in collectors]
    tasks = [owned(one, sink) for one, sink in zip(collectors, sinks, strict=True)]
    yield sinks
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all(one.closed for one in collectors)


async def until(condition: Callable[[], object], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - looks at what tasks did, which sets no event
            await asyncio.sleep(0.005)


async def hang(_probe: Probe, _now: Moment) -> list[Event]:
    return [await asyncio.get_running_loop().create_future()]


async def fail(_probe: Probe, _now: Moment) -> list[Event]:
    raise OSError(5, "Input/output error")


async def flood(probe: Probe, now: Moment) -> list[Event]:
    """Ask a peer that answers nothing but garbage, faster than it can be read."""
    ended = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(TIMEOUT_S)
        thread = threading.Thread(target=_pour, args=(peer, ended))
        thread.start()
        try:
            raw = await udp.ask("127.0.0.1", peer.getsockname()[1], b"?", lambda data: data == b"answer")
        finally:
            ended.set()
            thread.join()
        return probe.answer("conntrack-size", raw, now)


def _pour(peer: socket.socket, ended: threading.Event) -> None:
    _, who = peer.recvfrom(100)
    until = time.monotonic() + TIMEOUT_S * 8
    while not ended.is_set() and time.monotonic() < until:
        peer.sendto(b"\xff" * 100, who)


def test_sources_that_hang_flood_fail_or_stop_halfway_do_not_delay_a_good_one(tmp_path: Path) -> None:
    (tmp_path / "size").write_bytes(SIZE)
    path = str(tmp_path / "half.sock")
    serving: list[asyncio.StreamWriter] = []

    async def good(probe: Probe, now: Moment) -> list[Event]:
        size = file(probe, "conntrack-size", tmp_path / "size", now)
        return size + probe.answer("conntrack-statistics", b"entries drop\n10 1\n", now)

    async def halfway(probe: Probe, now: Moment) -> list[Event]:
        return probe.answer("conntrack-size", await stream_reply(path, b"size\n"), now)

    async def garbage(probe: Probe, now: Moment) -> list[Event]:
        return probe.answer("conntrack-size", b"\xff" * 200_000, now)

    async def vanished(probe: Probe, now: Moment) -> list[Event]:
        return file(probe, "conntrack-size", tmp_path / "gone", now)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(writer)
        writer.write(b"6")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        serving.remove(writer)

    async def scenario() -> None:
        server = await asyncio.start_unix_server(serve, path)
        asks = (good, hang, flood, garbage, fail, halfway, vanished)
        async with running(*(Collecting(ask) for ask in asks)) as sinks:
            await asyncio.sleep(TIMEOUT_S * 4)
        await until(lambda: not serving)
        server.close()
        await server.wait_closed()
        well, hung, flooded, garbled, failed, half, gone = sinks
        times = [at for at, event in zip(well.at, well.events, strict=True) if isinstance(event, Reading)]
        rounds = sorted({round(at / EVERY_S) for at in times})
        gaps = [after - before for before, after in zip(times[::2], times[2::2], strict=False)]
        assert len(rounds) >= TIMEOUT_S * 4 / EVERY_S - 4
        assert max(gaps) < EVERY_S * 2.5, "a good source was kept waiting"
        assert well.told() == []
        for late in (hung, flooded, half):
            assert late.told() == [("conntrack: no answer within 0.3 s", False)]
        assert failed.told() == [("conntrack: Input/output error", False)]
        assert gone.told() == [("conntrack-size: not there", False)]
        assert [detail for detail, _ in garbled.told()] == [
            "conntrack-size: not understood: a number above 0 is expected"
        ]
        assert sum(isinstance(event, Rejected) for event in garbled.events) > 5

    asyncio.run(scenario())


def test_a_turn_that_took_too_long_is_told_once_and_so_is_its_end() -> None:
    slow = True

    async def ask(probe: Probe, now: Moment) -> list[Event]:
        if slow:
            await asyncio.sleep(TIMEOUT_S * 2)
        return probe.answer("conntrack-size", SIZE, now)

    async def scenario() -> None:
        nonlocal slow
        async with running(Collecting(ask)) as (sink,):
            await until(sink.told)
            await asyncio.sleep(TIMEOUT_S * 2)
            slow = False
            await until(lambda: len(sink.told()) > 1)
            slow = True
            await until(lambda: len(sink.told()) > 2)
        late = ("conntrack: no answer within 0.3 s", False)
        assert sink.told() == [late, ("conntrack answers again", True), late]

    asyncio.run(scenario())


def test_a_bug_in_a_collector_ends_the_group_and_gives_back_what_was_open() -> None:
    async def bug(_probe: Probe, _now: Moment) -> list[Event]:
        raise KeyError("a bug")

    broken, well = Collecting(bug), Collecting(hang)

    async def scenario() -> None:
        async with asyncio.TaskGroup() as group:
            for one in (broken, well):
                group.create_task(own_collector(one, Taken(), moment=moment, offset_s=0.0, alive=lambda: None))

    with pytest.RaisesGroup(KeyError):
        asyncio.run(scenario())
    assert broken.closed
    assert well.closed


def test_signs_of_life_come_while_nothing_is_due() -> None:
    signs: list[float] = []

    async def scenario() -> None:
        one = Collecting(lambda probe, now: asyncio.sleep(0, probe.answer("conntrack-size", SIZE, now)))
        task = asyncio.create_task(
            own_collector(one, Taken(), moment=moment, offset_s=0.0, alive=lambda: signs.append(time.monotonic()))
        )
        await until(lambda: len(signs) > 2)
        task.cancel()

    asyncio.run(scenario())


@pytest.mark.parametrize("share", [0.0, 0.123, 0.5, 0.999_999])
def test_what_is_due_together_falls_on_one_moment_on_every_node(share: float) -> None:
    offset_s = spread_s(share)
    slowest = _next_turn(1_000_000.0, 300.0, offset_s)
    for every_s in (10.0, 30.0, 60.0, 300.0):
        assert _next_turn(slowest - 0.001, every_s, offset_s) == slowest


def test_nodes_do_not_all_ask_in_one_second() -> None:
    turns = {_next_turn(1_000_000.0, 60.0, spread_s(node / 1000)) for node in range(1000)}
    assert len(turns) == 6
