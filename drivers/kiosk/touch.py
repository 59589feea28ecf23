"""How long ago somebody touched the screen, and nothing else about it. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Event
from drivers.kiosk.settings import KioskSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source

INFO = DriverInfo(
    name="touch",
    title="Use of the kiosk's touch screen",
    family="touch",
    mode="poll",
    channels=(
        Channel(
            name="touch-age",
            unit="min",
            low=0,
            change=15,
            at_least_every_s=3600,
            doc="whole minutes since the last touch, never what it was",
        ),
    ),
    every_s=60.0,
    stale_after_s=300.0,
    source="Linux Documentation/input/event-codes.rst",
)
_MINUTE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class LastTouch(Facts):
    """Seconds since the last touch; None while there was none since the agent's start."""

    ago_s: float | None


def parse_touch(raw: bytes) -> LastTouch:
    """Read seconds, or ``none``."""
    if raw.strip() == b"none":
        return LastTouch(ago_s=None)
    if re.fullmatch(rb"\s*\d{1,9}(?:\.\d+)?\s*", raw) is None:
        raise AnswerError("seconds or none are expected")
    return LastTouch(ago_s=float(raw))


class Touch(Probe):
    """Sensor ``kiosk``."""

    sources = (Source(name="touch-last", title="seconds since the last touch, or none", parse=parse_touch),)

    def __init__(self, _settings: KioskSettings) -> None:
        super().__init__(INFO, "kiosk")

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give the age in whole minutes."""
        if not isinstance(facts, LastTouch):
            raise TypeError(facts)
        yield from self.reading("touch-age", None if facts.ago_s is None else int(facts.ago_s // _MINUTE_S), now)
