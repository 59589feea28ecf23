"""UDP servers on this machine for the collectors to ask."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TypeVar

Given = TypeVar("Given")


def run(scenario: Callable[[], Coroutine[None, None, Given]]) -> Given:
    return asyncio.run(scenario())


class _Server(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[bytes], bytes | None], wait_s: float) -> None:
        self.asked = 0
        self._answer = answer
        self._wait_s = wait_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        if (answer := self._answer(data)) is not None:
            send = self._transport.sendto  # type: ignore[attr-defined]  # of datagrams
            asyncio.get_running_loop().call_later(self._wait_s, send, answer, addr)


@asynccontextmanager
async def udp_server(answer: Callable[[bytes], bytes | None], wait_s: float = 0) -> AsyncIterator[tuple[str, _Server]]:
    loop = asyncio.get_running_loop()
    here = ("127.0.0.1", 0)
    transport, server = await loop.create_datagram_endpoint(lambda: _Server(answer, wait_s), local_addr=here)
    try:
        yield "127.0.0.1:{}".format(transport.get_extra_info("sockname")[1]), server
    finally:
        transport.close()


def names_say(reply: bytes | None) -> Callable[[bytes], bytes | None]:
    return lambda question: None if reply is None else question[:2] + reply[2:]


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
