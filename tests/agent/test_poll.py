import asyncio
import logging
import os
import selectors
import threading
import time
import tty
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from agent import poll
from agent.poll import own_port, own_probe
from drivers.backoff import Backoff
from drivers.driver import Event, Line, Problem, Rejected, Send
from drivers.errors import NotPlugged, PortLost
from drivers.io.serial_port import SerialPort, boot_clock_ns
from drivers.reading import Reading

SECOND = 1_000_000_000


def reading(channel: str = "pm2_5", boot_ns: int = 0, sensor: str = "air") -> Reading:
    return Reading(sensor=sensor, channel=channel, value=1.0, unit="ug/m3", boot_ns=boot_ns)


class Sink:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def take(self, event: Event) -> None:
        self.events.append(event)

    def readings(self) -> list[Reading]:
        return [event for event in self.events if isinstance(event, Reading)]


class EchoBus:
    """One reading per chunk; asks when it is told to."""

    def __init__(self) -> None:
        self.starts = 0
        self.losses = 0
        self.ticks: list[int] = []
        self.due_ns: int | None = None
        self.every_ns = 0
        self.is_late = False

    def start(self, now_ns: int) -> list[Event]:
        self.starts += 1
        if self.every_ns:
            self.due_ns = now_ns
        return [Send(data=b"hello")]

    def has_started(self, times: int) -> bool:
        return self.starts >= times

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        if data.startswith(b"?"):
            return [Rejected(sensor="air", reason="noise", raw=data[:64])]
        if data == b"bug":
            raise ZeroDivisionError
        return [reading(boot_ns=now_ns), Send(data=b"thanks")]

    def tick(self, now_ns: int) -> list[Event]:
        self.ticks.append(now_ns)
        if not self.is_late:
            self.due_ns = now_ns + self.every_ns if self.every_ns else None
        return [Send(data=b"ask")]

    def deadline(self) -> int | None:
        return self.due_ns

    def lost(self, now_ns: int) -> list[Event]:  # noqa: ARG002 - the shape of a bus
        self.losses += 1
        self.due_ns = None
        return [Problem(sensor="air", code="lost")]


class Unit:
    """A sensor on a pty behind a symlink."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.master = self.slave = -1
        self.plug()

    def plug(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.link.symlink_to(os.ttyname(self.slave))

    def unplug(self) -> None:
        self.link.unlink(missing_ok=True)
        for fd in (self.slave, self.master):
            if fd >= 0:
                os.close(fd)
        self.master = self.slave = -1


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    unit = Unit(tmp_path / "air")
    yield unit
    unit.unplug()


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer when nothing else is to do, and counts how often it slept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        super().__init__(_Jump(self))

    def time(self) -> float:
        return self.now

    def boot_ns(self) -> int:
        return round(self.now * SECOND)


class _Jump(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or any(thread.name.startswith("open ") for thread in threading.enumerate()):
            return super().select(0.01)  # an opening takes real time
        ready = super().select(0)
        if not ready and timeout > 0:
            self._loop.now += timeout
            self._loop.slept.append(self._loop.now)
        return ready


def run_virtually(scenario: Callable[[VirtualLoop], Coroutine[None, None, None]]) -> VirtualLoop:
    loop = VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(scenario(loop))
    return loop


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def until(condition: Callable[[], object], within_s: float = 6.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - looks at the outside world, which sets no event
            await asyncio.sleep(0.002)


class Service:
    """own_port on a real pty, with everything it talks to in view."""

    def __init__(self, link: Path) -> None:
        self.bus = EchoBus()
        self.sink = Sink()
        self.signs = 0
        self.port = SerialPort(f"path:{link}", Line())

    def start(self, draw: float = 0.0) -> asyncio.Task[None]:
        retry = Backoff(base_s=1.0, cap_s=30.0, random=lambda: draw)
        work = own_port(self.port, self.bus, self.sink, boot_ns=boot_clock_ns, retry=retry, alive=self._alive)
        return asyncio.create_task(work)

    def has_received(self, size: int) -> bool:
        return self.port.bytes_in >= size

    def _alive(self) -> None:
        self.signs += 1


def test_bytes_become_events_and_requests_are_written(unit: Unit) -> None:
    async def scenario() -> None:
        service = Service(unit.link)
        task = service.start()
        await until(lambda: service.port.device)
        assert os.read(unit.master, 5) == b"hello"
        os.write(unit.master, b"x")
        await until(lambda: service.sink.events)
        assert os.read(unit.master, 6) == b"thanks"
        assert [type(event) for event in service.sink.events] == [Reading]
        await stop(task)
        assert service.bus.losses == 0  # the port is not lost when the agent ends

    asyncio.run(scenario())


def test_what_is_due_is_done_at_its_moment(unit: Unit) -> None:
    async def scenario() -> None:
        service = Service(unit.link)
        service.bus.every_ns = 20_000_000
        task = service.start()
        await until(lambda: len(service.bus.ticks) == 6)
        await stop(task)
        gaps = [later - sooner for sooner, later in pairwise(service.bus.ticks)]
        assert min(gaps) >= 19_900_000

    asyncio.run(scenario())


def test_a_deadline_that_is_taken_back_wakes_nobody(unit: Unit) -> None:
    async def scenario() -> None:
        service = Service(unit.link)
        service.bus.due_ns = boot_clock_ns() + 40_000_000
        task = service.start()
        await until(lambda: service.bus.starts)
        service.bus.due_ns = None
        os.write(unit.master, b"x")
        await until(lambda: service.sink.events)
        await asyncio.sleep(0.06)
        assert service.bus.ticks == []
        await stop(task)

    asyncio.run(scenario())


def test_a_bus_that_is_always_late_does_not_take_the_processor(unit: Unit) -> None:
    async def scenario() -> None:
        service = Service(unit.link)
        task = service.start()
        await until(lambda: service.bus.starts)
        service.bus.is_late = True
        service.bus.due_ns = 1
        os.write(unit.master, b"x")
        begin_s = time.process_time()
        await asyncio.sleep(0.2)
        assert time.process_time() - begin_s < 0.15
        await stop(task)

    asyncio.run(scenario())


def test_each_chunk_costs_one_wake_up_and_silence_none(unit: Unit) -> None:
    async def scenario() -> None:
        service = Service(unit.link)
        task = service.start()
        await until(lambda: service.bus.starts)
        loop = asyncio.get_running_loop()
        before = voluntary_switches()
        loop.call_later(0.3, lambda: None)
        for at_s in (0.05, 0.1, 0.15, 0.2):
            loop.call_later(at_s, os.write, unit.master, bytes(32))
        await asyncio.sleep(0.3)
        switches = voluntary_switches() - before
        assert len(service.sink.readings()) == 4
        assert switches <= 4 * 2 + 4  # one per write, one per chunk it causes, and a few for the test itself
        await stop(task)

    asyncio.run(scenario())


def voluntary_switches() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("voluntary")).split()[1])


def test_a_unit_that_comes_back_is_served_within_five_seconds_and_told_once(
    unit: Unit, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agent.poll")

    async def scenario() -> None:
        service = Service(unit.link)
        task = service.start(draw=0.999)  # the longest pauses the draw can give
        await until(lambda: service.bus.starts == 1)
        os.write(unit.master, b"x")
        await until(lambda: len(service.sink.readings()) == 1)
        unit.unplug()
        await until(lambda: service.bus.losses == 1)
        await asyncio.sleep(1.2)
        unit.plug()
        begin_s = time.monotonic()
        await until(lambda: service.bus.starts == 2)
        assert time.monotonic() - begin_s < 5
        os.write(unit.master, b"x")
        await until(lambda: len(service.sink.readings()) == 2)
        assert Problem(sensor="air", code="lost") in service.sink.events
        await stop(task)

    asyncio.run(scenario())
    told = [record.getMessage() for record in caplog.records]
    assert sum(text.startswith("port up:") for text in told) == 2
    assert sum(text.startswith("port down:") for text in told) == 1
    assert len(told) <= 4


def test_a_port_that_is_gone_is_awaited_for_ever_with_little_noise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "agent.poll")
    signs: list[float] = []

    async def scenario(loop: VirtualLoop) -> None:
        port = SerialPort(f"path:{tmp_path}/nothing", Line())
        retry = Backoff(base_s=1.0, cap_s=30.0, random=lambda: 0.999)
        work = own_port(
            port,
            EchoBus(),
            Sink(),
            boot_ns=loop.boot_ns,
            retry=retry,
            alive=lambda: signs.append(loop.now),
        )
        task = asyncio.create_task(work)
        await asyncio.sleep(24 * 3600)
        await stop(task)

    loop = run_virtually(scenario)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["port down"]
    assert max(later - sooner for sooner, later in pairwise(signs)) <= 10.001
    assert len(loop.slept) < 24 * 3600 / 2.5


def test_a_lost_port_is_tried_often_in_the_first_minute_and_seldom_later(tmp_path: Path) -> None:
    now_ns = 0
    state = poll._State(SerialPort(f"path:{tmp_path}/x", Line()), lambda: now_ns)
    retry = Backoff(base_s=1.0, cap_s=30.0, random=lambda: 0.999)
    assert max(state.pause_s(retry) for _ in range(20)) <= 3
    now_ns = 61 * SECOND
    assert state.pause_s(retry) > 29
    assert state.pause_s(Backoff(base_s=1.0, cap_s=30.0, random=lambda: 0.0)) == 0.25


def test_an_empty_socket_is_looked_at_often_however_long_it_has_been_empty(tmp_path: Path) -> None:
    now_ns = 0
    state = poll._State(SerialPort(f"path:{tmp_path}/x", Line()), lambda: now_ns)
    retry = Backoff(base_s=1.0, cap_s=30.0, random=lambda: 0.999)
    now_ns = 3600 * SECOND
    state.down(NotPlugged("x", "not plugged in"))
    assert max(state.pause_s(retry) for _ in range(20)) <= 4
    state.down(PortLost("x", "it is in use"))
    assert state.pause_s(retry) > 29


def test_a_loose_plug_is_told_a_bounded_number_of_times(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "agent.poll")
    now_ns = 0
    state = poll._State(SerialPort(f"path:{tmp_path}/x", Line()), lambda: now_ns)
    for second in range(3600):
        now_ns = second * SECOND
        state.works()
        state.down(PortLost("path:/x", f"reason {second}"))
    texts = [record.getMessage() for record in caplog.records]
    assert sum("port flaps" in text for text in texts) == 1
    assert len(texts) == 21
    now_ns += 7200 * SECOND
    state.works()
    assert caplog.records[-1].getMessage().startswith("port up:")


def test_new_reasons_in_one_outage_are_told_but_not_for_ever(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "agent.poll")
    state = poll._State(SerialPort(f"path:{tmp_path}/x", Line()), lambda: 0)
    for turn in range(50):
        state.down(PortLost("path:/x", f"reason {turn % 25}"))
    texts = [record.getMessage().split(":")[0] for record in caplog.records]
    assert texts == ["port down"] + ["port still down"] * 4


def test_another_adapter_in_the_same_socket_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    port = SerialPort(f"path:{tmp_path}/x", Line())
    state = poll._State(port, lambda: 0)
    for identity in ("0403:6001 A", "0403:6001 A", "", "1a86:7523 CH340"):
        port.identity = identity
        state.up()
        state.up()
        state.down(PortLost("path:/x", "gone"))
    changes = [record.getMessage() for record in caplog.records if "adapter changed" in record.getMessage()]
    assert changes == ["adapter changed: port=" + port.name + " before='0403:6001 A' now='1a86:7523 CH340'"]


def test_a_line_that_only_opens_and_hangs_up_is_never_called_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agent.poll")
    link = tmp_path / "air"

    async def scenario() -> None:
        service = Service(link)
        task = service.start()
        for _ in range(3):
            unit = Unit(link)
            starts = service.bus.starts
            await until(partial(service.bus.has_started, starts + 1))
            os.write(unit.master, b"?")
            unit.unplug()
            await until(lambda: service.bus.losses == service.bus.starts)
        await stop(task)

    asyncio.run(scenario())
    assert not any("port up" in record.getMessage() for record in caplog.records)


def test_a_silent_line_that_stays_open_is_up(unit: Unit, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "agent.poll")

    async def scenario(loop: VirtualLoop) -> None:
        service = Service(unit.link)
        task = service.start()
        await opened(service.port)
        await asyncio.sleep(3)
        await stop(task)

    run_virtually(scenario)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["port up"]


async def opened(port: SerialPort) -> None:
    while not port.device:  # noqa: ASYNC110 - set by a real opening
        await asyncio.sleep(0.001)


def test_a_healthy_port_shows_life_and_shares_the_wake_up(
    unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Unit(tmp_path / "other")

    async def scenario(loop: VirtualLoop) -> None:
        services = [Service(unit.link), Service(other.link)]
        tasks = [service.start() for service in services]
        for service in services:
            await opened(service.port)
        await asyncio.sleep(3)
        del loop.slept[:]
        before = [service.signs for service in services]
        await asyncio.sleep(100)
        assert [service.signs - signs for service, signs in zip(services, before, strict=True)] == [10, 10]
        assert len(loop.slept) == 11  # ten together, and the end of this sleep
        for task in tasks:
            await stop(task)

    run_virtually(scenario)
    other.unplug()


def test_a_port_that_missed_its_own_deadline_shows_no_life(unit: Unit) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        service = Service(unit.link)
        task = service.start()
        await opened(service.port)
        service.bus.due_ns = boot_clock_ns() - 3 * SECOND  # and nobody scheduled it
        signs = service.signs
        await asyncio.sleep(60)
        assert service.signs == signs
        await stop(task)

    run_virtually(scenario)


@pytest.mark.parametrize("step", ["receive", "tick", "start"])
def test_a_bug_in_a_driver_ends_the_task(unit: Unit, step: str) -> None:
    def fault(*args: object) -> list[Event]:
        raise ZeroDivisionError

    async def scenario() -> None:
        service = Service(unit.link)
        setattr(service.bus, step, fault)
        service.bus.due_ns = 1
        task = service.start()
        await until(lambda: service.port.device)
        os.write(unit.master, b"x")
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(task, 5)

    asyncio.run(scenario())


def test_garbage_reaches_the_sink_as_rejected_and_the_port_stays(unit: Unit) -> None:
    async def scenario() -> None:
        service = Service(unit.link)
        task = service.start()
        await until(lambda: service.bus.starts)
        os.write(unit.master, b"?" * 100)
        await until(lambda: service.sink.events)
        assert isinstance(service.sink.events[0], Rejected)
        assert service.bus.losses == 0
        await stop(task)

    asyncio.run(scenario())


@pytest.mark.parametrize("moment", ["while lost", "while open"])
def test_cancelling_is_never_swallowed(unit: Unit, moment: str) -> None:
    async def scenario() -> None:
        service = Service(unit.link)
        if moment == "while lost":
            unit.unplug()
        task = service.start()
        await until(lambda: service.port.trouble or service.bus.starts)
        await stop(task)

    asyncio.run(scenario())


class Probe:
    def __init__(self) -> None:
        self.looks: list[int] = []

    def collect(self, now_ns: int) -> list[Event]:
        self.looks.append(now_ns)
        return [reading("cpu", now_ns, "host")]


@pytest.mark.parametrize(("every_s", "looks"), [(10.0, 11), (60.0, 2), (2.5, 41)])
def test_a_probe_is_read_at_once_and_then_steadily(every_s: float, looks: int) -> None:
    probe, sink = Probe(), Sink()
    signs: list[float] = []

    async def scenario(loop: VirtualLoop) -> None:
        work = own_probe(probe, sink, every_s=every_s, boot_ns=loop.boot_ns, alive=lambda: signs.append(loop.now))
        task = asyncio.create_task(work)
        await asyncio.sleep(100.5)
        await stop(task)

    run_virtually(scenario)
    assert len(probe.looks) == len(sink.events) == looks
    assert probe.looks[0] == 0
    assert max(later - sooner for sooner, later in pairwise(signs)) <= 10.001
