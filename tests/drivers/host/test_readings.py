import re

from drivers.host.info import INFO, channels, describe, disk_channel, interface_channel
from drivers.host.readings import cpu_percent, readings
from drivers.host.sample import Clock, Cpu, Disk, Interface, Memory, Own, Sample

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
ETH = Interface(rx_bytes=1, tx_bytes=2, rx_packets=3, tx_packets=4, rx_errors=5, tx_errors=6, rx_drops=7, tx_drops=8)


def sample(boot_ns: int = 100_000_000_000, *, busy_s: float = 10.0, idle_s: float = 90.0) -> Sample:
    return Sample(
        boot_ns=boot_ns,
        cpu=Cpu(busy_s=busy_s, idle_s=idle_s),
        load=(0.513, 0.4, 0.3),
        memory=Memory(total_bytes=1000, available_bytes=600),
        swap_used_bytes=50,
        temperature_cel=48.3,
        clock=Clock(synchronised=True, offset_s=0.001, error_s=0.01),
        own=Own(rss_bytes=40_000_000, cpu_s=1.234),
        disks={"/": Disk(used_bytes=70, free_bytes=30)},
        interfaces={"eth0": ETH},
    )


def values(before: Sample | None, now: Sample, *, slow: bool = True) -> dict[str, object]:
    return {one.channel: one.value for one in readings("host", before, now, slow=slow)}


def test_two_looks_give_every_channel() -> None:
    assert values(sample(), sample(110_000_000_000, busy_s=12.5, idle_s=97.5)) == {
        "cpu": 25.0,
        "load1": 0.51,
        "load5": 0.4,
        "load15": 0.3,
        "mem-used": 400,
        "mem-available": 600,
        "swap-used": 50,
        "temp": 48.3,
        "clock-synced": True,
        "clock-offset": 0.001,
        "clock-error": 0.01,
        "uptime": 110,
        "own-rss": 40_000_000,
        "own-cpu": 1.23,
        "disk-root-used": 70,
        "disk-root-free": 30,
        "eth0-rx": 1,
        "eth0-tx": 2,
        "eth0-rx-packets": 3,
        "eth0-tx-packets": 4,
        "eth0-rx-errors": 5,
        "eth0-tx-errors": 6,
        "eth0-rx-drops": 7,
        "eth0-tx-drops": 8,
    }


def test_most_looks_give_only_what_changes_fast() -> None:
    found = values(sample(), sample(busy_s=11), slow=False)
    assert len(found) == 11
    assert "uptime" not in found


def test_a_source_that_cannot_be_read_is_missing_and_not_zero() -> None:
    assert values(Sample(boot_ns=0), Sample(boot_ns=1_000_000_000)) == {"uptime": 1}
    assert values(None, Sample(boot_ns=0), slow=False) == {}


def test_the_first_look_gives_no_share_of_busy_time() -> None:
    assert "cpu" not in values(None, sample())
    assert "cpu" not in values(Sample(boot_ns=0), sample())


def test_counters_that_stand_still_or_run_back_give_no_share() -> None:
    still = Cpu(busy_s=1, idle_s=1)
    assert cpu_percent(still, still) is None
    assert cpu_percent(Cpu(busy_s=2, idle_s=0), still) is None
    assert cpu_percent(Cpu(busy_s=0, idle_s=2), still) is None


def test_a_clock_nobody_keeps_gives_no_numbers() -> None:
    now = Sample(boot_ns=0, clock=Clock(synchronised=False, offset_s=0, error_s=16))
    assert values(None, now) == {"clock-synced": False, "uptime": 0}


def test_each_reading_is_declared_with_its_unit() -> None:
    declared = {channel.name: channel.unit for channel in describe(("/",), ("eth0",)).channels}
    found = {one.channel: one.unit for one in readings("host", sample(), sample(busy_s=11), slow=True)}
    assert found == declared


def test_names_of_channels_are_names() -> None:
    disks = ("/", "/var/log", "/mnt/A Very Long Mount Point/with_ümläuts/data", "/-")
    for channel in channels(disks, ("eth0", "wlx00c0caABCDEF12", "br-lan.100", "")):
        assert NAME.fullmatch(channel.name), channel.name


def test_names_tell_what_they_are() -> None:
    assert disk_channel("/", "free") == "disk-root-free"
    assert disk_channel("/var/log", "used") == "disk-var-log-used"
    assert interface_channel("eth0.100", "rx") == "eth0-100-rx"


def test_counters_are_declared_as_counters() -> None:
    kinds = {channel.name: channel.kind for channel in describe((), ("eth0",)).channels}
    assert kinds["eth0-rx"] == kinds["eth0-rx-errors"] == kinds["uptime"] == kinds["own-cpu"] == "counter"


def test_the_probe_needs_no_line() -> None:
    assert INFO.name == "host"
    assert INFO.line is None
    assert INFO.mode == "poll"
