import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from agent.demo.cable import Cable


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(100):
            writer.write(data)
    writer.transport.abort()


@asynccontextmanager
async def laid() -> AsyncIterator[Cable]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    cable = Cable(server.sockets[0].getsockname()[1])
    await cable.lay()
    try:
        yield cable
    finally:
        await cable.remove()
        server.close()
        await asyncio.sleep(0.01)  # the far ends see that they are alone


def played(scenario: Callable[[Cable], Awaitable[None]]) -> None:
    async def play() -> None:
        async with asyncio.timeout(10), laid() as cable:
            await scenario(cable)

    asyncio.run(play())


async def said(cable: Cable, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
    try:
        writer.write(text)
        return await reader.read(100)
    finally:
        writer.transport.abort()


def test_it_carries_both_ways() -> None:
    async def scenario(cable: Cable) -> None:
        assert await said(cable, b"hello") == b"hello"

    played(scenario)


def test_a_cut_breaks_what_is_connected_and_who_connects() -> None:
    async def scenario(cable: Cable) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
        writer.write(b"one")
        assert await reader.read(100) == b"one"
        cable.cut()
        try:
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        finally:
            writer.transport.abort()
        with suppress(ConnectionResetError):
            assert await said(cable, b"two") == b""

    played(scenario)


def test_a_mended_cable_carries_again_at_the_same_port() -> None:
    async def scenario(cable: Cable) -> None:
        cable.cut()
        assert cable.is_cut
        cable.mend()
        assert await said(cable, b"three") == b"three"

    played(scenario)


def test_without_a_broker_the_node_is_turned_away() -> None:
    async def scenario(cable: Cable) -> None:
        lonely = Cable(9)  # discard: nobody serves it here
        await lonely.lay()
        with suppress(ConnectionResetError):
            assert await said(lonely, b"x") == b""
        await lonely.remove()

    played(scenario)
