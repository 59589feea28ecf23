import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.io import dbus
from drivers.io.answers import reason
from tests.node.system_bus import Said, bus, daemon

NAME = "org.example.Daemon"
WHERE = dbus.Interface(daemon=NAME, path="/org/example", name="org.example.Daemon")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bus(tmp_path_factory.mktemp("bus")) as found:
        yield found


def ask(address: str, member: str = "Count", **given: object) -> tuple[object, ...]:
    async def go() -> tuple[object, ...]:
        async with dbus.connected(address) as connection:
            return await connection.call(WHERE, member, **given)  # type: ignore[arg-type]  # keywords of call

    return asyncio.run(go())


def fixed(said: Said | str | None) -> Callable[[str, str, tuple[object, ...]], Said | str | None]:
    return lambda _path, _member, _arguments: said


def test_a_daemon_is_asked_and_its_answer_comes_back(address: str) -> None:
    with daemon(address, NAME, lambda _path, member, arguments: ("sas", (member, list(arguments)))) as asked:
        assert ask(address, "Count", signature="ss", arguments=("a", "b")) == ("Count", ["a", "b"])
    assert asked.asked == ["Count"]


def test_a_property_comes_without_its_wrapping(address: str) -> None:
    async def go() -> object:
        async with dbus.connected(address) as connection:
            return await connection.property(WHERE, "NFailedUnits")

    with daemon(address, NAME, fixed(("v", (("u", 3),)))):
        assert asyncio.run(go()) == 3
    with daemon(address, NAME, fixed(("u", (3,)))), pytest.raises(dbus.BusError, match="no property"):
        asyncio.run(go())


def test_one_connection_serves_several_questions_and_passes_over_signals(address: str) -> None:
    async def go() -> list[tuple[object, ...]]:
        async with dbus.connected(address) as connection:
            await connection.call(dbus._BUS, "AddMatch", "s", ("type='signal'",))
            found: list[tuple[object, ...]] = []
            for _ in range(3):
                await connection.call(dbus._BUS, "RequestName", "su", (f"org.example.N{len(found)}", 0))
                found.append(await connection.call(WHERE, "Count"))
            return found

    counts = iter(range(3))
    with daemon(address, NAME, lambda *_: ("u", (next(counts),))):
        assert asyncio.run(go()) == [(0,), (1,), (2,)]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("org.freedesktop.DBus.Error.AccessDenied", "the bus refuses it: no permission"),
        ("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "the bus refuses it: no permission"),
        ("org.freedesktop.DBus.Error.UnknownMethod", "it does not know the question"),
        ("org.freedesktop.systemd1.NoSuchUnit", "it refuses: NoSuchUnit"),
    ],
)
def test_a_refusal_is_told_in_words_and_keeps_its_name(address: str, error: str, told: str) -> None:
    with daemon(address, NAME, fixed(error)), pytest.raises(dbus.BusError) as caught:
        ask(address)
    assert (reason(caught.value), caught.value.name) == (told, error)


def test_a_daemon_that_does_not_run_is_not_there_and_is_not_started(address: str) -> None:
    with pytest.raises(dbus.BusError) as caught:
        ask(address)
    assert reason(caught.value) == "its daemon is not on the bus"


@pytest.mark.usefixtures("_hasty")
def test_asking_starts_no_daemon_unless_it_is_wanted(tmp_path: Path) -> None:
    mark = tmp_path / "started"
    service = f"[D-BUS Service]\nName={NAME}\nExec=/usr/bin/touch {mark}\n"
    (tmp_path / f"{NAME}.service").write_text(service)
    with bus(tmp_path) as own:
        with pytest.raises(dbus.BusError):
            ask(own)
        assert not mark.exists()
        with pytest.raises(TimeoutError):
            ask(own, start=True)  # what was started never joins the bus
        end_s = time.monotonic() + 10
        while not mark.exists() and time.monotonic() < end_s:
            time.sleep(0.01)
        assert mark.exists()


@pytest.mark.usefixtures("_hasty")
def test_a_daemon_that_hangs_costs_its_own_time_only(address: str) -> None:
    with daemon(address, NAME, fixed(None)), pytest.raises(TimeoutError):
        ask(address)
    with daemon(address, NAME, fixed(("u", (1,)))):
        assert ask(address) == (1,)


def test_no_bus_is_told_as_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file") as caught:
        ask(str(tmp_path / "bus"))
    assert reason(caught.value) == "not there"


def test_a_bus_that_refuses_the_account_is_told(tmp_path: Path) -> None:
    with (
        bus(tmp_path, auth="DBUS_COOKIE_SHA1") as closed,
        pytest.raises(dbus.BusError, match="lets this account not in"),
    ):
        ask(closed)


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbus, "WITHIN_S", 0.2)


# What may listen at the path instead of a bus: each line is what it says, one after the other.
_OK = b"OK 0123456789abcdef0123456789abcdef\r\n"
_HUGE = struct.pack("<cBBBIII", b"l", 2, 0, 1, 2**31, 1, 8)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "the bus closed the connection"),
        ([b"HTTP/1.1 400 Bad Request\r\n"], "the bus lets this account not in"),
        ([b"x" * 9000], "the bus lets this account not in"),
        ([_OK], "the bus closed the connection"),
        ([_OK, b"no bus at all, but twenty bytes"], "what it says is no D-Bus"),
        ([_OK, b"l\x09\x00\x01" + bytes(12)], "what it says is no D-Bus"),
        ([_OK, _HUGE + bytes(300_000)], "its answer is too long"),
    ],
    ids=["closes", "http", "endless", "closes after hello", "text", "no such type", "gigabytes"],
)
def test_what_is_no_bus_is_an_error_in_words(tmp_path: Path, lines: list[bytes], told: str) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        thread = threading.Thread(target=_say, args=(listening, lines))
        thread.start()
        with pytest.raises(dbus.BusError) as caught:
            ask(path)
        thread.join()
    assert reason(caught.value) == told


def _say(listening: socket.socket, lines: list[bytes]) -> None:
    peer, _ = listening.accept()
    with peer:
        for line in lines:
            peer.recv(4096)
            peer.sendall(line)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(4096):
            pass


@pytest.mark.usefixtures("_hasty")
def test_a_bus_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        with pytest.raises(TimeoutError):
            ask(path)
