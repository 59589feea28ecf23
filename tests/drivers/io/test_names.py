"""Addresses of hosts, asked of a real server."""

import asyncio
import struct
from pathlib import Path

import pytest

from drivers.hotspot import dns_message
from drivers.io.names import Names, endpoint, servers
from drivers.probe import AnswerError
from tests.drivers.io.asked import udp


def record(question: bytes, address: bytes, rcode: int = 0) -> bytes:
    """Answer a question with one address, or with none of it."""
    head = question[:2] + struct.pack(">HHHHH", 0x8180 | rcode, 1, 1 if address else 0, 0, 0)
    found = b"\xc0\x0c" + struct.pack(">HHIH", dns_message.A, 1, 60, len(address)) + address if address else b""
    return head + question[12:] + found


HERE = bytes((192, 0, 2, 7))


def test_a_name_is_asked_and_its_first_address_taken() -> None:
    async def run() -> None:
        async with udp(lambda asked: [b"\0\0 stray", record(asked, HERE)]) as (port, asked):
            names = Names(f"127.0.0.1:{port}", number=lambda: 0x1234)
            assert await names.address("portal.example") == "192.0.2.7"
            assert asked == [dns_message.question("portal.example", number=0x1234)]
            assert (names.known("portal.example"), names.work) == ("192.0.2.7", True)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("host", "address"),
    [("192.0.2.1", "192.0.2.1"), ("[2001:db8::1]", "2001:db8::1"), ("localhost", "127.0.0.1")],
)
def test_an_address_needs_no_server(host: str, address: str) -> None:
    assert asyncio.run(Names("127.0.0.1:1").address(host)) == address


@pytest.mark.parametrize("how", ["no such name", "refuses", "silent", "garbage", "half", "gone"])
def test_an_address_once_known_outlives_its_server(how: str) -> None:
    failing = False

    def answer(asked: bytes) -> list[bytes]:
        good = record(asked, HERE)
        if not failing:
            return [good]
        bad = {"no such name": record(asked, b"", 3), "refuses": record(asked, b"", 5), "half": good[:-2]}
        return [bad[how]] if how in bad else [b"\xff" * 40] if how == "garbage" else []

    async def run() -> None:
        nonlocal failing
        async with udp(answer) as (port, _):
            names = Names(f"127.0.0.1:{port}", within_s=0.2)
            await names.address("portal.example")
            failing = True
            if how != "gone":
                assert await names.address("portal.example") == "192.0.2.7"
                assert not names.work
        if how == "gone":
            assert await names.address("portal.example") == "192.0.2.7"
        with pytest.raises(OSError, match="its name is not found"):
            await names.address("never-seen.example")

    asyncio.run(run())


@pytest.mark.parametrize("host", ["", "a..b", "x" * 64, "\u00fc" * 64])
def test_a_name_that_is_none_is_not_found(host: str) -> None:
    with pytest.raises(OSError, match="its name is not found"):
        asyncio.run(Names("127.0.0.1:1").address(host))


def test_an_answer_that_is_half_is_told_to_who_asks_the_server_itself() -> None:
    async def run() -> None:
        async with udp(lambda asked: [record(asked, HERE)[:-1]]) as (port, _):
            with pytest.raises(AnswerError):
                await Names(f"127.0.0.1:{port}").ask("portal.example")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("dns.example:5353", ("dns.example", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
    ],
)
def test_a_server_is_written_with_or_without_its_port(text: str, expected: tuple[str, int]) -> None:
    assert endpoint(text, 53) == expected


def test_the_systems_servers_are_its_addresses_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    assert servers(path) == ()
    path.write_text(
        "# nameserver 192.0.2.9\nsearch example\nnameserver 192.0.2.1\nnameserver\n"
        "nameserver dns.example\nnameserver 2001:db8::1 x\n"
    )
    assert servers(path) == ("192.0.2.1", "2001:db8::1")


def test_an_address_that_is_kept_is_asked_for_again_when_its_time_is_over() -> None:
    now_s = 0.0

    async def run() -> list[int]:
        nonlocal now_s
        counts = []
        async with udp(lambda asked: [record(asked, HERE)]) as (port, asked):
            names = Names(f"127.0.0.1:{port}", keep_s=300.0, now_s=lambda: now_s)
            for moment_s in (0.0, 299.0, 300.0, 599.0):
                now_s = moment_s
                assert await names.address("portal.example") == "192.0.2.7"
                counts.append(len(asked))
        return counts

    assert asyncio.run(run()) == [1, 1, 2, 2]


def test_whether_names_still_work_is_asked_when_a_kept_address_was_of_no_use() -> None:
    async def run() -> None:
        async with udp(lambda asked: [record(asked, HERE)]) as (port, asked):
            names = Names(f"127.0.0.1:{port}", keep_s=300.0, within_s=0.2)
            await names.address("portal.example")
            assert await names.still_work()
            assert len(asked) == 1  # it was asked this moment
            await names.address("portal.example")
            assert await names.still_work()
            assert len(asked) == 2
            await names.address("portal.example")
        assert not await names.still_work()
        assert not names.work
        assert await names.address("portal.example") == "192.0.2.7"

    asyncio.run(run())
