"""Asking a RADIUS server on this machine for its status."""

import hashlib
import socket
from pathlib import Path

import pytest

from drivers.driver import Event
from drivers.hotspot.settings import HotspotSettings
from drivers.io.probes import radius
from drivers.io.probes.radius import RadiusCollector
from tests.drivers.hotspot.recorded import at, problems, sample, values
from tests.drivers.io.local_servers import free_port, names_say, run, udp_server

SECRET = "rahasia\n"  # noqa: S105 - of this test
NO_SUCH_NAME = sample("dns-dnsmasq-no_such_name.bin")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radius, "_WITHIN_S", 0.2)


def status(proc: Path, server: str, *, secret: str | None = SECRET) -> tuple[object, list[str]]:
    path = proc / "secret"
    if secret is not None:
        path.write_text(secret, "ascii")
    events = run(lambda: RadiusCollector(HotspotSettings(radius=server, radius_secret=str(path))).collect(at(0)))
    return values(events).get("radius-up"), problems(events)


def test_a_closed_port_is_told_apart_from_silence(tmp_path: Path) -> None:
    assert status(tmp_path, f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}") == (False, ["nobody listens"])


def test_silence_may_be_a_wrong_secret_and_is_asked_twice_before_it_counts(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("rahasia", "ascii")

    async def scenario() -> tuple[list[Event], int]:
        async with udp_server(names_say(None)) as (server, asked):
            given = HotspotSettings(radius=server, radius_secret=str(tmp_path / "secret"))
            return await RadiusCollector(given).collect(at(0)), asked.asked

    events, asked = run(scenario)
    assert values(events) == {"radius-up": False}
    assert problems(events) == ["no answer: it is down, or the secret is wrong"]
    assert asked == 2


def test_one_lost_datagram_does_not_mean_down(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("rahasia\n", "ascii")
    lost: list[bytes] = []

    def answer(request: bytes) -> bytes | None:
        if not lost:
            lost.append(request)
            return None
        head = b"\x02" + request[1:2] + b"\x00\x14"
        seal = hashlib.md5(head + request[4:20] + b"rahasia").digest()  # noqa: S324 - RFC 2865
        return head + seal

    async def scenario() -> list[Event]:
        async with udp_server(answer) as (server, _):
            given = HotspotSettings(radius=server, radius_secret=str(tmp_path / "secret"))
            return await RadiusCollector(given).collect(at(0))

    assert values(run(scenario)) == {"radius-up": True}


@pytest.mark.parametrize(("secret", "why"), [(None, "not there"), ("\n", "it is empty")])
def test_a_missing_secret_is_no_dead_server_and_is_never_shown(tmp_path: Path, secret: str | None, why: str) -> None:
    up, told = status(tmp_path, "127.0.0.1", secret=secret)
    assert up is None
    assert told == [f"radius-status: file of the shared secret: {why}"]


def test_a_secret_that_no_key_names_is_told() -> None:
    events = run(lambda: RadiusCollector(HotspotSettings(radius="127.0.0.1")).collect(at(0)))
    assert problems(events) == ["radius-status: file of the shared secret: none is named by radius_secret"]


def test_a_name_of_a_server_that_is_not_found_says_nothing_of_the_server(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("rahasia", "ascii")

    async def scenario() -> list[Event]:
        async with udp_server(names_say(NO_SUCH_NAME)) as (server, _):
            given = HotspotSettings(
                radius="radius.example:1812", radius_secret=str(tmp_path / "secret"), upstream=server
            )
            return await RadiusCollector(given).collect(at(0))

    events = run(scenario)
    assert values(events) == {}
    assert problems(events) == ["radius-status: its name is not found"]
