"""Which UTC is believed: what several sources say of one boot, and what none of them may say. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

BUILT_UTC_MS = 1_793_000_000_000
"""A moment before this software was built: 2026-10-26. No true clock shows an earlier one."""
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
LAST_UTC_MS = BUILT_UTC_MS + 3653 * DAY_MS
"""Ten years after the build: whoever says a later time, the center included, has a wrong clock."""
STEP_MS = 1000
"""A mapping that moves by more than this has stepped."""
_DRIFT_PPM = 100  # of a crystal in a hot cabinet


class Source(StrEnum):
    """Who says what time it is."""

    KERNEL = "kernel"
    GNSS = "gnss"
    RTC = "rtc"
    HAND = "hand"


SYNCHRONISED = frozenset({Source.KERNEL, Source.GNSS})
"""Sources that are led by a true clock while they speak; the others were set once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What a source said: UTC at a moment of this boot.

    Attributes:
        source: Who.
        boot_ms: CLOCK_BOOTTIME.
        utc_ms: The same moment in UTC.
        uncertainty_ms: Half width of what it may be off.
    """

    source: Source
    boot_ms: int
    utc_ms: int
    uncertainty_ms: int

    @property
    def offset_ms(self) -> int:
        """UTC less CLOCK_BOOTTIME."""
        return self.utc_ms - self.boot_ms

    def error_ms(self, boot_ms: int) -> int:
        """Return what it may be off when it is used at another moment."""
        return self.uncertainty_ms + abs(boot_ms - self.boot_ms) * _DRIFT_PPM // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The newest time that the center told in this boot."""

    boot_ms: int
    utc_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is possible: not before the floor less a day, at most a day from what the center told and what passed since.

    Attributes:
        floor_ms: UTC that has certainly passed.
        told: By the center in this boot.
    """

    floor_ms: int = BUILT_UTC_MS
    told: Told | None = None

    def doubt(self, utc_ms: int, boot_ms: int) -> str:
        """Return why it cannot be ``utc_ms`` at ``boot_ms``, for people; empty when it can."""
        if utc_ms < BUILT_UTC_MS:
            return "before this software was built"
        if utc_ms > LAST_UTC_MS:
            return "more than ten years after this software was built"
        if self.told is not None and abs(utc_ms - self.told.utc_ms - (boot_ms - self.told.boot_ms)) > DAY_MS:
            return "more than a day from the center's time"
        if utc_ms < self.floor_ms - DAY_MS:
            return "more than a day before the newest time that the center told"
        return ""


def best(sightings: Iterable[Sighting], boot_ms: int, *, kept: bool) -> Sighting | None:
    """Return the sighting to believe at a moment.

    Args:
        sightings: Plausible ones, at most one of a source.
        boot_ms: The moment.
        kept: A time service keeps the kernel's clock now: then it is the best.
    """
    return min(
        sightings,
        key=lambda one: (not (kept and one.source is Source.KERNEL), one.error_ms(boot_ms)),
        default=None,
    )


class News:
    """Chooses the sightings that a run has to record. What the headers of its batches say already is no news."""

    def __init__(self) -> None:
        self._recorded: dict[Source, Sighting] = {}

    def take(self, sighting: Sighting, *, believed: bool) -> bool:
        """Tell whether this sighting is to be recorded, and count it as recorded.

        The first of each source is, and the believed one when it stepped. After an hour: one that stepped while it was
        not believed, and the believed one where it is not the kernel's, which stands in each header with clock 0.
        """
        before = self._recorded.get(sighting.source)
        if before is not None:
            stepped = abs(sighting.offset_ms - before.offset_ms) > STEP_MS
            is_old = sighting.boot_ms - before.boot_ms >= HOUR_MS
            unsaid = believed and sighting.source is not Source.KERNEL
            if not (stepped and believed) and not (is_old and (stepped or unsaid)):
                return False
        self._recorded[sighting.source] = sighting
        return True
