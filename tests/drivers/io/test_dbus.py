import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
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
        with contextlib.suppress(ConnectionError):  # who had enough left without hearing the rest
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


def kept(address: str, rounds: Callable[[dbus.KeptBus], Awaitable[list[object]]]) -> list[object]:
    async def go() -> list[object]:
        bus = dbus.KeptBus(address)
        try:
            return await rounds(bus)
        finally:
            bus.close()

    return asyncio.run(go())


COUNT = dbus.property_of(WHERE, "Count")


def test_questions_asked_at_once_are_answered_in_their_order_and_a_refusal_stands_in_its_place(address: str) -> None:
    def answer(_path: str, member: str, arguments: tuple[object, ...]) -> Said | str:
        return "org.example.No" if member == "Refused" else ("s", (f"{member} {arguments}",))

    async def rounds(bus: dbus.KeptBus) -> list[object]:
        return list(await bus.ask(*(dbus.Question(WHERE, name) for name in ("One", "Refused", "Two"))))

    with daemon(address, NAME, answer):
        one, refused, two = kept(address, rounds)
    assert (one, two) == (("One ()",), ("Two ()",))
    assert isinstance(refused, dbus.BusError)
    assert refused.name == "org.example.No"


def test_a_kept_connection_gives_each_time_what_is_so_now(address: str) -> None:
    async def rounds(bus: dbus.KeptBus) -> list[object]:
        return [dbus.value((await bus.ask(COUNT))[0]) for _ in range(6)]

    counts = iter((1, 1, 2, 1, 1, 3))
    with daemon(address, NAME, lambda *_: ("v", (("u", next(counts)),))) as asked:
        assert kept(address, rounds) == [1, 1, 2, 1, 1, 3]
    assert len(asked.asked) == 6


def test_a_bus_that_was_started_anew_is_joined_anew(tmp_path: Path) -> None:
    async def rounds(kept_bus: dbus.KeptBus) -> list[object]:
        found: list[object] = []
        for turn in range(2):
            with bus(tmp_path) as own, daemon(own, NAME, fixed(("v", (("u", turn),)))):
                found.append(dbus.value((await asyncio.wait_for(kept_bus.ask(COUNT), 5))[0]))
            (tmp_path / "bus").unlink(missing_ok=True)
        return found

    assert kept(str(tmp_path / "bus"), rounds) == [0, 1]


@pytest.mark.usefixtures("_hasty")
def test_a_late_answer_is_not_taken_for_that_to_the_next_question(address: str) -> None:
    answers = iter((None, ("v", (("u", 2),))))

    async def rounds(bus: dbus.KeptBus) -> list[object]:
        with pytest.raises(TimeoutError):
            await bus.ask(COUNT)
        left = bus._bus
        found = [dbus.value((await bus.ask(COUNT))[0])]
        assert left is not None
        assert not left.is_open
        assert bus._bus is not left
        return found

    with daemon(address, NAME, lambda *_: next(answers)):
        assert kept(address, rounds) == [2]
