"""One datagram there and one back, over real sockets."""

import asyncio

import pytest

from drivers.io.udp import ask
from tests.drivers.io.asked import udp


def is_answer(data: bytes) -> bool:
    return data.startswith(b"yes")


def test_stray_datagrams_are_passed_over_until_the_answer_comes() -> None:
    async def run() -> None:
        async with udp(lambda asked: [b"", b"no", b"\xff" * 2000, b"yes " + asked, b"yes again"]) as (port, asked):
            assert await ask("127.0.0.1", port, b"well?", is_answer) == b"yes well?"
            assert asked == [b"well?"]

    asyncio.run(run())


def test_only_whom_was_asked_is_heard() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[tuple[str, int]] = loop.create_future()

        class Silent(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                assert data == b"well?"
                asked.set_result(addr)

        server, _ = await loop.create_datagram_endpoint(Silent, local_addr=("127.0.0.1", 0))
        other, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        port = server.get_extra_info("sockname")[1]
        asking = asyncio.create_task(ask("127.0.0.1", port, b"well?", is_answer))
        who = await asked
        other.sendto(b"yes, says another", who)
        await asyncio.sleep(0.05)
        assert not asking.done()
        server.sendto(b"yes", who)
        assert await asking == b"yes"
        server.close()
        other.close()

    asyncio.run(run())


def test_a_closed_port_is_refused_at_once() -> None:
    async def run() -> None:
        async with udp(lambda _: []) as (port, _):
            pass
        async with asyncio.timeout(2):
            with pytest.raises(ConnectionRefusedError):
                await ask("127.0.0.1", port, b"well?", is_answer)

    asyncio.run(run())


def test_silence_costs_the_callers_deadline() -> None:
    async def run() -> None:
        async with udp(lambda _: [b"no"] * 3) as (port, _):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await ask("127.0.0.1", port, b"well?", is_answer)

    asyncio.run(run())


@pytest.mark.parametrize(("address", "port"), [("localhost", 53), ("127.0.0.1", 0), ("127.0.0.1", 65_536), ("", 53)])
def test_names_and_ports_that_are_none_are_weather(address: str, port: int) -> None:
    with pytest.raises(OSError, match=r"an address is needed|no such port"):
        asyncio.run(ask(address, port, b"well?", is_answer))
