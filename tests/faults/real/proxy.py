"""A bad line between two programs: a TCP proxy that cuts, stalls, drips, limits, delays, refuses, or never speaks.

Its event loop runs in a thread of its own, so a test only says how the line is from now on.
"""

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self, TypeVar

T = TypeVar("T")

_PIECE = 16 * 1024
_SEGMENT = 1400
"""Most bytes of a packet, as on a real line; a loopback's 64 KiB would make a small window stutter."""
_KERNEL = 4 * 1024
"""Buffer asked of the kernel, which doubles it; with what waits at the narrow place at most 16 KiB a direction."""
_WAITING = 7 * 1024
_PIECES_UNDER_WAY = 256
_HASTE_S = 0.05  # a slow line passes what it passes in this time in one piece
_PATIENCE_S = 10.0

Accept = Literal["relay", "mute", "refuse"]
Side = Literal["client", "server"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How a line is.

    Attributes:
        bytes_per_s: Width of each direction; None is as wide as the machine.
        delay_s: Time a byte is under way, each direction.
        stalled: Connections stand and are made, and no byte passes.
        accept: What becomes of a new connection: passed on, taken and never spoken to, or refused.
    """

    bytes_per_s: float | None = None
    delay_s: float = 0.0
    stalled: bool = False
    accept: Accept = "relay"


GOOD = Line()
NARROW = Line(bytes_per_s=256_000 / 8, delay_s=0.1)
"""256 kbit/s, 200 ms there and back."""
DRIP = Line(bytes_per_s=5)
STALLED = Line(stalled=True)
MUTE = Line(accept="mute")
REFUSING = Line(accept="refuse")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """Bytes under way; none say that the source has ended."""

    data: bytes
    line: Line
    due_s: float


@dataclass(slots=True, eq=False)
class _Pair:
    """One connection: the client's socket, the server's, and who carries between them."""

    client: socket.socket
    server: socket.socket | None = None
    task: asyncio.Task[None] | None = None
    half: bool = False


class Proxy:
    """Listens on a port of its own and passes on to ``target``, a port of this machine.

    Attributes:
        port: Where it listens, also while it refuses.
        accepted: Connections so far.
        passed: Bytes so far from the client to the server, and back.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._line = GOOD
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        self.passed: dict[Side, int] = {"server": 0, "client": 0}
        self._pairs: set[_Pair] = set()
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy {self.port}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_S)
        self._loop.close()

    def be(self, line: Line) -> None:
        """Be so from now on; connections that stand stay."""
        self._call(self._be(line))

    def cut(self, how: Literal["rst", "fin"]) -> int:
        """End every connection on both sides, by a reset or in order; return how many there were."""
        return self._call(self._cut(how, ("client", "server")))

    def close_halves(self) -> int:
        """End the connections that have one side only, there too; return how many there were."""
        return self._call(self._cut("rst", ("client", "server"), halves=True))

    def half_open(self, gone: Side) -> int:
        """End every connection on one side only: the other still thinks that it is up. Return how many there were."""
        return self._call(self._cut("rst", (gone,)))

    # -- in the thread ----------------------------------------------------------------------------------------------

    def _call(self, work: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_S)

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _be_small(listener)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        listener.setblocking(False)
        return listener

    async def _open(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    async def _close(self) -> None:
        self._stop_accepting()
        await self._cut("rst", ("client", "server"))

    def _stop_accepting(self) -> None:
        self._loop.remove_reader(self._listener)
        self._listener.close()

    async def _be(self, line: Line) -> None:
        if line.accept == "refuse" and self._line.accept != "refuse":
            self._stop_accepting()
        if line.accept != "refuse" and self._line.accept == "refuse":
            self._listener = self._listen(self.port)
            await self._open()
        self._line = line
        self._changed.set()
        self._changed = asyncio.Event()

    async def _cut(self, how: Literal["rst", "fin"], sides: tuple[Side, ...], *, halves: bool = False) -> int:
        pairs = [pair for pair in self._pairs if pair.half or not halves]
        for pair in pairs:
            if pair.task is not None:
                pair.task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await pair.task
                pair.task = None
            for side in sides:
                one = pair.client if side == "client" else pair.server
                if one is not None:
                    _end(one, how)
            pair.half = True
            if len(sides) > 1 or pair.server is None:
                self._pairs.discard(pair)
        return len(pairs)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # gone again
        client.setblocking(False)
        self.accepted += 1
        pair = _Pair(client, half=self._line.accept == "mute")
        self._pairs.add(pair)
        if self._line.accept == "relay":
            pair.task = self._loop.create_task(self._relay(pair))

    async def _relay(self, pair: _Pair) -> None:
        how: Literal["rst", "fin"] = "rst"
        pair.server = server = socket.socket()
        server.setblocking(False)
        _be_small(server)
        try:
            await self._loop.sock_connect(server, ("127.0.0.1", self._target))
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(pair.client, server, "server"))
                both.create_task(self._carry(server, pair.client, "client"))
            how = "fin"
        except* OSError:
            pass  # one side is gone: so is the other
        for one in (pair.client, server):
            _end(one, how)
        self._pairs.discard(pair)

    async def _carry(self, source: socket.socket, sink: socket.socket, side: Side) -> None:
        """Pass bytes on until the source ends: they wait for the narrow place, go through it, and are under way."""
        under_way: asyncio.Queue[_Piece] = asyncio.Queue(_PIECES_UNDER_WAY)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._take(source, under_way))
            both.create_task(self._bring(sink, under_way, side))

    async def _take(self, source: socket.socket, under_way: "asyncio.Queue[_Piece]") -> None:
        line, through_s, data = self._line, 0.0, b"first"
        while data:
            await self._flowing()
            if line is not self._line:
                line, through_s = self._line, 0.0
            width = line.bytes_per_s
            most = _PIECE if width is None else max(1, min(_SEGMENT, int(width * _HASTE_S)))
            data = await self._loop.sock_recv(source, most)
            now_s = time.monotonic()
            through_s = max(through_s, now_s) + (0.0 if width is None else len(data) / width)
            await under_way.put(_Piece(data=data, line=line, due_s=through_s + line.delay_s))
            if width is not None:
                await self._wait(line, through_s - _WAITING / width)

    async def _bring(self, sink: socket.socket, under_way: "asyncio.Queue[_Piece]", side: Side) -> None:
        while True:
            piece = await under_way.get()
            await self._wait(piece.line, piece.due_s)
            await self._flowing()
            if not piece.data:
                sink.shutdown(socket.SHUT_WR)
                return
            await self._loop.sock_sendall(sink, piece.data)
            self.passed[side] += len(piece.data)

    async def _flowing(self) -> None:
        while self._line.stalled:
            await self._changed.wait()

    async def _wait(self, line: Line, until_s: float) -> None:
        """Wait until a moment, but not for a line that is another one by now."""
        wait_s = until_s - time.monotonic()
        if wait_s > 0 and line is self._line:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()


def _be_small(one: socket.socket) -> None:
    """Hold little in the kernel, so that what is sent and not there yet stays with the sender."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _end(one: socket.socket, how: Literal["rst", "fin"]) -> None:
    if how == "rst":
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()
