import pytest

from drivers.host.settings import HostSettings
from drivers.host.storage import (
    Storage,
    disk_of,
    parse_busy,
    parse_ext4,
    parse_life_time,
    parse_mounts,
    parse_pre_eol,
    parse_room,
)
from drivers.probe import AnswerError, Facts
from tests.drivers.hotspot.recorded import at, say, values

CORE = HostSettings()
ALL = HostSettings(every_metric=True)
# Source: proc_pid_mountinfo(5), with the mounts of a Raspberry Pi.
MOUNTS = rb"""21 28 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
28 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw
61 28 179:1 / /boot/firm\040ware rw,relatime shared:30 - vfat /dev/mmcblk0p1 rw,fmask=0022
"""
DISKSTATS = b"""   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
 179       0 mmcblk0 9000 1 2 3 4 5 6 7 0 %d 9 0 0 0 0
 179       2 mmcblk0p2 1 1 2 3 4 5 6 7 0 1 9 0 0 0 0
"""


def test_a_root_that_can_be_written_is_told_and_names_its_device() -> None:
    probe = Storage(CORE)
    assert say(probe, "storage-mounts", MOUNTS) == {"root-ro": False}
    assert (probe.device, probe.number) == ("mmcblk0p2", "179:2")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"/ / rw,noatime", b"/ / ro,noatime"),
        (b"mmcblk0p2 rw", b"mmcblk0p2 ro"),
        (b"mmcblk0p2 rw", b"mmcblk0p2 rw,emergency_ro"),
        (b"mmcblk0p2 rw", b"mmcblk0p2 rw,shutdown"),
    ],
)
def test_a_root_that_cannot_be_written_is_told(before: bytes, after: bytes) -> None:
    assert say(Storage(CORE), "storage-mounts", MOUNTS.replace(before, after)) == {"root-ro": True}


def test_an_image_that_is_built_read_only_is_no_fault() -> None:
    settings = HostSettings(root_is_read_only=True)
    assert say(Storage(settings), "storage-mounts", MOUNTS.replace(b"/ / rw", b"/ / ro")) == {}


def test_of_two_mounts_on_one_place_the_last_counts_and_escapes_are_read() -> None:
    settings = HostSettings(root="/boot/firm ware")
    again = MOUNTS + b"70 28 0:50 / /boot/firm\\040ware ro - tmpfs none rw\n"
    assert say(Storage(settings), "storage-mounts", again) == {"root-ro": True}


def test_a_place_where_nothing_is_mounted_gives_nothing() -> None:
    assert say(Storage(HostSettings(root="/data")), "storage-mounts", MOUNTS) == {}


def test_a_device_that_somebody_knows_better_keeps_its_name() -> None:
    probe = Storage(CORE)
    odd = MOUNTS.replace(b"/dev/mmcblk0p2", b"/dev/root")
    say(probe, "storage-mounts", odd)
    probe.device = "mmcblk0p2"
    say(probe, "storage-mounts", odd)
    assert probe.device == "mmcblk0p2"


def test_shares_in_use_are_told_where_the_file_system_counts() -> None:
    assert say(Storage(CORE), "storage-room", b"30 40 1 0") == {"root-used": 0.75}
    assert say(Storage(ALL), "storage-room", b"30 40 1 3") == {"root-used": 0.75, "root-inodes": 0.3333}
    assert say(Storage(ALL), "storage-room", b"0 0 0 0") == {}


def test_errors_and_bytes_of_ext4_are_told_as_far_as_it_reports_them() -> None:
    whole = b"errors_count: 2\nlast_error_time: 1795359040\nlifetime_write_kbytes: 10\n"
    assert say(Storage(CORE), "storage-ext4", whole) == {"ext4-errors": 2, "write-bytes": 10_240}
    assert say(Storage(CORE), "storage-ext4", b"errors_count: 0\n") == {"ext4-errors": 0}
    assert say(Storage(CORE), "storage-ext4", b"errors_count: \nlifetime_write_kbytes: 1") == {"write-bytes": 1024}


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"0x02 0x01\n", {"mmc-life": 0.2}),
        (b"0x01 0x0b\n", {"mmc-life": 1.1}),
        (b"0x00 0x03\n", {"mmc-life": 0.3}),
        (b"0x00 0x00\n", {}),
        (b"0x0C 0x00\n", {}),
    ],
)
def test_the_worse_of_both_kinds_of_cells_counts_and_unused_is_not_0(raw: bytes, told: dict[str, float]) -> None:
    assert say(Storage(CORE), "storage-mmc-life", raw) == told


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"0x01", {"mmc-preeol": "normal"}),
        (b"0x02", {"mmc-preeol": "warning"}),
        (b"0x03\n", {"mmc-preeol": "urgent"}),
        (b"0x00\n", {}),
    ],
)
def test_spare_blocks_are_told_in_words(raw: bytes, told: dict[str, str]) -> None:
    assert say(Storage(CORE), "storage-mmc-preeol", raw) == told


def test_how_busy_the_card_was_is_the_difference_of_two_looks() -> None:
    probe = Storage(ALL)
    say(probe, "storage-mounts", MOUNTS)
    assert say(probe, "storage-busy", DISKSTATS % 1000, at(0)) == {}
    assert say(probe, "storage-busy", DISKSTATS % 7000, at(60)) == {"io-busy": 0.1}
    assert say(probe, "storage-busy", DISKSTATS % 900_000, at(120)) == {"io-busy": 1.0}
    assert say(probe, "storage-busy", DISKSTATS % 5, at(180)) == {}, "the counter began anew"
    assert say(probe, "storage-busy", DISKSTATS % 6, at(180)) == {}, "no time between"
    assert say(probe, "storage-busy", DISKSTATS.replace(b"mmcblk0 ", b"sdx ") % 9, at(240)) == {}, "it is gone"
    assert say(probe, "storage-busy", DISKSTATS % 9, at(300)) == {}


@pytest.mark.parametrize(
    ("partition", "disk"),
    [
        ("mmcblk0p2", "mmcblk0"),
        ("nvme0n1p2", "nvme0n1"),
        ("nvme0n1", "nvme0n1"),
        ("sda1", "sda"),
        ("vdb", "vdb"),
        ("loop3p1", "loop3"),
        ("dm-0", "dm-0"),
        ("", ""),
    ],
)
def test_a_partition_lies_on_its_disk(partition: str, disk: str) -> None:
    assert disk_of(partition) == disk


@pytest.mark.parametrize("raw", [b"", b"a line", b"28 1 179:2 / / rw shared:1 - ext4 /dev/x", b"28 1 / - a b c"])
def test_what_is_no_mountinfo_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_mounts(raw)


@pytest.mark.parametrize("raw", [b"", b"1 2 3", b"1 2 3 x"])
def test_what_is_no_room_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_room(raw)


def test_what_is_not_of_ext4_is_refused() -> None:
    with pytest.raises(AnswerError):
        parse_ext4(b"last_error_time: 0\n")


@pytest.mark.parametrize("raw", [b"", b"0x02", b"0x02 2", b"0x02 0x02 0x02"])
def test_half_a_life_time_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_life_time(raw)


def test_what_is_no_pre_eol_is_refused() -> None:
    with pytest.raises(AnswerError):
        parse_pre_eol(b"1")


@pytest.mark.parametrize("raw", [b"", b"179 0 mmcblk0 1 2 3", DISKSTATS.replace(b"%d", b"x")])
def test_what_is_no_diskstats_is_refused(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_busy(raw)


def test_foreign_facts_are_a_bug() -> None:
    with pytest.raises(TypeError):
        values(list(Storage(CORE).take(Facts(), at(0))))
