"""UTC of a moment of a boot, from the mappings that are known for that boot. Pure."""

from bisect import bisect_right
from collections.abc import Sequence


class Dating:
    """The nearest of some mappings, for any moment of their boot."""

    __slots__ = ("_middles", "_offsets")

    def __init__(self, mappings: Sequence[tuple[int, int]]) -> None:
        """Take mappings (CLOCK_BOOTTIME ms, UTC ms) in order of the first; at least one."""
        self._offsets: list[int] = []
        self._middles: list[int] = []
        last_boot_ms = 0
        for boot_ms, utc_ms in mappings:
            offset = utc_ms - boot_ms
            if self._offsets and boot_ms == last_boot_ms:
                continue  # two for one moment: what came first stays
            if self._offsets:
                self._middles.append((last_boot_ms + boot_ms) // 2)
            self._offsets.append(offset)
            last_boot_ms = boot_ms

    @property
    def constant(self) -> int | None:
        """UTC minus boot time, ms, where all mappings agree."""
        return self._offsets[0] if all(offset == self._offsets[0] for offset in self._offsets) else None

    def offset_ms(self, boot_ms: int) -> int:
        """Return UTC minus boot time at a moment, ms."""
        return self._offsets[min(bisect_right(self._middles, boot_ms - 1), len(self._offsets) - 1)]
