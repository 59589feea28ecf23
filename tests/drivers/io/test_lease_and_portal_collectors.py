"""The collectors of leases and portals, against daemons that a test makes well or ill."""

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from drivers.driver import Event
from drivers.hotspot import dns_message
from drivers.hotspot.settings import HotspotSettings
from drivers.io.probes import opennds, portal_page
from drivers.io.probes.chilli import ChilliCollector
from drivers.io.probes.dnsmasq import DnsmasqCollector
from drivers.io.probes.dnsmasq_bus import DnsmasqBusCollector
from drivers.io.probes.dnsmasq_cache import DnsmasqCacheCollector
from drivers.probe import Moment
from drivers.probes import KINDS, collector
from tests.drivers.hotspot.recorded import problems, sample, values
from tests.drivers.io.asked import NOW, Talk, hanging, saying, tcp, udp, unix
from tests.node.system_bus import Daemon, bus

STATUS, JSON = sample("opennds-9.10-status.txt"), sample("opennds-9.6-json-malformed.txt")
DNSMASQ = "uk.org.thekelleys.dnsmasq"


class Collects(Protocol):
    async def collect(self, now: Moment) -> list[Event]: ...

    def close(self) -> None: ...


def collected(made: Collects) -> list[Event]:
    async def run() -> list[Event]:
        try:
            return await made.collect(NOW)
        finally:
            made.close()

    return asyncio.run(run())


def test_the_file_of_leases_is_read_or_missed(tmp_path: Path) -> None:
    path = tmp_path / "leases"
    made = DnsmasqCollector(HotspotSettings(leases=str(path), pool="10.20.0.2-10.20.0.4"))
    assert problems(collected(made)) == ["dnsmasq-leases: not there"]
    path.write_bytes(sample("dnsmasq.leases"))
    assert values(collected(made)) == {"leases": 3, "pool-used": 1.0}


def texts(counters: dict[bytes, int], rcode: int = 0) -> Callable[[bytes], list[bytes]]:
    """Answer as dnsmasq: an own question is a hit once it was answered."""

    def answer(asked: bytes) -> list[bytes]:
        name = asked[13 : 13 + asked[12]]
        text = str(counters.get(name, 0)).encode()
        counters[b"hits"] += 1
        data = bytes((len(text),)) + text
        found = b"\xc0\x0c" + struct.pack(">HHIH", dns_message.TXT, dns_message.CHAOS, 0, len(data)) + data
        head = asked[:2] + struct.pack(">HHHHH", 0x8580 | rcode, 1, 0 if rcode else 1, 0, 0)
        return [head + asked[12:] + (b"" if rcode else found)]

    return answer


def cache(port: int) -> DnsmasqCacheCollector:
    return DnsmasqCacheCollector(HotspotSettings(resolver=f"127.0.0.1:{port}", every_metric=True))


def test_hits_of_guests_stay_the_same_however_often_it_is_asked() -> None:
    async def run() -> None:
        counters = {b"hits": 40, b"misses": 8}
        async with udp(texts(counters)) as (port, _):
            made = cache(port)
            for _ in range(3):
                assert values(await made.collect(NOW)) == {"hits": 40, "misses": 8}
            counters[b"hits"] += 5
            assert values(await made.collect(NOW)) == {"hits": 45, "misses": 8}

    asyncio.run(run())


def test_a_resolver_that_is_no_dnsmasq_or_is_gone_says_so() -> None:
    async def run() -> None:
        async with udp(texts({b"hits": 0}, rcode=5)) as (port, _):
            why = problems(await cache(port).collect(NOW))
            assert why == [
                "dnsmasq-chaos: it keeps no counters: another program than dnsmasq, or dnsmasq with no-ident"
            ]
        assert problems(await cache(port).collect(NOW)) == ["dnsmasq-chaos: nobody listens"]

    asyncio.run(run())


def nds(path: Path, status: Talk, json: Talk | None = None) -> list[Event]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        reader.feed_data(asked)
        await (json if json and asked.startswith(b"json") else status)(reader, writer)

    async def run() -> list[Event]:
        async with unix(talk, path / "ndsctl.sock") as place:
            return await opennds.OpenndsCollector(HotspotSettings(opennds=place)).collect(NOW)

    return asyncio.run(run())


def test_an_opennds_that_was_never_seen_is_not_called_down_and_one_that_vanishes_is(tmp_path: Path) -> None:
    place = tmp_path / "nds.sock"
    collector = opennds.OpenndsCollector(HotspotSettings(opennds=str(place)))
    events = collected(collector)
    assert values(events) == {}
    assert "-w" in problems(events)[0]
    collector._was_there = True
    assert values(collected(collector)) == {"up": False}


def test_opennds_is_asked_once_where_its_status_is_understood(tmp_path: Path) -> None:
    events = nds(tmp_path, saying(STATUS), hanging)
    assert values(events) == {"up": True, "clients-auth": 1, "clients-pre": 0, "auths": 1, "login-stuck": False}


def test_its_json_is_asked_where_its_status_is_not_understood(tmp_path: Path) -> None:
    events = nds(tmp_path, saying(STATUS[:500]), saying(JSON))
    assert values(events) == {"up": True, "clients-auth": 1, "clients-pre": 0}
    assert problems(events) == ["opennds-status: not understood: the text of openNDS's status is expected"]


def test_an_opennds_that_says_nothing_of_sense_is_neither_up_nor_down(tmp_path: Path) -> None:
    assert values(nds(tmp_path, saying(b"garbage"))) == {}


def test_an_opennds_that_hangs_or_is_gone_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opennds, "_WITHIN_S", 0.2)
    hung = nds(tmp_path, hanging)
    assert (values(hung), problems(hung)) == ({"up": False}, ["opennds-status: no answer in time"])
    gone = collected(opennds.OpenndsCollector(HotspotSettings(opennds=str(tmp_path / "ndsctl.sock"))))
    assert (values(gone), problems(gone)) == ({"up": False}, ["opennds-status: nobody listens"])


def test_a_socket_that_the_service_may_not_open_says_nothing_of_the_portal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(path: str, request: bytes) -> bytes:
        raise PermissionError(13, f"{path} {request!r}")

    monkeypatch.setattr(opennds, "stream_reply", refused)
    events = collected(opennds.OpenndsCollector(HotspotSettings(opennds=str(tmp_path))))
    assert values(events) == {}
    assert problems(events) == ["opennds-status: no permission: let the service's group read it"]


def chilli(path: Path, script: str) -> list[Event]:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return collected(ChilliCollector(HotspotSettings(chilli=str(path))))


def test_chilli_is_asked_by_its_program(tmp_path: Path) -> None:
    listed = tmp_path / "list"
    listed.write_bytes(sample("chilli_query-list.txt"))
    events = chilli(tmp_path / "query", f'test "$*" = list && cat {listed}')
    assert values(events) == {"up": True, "clients-auth": 1, "clients-pre": 1, "login-stuck": False}


def test_a_chilli_that_does_not_run_is_down_and_a_missing_program_says_nothing(tmp_path: Path) -> None:
    down = chilli(tmp_path / "query", "echo 'connect: No such file' >&2; exit 1")
    assert (values(down), problems(down)) == ({"up": False}, ["chilli-list: it ended with 1"])
    missing = collected(ChilliCollector(HotspotSettings(chilli=str(tmp_path / "none"))))
    assert (values(missing), problems(missing)) == ({}, ["chilli-list: not there"])


def served(talk: Talk, make: Callable[[str], Collects]) -> list[Event]:
    async def run() -> list[Event]:
        async with tcp(talk) as port:
            return await make(f"http://127.0.0.1:{port}/login").collect(NOW)

    return asyncio.run(run())


def page(url: str) -> Collects:
    return portal_page.PortalPageCollector(HotspotSettings(portal_url=url, every_metric=True))


def api(url: str) -> Collects:
    return portal_page.PortalApiCollector(HotspotSettings(portal_api=url))


def test_the_page_of_the_portal_is_up_down_or_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = values(served(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), page))
    assert found["page-up"] is True
    assert isinstance(found["page-ms"], float)
    assert values(served(saying(b"HTTP/1.1 500 Oops\r\n\r\n"), page))["page-up"] is False
    monkeypatch.setattr(portal_page, "_WITHIN_S", 0.2)
    hung = served(hanging, page)
    assert (values(hung), problems(hung)) == ({"page-up": False}, ["portal-page-answer: no answer in time"])


@pytest.mark.parametrize(
    ("head", "ok"),
    [(b"Content-Type: application/captive+json", True), (b"Content-Type: text/html", False), (b"X: y", False)],
)
def test_the_api_of_the_portal_is_right_or_wrong(head: bytes, *, ok: bool) -> None:
    talk = saying(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + sample("capport-captive.json"))
    assert values(served(talk, api)) == {"api-ok": ok}
    assert values(served(saying(b"\0"), api)) == {"api-ok": False}


def test_dnsmasq_on_the_bus_gives_its_counters(tmp_path: Path) -> None:
    lines = [line.split("\t") for line in sample("dnsmasq-dbus-getmetrics.tsv").decode().splitlines()]
    said: dict[str, tuple[str, tuple[object, ...]]] = {
        "GetMetrics": ("a{su}", ({name: int(value) for name, value in lines},))
    }
    with bus(tmp_path) as socket:
        made = DnsmasqBusCollector(HotspotSettings(bus=socket, dnsmasq_bus=True, every_metric=True))
        assert problems(collected(made)) == ["dnsmasq-metrics: its daemon is not on the bus"]
        daemon = Daemon(socket, DNSMASQ, lambda _path, member, _arguments: said[member])
        assert values(collected(made)) == {"refused": 2, "acks": 2, "naks": 0}
        said["GetMetrics"] = ("s", ("no metrics",))
        assert problems(collected(made)) == ["dnsmasq-metrics: it gives no metrics"]
        daemon.close()
    assert problems(collected(made)) == ["dnsmasq-metrics: nobody listens"]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (HotspotSettings(), {"dnsmasq"}),
        (HotspotSettings(leases=""), set()),
        (HotspotSettings(portal="opennds", portal_url="http://a/"), {"dnsmasq", "opennds", "portal-page"}),
        (HotspotSettings(portal="chilli", portal_api="http://a/"), {"dnsmasq", "chilli", "portal-api"}),
        (HotspotSettings(dnsmasq_bus=True, every_metric=True), {"dnsmasq", "dnsmasq-bus", "dnsmasq-cache"}),
    ],
)
def test_only_what_the_settings_name_is_asked(settings: HotspotSettings, names: set[str]) -> None:
    mine = ("chilli", "dnsmasq", "opennds", "portal")
    chosen = [kind for kind in KINDS if kind.name.startswith(mine) and kind.serves(settings)]
    assert {kind.name for kind in chosen} == names
    for kind in chosen:
        made = collector(kind, settings)
        assert made.probe.info.name == kind.name
        assert made.timeout_s < made.every_s
