"""The one owner of time: waiting uses the loop's clock, rows CLOCK_BOOTTIME, and UTC is a mapping that may be believed.

UTC is believed while the kernel says that a time service keeps it, and it is plausible: not before the software was
built, at most a day beyond the newest time the center told plus what has passed since.
"""

import time
from collections.abc import Callable
from pathlib import Path

from agent.seal import Moment
from agent.wire.batch import STEPPED, Clock
from drivers.io.timex import clock_state

BUILT_UTC_MS = 1_793_000_000_000
"""A moment before this software was built: 2026-10-26. No true clock shows an earlier one."""

_DAY_MS = 86_400_000
_TRUSTED_MS = 3653 * _DAY_MS
"""How far beyond the build a center's time is taken; a later one is a center whose clock is wrong."""
_STEP_MS = 1000
_NS_PER_MS = 1_000_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_ns() -> int:
    """Return CLOCK_BOOTTIME in ns."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def boot_id() -> bytes:
    """Return the kernel's boot id, 16 bytes."""
    return bytes.fromhex(_BOOT_ID.read_text("ascii").strip().replace("-", ""))


def _utc_ms() -> int:
    return time.time_ns() // _NS_PER_MS


def _is_kept() -> bool:
    state = clock_state()
    return state is not None and state.synchronised


class WallClock:
    """Tells moments. Everything outside it is handed in.

    Args:
        boot: Kernel boot id.
        boot_ns: CLOCK_BOOTTIME in ns.
        utc_ms: The wall clock.
        is_kept: Whether a time service keeps the wall clock now.
    """

    def __init__(
        self,
        *,
        boot: bytes,
        boot_ns: Callable[[], int] = boot_ns,
        utc_ms: Callable[[], int] = _utc_ms,
        is_kept: Callable[[], bool] = _is_kept,
    ) -> None:
        self.boot = boot
        self._boot_ns = boot_ns
        self._utc_ms = utc_ms
        self._is_kept = is_kept
        self._offset_ms: int | None = None
        self._center: tuple[int, int] | None = None

    def moment(self) -> Moment:
        """Return now; the clock carries ``STEPPED`` when it stepped by more than a second since the last call."""
        boot_ms, utc_ms = self._boot_ns() // _NS_PER_MS, self._utc_ms()
        if not self._is_plausible(boot_ms, utc_ms):
            return Moment(boot=self.boot, boot_ms=boot_ms)
        offset_ms = utc_ms - boot_ms
        if self._is_kept():
            stepped = self._offset_ms is not None and abs(offset_ms - self._offset_ms) > _STEP_MS
            self._offset_ms = offset_ms
            clock = Clock.SYNCHRONISED + (STEPPED if stepped else 0)
            return Moment(boot=self.boot, boot_ms=boot_ms, utc_ms=utc_ms, clock=clock)
        if self._offset_ms is None:
            return Moment(boot=self.boot, boot_ms=boot_ms)
        # Nobody keeps the wall clock any more: the last kept mapping is better than what it may have become.
        return Moment(boot=self.boot, boot_ms=boot_ms, utc_ms=boot_ms + self._offset_ms, clock=Clock.HOLDOVER)

    def center_says(self, utc_ms: int) -> None:
        """Take the center's time from an ack with our nonce: UTC far from it is not believed."""
        if utc_ms <= BUILT_UTC_MS + _TRUSTED_MS and (self._center is None or utc_ms > self._center[1]):
            self._center = (self._boot_ns() // _NS_PER_MS, utc_ms)

    def _is_plausible(self, boot_ms: int, utc_ms: int) -> bool:
        if utc_ms < BUILT_UTC_MS:
            return False
        if self._center is None:
            return True
        told_boot_ms, told_utc_ms = self._center
        return abs(utc_ms - told_utc_ms - (boot_ms - told_boot_ms)) <= _DAY_MS
