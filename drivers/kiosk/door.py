"""Whether the door of the kiosk is open. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Event
from drivers.errors import OptionError
from drivers.kiosk.settings import KioskSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source

INFO = DriverInfo(
    name="door",
    title="Door of the kiosk",
    family="door",
    mode="poll",
    channels=(Channel(name="door-open", unit="1", kind="state", doc="true while the door is open"),),
    every_s=2.0,
    stale_after_s=60.0,
    source="Linux include/uapi/linux/gpio.h",
)

_PLACE = re.compile(r"(gpiochip\d{1,3}):(\d{1,4})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Level(Facts):
    """Level of the line of the contact."""

    high: bool


def parse_level(raw: bytes) -> Level:
    """Read ``0`` or ``1``."""
    if raw.strip() not in (b"0", b"1"):
        raise AnswerError("0 or 1 is expected")
    return Level(high=raw.strip() == b"1")


class Door(Probe):
    """Sensor ``kiosk``.

    Attributes:
        chip: Name of the chip whose line it is.
        offset: Number of the line on it.
        pull: What holds the line where the contact does not: ``up``, ``down`` or ``none``.
    """

    sources = (Source(name="door-level", title="level of the line of the door contact", parse=parse_level),)

    def __init__(self, settings: KioskSettings) -> None:
        super().__init__(INFO, "kiosk")
        place = _PLACE.fullmatch(settings.door or "gpiochip0:0")
        if place is None:
            raise OptionError("door", f"{settings.door!r} is no line; write it like gpiochip0:17")
        self.chip, self.offset = place[1], int(place[2])
        self.pull = settings.door_pull
        self._open_is_high = settings.door_open_is == "high"

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give whether it is open."""
        if not isinstance(facts, Level):
            raise TypeError(facts)
        yield from self.reading("door-open", facts.high is self._open_is_high, now)
