"""An MQTT proxy that says PUBACK itself and forgets: what a receipt of a broker is worth.

It ends TLS on both sides with the test city's own keys: the broker's towards the node, the node's towards the broker.
Source: MQTT 5.0, sections 2.1 (fixed header), 3.3 (PUBLISH) and 3.4 (PUBACK); 3.1.1 has the same of these.
"""

import asyncio
import contextlib
import random
import ssl
import threading
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")

_PUBLISH, _PUBACK = 3, 4
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """TLS towards the client, and towards the server."""

    client: ssl.SSLContext
    server: ssl.SSLContext


class Forgetful:
    """Listens on a port of its own; passes most on, and acknowledges the rest without telling anybody.

    Args:
        target: Port of the broker.
        ends: TLS on both sides.
        share: Part of the messages with QoS 1 that it forgets, each way.
        chance: Chooses them.

    Attributes:
        port: Where it listens.
        forgotten: Messages, by the last word of their topic.
        passed: The same of those it passed on.
    """

    def __init__(self, target: int, ends: Ends, *, share: float, chance: random.Random) -> None:
        self._target = target
        self._ends = ends
        self._chance = chance
        self.share = share
        self.port = 0
        self.forgotten: Counter[str] = Counter()
        self.passed: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="forgetful", daemon=True)
        self._serving: set[asyncio.Task[None]] = set()

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

    def _call(self, work: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_S)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._ends.client)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for one in list(self._serving):
            one.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        self._serving.add(own)
        try:
            with contextlib.suppress(OSError):
                from_server, to_server = await asyncio.open_connection(
                    "localhost", self._target, ssl=self._ends.server, server_hostname="localhost"
                )
                await self._relay((from_client, to_client), (from_server, to_server))
        finally:
            to_client.transport.abort()
            self._serving.discard(own)

    async def _relay(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(client[0], server[1], client[1]))
                both.create_task(self._pass_on(server[0], client[1], server[1]))
        except* (OSError, EOFError):
            pass  # one side is gone: so is the other
        finally:
            server[1].transport.abort()

    async def _pass_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        while True:
            head, rest = await _packet(source)
            if head[0] >> 4 == _PUBLISH and head[0] >> 1 & 3 == 1:
                topic_bytes = int.from_bytes(rest[:2], "big")
                topic = rest[2 : 2 + topic_bytes].decode()
                forgets = self._chance.random() < self.share
                (self.forgotten if forgets else self.passed)[topic.rpartition("/")[2]] += 1
                if forgets:
                    number = rest[2 + topic_bytes : 4 + topic_bytes]
                    back.write(bytes((_PUBACK << 4, len(number))) + number)
                    await back.drain()
                    continue
            sink.write(head + rest)
            await sink.drain()


async def _packet(source: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return one packet: its fixed header, and the rest. Raises EOFError."""
    head = await source.readexactly(2)
    while head[-1] & 0x80:
        head += await source.readexactly(1)
    length = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(head[1:]))
    return head, await source.readexactly(length)
