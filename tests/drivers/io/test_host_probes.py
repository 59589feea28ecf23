import time
from pathlib import Path

import pytest

from drivers.io.probes.kernel import KernelCollector
from drivers.io.probes.power import PowerCollector
from drivers.io.probes.storage import StorageCollector
from drivers.io.probes.time import TimeCollector
from tests.drivers.hotspot.recorded import problems, values
from tests.node.asking import look
from tests.node.pi5 import THROTTLED_EVER, THROTTLED_NOW, WEAK_EVER, WEAK_NOW, Pi5


@pytest.fixture
def box(tmp_path: Path) -> Pi5:
    return Pi5(tmp_path)


def test_a_healthy_box_says_so_and_has_no_problem(box: Pi5) -> None:
    events = look(PowerCollector(box.host)) + look(StorageCollector(box.host)) + look(KernelCollector(box.host))
    assert problems(events) == []
    found = values(events)
    share = found.pop("root-used")
    assert isinstance(share, float)
    assert 0 < share < 1
    assert found == {
        "undervolt-now": False,
        "undervolt-ever": False,
        "throttled-now": False,
        "root-ro": False,
        "ext4-errors": 0,
        "write-bytes": 2_048_000_000,
        "mmc-life": 0.1,
        "mmc-preeol": "normal",
        "oom-kills": 0,
    }


def test_a_weak_supply_throttling_a_worn_card_and_a_read_only_root_are_told(box: Pi5) -> None:
    box.weak_supply(now=True)
    box.firmware(WEAK_NOW | THROTTLED_NOW | WEAK_EVER | THROTTLED_EVER)
    box.write_root(read_only=True)
    box.ext4(errors=3)
    box.emmc(life="0x02 0x0b", pre_eol="0x03")
    box.out_of_memory(kills=2)
    events = look(PowerCollector(box.host)) + look(StorageCollector(box.host)) + look(KernelCollector(box.host))
    assert problems(events) == []
    found = values(events)
    del found["root-used"]
    assert found == {
        "undervolt-now": True,
        "undervolt-ever": True,
        "throttled-now": True,
        "root-ro": True,
        "ext4-errors": 3,
        "write-bytes": 2_048_000_000,
        "mmc-life": 1.1,
        "mmc-preeol": "urgent",
        "oom-kills": 2,
    }


def test_every_metric_adds_what_the_core_leaves_out(box: Pi5) -> None:
    box.firmware(0x2, volt=4.71)
    box.hwmon("pwmfan", 1, fan1_input="2980")
    storage = StorageCollector(box.every_metric())
    look(storage)
    box.write("proc/diskstats", " 179 0 mmcblk0 9 1 2 3 4 5 6 7 0 7000 9 0 0 0 0\n")
    found = values(look(storage, 60.0))
    found |= values(look(PowerCollector(box.every_metric()))) | values(look(KernelCollector(box.every_metric())))
    assert found["io-busy"] == 0.1
    assert (found["freqcap-now"], found["in-volt"], found["fan-rpm"]) == (True, 4.71, 2980)
    assert "root-inodes" in values(look(StorageCollector(box.every_metric())))


def test_an_sd_card_has_no_wear_and_no_trouble(box: Pi5) -> None:
    box.emmc(life="", pre_eol="")
    events = look(StorageCollector(box.host))
    assert problems(events) == []
    assert "mmc-life" not in values(events)


def test_the_firmware_is_asked_once_a_minute_and_the_kernel_each_time(box: Pi5) -> None:
    collector = PowerCollector(box.host)
    look(collector)
    box.weak_supply(now=True)
    box.firmware(WEAK_EVER)
    assert values(look(collector, 10.0)) == {"undervolt-now": True}
    assert values(look(collector, 60.0))["undervolt-ever"] is True


def test_a_box_without_the_program_is_asked_by_the_old_file_only_where_the_kernel_has_no_alarm(box: Pi5) -> None:
    (box.folder / "vcgencmd").unlink()
    box.write("sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n")
    assert values(look(PowerCollector(box.host))) == {"undervolt-now": False}, "its first reading costs a backtrace"
    (box.folder / "sys/class/hwmon/hwmon0/name").write_text("cpu_thermal\n")
    assert values(look(PowerCollector(box.host)))["undervolt-ever"] is True


def test_no_raspberry_pi_at_all_gives_nothing_and_is_no_trouble(tmp_path: Path) -> None:
    box = Pi5(tmp_path)
    (tmp_path / "vcgencmd").unlink()
    (tmp_path / "sys/class/hwmon/hwmon0/name").unlink()
    assert look(PowerCollector(box.host)) == []


def test_an_alarm_that_is_loaded_anew_under_another_number_is_found_again(box: Pi5) -> None:
    collector = PowerCollector(box.host)
    look(collector)
    for file in ("name", "in0_lcrit_alarm"):
        (box.folder / "sys/class/hwmon/hwmon0" / file).unlink()
    assert problems(look(collector, 10.0)) == ["power-hwmon: not there"]
    box.hwmon("rpi_volt", 3, in0_lcrit_alarm="1")
    assert values(look(collector, 4000.0))["undervolt-now"] is True


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("#!/bin/sh\nexit 255\n", "power-throttled: it ended with 255"),
        ("#!/bin/sh\nyes\n", "power-throttled: it prints without end"),
        ("no program\n", "power-throttled: Exec format error"),
    ],
)
def test_a_program_that_fails_is_told_once(box: Pi5, script: str, told: str) -> None:
    box.write("vcgencmd", script)
    collector = PowerCollector(box.host)
    assert problems(look(collector)) == [told]
    assert problems(look(collector, 60.0)) == []


def test_a_program_that_hangs_is_killed_with_all_it_started(box: Pi5, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.io.program.WITHIN_S", 0.3)
    box.write("vcgencmd", f"#!/bin/sh\nsleep 60 & echo $! > {box.folder}/child\necho $$ > {box.folder}/self\nwait\n")
    began = time.monotonic()
    assert problems(look(PowerCollector(box.host))) == ["power-throttled: no answer in time"]
    assert time.monotonic() - began < 3
    for name in ("child", "self"):
        state = Path("/proc") / (box.folder / name).read_text().strip() / "stat"
        assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_the_clock_is_asked_of_the_kernel_and_of_chrony_where_it_runs(box: Pi5) -> None:
    found = values(look(TimeCollector(box.host)))
    assert found.keys() >= {"sync", "steps"}
    line = "C0A80001,ntp,3,1.5,-0.250000000,0.1,0.1,1.0,0.0,0.1,0.01,0.001,64.2,Normal"
    box.write("chronyc", f'#!/bin/sh\n[ "$*" = "-c tracking" ] && echo "{line}"\n').chmod(0o755)
    assert "offset" not in values(look(TimeCollector(box.host))) or found["sync"]
    box.write("run/chrony/chronyd.pid", "1")
    assert values(look(TimeCollector(box.host)))["offset"] == 0.25


def test_a_root_that_is_gone_is_told_and_the_rest_goes_on(box: Pi5) -> None:
    (box.folder / "proc/self/mountinfo").unlink()
    events = look(StorageCollector(box.host))
    assert problems(events) == ["storage-mounts: not there"]
    assert values(events).keys() == {"root-used"}


def test_another_file_system_than_ext4_has_no_counts(box: Pi5) -> None:
    (box.folder / "sys/dev/block/179:2").unlink()
    found = values(look(StorageCollector(box.host)))
    assert found.keys() == {"root-ro", "root-used"}
