"""Sets of integers kept as spans: what numbers n or seq are here, and which are missing."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator


class Spans:
    """Disjoint, sorted, merged closed spans of integers."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in spans:
            self.add(first, last)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._firsts, self._lasts, strict=True))

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self)

    def add(self, first: int, last: int) -> None:
        """Add a closed span; an empty one (last < first) changes nothing."""
        if last < first:
            return
        low = bisect_right(self._lasts, first - 2)
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first, last = min(first, self._firsts[low]), max(last, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]

    def missing(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return the spans of ``first`` to ``last`` that are not here."""
        holes: list[tuple[int, int]] = []
        at = first
        for low, high in self:
            if high < at:
                continue
            if low > last:
                break
            if low > at:
                holes.append((at, low - 1))
            at = high + 1
        if at <= last:
            holes.append((at, last))
        return holes

    def run_from(self, first: int) -> int:
        """Return the end of the unbroken run that begins at ``first``; ``first - 1`` when it is not here."""
        at = bisect_right(self._firsts, first) - 1
        return self._lasts[at] if at >= 0 and first <= self._lasts[at] else first - 1
