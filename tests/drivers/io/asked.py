"""A probe that remembers what it was given, and real servers that a test makes answer as it likes."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from drivers.driver import DriverInfo, Event, Problem
from drivers.probe import AnswerError, Facts, Moment, Probe, Source

NOW = Moment(boot_ns=1)
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Facts):
    text: bytes


def _parse(raw: bytes) -> Text:
    if raw.startswith(b"bad"):
        raise AnswerError("bad")
    return Text(text=raw)


class Listener(Probe):
    """Reads anything but what begins with ``bad``."""

    sources = (Source(name="text", title="any", parse=_parse),)

    def __init__(self) -> None:
        super().__init__(DriverInfo(name="listener", title="", family="listener"), "listener")
        self.taken: list[bytes] = []

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        assert isinstance(facts, Text)
        assert now is NOW
        self.taken.append(facts.text)
        return iter(())


def told(events: list[Event]) -> list[str]:
    """Return the problems among events."""
    return [event.detail for event in events if isinstance(event, Problem)]


def saying(*pieces: bytes) -> Talk:
    """Read a request, say these pieces one after the other, and hang up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    return talk


async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request and never answer."""
    await reader.read(4096)
    writer.write(b"")
    await reader.read()


@contextlib.asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[Talk]:
    """Give what a server calls for each connection; at the end every one of them is over."""
    talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks[task] = writer
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await talk(reader, writer)
        writer.close()

    try:
        yield serve
    finally:
        for task, writer in talks.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*talks, return_exceptions=True)
        await asyncio.sleep(0.01)  # sockets are given back in the loop's next turns


@contextlib.asynccontextmanager
async def tcp(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve on a free port of 127.0.0.1; give it."""
    async with serving(talk) as serve, await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def unix(talk: Talk, path: Path) -> AsyncIterator[str]:
    """Serve on a UNIX socket; give its path."""
    async with serving(talk) as serve, await asyncio.start_unix_server(serve, path):
        yield str(path)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, answers: Callable[[bytes], list[bytes]]) -> None:
        self._answers = answers
        self.asked: list[bytes] = []
        self.transport: asyncio.DatagramTransport | None = None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked.append(data)
        assert self.transport is not None
        for answer in self._answers(data):
            self.transport.sendto(answer, addr)


@contextlib.asynccontextmanager
async def udp(answers: Callable[[bytes], list[bytes]]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answer each datagram with those a function gives; give the port, and what was asked as it comes."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: _Udp(answers), local_addr=("127.0.0.1", 0))
    protocol.transport = transport
    try:
        yield transport.get_extra_info("sockname")[1], protocol.asked
    finally:
        transport.close()
        await asyncio.sleep(0)  # closed in the loop's next turn
