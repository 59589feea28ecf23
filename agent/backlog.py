"""What of one chain still has to reach the center. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.wire.spans import Spans


@dataclass(slots=True, kw_only=True)
class Backlog:
    """One chain as sync knows it.

    Attributes:
        first: Lowest n on disk.
        last: Highest n on disk.
        settled: All n up to here are the center's.
        ranges: Settled n above it.
        skipped: n that are not to be sent: refused for good, or gone.
        cursor: Lowest n that may not have been sent on this connection.
    """

    first: int
    last: int
    settled: int = 0
    ranges: Spans = field(default_factory=Spans)
    skipped: Spans = field(default_factory=Spans)
    cursor: int = 0

    def left(self) -> int:
        """Return how many batches still have to reach the center."""
        here = Spans([*self.ranges, *self.skipped])
        holes = here.missing(max(self.first, self.settled + 1), self.last)
        return sum(last - first + 1 for first, last in holes)

    def open(self, n: int) -> bool:
        """Tell whether batch n still has to reach the center."""
        return self.first <= n <= self.last and n > self.settled and n not in self.ranges and n not in self.skipped

    def unsent(self) -> Iterator[int]:
        """Yield the open n from the cursor on, lowest first."""
        n = max(self.cursor, self.first, self.settled + 1)
        while n <= self.last:
            if self.open(n):
                yield n
            n = max(n, self.ranges.run_from(n), self.skipped.run_from(n)) + 1
