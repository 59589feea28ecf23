"""UTC of a moment of a boot, from the mappings that are known for that boot. Pure.

A boot has one clock that nobody sets, so its mappings agree but for small corrections. Where two neighbours do not, the
node's UTC stepped between them and one of the two was wrong. Rows before the step keep the mapping before it, rows from
it on have the one after it, and `Dating.spread` tells both: nobody can know from here which was right.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_STEP_MS = 1000
_SLEW = 2000  # the kernel corrects at most 500 ppm without a step. Source: adjtimex(2), clock_adjtime


class Mapping(NamedTuple):
    """UTC at a moment of a boot, and half the width of what it may be off, all in ms."""

    boot_ms: int
    utc_ms: int
    uncertainty_ms: int = 0

    @property
    def offset_ms(self) -> int:
        """UTC less boot time."""
        return self.utc_ms - self.boot_ms


def disagree(one: Mapping, other: Mapping) -> bool:
    """Tell whether the clock stepped between two mappings of a boot."""
    allowed_ms = _STEP_MS + one.uncertainty_ms + other.uncertainty_ms + abs(one.boot_ms - other.boot_ms) // _SLEW
    return abs(one.offset_ms - other.offset_ms) > allowed_ms


class Dating:
    """The nearest of some mappings on the same side of a step, for any moment of their boot."""

    __slots__ = ("_offsets", "_parts", "_turns")

    def __init__(self, mappings: Sequence[Mapping]) -> None:
        """Take mappings in order of their moment; at least one. Of two for one moment what came first stays."""
        self._offsets: list[int] = []
        self._turns: list[int] = []  # the last moment of each mapping but the last
        self._parts: list[tuple[int, int]] = []  # first and last mapping between two steps
        before: Mapping | None = None
        for mapping in mappings:
            if before is not None:
                if mapping.boot_ms == before.boot_ms:
                    continue
                stepped = disagree(before, mapping)
                self._turns.append(mapping.boot_ms - 1 if stepped else (before.boot_ms + mapping.boot_ms) // 2)
                if stepped:
                    self._parts.append((self._parts[-1][1] + 1 if self._parts else 0, len(self._offsets) - 1))
            self._offsets.append(mapping.offset_ms)
            before = mapping
        self._parts.append((self._parts[-1][1] + 1 if self._parts else 0, len(self._offsets) - 1))

    @property
    def constant(self) -> int | None:
        """UTC minus boot time, ms, where all mappings agree."""
        return self._offsets[0] if all(offset == self._offsets[0] for offset in self._offsets) else None

    def offset_ms(self, boot_ms: int) -> int:
        """Return UTC minus boot time at a moment, ms."""
        return self._offsets[self._at(boot_ms)]

    def pieces(self) -> Iterator[tuple[int, int | None]]:
        """Yield each offset with the last moment it holds for, None for the last."""
        yield from zip(self._offsets, [*self._turns, None], strict=True)

    def spread(self, boot_ms: int) -> list[int]:
        """Return what each part between two steps would make of a moment, in ms UTC."""
        at = self._at(boot_ms)
        return [boot_ms + self._offsets[min(max(at, first), last)] for first, last in self._parts]

    def _at(self, boot_ms: int) -> int:
        return bisect_right(self._turns, boot_ms - 1)
