import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sdnotify import Notifier, Pulse


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The address of a notify socket and systemd's end of it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@gardu-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as end:
        end.bind(name if name[0] != "@" else "\0" + name[1:])
        yield name, end


def test_facts_arrive_as_one_datagram(systemd: tuple[str, socket.socket]) -> None:
    address, end = systemd
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.tell(READY="1", STATUS="5 sensors")
    assert end.recv(1000) == b"READY=1\nSTATUS=5 sensors"
    notifier.tell(WATCHDOG="1")
    assert end.recv(1000) == b"WATCHDOG=1"


def test_without_systemd_nothing_is_said() -> None:
    Notifier({}).tell(READY="1")


def test_a_socket_that_is_gone_costs_nothing(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell(READY="1")


@pytest.mark.parametrize(
    ("usec", "watchdog_s"), [("30000000", 30.0), ("", None), ("0", None), ("000", None), ("soon", None)]
)
def test_the_watchdog_is_what_systemd_says(usec: str, watchdog_s: float | None) -> None:
    assert Notifier({"WATCHDOG_USEC": usec}).watchdog_s == watchdog_s
    assert Notifier({}).watchdog_s is None


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_task_is_late_once_its_deadline_has_passed_and_no_longer_when_it_comes() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    quick, _ = pulse.task("quick", 10), pulse.task("slow", 60)
    clock.now_s = 10.0
    assert pulse.late() == ()
    clock.now_s = 10.1
    assert pulse.late() == ("quick",)
    quick()
    assert pulse.late() == ()
    clock.now_s = 100
    assert pulse.late() == ("quick", "slow")


def test_a_task_that_is_made_anew_begins_a_new_deadline() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    pulse.task("port", 10)
    clock.now_s = 50
    pulse.task("port", 10)
    assert pulse.late() == ()
