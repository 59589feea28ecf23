"""The card and its file system: room, read-only, errors, wear. Pure.

Source: proc_pid_mountinfo(5); Linux Documentation/ABI/testing/sysfs-fs-ext4; Linux drivers/mmc/core/mmc.c (life_time,
pre_eol_info) with JEDEC 84-B51, EXT_CSD 267 to 269; Linux Documentation/admin-guide/iostats.rst.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Event
from drivers.host.settings import HostSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source

INFO = DriverInfo(
    name="storage",
    title="Card and file system of the box",
    family="storage",
    mode="poll",
    channels=(
        Channel(name="root-used", unit="/", low=0, high=1, doc="share of the root file system in use"),
        Channel(name="root-inodes", unit="/", low=0, high=1, doc="share of its inodes in use; every_metric"),
        Channel(name="root-ro", unit="1", kind="state", doc="true while it cannot be written"),
        Channel(
            name="ext4-errors", unit="count", low=0, kind="counter", doc="errors that ext4 found since it was made"
        ),
        Channel(name="mmc-life", unit="/", low=0, high=1.1, doc="share of the eMMC's life that is used, upper bound"),
        Channel(name="mmc-preeol", unit="1", kind="state", doc="the eMMC's spare blocks: normal, warning or urgent"),
        Channel(
            name="write-bytes", unit="B", low=0, kind="counter", doc="written to the file system since it was made"
        ),
        Channel(name="io-busy", unit="/", low=0, high=1, doc="share of time the card was busy; every_metric"),
    ),
    every_s=60.0,
    stale_after_s=600.0,
    source="proc(5); sysfs of ext4 and mmc",
)
_KIB = 1024
_OCTAL = re.compile(r"\\([0-7]{3})")
_OVER_LIFE = 0x0B  # JEDEC 84-B51: exceeded its maximum estimated device life time
_PERCENT_PER_STEP = 10
_PRE_EOL = {1: "normal", 2: "warning", 3: "urgent"}
_FIELDS_BEFORE_DASH = 6
_BUSY_COLUMN = 12  # of /proc/diskstats: milliseconds spent doing I/Os
_LEAST_COLUMNS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount(Facts):
    """One mount of /proc/self/mountinfo; ``number`` is major:minor of its device, ``0:22`` where it has none."""

    mount_point: str
    read_only: bool
    number: str
    device: str
    file_system: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounts(Facts):
    """/proc/self/mountinfo; of several mounts on one place the last one counts."""

    mounts: tuple[Mount, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room(Facts):
    """Shares in use; None where the file system does not count."""

    used: float | None
    inodes: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ext4(Facts):
    """Files of /sys/fs/ext4/<device>, as ``name: value`` lines."""

    errors_count: int | None
    last_error_time: int | None
    lifetime_write_kbytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeTime(Facts):
    """Used life of the eMMC's two kinds of cells in percent, upper bound; 110: beyond its life; None: not reported."""

    typ_a_pct_upper: int | None
    typ_b_pct_upper: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreEol(Facts):
    """State of the eMMC's spare blocks; None: not reported."""

    state: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy(Facts):
    """Milliseconds each block device was busy since the start, from /proc/diskstats."""

    busy_ms: dict[str, int]


def parse_mounts(raw: bytes) -> Mounts:
    """Read /proc/self/mountinfo."""
    found = []
    for line in raw.decode("utf-8", "replace").splitlines():
        before, dash, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if not dash or len(left) < _FIELDS_BEFORE_DASH or len(right) < 3:  # noqa: PLR2004 - type, source, options
            raise AnswerError("lines of mountinfo are expected")
        options = {*left[5].split(","), *right[2].split(",")}
        place = _OCTAL.sub(lambda code: chr(int(code[1], 8)), left[4])
        found.append(
            Mount(
                mount_point=place,
                number=left[2],
                read_only=bool(options & {"ro", "emergency_ro", "shutdown"}),
                device=right[1],
                file_system=right[0],
            )
        )
    if not found:
        raise AnswerError("lines of mountinfo are expected")
    return Mounts(mounts=tuple(found))


def parse_room(raw: bytes) -> Room:
    """Read ``used total inodes_used inodes``, four numbers from statvfs."""
    words = raw.split()
    if len(words) != 4 or not all(word.isdigit() for word in words):  # noqa: PLR2004
        raise AnswerError("four numbers are expected: used total inodes_used inodes")
    used, total, inodes_used, inodes = (int(word) for word in words)
    return Room(
        used=round(used / total, 4) if total else None, inodes=round(inodes_used / inodes, 4) if inodes else None
    )


def parse_ext4(raw: bytes) -> Ext4:
    """Read the files of /sys/fs/ext4/<device>, each as a line ``name: value``."""
    said = dict(line.split(":", 1) for line in raw.decode("ascii", "replace").splitlines() if ":" in line)
    values = {name.strip(): value.strip() for name, value in said.items()}
    if not values.keys() & {"errors_count", "lifetime_write_kbytes"}:
        raise AnswerError("a line errors_count or lifetime_write_kbytes is expected")
    return Ext4(
        errors_count=_number(values.get("errors_count")),
        last_error_time=_number(values.get("last_error_time")),
        lifetime_write_kbytes=_number(values.get("lifetime_write_kbytes")),
    )


def parse_life_time(raw: bytes) -> LifeTime:
    """Read life_time: two steps in hexadecimal."""
    words = raw.split()
    if len(words) != 2 or any(re.fullmatch(rb"0x[0-9a-fA-F]{2}", word) is None for word in words):  # noqa: PLR2004
        raise AnswerError("two numbers such as 0x02 0x02 are expected")
    a, b = (_percent(int(word, 16)) for word in words)
    return LifeTime(typ_a_pct_upper=a, typ_b_pct_upper=b)


def parse_pre_eol(raw: bytes) -> PreEol:
    """Read pre_eol_info: one step in hexadecimal."""
    if re.fullmatch(rb"0x[0-9a-fA-F]{2}", raw.strip()) is None:
        raise AnswerError("a number such as 0x01 is expected")
    return PreEol(state=_PRE_EOL.get(int(raw, 16)))


def parse_busy(raw: bytes) -> Busy:
    """Read /proc/diskstats."""
    rows = [line.split() for line in raw.decode("ascii", "replace").splitlines() if line.strip()]
    if not rows or any(len(row) < _LEAST_COLUMNS or not row[_BUSY_COLUMN].isdigit() for row in rows):
        raise AnswerError("lines of diskstats are expected")
    return Busy(busy_ms={row[2]: int(row[_BUSY_COLUMN]) for row in rows})


class Storage(Probe):
    """Sensor ``storage``: of the root file system, and of the card it lies on."""

    sources = (
        Source(name="storage-mounts", title="/proc/self/mountinfo", parse=parse_mounts),
        Source(name="storage-room", title="statvfs: used total inodes_used inodes", parse=parse_room),
        Source(name="storage-ext4", title="files of /sys/fs/ext4/<device> as name: value", parse=parse_ext4),
        Source(name="storage-mmc-life", title="life_time of the eMMC in sysfs", parse=parse_life_time),
        Source(name="storage-mmc-preeol", title="pre_eol_info of the eMMC in sysfs", parse=parse_pre_eol),
        Source(name="storage-busy", title="/proc/diskstats", parse=parse_busy),
    )

    def __init__(self, settings: HostSettings) -> None:
        super().__init__(INFO, "storage")
        self._root = settings.root
        self._built_so = settings.root_is_read_only
        self._every_metric = settings.every_metric
        self._busy: tuple[int, int] | None = None
        self.device = ""
        """Device of the root file system, ``mmcblk0p2``; what mountinfo calls it, until somebody knows better."""
        self.number = ""
        """Major and minor number of that device; empty until it is known."""

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give what one source says."""
        match facts:
            case Mounts():
                yield from self._mounted(facts, now)
            case Room():
                yield from self.reading("root-used", facts.used, now)
                if self._every_metric:
                    yield from self.reading("root-inodes", facts.inodes, now)
            case Ext4():
                written = facts.lifetime_write_kbytes
                yield from self.reading("ext4-errors", facts.errors_count, now)
                yield from self.reading("write-bytes", None if written is None else written * _KIB, now)
            case LifeTime():
                known = [each for each in (facts.typ_a_pct_upper, facts.typ_b_pct_upper) if each is not None]
                yield from self.reading("mmc-life", max(known) / 100 if known else None, now)
            case PreEol():
                yield from self.reading("mmc-preeol", facts.state, now)
            case Busy():
                yield from self._was_busy(facts, now)
            case _:
                raise TypeError(facts)

    def _mounted(self, facts: Mounts, now: Moment) -> Iterator[Event]:
        root = next((each for each in reversed(facts.mounts) if each.mount_point == self._root), None)
        if root is None:
            return
        if root.number != self.number:
            self.number, self.device = root.number, root.device.rpartition("/")[2]
        if not self._built_so:
            yield from self.reading("root-ro", root.read_only, now)

    def _was_busy(self, facts: Busy, now: Moment) -> Iterator[Event]:
        disk = disk_of(self.device)
        busy_ms = facts.busy_ms.get(disk)
        before, self._busy = self._busy, None if busy_ms is None else (busy_ms, now.boot_ns)
        if before is None or busy_ms is None or busy_ms < before[0] or now.boot_ns <= before[1]:
            return
        share = (busy_ms - before[0]) * 1_000_000 / (now.boot_ns - before[1])
        yield from self.reading("io-busy", min(round(share, 4), 1.0), now)


def disk_of(partition: str) -> str:
    """Return the disk of a partition: ``mmcblk0p2`` lies on ``mmcblk0``, ``sda1`` on ``sda``."""
    found = re.fullmatch(r"((?:mmcblk|nvme\d+n|loop)\d+)(?:p\d+)?|([a-z]+)\d*", partition)
    return (found[1] or found[2]) if found else partition


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _percent(step: int) -> int | None:
    return step * _PERCENT_PER_STEP if 0 < step <= _OVER_LIFE else None
