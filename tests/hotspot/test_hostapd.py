"""The access point and its guests at a real hostapd, which needs no radio with driver=none."""

import asyncio
import socket
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from drivers.driver import Event
from drivers.hotspot.settings import HotspotSettings
from drivers.io.hostapd import Control
from drivers.io.probes.access_point import AccessPointCollector
from drivers.io.probes.guests import GuestsCollector
from drivers.io.probes.hostapd import HostapdCollector
from drivers.probe import Moment
from drivers.reading import Reading

pytestmark = pytest.mark.hotspot

CONFIG = """\
interface=lo
driver=none
ctrl_interface={folder}
ssid=WiFi Coba
channel=6
hw_mode=g
"""
WITH_RADIUS = """\
ieee8021x=1
own_ip_addr=127.0.0.1
auth_server_addr=127.0.0.1
auth_server_port=1
auth_server_shared_secret=rahasia
"""
MINUTE_NS = 60_000_000_000


class Program:
    """hostapd, started and killed at will."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._config = folder / "hostapd.conf"
        self._config.write_text(CONFIG.format(folder=folder / "ctrl"))
        self._process: subprocess.Popen[str] | None = None

    @property
    def settings(self) -> HotspotSettings:
        return HotspotSettings(hostapd=str(self.folder / "ctrl"), interface="lo", run=str(self.folder / "run"))

    def start(self) -> None:
        command = ["/usr/sbin/hostapd", str(self._config)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "AP-ENABLED" in line:
                return
        pytest.fail("hostapd did not start")

    def kill(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._process = None


@pytest.fixture
def hostapd() -> Iterator[Program]:
    with tempfile.TemporaryDirectory(prefix="g") as folder:  # the name of a socket has 107 bytes at most
        (Path(folder) / "run/gardu").mkdir(parents=True)
        program = Program(Path(folder))
        program.start()
        yield program
        program.kill()


def values(events: list[Event]) -> dict[str, object]:
    return {event.channel: event.value for event in events if isinstance(event, Reading)}


def at(minute: int) -> Moment:
    return Moment(boot_ns=minute * MINUTE_NS)


def address(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


def run(steps: Callable[[Control], Awaitable[None]], hostapd: Program) -> None:
    async def whole() -> None:
        hand = Control.of(hostapd.settings, events=False)
        try:
            await steps(hand)
        finally:
            hand.close()

    asyncio.run(whole())


def test_guests_come_and_leave(hostapd: Program) -> None:
    async def steps(hand: Control) -> None:
        guests = GuestsCollector(hostapd.settings)
        empty = values(await guests.collect(at(1)))
        assert (empty["auth"], empty["assoc"], empty["joins"], empty["leaves"]) == (0, 0, 0, 0)
        for number in range(5):
            assert await hand.ask(f"NEW_STA {address(number)}") == b"OK\n"
        full = values(await guests.collect(at(2)))
        assert (full["auth"], full["assoc"], full["joins"], full["leaves"]) == (5, 5, 5, 0)
        assert full["flapping"] is False
        for number in range(2):
            await hand.ask(f"DEAUTHENTICATE {address(number)}")
        assert b"num_sta[0]=5" in await hand.ask("STATUS")  # its own count keeps those who left for a while
        fewer = values(await guests.collect(at(3)))
        assert (fewer["auth"], fewer["assoc"], fewer["joins"], fewer["leaves"]) == (3, 3, 5, 2)
        guests.close()

    run(steps, hostapd)


def test_few_guests_that_come_and_go_all_the_time_flap(hostapd: Program) -> None:
    async def steps(hand: Control) -> None:
        guests = GuestsCollector(hostapd.settings)
        await guests.collect(at(1))
        for number in range(25):
            await hand.ask(f"NEW_STA {address(number)}")
            await hand.ask(f"DEAUTHENTICATE {address(number)}")
        assert values(await guests.collect(at(2)))["flapping"] is True
        guests.close()

    run(steps, hostapd)


def test_a_killed_access_point_is_down_and_its_successor_is_heard_again(hostapd: Program) -> None:
    async def steps(_: Control) -> None:
        ap, guests = AccessPointCollector(hostapd.settings), GuestsCollector(hostapd.settings)
        up = values(await ap.collect(at(1)))
        assert (up["up"], up["starts"]) == (True, 0)
        await guests.collect(at(1))
        hostapd.kill()
        assert (hostapd.folder / "ctrl/lo").is_socket()
        assert values(await ap.collect(at(2)))["up"] is False
        assert "auth" not in values(await guests.collect(at(2)))
        (hostapd.folder / "ctrl/lo").unlink()
        hostapd.start()
        again = values(await ap.collect(at(3)))
        assert (again["up"], again["starts"]) == (True, 1)
        await guests.collect(at(3))
        hand = Control.of(hostapd.settings, events=False)
        await hand.ask(f"NEW_STA {address(1)}")
        hand.close()
        heard = values(await guests.collect(at(4)))
        assert (heard["auth"], heard["joins"]) == (1, 1)
        ap.close()
        guests.close()

    run(steps, hostapd)


def test_a_successor_that_stands_before_anybody_looked_is_heard_too(hostapd: Program) -> None:
    async def steps(_: Control) -> None:
        ap = AccessPointCollector(hostapd.settings)
        await ap.collect(at(1))
        hostapd.kill()
        hostapd.start()
        again = values(await ap.collect(at(2)))
        assert (again["up"], again["starts"]) == (True, 1)
        ap.close()

    run(steps, hostapd)


def test_a_radio_that_is_switched_off_is_down_though_hostapd_lives(hostapd: Program) -> None:
    async def steps(hand: Control) -> None:
        ap = AccessPointCollector(hostapd.settings)
        await ap.collect(at(1))
        await hand.ask("DISABLE")
        assert values(await ap.collect(at(2)))["up"] is False
        await hand.ask("ENABLE")
        on = values(await ap.collect(at(3)))
        assert (on["up"], on["starts"]) == (True, 1)
        ap.close()

    run(steps, hostapd)


def test_a_stop_and_a_start_between_two_looks_count(hostapd: Program) -> None:
    async def steps(hand: Control) -> None:
        ap = AccessPointCollector(hostapd.settings)
        await ap.collect(at(1))
        for _ in range(3):
            await hand.ask("DISABLE")
            await hand.ask("ENABLE")
        on = values(await ap.collect(at(2)))
        assert (on["up"], on["starts"]) == (True, 3)
        ap.close()

    run(steps, hostapd)


def test_a_socket_without_a_name_is_never_answered(hostapd: Program) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
        nameless.settimeout(0.2)
        nameless.connect(str(hostapd.folder / "ctrl/lo"))
        nameless.send(b"PING")
        with pytest.raises(TimeoutError):
            nameless.recv(100)


def test_a_hotspot_without_a_radius_server_has_no_counters_of_one(hostapd: Program) -> None:
    async def steps(_: Control) -> None:
        counters = HostapdCollector(hostapd.settings)
        assert await counters.collect(at(1)) == []
        counters.close()

    run(steps, hostapd)


def test_a_hotspot_with_a_radius_server_has_its_counters(hostapd: Program) -> None:
    async def steps(_: Control) -> None:
        hostapd.kill()
        with (hostapd.folder / "hostapd.conf").open("a") as config:
            config.write(WITH_RADIUS)
        hostapd.start()
        counters = HostapdCollector(hostapd.settings)
        found = values(await counters.collect(at(1)))
        assert found == {"radius-accepts": 0, "radius-timeouts": 0, "radius-silent": False}
        counters.close()

    run(steps, hostapd)
