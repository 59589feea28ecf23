import asyncio
import itertools
import os
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.driver import Event, Problem
from drivers.hotspot.settings import HotspotSettings
from drivers.io import hostapd as module
from drivers.io.hostapd import Control
from drivers.io.probes.access_point import AccessPointCollector
from drivers.io.probes.guests import GuestsCollector
from drivers.io.probes.hostapd import HostapdCollector
from drivers.probe import Moment
from drivers.reading import Reading

A, B = "00:00:5e:00:53:01", "00:00:5e:00:53:02"
STATUS = "state=ENABLED\nchannel=6\nbss[0]=wlan0\nssid[0]=Tamu\nnum_sta[0]=0\n"
STATION = "{}\nflags=[AUTHORIZED]\naid=1\n"
NOBODY = 65534


class Hostapd:
    """Stands where hostapd stands: answers each command with the datagrams that a table has for it."""

    def __init__(self, folder: Path) -> None:
        self.answers: dict[str, list[str]] = {"PING": ["PONG\n"], "ATTACH": ["OK\n"], "STATUS": [STATUS]}
        self.commands: list[str] = []
        self.listeners: list[str] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "wlan0"))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            raw, sender = self.socket.recvfrom(4096)
            if not raw:
                return
            command = raw.decode()
            self.commands.append(command)
            if command == "ATTACH":
                self.listeners.append(sender)
            for answer in self.answers.get(command, []):
                self.socket.sendto(answer.encode(), sender)

    def tell(self, event: str) -> None:
        for listener in self.listeners:
            self.socket.sendto(event.encode(), listener)

    def end(self) -> None:
        if self.socket.fileno() < 0:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(b"", self.socket.getsockname())
        self._thread.join(5)
        self.socket.close()


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="g") as folder:  # the name of a socket has 107 bytes at most
        (Path(folder) / "run/gardu").mkdir(parents=True)
        (Path(folder) / "ctrl").mkdir()
        yield Path(folder)


@pytest.fixture
def hostapd(place: Path) -> Iterator[Hostapd]:
    fake = Hostapd(place / "ctrl")
    yield fake
    fake.end()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_S", 0.1)


def settings(place: Path) -> HotspotSettings:
    return HotspotSettings(hostapd=str(place / "ctrl"), run=str(place / "run"), proc=str(place / "proc"))


def control(place: Path, *, events: bool = False) -> Control:
    return Control.of(settings(place), events=events)


def values(events: list[Event]) -> dict[str, object]:
    return {event.channel: event.value for event in events if isinstance(event, Reading)}


def problems(events: list[Event]) -> list[str]:
    return [event.detail for event in events if isinstance(event, Problem) and event.detail.startswith("hostapd")]


def collect(made: AccessPointCollector | GuestsCollector | HostapdCollector, *, times: int = 1) -> list[Event]:
    async def run() -> list[Event]:
        for _ in range(times):
            events = await made.collect(Moment(boot_ns=1))
        made.close()
        return events

    return asyncio.run(run())


def test_events_that_overtake_an_answer_are_not_taken_for_it(place: Path, hostapd: Hostapd) -> None:
    hostapd.answers["DISABLE"] = [f"<3>AP-STA-DISCONNECTED {A}", "<3>AP-DISABLED ", "OK\n"]

    async def run() -> tuple[bytes, bytes]:
        way = control(place, events=True)
        answer = await way.ask("DISABLE")
        heard = way.events()
        way.close()
        return answer, heard

    assert asyncio.run(run()) == (b"OK\n", b"OK\n<3>AP-STA-DISCONNECTED\n<3>AP-DISABLED\n")


def test_events_are_kept_without_whom_they_are_about(place: Path, hostapd: Hostapd) -> None:
    async def run() -> list[bytes]:
        way = control(place, events=True)
        await way.ask("STATUS")
        hostapd.tell(f"<3>AP-STA-CONNECTED {A}")
        hostapd.tell("junk")
        heard = [way.events(), way.events()]
        way.close()
        return heard

    assert asyncio.run(run()) == [b"OK\n<3>AP-STA-CONNECTED\n", b"OK\n"]


def test_events_are_taken_as_they_come_so_that_hostapd_never_waits(place: Path, hostapd: Hostapd) -> None:
    async def run() -> bytes:
        way = control(place, events=True)
        await way.ask("STATUS")
        for _ in range(300):  # a queue of datagrams may hold as few as ten
            hostapd.tell(f"<3>AP-STA-CONNECTED {A}")
            await asyncio.sleep(0)
        heard = way.events()
        way.close()
        return heard

    assert asyncio.run(run()).count(b"CONNECTED") == 300


def test_a_flood_of_events_is_bounded(place: Path, hostapd: Hostapd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVENTS_BYTES", 100)

    async def run() -> bytes:
        way = control(place, events=True)
        await way.ask("STATUS")
        for _ in range(50):
            hostapd.tell(f"<3>AP-STA-CONNECTED {A}")
            await asyncio.sleep(0)
        heard = way.events()
        way.close()
        return heard

    assert len(asyncio.run(run())) < 150


def test_a_late_answer_is_not_taken_for_that_to_the_next_command(place: Path, hostapd: Hostapd) -> None:
    async def run() -> bytes:
        way = control(place)
        with pytest.raises(TimeoutError):
            await way.ask("SLOW")
        hostapd.answers["STATUS"] = ["now"]
        answer = await way.ask("STATUS")
        way.close()
        return answer

    assert asyncio.run(run()) == b"now"


def test_its_own_names_are_given_back_and_those_of_a_dead_agent_are_removed(place: Path, hostapd: Hostapd) -> None:
    left = place / "run/gardu/hostapd-4194305-0"  # no process has a number so high
    left.touch()
    ours = place / f"run/gardu/hostapd-{os.getppid()}-0"
    ours.touch()

    async def run() -> list[str]:
        way = control(place, events=True)
        await way.ask("STATUS")
        held = sorted(each.name for each in (place / "run/gardu").iterdir())
        way.close()
        return held

    held = asyncio.run(run())
    assert len([name for name in held if name.startswith(f"hostapd-{os.getpid()}-")]) == 2
    assert [each.name for each in (place / "run/gardu").iterdir()] == [ours.name]


def test_a_name_that_an_agent_of_our_number_left_is_taken_over(
    place: Path, hostapd: Hostapd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_NUMBERS", itertools.count())
    (place / f"run/gardu/hostapd-{os.getpid()}-0").touch()
    assert values(collect(AccessPointCollector(settings(place))))["up"] is True


@pytest.mark.parametrize("refusal", [ProcessLookupError, PermissionError])
def test_only_names_of_the_dead_are_removed(
    place: Path, hostapd: Hostapd, monkeypatch: pytest.MonkeyPatch, refusal: type[OSError]
) -> None:
    def kill(pid: int, number: int) -> None:
        assert (pid, number) == (77, 0)
        raise refusal

    other = place / "run/gardu/hostapd-77-0"
    other.touch()
    (place / "run/gardu/hostapd-x-0").touch()
    monkeypatch.setattr(os, "kill", kill)
    collect(AccessPointCollector(settings(place)))
    assert other.exists() is (refusal is PermissionError)


def test_without_a_folder_to_write_the_kernel_gives_a_name(place: Path, hostapd: Hostapd) -> None:
    (place / "run/gardu").rmdir()
    assert collect(AccessPointCollector(settings(place)))
    assert hostapd.commands[:3] == ["PING", "ATTACH", "STATUS"]


def test_no_socket_means_that_the_access_point_is_down(place: Path) -> None:
    events = collect(AccessPointCollector(settings(place)))
    assert values(events) == {"up": False}
    assert problems(events) == ["hostapd-status: not there"]


@pytest.mark.parametrize(
    "leave", [lambda fake: fake.end(), lambda fake: fake.answers.clear()], ids=["killed", "hangs for ever"]
)
def test_a_socket_that_stayed_behind_means_that_it_is_down_too(place: Path, leave: Callable[[Hostapd], None]) -> None:
    fake = Hostapd(place / "ctrl")
    made = AccessPointCollector(settings(place))

    async def run() -> list[list[Event]]:
        before = await made.collect(Moment(boot_ns=1))
        leave(fake)
        after = [await made.collect(Moment(boot_ns=2)) for _ in range(2)]
        made.close()
        return [before, *after]

    before, after, again = asyncio.run(run())
    assert values(before) == {"up": True, "starts": 0}
    assert values(after) == values(again) == {"up": False}
    assert len(problems(after)) == 1
    assert problems(again) == []
    assert stat.S_ISSOCK((place / "ctrl/wlan0").stat().st_mode)
    fake.end()


def test_a_door_that_is_shut_says_nothing_of_the_access_point_but_how_to_open_it(place: Path, hostapd: Hostapd) -> None:
    (place / "ctrl").chmod(0)
    os.seteuid(NOBODY) if os.geteuid() == 0 else None
    try:
        events = collect(AccessPointCollector(settings(place)))
    finally:
        os.seteuid(os.getuid())
        (place / "ctrl").chmod(0o700)
    assert values(events) == {}
    (problem,) = problems(events)
    assert "ctrl_interface_group" in problem


def test_guests_are_counted_by_a_walk_that_ends_even_in_a_ring(place: Path, hostapd: Hostapd) -> None:
    hostapd.answers |= {
        "STA-FIRST": [STATION.format(A)],
        f"STA-NEXT {A}": [STATION.format(B)],
        f"STA-NEXT {B}": [STATION.format(A)],
    }
    found = values(collect(GuestsCollector(settings(place))))
    assert (found["auth"], found["joins"], found["leaves"]) == (2, 0, 0)


def test_a_walk_begins_again_when_a_guest_leaves_meanwhile(place: Path, hostapd: Hostapd) -> None:
    hostapd.answers |= {"STA-FIRST": [STATION.format(A)], f"STA-NEXT {A}": ["FAIL\n"]}
    assert values(collect(GuestsCollector(settings(place))))["auth"] == 1
    assert hostapd.commands.count("STA-FIRST") == 3
    hostapd.answers["STA-FIRST"] = [""]
    assert values(collect(GuestsCollector(settings(place))))["auth"] == 0
    assert hostapd.commands.count("STA-FIRST") == 4


def test_a_walk_stops_at_512_guests(place: Path, hostapd: Hostapd) -> None:
    names = [f"00:00:5e:00:{each // 256:02x}:{each % 256:02x}" for each in range(600)]
    hostapd.answers["STA-FIRST"] = [STATION.format(names[0])]
    hostapd.answers |= {f"STA-NEXT {a}": [STATION.format(b)] for a, b in itertools.pairwise(names)}
    assert values(collect(GuestsCollector(settings(place))))["auth"] == 512


def test_guests_of_a_hostapd_that_is_gone_are_not_0(place: Path) -> None:
    events = collect(GuestsCollector(settings(place)))
    assert values(events) == {}
    assert problems(events) == ["hostapd-stations: not there"]


@pytest.mark.parametrize("said", ["", "FAIL\n", "UNKNOWN COMMAND\n"])
def test_a_hostapd_without_counters_is_no_trouble(place: Path, hostapd: Hostapd, said: str) -> None:
    hostapd.answers["MIB"] = [said]
    assert collect(HostapdCollector(settings(place)), times=2) == []


def test_counters_of_hostapd_are_read(place: Path, hostapd: Hostapd) -> None:
    hostapd.answers["MIB"] = ["radiusAuthServerIndex=1\nradiusAuthClientAccessAccepts=4\nradiusAuthClientTimeouts=2\n"]
    found = values(collect(HostapdCollector(settings(place))))
    assert found == {"radius-accepts": 4, "radius-timeouts": 2, "radius-silent": False}
    hostapd.end()
    assert problems(collect(HostapdCollector(settings(place)))) == ["hostapd-mib: nobody listens"]


def test_without_a_hostapd_only_the_kernel_is_asked(place: Path) -> None:
    none = HotspotSettings(hostapd="", interface="wlan0", proc=str(place))
    (place / "net").mkdir()
    (place / "net/dev").write_bytes(Path("/proc/net/dev").read_bytes().replace(b"lo:", b"wlan0:"))
    assert values(collect(AccessPointCollector(none))).keys() == {"rx-bytes", "tx-bytes"}
    assert values(collect(GuestsCollector(none))).keys() == {"mute"}
