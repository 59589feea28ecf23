"""Modbus units that no one here wrote (pymodbus servers) on a pseudo-terminal or a TCP port, in a thread of their own.

The line between them and the agent is an adapter that misbehaves as a test wants.
"""

import asyncio
import os
import socket
import threading
import tty
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.serial.rtu import sealed

REGISTERS = 64
PATIENCE_S = 10.0

Pieces = Iterable[tuple[float, bytes]]
"""What the agent hears, each after so many seconds."""

Adapter = Callable[[bytes, bytes], Pieces]
"""Makes of a request, and of its reply (empty at first), what the agent hears of them."""


def value_of(unit: int, register: int) -> int:
    """What a unit says: no other unit and no other register says the same."""
    return unit * 1000 + register


def devices(units: Iterable[int]) -> list[SimDevice]:
    return [
        SimDevice(
            unit,
            simdata=[
                SimData(0, values=[value_of(unit, at) for at in range(REGISTERS)], datatype=DataType.REGISTERS),
            ],
        )
        for unit in units
    ]


def clean(request: bytes, reply: bytes) -> Pieces:
    """A good adapter."""
    return [(0.0, reply)]


def slow(data: bytes) -> Pieces:
    """Bytes as 9600 baud and a USB adapter deliver them: a few at a time."""
    return [(at * 0.001, data[at : at + 6]) for at in range(0, len(data), 6)]


class Adapters:
    """What adapters and neighbours do to a reply. Each is one of many that a technician meets."""

    def __init__(self) -> None:
        self.replies = 0

    def echo_and_junk(self, request: bytes, reply: bytes) -> Pieces:
        """Every request comes back, and three bytes of rubbish stand before each reply."""
        return slow(b"\xa7\x03\x5c" + reply) if reply else [(0.0, request)]

    def split_echo(self, request: bytes, reply: bytes) -> Pieces:
        """Half of the echo at once, the other half together with the reply."""
        return [(0.0, request[5:] + reply)] if reply else [(0.0, request[:5])]

    def idle_bytes(self, request: bytes, reply: bytes) -> Pieces:  # noqa: ARG002 - nothing else happens
        """The line floats: FF and 00 around each reply."""
        return slow(b"\xff\x00\xff" + reply + b"\x00\xff") if reply else []

    def neighbour(self, request: bytes, reply: bytes) -> Pieces:  # noqa: ARG002 - nothing else happens
        """Another unit's reply of equal length comes first, then one of another function and of another length."""
        if not reply:
            return []
        others = (bytes((reply[0] + 1,)) + reply[1:-2], reply[:1] + b"\x04" + reply[2:-2], reply[:2] + b"\x04\0\1\0\1")
        return slow(b"".join(map(sealed, others)) + reply)

    def late(self, request: bytes, reply: bytes) -> Pieces:  # noqa: ARG002 - nothing else happens
        """Each tenth reply comes when nobody waits for it any more."""
        if not reply:
            return []
        self.replies += 1
        return [(0.0 if self.replies % 10 else 0.45, reply)]

    def cut(self, request: bytes, reply: bytes) -> Pieces:  # noqa: ARG002 - nothing else happens
        """Each twentieth reply loses a byte, each other twentieth has a wrong bit."""
        if not reply:
            return []
        self.replies += 1
        if self.replies % 20 == 0:
            return slow(reply[:3] + reply[4:])
        if self.replies % 20 == 10:
            return slow(reply[:4] + bytes((reply[4] ^ 0x10,)) + reply[5:])
        return slow(reply)


class Units:
    """A thread with a loop in which servers live."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="modbus units", daemon=True)
        self._thread.start()

    def do(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)

    def end(self) -> None:
        async def rest() -> None:
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.do(rest())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self.loop.close()


class _Line:
    """Two pairs of pseudo-terminals and the adapter between them."""

    def __init__(self, units: Units, adapter: Adapter, live: Iterable[int]) -> None:
        self._units = units
        self._adapter = adapter
        self._live = frozenset(live)
        self._pairs = [os.openpty(), os.openpty()]
        (self._agent, agent_end), (self._bus, bus_end) = self._pairs
        self.agent_path, self.bus_path = os.ttyname(agent_end), os.ttyname(bus_end)
        for ours, theirs in self._pairs:
            tty.setraw(theirs)
            os.set_blocking(ours, False)
        self._request = b""
        units.loop.call_soon_threadsafe(units.loop.add_reader, self._agent, self._asked)
        units.loop.call_soon_threadsafe(units.loop.add_reader, self._bus, self._answered)

    def _asked(self) -> None:
        self._request = os.read(self._agent, 4096)
        self._say(self._adapter(self._request, b""))
        if self._request[0] in self._live:  # pymodbus would answer for units that it does not have: exception 4
            os.write(self._bus, self._request)

    def _answered(self) -> None:
        self._say(self._adapter(self._request, os.read(self._bus, 4096)))

    def _say(self, pieces: Pieces) -> None:
        for after_s, data in pieces:
            if not after_s:
                os.write(self._agent, data)
            else:
                self._units.loop.call_later(after_s, self._late, data)

    def _late(self, data: bytes) -> None:
        if self._agent >= 0:
            os.write(self._agent, data)

    async def close(self) -> None:
        for fd in (self._agent, self._bus):
            self._units.loop.remove_reader(fd)
        self._agent = -1
        for pair in self._pairs:
            for fd in pair:
                os.close(fd)


@contextmanager
def serial_line(link: Path, live: Iterable[int], adapter: Adapter = clean) -> Iterator[None]:
    """A bus behind a stable name; units that are not live say nothing."""
    units = Units()
    line = _Line(units, adapter, live)
    link.symlink_to(line.agent_path)
    server: ModbusSerialServer | None = None

    async def begin() -> None:
        nonlocal server
        server = ModbusSerialServer(devices(live), port=line.bus_path, baudrate=9600, reconnect_delay=0)
        await server.serve_forever(background=True)

    async def close() -> None:
        if server is not None:
            await server.shutdown()  # type: ignore[no-untyped-call]  # theirs has no annotation
        await line.close()

    try:
        units.do(begin())
        yield
    finally:
        units.do(close())
        units.end()
        link.unlink()


class TcpUnits:
    """A TCP server that can go and come back on the same port.

    Attributes:
        name: Its name as a port.
    """

    def __init__(self, live: Iterable[int], *, scheme: str, framer: FramerType) -> None:
        self._port = free_port()
        self.name = f"{scheme}://127.0.0.1:{self._port}"
        self._framer = framer
        self._live = list(live)
        self._units = Units()
        self._server: ModbusTcpServer | None = None
        self.start()

    def start(self) -> None:
        async def begin() -> None:
            self._server = ModbusTcpServer(devices(self._live), framer=self._framer, address=("127.0.0.1", self._port))
            await self._server.serve_forever(background=True)

        self._units.do(begin())

    def stop(self) -> None:
        async def close() -> None:
            if self._server is not None:
                await self._server.shutdown()  # type: ignore[no-untyped-call]  # theirs has no annotation
                self._server = None

        self._units.do(close())

    def end(self) -> None:
        self.stop()
        self._units.end()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
