"""The wall clock: kept by somebody, how far off, how often it was set. Pure.

Source: adjtimex(2); chronyc(1), ``chronyc -c tracking``; timedatectl(1), ``timedatectl show``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Event
from drivers.host.parse import clock
from drivers.host.settings import HostSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source

INFO = DriverInfo(
    name="time",
    title="Wall clock of the box",
    family="time",
    mode="poll",
    channels=(
        Channel(name="sync", unit="1", kind="state", doc="true when a time service keeps the clock"),
        Channel(name="offset", unit="s", doc="how far the clock is from its reference"),
        Channel(name="maxerror", unit="s", low=0, doc="the most by which it may be wrong; every_metric"),
        Channel(name="steps", unit="count", low=0, kind="counter", doc="times it was set by more than 1 s since start"),
    ),
    every_s=60.0,
    stale_after_s=300.0,
    source="adjtimex(2); chronyc(1)",
)
_STEP_S = 1.0
_TRACKING = 14  # columns of `chronyc -c tracking`
_STRATUM, _OFFSET = re.compile(r"[0-9]{1,2}"), re.compile(r"[+-]?[0-9]{1,12}\.[0-9]+")
_OFFSET_TEXT = re.compile(r"^System time\s*:\s*(\d+\.\d+) seconds (fast|slow) of NTP time$", re.MULTILINE)
_STRATUM_TEXT = re.compile(r"^Stratum\s*:\s*(\d+)$", re.MULTILINE)
_LEAP_TEXT = re.compile(r"^Leap status\s*:\s*(.+)$", re.MULTILINE)
_LEAPS = ("Normal", "Insert second", "Delete second", "Not synchronised")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel(Facts):
    """What adjtimex says."""

    synchronised: bool
    offset_s: float
    maxerror_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking(Facts):
    """What chrony says of the source it follows; the offset is that of the system clock, positive when it is fast.

    Source: chrony client.c, process_cmd_tracking and print_report: a positive column means slow.
    """

    stratum: int
    offset_s: float
    leap: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Facts):
    """What timedatectl says."""

    synchronised: bool


def parse_kernel(raw: bytes) -> Kernel:
    """Read ``state status offset maxerror``, four numbers from adjtimex."""
    if re.fullmatch(rb"\s*-?\d+ \d+ -?\d+ \d+\s*", raw) is None:
        raise AnswerError("four numbers are expected: state status offset maxerror")
    state, status, offset, max_error_us = (int(word) for word in raw.split())
    found = clock(state, status=status, offset=offset, max_error_us=max_error_us)
    if found is None:
        raise AnswerError("the kernel refused to say")
    return Kernel(synchronised=found.synchronised, offset_s=found.offset_s, maxerror_s=found.error_s)


def parse_tracking(raw: bytes) -> Tracking:
    """Read ``chronyc tracking``, with or without ``-c``."""
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n").strip()
    words = text.split(",")
    if len(words) == _TRACKING and words[13] in _LEAPS:
        if not _STRATUM.fullmatch(words[2]) or not _OFFSET.fullmatch(words[4]):
            raise AnswerError("a column of chronyc -c tracking is no number")
        return Tracking(stratum=int(words[2]), offset_s=0.0 - float(words[4]), leap=words[13])
    offset, stratum, leap = _OFFSET_TEXT.search(text), _STRATUM_TEXT.search(text), _LEAP_TEXT.search(text)
    if offset is None or stratum is None or leap is None:
        raise AnswerError("the 14 columns of chronyc -c tracking are expected")
    sign = 1 if offset[2] == "fast" else -1
    return Tracking(stratum=int(stratum[1]), offset_s=sign * float(offset[1]), leap=leap[1].strip())


def parse_service(raw: bytes) -> Service:
    """Read ``timedatectl show``."""
    found = re.search(rb"^NTPSynchronized=(yes|no)\r?$", raw, re.MULTILINE)
    if found is None:
        raise AnswerError("a line NTPSynchronized= is expected")
    return Service(synchronised=found[1] == b"yes")


class Time(Probe):
    """Sensor ``time``: what chrony says counts before what the kernel says."""

    sources = (
        Source(name="time-kernel", title="adjtimex: state status offset maxerror", parse=parse_kernel),
        Source(name="time-chrony", title="chronyc -c tracking", parse=parse_tracking),
        Source(name="time-service", title="timedatectl show", parse=parse_service),
    )

    def __init__(self, settings: HostSettings) -> None:
        super().__init__(INFO, "time")
        self._every_metric = settings.every_metric
        self._chrony_says = False
        self._ahead_s: float | None = None
        self._steps = 0

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give what one source says."""
        match facts:
            case Kernel():
                yield from self.reading("sync", facts.synchronised, now)
                if facts.synchronised and not self._chrony_says:
                    yield from self.reading("offset", facts.offset_s, now)
                if facts.synchronised and self._every_metric:
                    yield from self.reading("maxerror", facts.maxerror_s, now)
                yield from self.reading("steps", self._steps, now)
            case Tracking():
                self._chrony_says = facts.stratum > 0
                if self._chrony_says:
                    yield from self.reading("offset", facts.offset_s, now)
            case Service():
                yield from self.reading("sync", facts.synchronised, now)
            case _:
                raise TypeError(facts)

    def ahead(self, ahead_s: float) -> None:
        """Take note of how far the wall clock is ahead of the time since the start, in s."""
        if self._ahead_s is not None and abs(ahead_s - self._ahead_s) > _STEP_S:
            self._steps += 1
        self._ahead_s = ahead_s

    def silent(self, source: str, why: str) -> list[Event]:
        """Take note; without chrony the kernel's word on the offset counts again."""
        if source == "time-chrony":
            self._chrony_says = False
        return super().silent(source, why)
