"""What the kernel of the box says of itself: programs it had to kill, the fan. Pure.

Source: Linux mm/vmstat.c (oom_kill); Linux Documentation/driver-api/thermal/sysfs-api.rst (temp in millidegrees);
Linux Documentation/hwmon/sysfs-interface.rst (fan[1-*]_input in revolutions a minute).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Event
from drivers.host.settings import HostSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source

BOOTS = Channel(name="boots", unit="count", low=0, doc="starts of the box within the last hour; daemon")
"""Given by the running agent, who remembers them."""
INFO = DriverInfo(
    name="kernel",
    title="Kernel of the box",
    family="kernel",
    mode="poll",
    channels=(
        Channel(
            name="oom-kills",
            unit="count",
            low=0,
            kind="counter",
            doc="programs killed for want of memory since the start",
        ),
        BOOTS,
        Channel(name="fan-rpm", unit="1/min", low=0, doc="speed of the fan; every_metric"),
    ),
    every_s=300.0,
    stale_after_s=900.0,
    source="vmstat; hwmon; thermal",
)
_OOM = re.compile(rb"^oom_kill (\d+)\r?$", re.MULTILINE)
_VMSTAT = re.compile(rb"nr_free_pages \d+\r?\n")
_ZONE = re.compile(rb"\s*(-?\d{1,6})\s*")
_ZONE_MCEL = range(-55_000, 200_000)  # what sensors on a board can measure at all
_FAN = re.compile(rb"^fan\d+_input: (\d{1,6})\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vmstat(Facts):
    """/proc/vmstat; None from kernels older than 4.13."""

    oom_kills: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone(Facts):
    """One thermal zone. The probe ``host`` gives the temperature; here it is for recorded answers."""

    celsius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fans(Facts):
    """Speeds of the fans, in revolutions a minute."""

    rpm: tuple[int, ...]


def parse_vmstat(raw: bytes) -> Vmstat:
    """Read /proc/vmstat."""
    if _VMSTAT.match(raw) is None or not raw.endswith(b"\n"):
        raise AnswerError("lines of vmstat are expected, the first of them nr_free_pages")
    found = _OOM.search(raw)
    return Vmstat(oom_kills=None if found is None else int(found[1]))


def parse_zone(raw: bytes) -> Zone:
    """Read temp of a thermal zone."""
    found = _ZONE.fullmatch(raw)
    if found is None or int(found[1]) not in _ZONE_MCEL:
        raise AnswerError("thousandths of a degree are expected")
    return Zone(celsius=int(found[1]) / 1000)


def parse_fans(raw: bytes) -> Fans:
    """Read lines ``fan1_input: 2980``."""
    found = _FAN.findall(raw)
    if not found or len(found) != len(raw.splitlines()):
        raise AnswerError("lines such as fan1_input: 2980 are expected")
    return Fans(rpm=tuple(int(each) for each in found))


class Kernel(Probe):
    """Sensor ``host``."""

    sources = (
        Source(name="kernel-vmstat", title="/proc/vmstat", parse=parse_vmstat),
        Source(name="kernel-fans", title="fan*_input in hwmon as name: value", parse=parse_fans),
        Source(name="kernel-zone", title="temp of a thermal zone in sysfs", parse=parse_zone),
    )

    def __init__(self, _settings: HostSettings) -> None:
        super().__init__(INFO, "host")

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give what one source says; of several fans the slowest counts."""
        match facts:
            case Vmstat():
                yield from self.reading("oom-kills", facts.oom_kills, now)
            case Fans():
                yield from self.reading("fan-rpm", min(facts.rpm), now)
            case Zone():
                return
            case _:
                raise TypeError(facts)
