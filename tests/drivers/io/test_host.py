import time
from pathlib import Path

import psutil
import pytest

from drivers.driver import Event, Problem
from drivers.host.sample import Clock
from drivers.io.host import HostProbe, physical_interfaces
from drivers.reading import Reading

SECOND = 1_000_000_000


@pytest.fixture(autouse=True)
def _real_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "PROCFS_PATH", "/proc")


def values(events: list[Event]) -> dict[str, object]:
    return {event.channel: event.value for event in events if isinstance(event, Reading)}


def test_the_real_node_is_read() -> None:
    probe = HostProbe()
    first = values(probe.collect(SECOND))
    end_s = time.process_time() + 0.05  # the kernel counts in steps of 0.01 s
    while time.process_time() < end_s:
        pass
    found = values(probe.collect(11 * SECOND))
    memory, used = found["mem-available"], found["mem-used"]
    assert isinstance(memory, int)
    assert isinstance(used, int)
    assert 0 < memory < memory + used == psutil.virtual_memory().total
    assert isinstance(found["own-rss"], int)
    assert found["own-rss"] > 5_000_000
    assert {"cpu", "load1", "own-cpu", "clock-synced"} <= found.keys()
    assert {"disk-root-free", "uptime", "load15"} <= first.keys()
    assert {channel.name for channel in probe.info.channels} >= first.keys() | found.keys()


def test_slow_channels_come_once_a_minute() -> None:
    probe = HostProbe()
    with_uptime = [turn for turn in range(20) if "uptime" in values(probe.collect(turn * 10 * SECOND))]
    assert with_uptime == [0, 6, 12, 18]


def test_a_look_is_cheap() -> None:
    probe = HostProbe()
    probe.collect(0)
    begin_s = time.process_time()
    for turn in range(50):
        probe.collect(turn * 60 * SECOND)
    assert (time.process_time() - begin_s) / 50 < 0.003


def test_what_cannot_be_read_is_missing_and_told_once(tmp_path: Path) -> None:
    probe = HostProbe(disks=("/nowhere",), interfaces=("eth9",), proc_root=tmp_path, sys_root=tmp_path)
    looks = [probe.collect(turn * 60 * SECOND) for turn in range(3)]
    assert set(values(looks[2])) <= {"load1", "load5", "load15", "uptime", "own-rss", "own-cpu", "clock-synced"} | {
        "clock-offset",
        "clock-error",
    }
    problems = [event for look in looks for event in look if isinstance(event, Problem)]
    assert len(problems) == 1
    assert "disk /nowhere" in problems[0].detail
    assert "interface eth9" in problems[0].detail
    assert not problems[0].ok


def test_the_end_of_a_trouble_is_told(tmp_path: Path) -> None:
    mount = tmp_path / "stick"
    probe = HostProbe(disks=(str(mount),), interfaces=())
    probe.collect(0)
    mount.mkdir()
    problems = [event for event in probe.collect(60 * SECOND) if isinstance(event, Problem)]
    assert [problem.ok for problem in problems] == [True]


def test_the_temperature_comes_from_thermal_zones(tmp_path: Path) -> None:
    zone = tmp_path / "class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal\n")
    (zone / "temp").write_text("48312\n")
    (tmp_path / "class/thermal/thermal_zone1").mkdir()
    probe = HostProbe(sys_root=tmp_path)
    assert values(probe.collect(0))["temp"] == 48.3
    (zone / "temp").unlink()
    assert "temp" not in values(probe.collect(SECOND))


def test_interfaces_with_hardware_are_taken_before_others(tmp_path: Path) -> None:
    net = tmp_path / "class/net"
    for name in ("lo", "eth0", "wlan0", "docker0"):
        (net / name).mkdir(parents=True)
    (net / "bonding_masters").touch()
    assert physical_interfaces(tmp_path) == ("docker0", "eth0", "wlan0")
    (net / "wlan0/device").mkdir()
    (net / "eth0/device").mkdir()
    assert physical_interfaces(tmp_path) == ("eth0", "wlan0")
    assert physical_interfaces(tmp_path / "nothing") == ()


def test_an_interface_plugged_in_later_is_found(tmp_path: Path) -> None:
    net = tmp_path / "class/net"
    net.mkdir(parents=True)
    probe = HostProbe(sys_root=tmp_path)
    assert "lo-rx" not in values(probe.collect(0))
    (net / "lo/device").mkdir(parents=True)
    assert "lo-rx" in values(probe.collect(60 * SECOND))


def test_the_state_of_the_clock_is_injected(tmp_path: Path) -> None:
    probe = HostProbe(clock=lambda: Clock(synchronised=True, offset_s=0.5, error_s=1.0))
    found = values(probe.collect(0))
    assert (found["clock-synced"], found["clock-offset"], found["clock-error"]) == (True, 0.5, 1.0)
    assert "clock-synced" not in values(HostProbe(clock=lambda: None).collect(0))
