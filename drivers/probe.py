"""What a probe is: a pure object that is given what a source of the node said, and returns events.

A driver hears a wire; a probe is given whole answers: a file of the kernel, a reply of a daemon. Its collector in
`drivers.io.probes` brings them and is the only part that opens anything. A source that does not report a quantity gives
no reading of it, never 0. What names a person or their device (MAC, IP, host name, user name, URL, a client's SSID) is
dropped by the parser: no facts, reading, event or log line holds it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Protocol

from drivers.driver import DriverInfo, Event, Problem, Rejected
from drivers.errors import DriverError
from drivers.reading import Reading

ANSWER_BYTES = 262_144
"""Longest answer that is read, in bytes: 60 stations or 1000 leases fit many times."""


_KEPT_BYTES = 16_384  # an answer up to this length is not read again while it stays the same


class AnswerError(DriverError):
    """An answer is not what its source is known to say. The text holds nothing of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one answer said; the base of what parsers return. None means that the source did not report it."""

    def said(self) -> dict[str, object]:
        """Return it by name, as `gardu probe run --json` shows it."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When an answer came.

    Attributes:
        boot_ns: CLOCK_BOOTTIME in ns.
        utc_s: UTC in seconds since 1970; None while the clock is not believed.
    """

    boot_ns: int
    utc_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One kind of answer that a probe reads.

    Attributes:
        name: One kind of answer has one name in all probes that read it, e.g. ``"hostapd-status"``.
        title: What it is and where it comes from.
        parse: Reads an answer.

    Raises:
        AnswerError: By ``parse``: the answer is something else, or half of it.
    """

    name: str
    title: str
    parse: Callable[[bytes], Facts]


class Probe(ABC):
    """Reads the answers of its sources; remembers only what differences need.

    Attributes:
        sources: What it can read.
        info: What it delivers; its name is the probe's.
        sensor: Name its readings carry.
    """

    sources: tuple[Source, ...]
    info: DriverInfo
    sensor: str

    def __init__(self, info: DriverInfo, sensor: str) -> None:
        self.info = info
        self.sensor = sensor
        self._units = {channel.name: channel.unit for channel in info.channels}
        self._parsers = {source.name: source.parse for source in self.sources}
        self._silent: dict[str, set[str]] = {}
        self._read: dict[str, tuple[int, Facts | None]] = {}

    @abstractmethod
    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give the readings of facts that one of its sources stated."""

    def answer(self, source: str, raw: bytes, now: Moment) -> list[Event]:
        """Read an answer of a source; one that cannot be read counts as none."""
        mark = hash(raw)  # and not the answer itself, which may name somebody
        last_mark, facts = self._read.get(source, (None, None))
        try:
            if facts is None or mark != last_mark:
                facts = self._parsers[source](raw)
                self._read[source] = (mark, facts if len(raw) <= _KEPT_BYTES else None)
        except AnswerError as error:
            why = f"not understood: {error}"
            rejected = Rejected(sensor=self.sensor, reason=f"{source} {why}", bytes_dropped=len(raw))
            return [rejected, *self.silent(source, why)]
        return [*self.heard(source), *self.take(facts, now)]

    def heard(self, source: str) -> list[Event]:
        """Take note that a source answered; told where it was silent."""
        if self._silent.pop(source, None) is None:
            return []
        return [Problem(sensor=self.sensor, code=source, detail=f"{source} answers again", ok=True)]

    def silent(self, source: str, why: str) -> list[Event]:
        """Take note that a source gave no answer; told once per reason until it answers again."""
        told = self._silent.setdefault(source, set())
        if why in told:
            return []
        told.add(why)
        return [Problem(sensor=self.sensor, code=source, detail=f"{source}: {why}")]  # probes may share a sensor

    def reading(self, channel: str, value: float | bool | str | None, now: Moment) -> Iterator[Reading]:  # noqa: FBT001
        """Give the reading of a channel; none when the value was not reported."""
        if value is not None:
            unit = self._units[channel]
            yield Reading(sensor=self.sensor, channel=channel, value=value, unit=unit, boot_ns=now.boot_ns)


class Collector(Protocol):
    """Brings the answers of the sources of one probe. Lives in `drivers.io.probes`.

    Attributes:
        probe: Who reads them.
        every_s: Seconds between two collections.
        timeout_s: Longest time that one collection may take; then it is cancelled and counts as silent.
    """

    probe: Probe
    every_s: float
    timeout_s: float

    async def collect(self, now: Moment) -> list[Event]:
        """Ask all sources once. Weather (refused, missing, slow) becomes `Probe.silent`, never an exception."""
        ...

    def close(self) -> None:
        """Give back what stays open between two collections."""
        ...
