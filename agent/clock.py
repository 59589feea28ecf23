"""The one owner of time: waiting uses the loop's clock, rows CLOCK_BOOTTIME, and UTC is a mapping that may be believed.

A moment is synchronised (clock 0) only while the kernel says that a time service keeps its clock and the result is
plausible. Every other mapping that is believed, also the kernel's own of before, is holdover (clock 1), and a signed
record names its source. What is implausible is said once in the log and leaves the moment without UTC (clock 2).
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from agent.belief import (
    LAST_UTC_MS,
    STEP_MS,
    SYNCHRONISED,
    Bounds,
    News,
    Sighting,
    Source,
    Told,
    best,
)
from agent.seal import Moment
from agent.wire.batch import STEPPED, Clock
from agent.wire.bodies import Time
from drivers.driver import TimeSeen
from drivers.host import sample
from drivers.io.timex import clock_state

log = logging.getLogger(__name__)

_NS_PER_MS = 1_000_000
_AGREE_MS = 2000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_ns() -> int:
    """Return CLOCK_BOOTTIME in ns."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def boot_id() -> bytes:
    """Return the kernel's boot id, 16 bytes."""
    return bytes.fromhex(_BOOT_ID.read_text("ascii").strip().replace("-", ""))


def wall_ms() -> int:
    """Return the wall clock in UTC ms, whatever it may be worth."""
    return time.time_ns() // _NS_PER_MS


def text_of(utc_ms: int) -> str:
    """Return a UTC time for people, also one that no calendar has."""
    try:
        return datetime.fromtimestamp(utc_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{utc_ms} ms"


class WallClock:
    """Tells moments. Everything outside it is handed in.

    Attributes:
        boot: Kernel boot id.
        center_refused: The center's last time could not be one: beyond the end of our own certificates, or ten years
            after the build. It raises no floor.
    """

    def __init__(
        self,
        *,
        boot: bytes,
        boot_ns: Callable[[], int] = boot_ns,
        utc_ms: Callable[[], int] = wall_ms,
        kernel: Callable[[], sample.Clock | None] = clock_state,
        bounds: Bounds = Bounds(),  # noqa: B008 - frozen
        last_ms: int = LAST_UTC_MS,
    ) -> None:
        """Make a clock.

        Args:
            boot: Kernel boot id.
            boot_ns: CLOCK_BOOTTIME in ns.
            utc_ms: The wall clock.
            kernel: What the kernel says of it.
            bounds: What was known when this process began.
            last_ms: End of our own certificates.
        """
        self.boot = boot
        self.center_refused = False
        self._boot_ns = boot_ns
        self._utc_ms = utc_ms
        self._kernel = kernel
        self._bounds = bounds
        self._last_ms = min(last_ms, LAST_UTC_MS)
        self._seen: dict[Source, Sighting] = {}
        self._unconfirmed: Sighting | None = None
        self._believed: Sighting | None = None
        self._offset_ms: int | None = None
        self._news = News()
        self._said: dict[Source, str] = {}
        self._synchronised = False
        self._stepped = False

    @property
    def bounds(self) -> Bounds:
        """What is possible, as known now."""
        return self._bounds

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        """The last word of each source."""
        return tuple(self._seen.values())

    def boot_ms(self) -> int:
        """Return CLOCK_BOOTTIME in ms."""
        return self._boot_ns() // _NS_PER_MS

    def moment(self) -> Moment:
        """Return now; the clock carries ``STEPPED`` when it stepped by more than a second since the last call."""
        boot_ms, clock = self._look()
        if self._believed is None:
            return Moment(boot=self.boot, boot_ms=boot_ms)
        stepped, self._stepped = self._stepped, False
        utc_ms = boot_ms + self._believed.offset_ms
        return Moment(boot=self.boot, boot_ms=boot_ms, utc_ms=utc_ms, clock=clock + (STEPPED if stepped else 0))

    def utc_ms(self) -> int | None:
        """Return UTC as believed now, None while nothing is; a step is left for the next moment to carry."""
        boot_ms, _ = self._look()
        return None if self._believed is None else boot_ms + self._believed.offset_ms

    def sees(self, sighting: Sighting) -> None:
        """Take what the clock on the board or a person says."""
        self._seen[sighting.source] = sighting

    def hears(self, said: TimeSeen) -> None:
        """Take what a satellite receiver says; it counts once two in a row agree."""
        now = Sighting(
            source=Source.GNSS,
            boot_ms=said.boot_ns // _NS_PER_MS,
            utc_ms=said.utc_ms,
            uncertainty_ms=said.uncertainty_ms,
        )
        before, self._unconfirmed = self._unconfirmed, now
        if before is not None and abs(now.offset_ms - before.offset_ms) <= _AGREE_MS:
            self._seen[Source.GNSS] = now

    def center_says(self, utc_ms: int) -> None:
        """Take the center's time from an ack with our nonce: UTC far from it is not believed, and it is the floor."""
        self.center_refused = utc_ms > self._last_ms
        if self.center_refused:
            return
        told = self._bounds.told
        if told is None or utc_ms > told.utc_ms:
            told = Told(boot_ms=self.boot_ms(), utc_ms=utc_ms)
        self._bounds = Bounds(floor_ms=max(self._bounds.floor_ms, utc_ms), told=told)

    def reset(self) -> None:
        """Forget what the center told: the floor is the build again."""
        self._bounds = Bounds()

    def records(self) -> list[Time]:
        """Return what this run has to record now: mappings that no record and no header of it says yet."""
        self._look()
        return [
            Time(
                boot=self.boot,
                at_boot_ms=one.boot_ms,
                at_utc_ms=one.utc_ms,
                uncertainty_ms=one.uncertainty_ms,
                source=one.source,
            )
            for one in self._seen.values()
            if not self._said.get(one.source) and self._news.take(one, believed=one is self._believed)
        ]

    def record_anew(self) -> None:
        """Record all once more: another run begins, and what the one before recorded may never reach the center."""
        self._news = News()

    def validity_ms(self) -> tuple[int, int | None]:
        """Return UTC to judge certificates by: the latest that has certainly come, and now, once ever synchronised.

        Any thread may ask: it uses what was found last.
        """
        believed = self._believed
        now_ms = None if believed is None else self.boot_ms() + believed.offset_ms
        return max(self._bounds.floor_ms, now_ms or 0), now_ms if self._synchronised else None

    def _look(self) -> tuple[int, Clock]:
        """Find the mapping to believe now; return the moment in CLOCK_BOOTTIME and how far to believe it."""
        boot_ms = self.boot_ms()
        kernel = self._kernel_says(boot_ms)
        kept = kernel is not None and self._is_plausible(kernel, boot_ms)
        if kernel is not None and kept:
            self._seen[Source.KERNEL] = kernel
        usable = self._usable(boot_ms, without_kernel=kernel is not None and not kept)
        self._believed = found = best(usable, boot_ms, kept=kept)
        if found is None:
            return boot_ms, Clock.UNKNOWN
        self._synchronised = self._synchronised or found.source in SYNCHRONISED
        self._stepped |= self._offset_ms is not None and abs(found.offset_ms - self._offset_ms) > STEP_MS
        self._offset_ms = found.offset_ms
        return boot_ms, Clock.SYNCHRONISED if kept and found.source is Source.KERNEL else Clock.HOLDOVER

    def _kernel_says(self, boot_ms: int) -> Sighting | None:
        state = self._kernel()
        if state is None or not state.synchronised:
            return None
        uncertainty_ms = round(state.error_s * 1000)
        return Sighting(source=Source.KERNEL, boot_ms=boot_ms, utc_ms=self._utc_ms(), uncertainty_ms=uncertainty_ms)

    def _usable(self, boot_ms: int, *, without_kernel: bool) -> list[Sighting]:
        """Return the plausible sightings; a kernel that is wrong now spoils what it said before."""
        return [
            one
            for one in self._seen.values()
            if not (without_kernel and one.source is Source.KERNEL) and self._is_plausible(one, boot_ms)
        ]

    def _is_plausible(self, sighting: Sighting, boot_ms: int) -> bool:
        """Judge a mapping at a moment; say so where the judgement changed."""
        utc_ms = boot_ms + sighting.offset_ms
        doubt = self._bounds.doubt(utc_ms, boot_ms)
        if doubt != self._said.get(sighting.source):
            self._said[sighting.source] = doubt
            if doubt:
                log.warning("time not believed: source=%s utc=%s: %s", sighting.source, text_of(utc_ms), doubt)
            else:
                log.info("time plausible: source=%s utc=%s", sighting.source, text_of(utc_ms))
        return not doubt
