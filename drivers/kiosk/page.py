"""Whether the page that visitors see is served. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Event
from drivers.kiosk.settings import KioskSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source

INFO = DriverInfo(
    name="page",
    title="Local page of the kiosk",
    family="page",
    mode="poll",
    channels=(
        Channel(name="page-up", unit="1", kind="state", doc="true while the page answers"),
        Channel(name="page-ms", unit="ms", low=0, doc="time to the head of the answer"),
    ),
    every_s=60.0,
    stale_after_s=300.0,
    source="RFC 9110",
)
_GOOD = range(200, 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Facts):
    """Status of an answer, and how long it took."""

    status: int
    ms: float | None


def parse_page(raw: bytes) -> Page:
    """Read ``status ms``, or ``down`` when nobody answered."""
    if raw.strip() == b"down":
        return Page(status=0, ms=None)
    found = re.fullmatch(rb"\s*([1-9]\d\d) (\d{1,6}(?:\.\d+)?)\s*", raw)
    if found is None:
        raise AnswerError("status and milliseconds are expected, or down")
    return Page(status=int(found[1]), ms=float(found[2]))


class LocalPage(Probe):
    """Sensor ``kiosk``."""

    sources = (Source(name="page-answer", title="status ms of a GET, or down", parse=parse_page),)

    def __init__(self, _settings: KioskSettings) -> None:
        super().__init__(INFO, "kiosk")

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give whether it is up; a redirect is an answer, an error is none."""
        if not isinstance(facts, Page):
            raise TypeError(facts)
        yield from self.reading("page-up", facts.status in _GOOD, now)
        yield from self.reading("page-ms", facts.ms, now)
