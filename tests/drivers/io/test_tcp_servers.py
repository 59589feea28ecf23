"""Units behind TCP: bytes of a serial line (`tcp://`) and Modbus TCP (`modbus-tcp://`), with servers that fail."""

import asyncio
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import pytest
from pymodbus.framer import FramerType

from agent.poll import own_port
from drivers.backoff import Backoff
from drivers.bus import Bus
from drivers.driver import Event, Line, OptionValue, Problem
from drivers.io.catalog import registry
from drivers.io.serial_port import SerialPort, boot_clock_ns
from drivers.reading import Reading
from drivers.serial.rtu import sealed
from tests.drivers.modbus_line import TcpUnits, value_of

UNITS = (1, 2)
EVERY_S = 0.2


class Polled:
    """The agent's side: one port with a bus of Modbus units, polled while the block lasts."""

    def __init__(self, name: str, units: Sequence[int] = UNITS, *, open_within_s: float = 2.0) -> None:
        registers: list[OptionValue] = [{"channel": f"r{at}", "register": at} for at in (0, 50)]
        self.events: list[Event] = []
        self.port = SerialPort(name, Line(), open_within_s=open_within_s)
        drivers = [
            registry().make("modbus", f"u{unit}", {"unit": unit, "registers": registers}, every_s=EVERY_S)
            for unit in units
        ]
        self._bus = Bus(drivers)

    async def __aenter__(self) -> Self:
        retry = Backoff(base_s=1.0, cap_s=30.0, random=lambda: 0.5)
        work = own_port(self.port, self._bus, self, boot_ns=boot_clock_ns, retry=retry, alive=lambda: None)
        self._task = asyncio.create_task(work)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def take(self, event: Event) -> None:
        self.events.append(event)

    @property
    def readings(self) -> list[Reading]:
        return [event for event in self.events if isinstance(event, Reading)]

    @property
    def problems(self) -> list[Problem]:
        return [event for event in self.events if isinstance(event, Problem)]

    async def fresh(self, within_s: float = 5.0) -> float:
        """Wait for new readings of each unit; return how long that took, in s."""
        began, seen = time.monotonic(), len(self.readings)
        await until(lambda: len({one.sensor for one in self.readings[seen:]}) == len(self._bus._units), within_s)
        return time.monotonic() - began

    def all_true(self) -> None:
        wrong = [one for one in self.readings if one.value != value_of(int(one.sensor[1:]), int(one.channel[1:]))]
        assert wrong == []


async def until(condition: Callable[[], object], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - looks at the outside world, which sets no event
            await asyncio.sleep(0.005)


@pytest.fixture(params=["tcp", "modbus-tcp"])
def server(request: pytest.FixtureRequest) -> Iterator[TcpUnits]:
    framer = FramerType.RTU if request.param == "tcp" else FramerType.SOCKET
    units = TcpUnits(UNITS, scheme=request.param, framer=framer)
    yield units
    units.end()


def test_units_of_pymodbus_behind_tcp_are_read(server: TcpUnits) -> None:
    async def scenario() -> None:
        async with Polled(server.name) as polled:
            await polled.fresh()
            await polled.fresh()
            polled.all_true()
            assert polled.problems == []
            assert {(one.sensor, one.channel) for one in polled.readings} == {
                (f"u{unit}", channel) for unit in UNITS for channel in ("r0", "r50")
            }

    asyncio.run(scenario())


def test_a_server_that_goes_and_comes_back_is_read_within_five_seconds_and_leaks_nothing(server: TcpUnits) -> None:
    async def scenario() -> None:
        async with Polled(server.name) as polled:
            await polled.fresh()
            before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count
            for _ in range(3):
                server.stop()
                await until(lambda: polled.port.trouble)
                server.start()
                assert await polled.fresh() < 5
            await until(lambda: len(os.listdir("/proc/self/fd")) <= before)  # noqa: PTH208 - a count
            polled.all_true()

    asyncio.run(scenario())


def test_a_server_that_is_gone_costs_no_processor(server: TcpUnits) -> None:
    async def scenario() -> None:
        async with Polled(server.name) as polled:
            await polled.fresh()
            server.stop()
            await until(lambda: "nothing listens" in polled.port.trouble)
            spent = resource.getrusage(resource.RUSAGE_SELF)
            await asyncio.sleep(2)
            now = resource.getrusage(resource.RUSAGE_SELF)
            assert now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime < 0.1

    asyncio.run(scenario())


class Scripted:
    """A server that does with each connection what a test says; connections stay open until the end."""

    def __init__(self, script: Callable[[socket.socket, int], None]) -> None:
        self.connections = 0
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, name="scripted server")
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            self.connections += 1
            connection.settimeout(5)
            try:
                self._script(connection, self.connections)
            except OSError:
                continue

    def end(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()
        self._thread.join(10)


@contextmanager
def scripted(script: Callable[[socket.socket, int], None]) -> Iterator[Scripted]:
    server = Scripted(script)
    try:
        yield server
    finally:
        server.end()


def data_of(unit: int, register: int) -> bytes:
    return bytes((unit, 3, 2)) + value_of(unit, register).to_bytes(2, "big")


def rtu_replies(connection: socket.socket, times: int) -> None:
    for _ in range(times):
        if not (asked := connection.recv(64)):
            return
        connection.sendall(sealed(data_of(asked[0], asked[3])))


def tcp_reply(asked: bytes, body: bytes) -> bytes:
    return asked[:4] + len(body).to_bytes(2, "big") + body


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.close()


def test_a_server_that_accepts_and_says_nothing_means_silent_units_and_no_lost_port() -> None:
    async def scenario(server: Scripted) -> None:
        async with Polled(f"tcp://127.0.0.1:{server.port}") as polled:
            await until(lambda: len(polled.problems) == len(UNITS), 10)
            assert {(one.code, one.ok) for one in polled.problems} == {("silent", False)}
            assert polled.port.trouble == ""
            assert server.connections == 1

    with scripted(lambda _connection, _number: None) as server:
        asyncio.run(scenario(server))


def test_a_reset_in_the_middle_of_a_reply_loses_that_reply_only() -> None:
    def script(connection: socket.socket, number: int) -> None:
        if number == 1:
            rtu_replies(connection, 2)
            asked = connection.recv(64)
            connection.sendall(sealed(data_of(asked[0], asked[3]))[:4])
            reset(connection)
        rtu_replies(connection, 1000)

    async def scenario(server: Scripted) -> None:
        async with Polled(f"tcp://127.0.0.1:{server.port}", units=(1,)) as polled:
            await until(lambda: server.connections == 2)
            assert await polled.fresh() < 5
            polled.all_true()

    with scripted(script) as server:
        asyncio.run(scenario(server))


def test_late_and_merged_answers_of_modbus_tcp_never_answer_another_question() -> None:
    def script(connection: socket.socket, number: int) -> None:
        asked = connection.recv(64)
        late = tcp_reply(asked, data_of(asked[6], asked[9]))  # given when the next question has been asked
        while asked := connection.recv(64):
            of_nobody = b"\x7f\xff" + tcp_reply(asked, data_of(asked[6], 60))[2:]
            answer = tcp_reply(asked, data_of(asked[6], asked[9]))
            connection.sendall(late + of_nobody + answer[:5])
            time.sleep(0.02)
            connection.sendall(answer[5:] + answer)

    async def scenario(server: Scripted) -> None:
        async with Polled(f"modbus-tcp://127.0.0.1:{server.port}", units=(1,)) as polled:
            for _ in range(3):
                await polled.fresh()
            polled.all_true()
            assert server.connections == 1

    with scripted(script) as server:
        asyncio.run(scenario(server))


def test_a_gateway_says_which_unit_behind_it_is_silent_and_the_others_go_on() -> None:
    asked_silent: list[float] = []

    def script(connection: socket.socket, number: int) -> None:
        while asked := connection.recv(64):
            if asked[6] == 1:
                connection.sendall(tcp_reply(asked, data_of(1, asked[9])))
            else:
                asked_silent.append(time.monotonic())
                connection.sendall(tcp_reply(asked, bytes((asked[6], 0x83, 11))))

    async def scenario(server: Scripted) -> None:
        async with Polled(f"modbus-tcp://127.0.0.1:{server.port}") as polled:
            await until(lambda: len(polled.readings) > 20, 10)
            (problem,) = polled.problems
            assert (problem.sensor, problem.code) == ("u2", "silent")
            assert "the gateway says exception 11: gateway target did not respond" in problem.detail
            assert len(asked_silent) < 6

    with scripted(script) as server:
        asyncio.run(scenario(server))


@pytest.mark.parametrize("noise", [b"HTTP/1.1 400 Bad Request\r\n", sealed(data_of(1, 0))])
def test_what_is_no_modbus_tcp_closes_the_connection_and_says_what_to_write(noise: bytes) -> None:
    def script(connection: socket.socket, number: int) -> None:
        connection.recv(64)
        if number == 1:
            connection.sendall(noise)
            connection.recv(64)
        while asked := connection.recv(64):
            connection.sendall(tcp_reply(asked, data_of(asked[6], asked[9])))

    async def scenario(server: Scripted) -> None:
        async with Polled(f"modbus-tcp://127.0.0.1:{server.port}", units=(1,)) as polled:
            await until(lambda: polled.port.trouble)
            assert "no Modbus TCP" in polled.port.trouble
            assert "tcp://host:port" in polled.port.trouble
            assert await polled.fresh() < 5
            polled.all_true()

    with scripted(script) as server:
        asyncio.run(scenario(server))


def test_a_slow_name_server_stops_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()

    def slowly(*_args: object, **_options: object) -> list[object]:
        asked.set()
        time.sleep(1.5)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", slowly)

    async def scenario() -> None:
        async with Polled("tcp://moxa.lan:4001", open_within_s=0.5) as polled:
            await until(asked.is_set)
            longest, last = 0.0, time.monotonic()
            while not polled.port.trouble:
                await asyncio.sleep(0.01)
                longest, last = max(longest, time.monotonic() - last), time.monotonic()
            assert polled.port.trouble == "opening it takes longer than 0.5 s"
            assert longest < 1
            await until(
                lambda: "no address is known for moxa.lan" in polled.port.trouble or time.monotonic() > last + 3
            )

    asyncio.run(scenario())
    for thread in threading.enumerate():
        if thread.name.startswith("open "):
            thread.join(5)


def test_a_peer_that_is_gone_without_a_word_is_noticed_within_fifteen_seconds() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with SerialPort(f"tcp://127.0.0.1:{listener.getsockname()[1]}", Line()).open() as line:
                known = socket.socket(fileno=os.dup(line._fd))
                with known:
                    assert known.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
                    idle, interval, count = (
                        known.getsockopt(socket.IPPROTO_TCP, option)
                        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
                    )
                    assert known.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                    assert idle + interval * count <= 15

    asyncio.run(scenario())
