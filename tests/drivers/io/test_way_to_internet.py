"""The collectors of the way to the internet against local servers: pages in all states, DNS alive, slow, dead."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from drivers.driver import Event
from drivers.hotspot.settings import HotspotSettings
from drivers.io import udp
from drivers.io.icmp import Target, echoes
from drivers.io.names import Names
from drivers.io.probes import dns, wan
from drivers.io.probes.dns import DnsCollector
from drivers.io.probes.uplink import UplinkCollector, default_route
from drivers.io.probes.wan import WanCollector
from tests.drivers.hotspot.recorded import at, problems, sample, values
from tests.drivers.io.local_servers import free_port, names_say, run, udp_server

ONLINE = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
CAPTIVE = b"HTTP/1.1 302 Found\r\nLocation: http://portal.carrier.example/?mac=00:00:5e:00:53:01\r\n\r\n"
INTERCEPTED = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n<html>"
NETWORK_LOGIN = b"HTTP/1.1 511 Network Authentication Required\r\n\r\n"
NOT_HTTP = b"SSH-2.0-OpenSSH\r\n\r\n"
HALF = b"HTTP/1.1 204 No Con"
FOUND, NO_SUCH_NAME = sample("dns-dnsmasq-address.bin"), sample("dns-dnsmasq-no_such_name.bin")
LOOPBACK_FOUND = FOUND[:-4] + bytes((127, 0, 0, 1))
ROUTE = sample("proc-net-route-failover.txt")
NO_ROUTE = ROUTE[: ROUTE.index(b"wan0")]


@asynccontextmanager
async def page(answer: bytes | None) -> AsyncIterator[str]:
    """Serve one answer to every request; None closes without a word."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer or b"")
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def settings(proc: Path, *, route: bytes = ROUTE, checks: tuple[str, ...] = (), upstream: str = "") -> HotspotSettings:
    (proc / "net").mkdir(exist_ok=True)
    (proc / "net/route").write_bytes(route)
    (proc / "net/dev").write_bytes(sample("proc-net-dev-failover.txt"))
    return HotspotSettings(proc=str(proc), checks=checks, ping=(), upstream=upstream, every_metric=True)


async def state_of(proc: Path, *answers: bytes | None) -> tuple[dict[str, int | float | bool | str], list[str]]:
    """Return what one round over pages with these answers gives. The gateway of the recorded route never answers."""
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(page(answer)) for answer in answers]
        collector = WanCollector(settings(proc, checks=tuple(f"http://{host}/generate_204" for host in hosts)))
        events = await collector.collect(at(0))
        found = values(events)
        return {name: found[name] for name in found if not name.startswith("gw-")}, problems(events)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wan, "_PAGE_S", 0.4)
    monkeypatch.setattr(dns, "_WITHIN_S", 0.2)


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        ((ONLINE, INTERCEPTED), "online"),
        ((INTERCEPTED, ONLINE), "online"),
        ((None, ONLINE), "online"),
        ((CAPTIVE, INTERCEPTED), "captive"),
        ((INTERCEPTED, CAPTIVE), "captive"),
        ((NETWORK_LOGIN, None), "captive"),
        ((INTERCEPTED, None), "intercepted"),
        ((HALF, None), "down"),
        ((NOT_HTTP, NOT_HTTP), "down"),
    ],
)
def test_the_state_is_the_best_that_a_page_shows(tmp_path: Path, answers: tuple[bytes, ...], state: str) -> None:
    found, _ = run(lambda: state_of(tmp_path, *answers))
    assert found["state"] == state
    assert ("http-ms" in found) == (state == "online")


def test_the_portal_of_the_carrier_is_named_without_anything_of_a_guest(tmp_path: Path) -> None:
    _, told = run(lambda: state_of(tmp_path, CAPTIVE))
    assert "captive: it sends to portal.carrier.example" in told
    assert "00:00:5e" not in repr(told)


def test_the_second_page_is_left_alone_while_the_first_is_reached(tmp_path: Path) -> None:
    async def scenario() -> int:
        async with page(ONLINE) as one, udp_server(names_say(LOOPBACK_FOUND)) as (server, asked):
            checks = (f"http://{one}/", "http://two.example/")
            await WanCollector(settings(tmp_path, checks=checks, upstream=server)).collect(at(0))
            return asked.asked

    assert run(scenario) == 0


def test_a_page_that_never_answers_costs_its_own_time_only(tmp_path: Path) -> None:
    async def scenario() -> tuple[list[Event], float]:
        async with page(ONLINE) as two:
            silent = socket.create_server(("127.0.0.1", 0))  # takes connections, says nothing
            with silent:
                checks = (f"http://127.0.0.1:{silent.getsockname()[1]}/", f"http://{two}/")
                began = time.monotonic()
                events = await WanCollector(settings(tmp_path, route=NO_ROUTE, checks=checks)).collect(at(0))
        return events, time.monotonic() - began

    events, took_s = run(scenario)
    assert values(events)["state"] == "online"
    assert took_s < 1.5


@pytest.mark.parametrize("reply", [None, NO_SUCH_NAME], ids=["dead", "no such name"])
def test_names_that_die_after_a_good_round_leave_the_state_online(tmp_path: Path, reply: bytes | None) -> None:
    said = [LOOPBACK_FOUND, reply]

    def answer(question: bytes) -> bytes | None:
        return names_say(said.pop(0))(question)

    async def scenario() -> list[dict[str, int | float | bool | str]]:
        async with page(ONLINE) as host, udp_server(answer) as (server, _):
            port = host.rpartition(":")[2]
            given = settings(tmp_path, route=NO_ROUTE, checks=(f"http://one.example:{port}/",), upstream=server)
            collector = WanCollector(given)
            collector._names = Names(server, within_s=0.2)
            return [values(await collector.collect(at(60 * minute))) for minute in range(2)]

    assert [found["state"] for found in run(scenario)] == ["online", "online"]


@pytest.mark.parametrize("number", [1, 2, 12])
def test_a_turn_has_time_for_every_page_and_every_host_to_hang(number: int) -> None:
    given = HotspotSettings(checks=("http://192.0.2.1/",) * number, ping=("192.0.2.1",) * number)
    assert WanCollector(given).timeout_s > number * (wan._PAGE_S + 2.0)


def test_names_that_were_never_answered_prove_nothing_while_there_is_a_route(tmp_path: Path) -> None:
    async def scenario(route: bytes) -> list[Event]:
        async with udp_server(names_say(None)) as (server, _):
            collector = WanCollector(settings(tmp_path, route=route, checks=("http://one.example/",)))
            collector._names = Names(server, within_s=0.1)
            return await collector.collect(at(0))

    assert "state" not in values(run(lambda: scenario(ROUTE)))
    assert values(run(lambda: scenario(NO_ROUTE)))["state"] == "down"


def looked_up(local: bytes | None, up: bytes | None, *, wait_s: float = 0) -> list[Event]:
    async def scenario() -> list[Event]:
        async with udp_server(names_say(local), wait_s) as (own, _), udp_server(names_say(up)) as (other, _):
            return await DnsCollector(HotspotSettings(resolver=own, upstream=other)).collect(at(0))

    return run(scenario)


def test_two_servers_that_answer_are_both_well_and_nothing_is_hijacked() -> None:
    found = values(looked_up(NO_SUCH_NAME, FOUND))
    assert (found["fail"], found["up-fail"], found["hijacked"]) == (0.0, 0.0, False)
    assert 0 < float(found["local-ms"]) < 150
    assert 0 < float(found["up-ms"]) < 150


def test_a_server_that_gives_every_name_an_address_is_told() -> None:
    assert values(looked_up(FOUND, FOUND))["hijacked"] is True


def test_a_slow_server_is_slow_and_not_dead() -> None:
    found = values(looked_up(NO_SUCH_NAME, FOUND, wait_s=0.1))
    assert float(found["local-ms"]) >= 100
    assert found["fail"] == 0.0


def test_a_dead_server_is_told_apart_from_a_dead_upstream() -> None:
    dead_own = looked_up(None, FOUND)
    assert (values(dead_own)["fail"], values(dead_own)["up-fail"]) == (1.0, 0.0)
    assert problems(dead_own) == ["dns-local: no answer in time"]
    dead_up = looked_up(NO_SUCH_NAME, None)
    assert (values(dead_up)["fail"], values(dead_up)["up-fail"]) == (0.0, 1.0)
    assert problems(dead_up) == ["dns-up: no answer in time"]


def test_answers_to_other_questions_are_passed_over() -> None:
    async def scenario() -> list[Event]:
        async with udp_server(lambda question: bytes((question[0] ^ 1,)) + question[1:2] + FOUND[2:]) as (server, _):
            return await DnsCollector(HotspotSettings(resolver=server, upstream="")).collect(at(0))

    assert problems(run(scenario))[0] == "dns-local: no answer in time"


def test_nobody_at_the_port_is_known_at_once() -> None:
    port = free_port(socket.SOCK_DGRAM)
    given = HotspotSettings(resolver=f"127.0.0.1:{port}", upstream=f"127.0.0.1:{port}")
    began = time.monotonic()
    events = run(lambda: DnsCollector(given).collect(at(0)))
    assert problems(events) == ["dns-local: nobody listens", "dns-up: nobody listens"]
    assert time.monotonic() - began < 0.15


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nameserver 127.0.0.1\nnameserver 192.0.2.53\n", "192.0.2.53"),
        ("# none\nnameserver 10.20.0.1\nnameserver 2001:db8::53\n", "[2001:db8::53]"),
        ("nameserver ::1\nnameserver nonsense\nnameserver\n", ""),
        (None, ""),
    ],
)
def test_the_server_of_the_uplink_is_the_systems_first_that_is_not_our_own(
    tmp_path: Path, text: str | None, expected: str
) -> None:
    path = tmp_path / "resolv.conf"
    if text is not None:
        path.write_text(text, "ascii")
    assert DnsCollector(HotspotSettings(resolver="10.20.0.1", resolv_conf=str(path)))._upstream() == expected


def test_the_uplink_is_read_from_the_kernels_files(tmp_path: Path) -> None:
    given = settings(tmp_path)
    collector = UplinkCollector(given)
    assert values(run(lambda: collector.collect(at(0))))["uplink"] == "wan0"
    (tmp_path / "net/ipv6_route").write_bytes(sample("proc-net-ipv6_route-default.txt"))
    settings(tmp_path, route=NO_ROUTE)
    assert values(run(lambda: collector.collect(at(30))))["uplink-changes"] == 0
    route = default_route(tmp_path)
    assert route is not None
    assert route.gateway == "fe80::1"
    assert default_route(tmp_path / "gone") is None
    assert problems(run(lambda: UplinkCollector(HotspotSettings(proc=str(tmp_path / "gone"))).collect(at(0)))) == [
        "net-route: not there",
        "net-dev: not there",
    ]


def test_a_host_to_ping_must_be_an_address() -> None:
    with pytest.raises(OSError, match="an address is needed here"):
        run(lambda: echoes([Target(address="one.example")]))


def test_a_flood_of_garbage_leaves_others_their_turns() -> None:
    async def scenario() -> int:
        seen: list[bytes] = []

        def is_answer(data: bytes) -> bool:
            seen.append(data)
            return False

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            work = udp.ask("127.0.0.1", peer.getsockname()[1], b"?", is_answer)
            task = asyncio.create_task(work)
            await asyncio.sleep(0)
            _, who = peer.recvfrom(100)
            for _ in range(50):
                peer.sendto(b"garbage", who)
            for _ in range(5):
                await asyncio.sleep(0)
            task.cancel()
            return len(seen)

    assert 0 < run(scenario) <= 5
