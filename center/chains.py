"""How far one chain is settled: up to n without a hole, and in ranges above it. Pure.

A batch number is settled when its batch is stored or when a stored gap names it. Links are judged as the holes
close: a ``prev`` that does not fit is a fault to report, never a reason to refuse.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.wire.ack import Range
from agent.wire.batch import NO_HASH

RANGES = 32
"""Most ranges above n that one ack names for a chain; the rest follows when the holes close."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A stored batch: its place, its name, and the name of the batch before it."""

    n: int
    hash: bytes
    prev: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """Batches ``first`` to ``last`` that a stored gap names: the prev of the first and the hash of the last."""

    first: int
    last: int
    prev: bytes
    hash: bytes


class ChainState:
    """What is settled of one chain.

    Attributes:
        n: Every batch up to this one is settled.
        hash: Of batch n; zeros at 0.
    """

    __slots__ = ("_above", "_holes", "hash", "n")

    def __init__(self, n: int = 0, settled_hash: bytes = NO_HASH) -> None:
        self.n = n
        self.hash = settled_hash
        self._above: dict[int, Link] = {}
        self._holes: list[Hole] = []

    def above(self, n: int) -> Link | None:
        """Return the batch stored at an n beyond what is settled."""
        return self._above.get(n)

    def store(self, link: Link) -> list[int]:
        """Take a stored batch; the first of several at one n counts. Return the n whose prev does not fit."""
        if link.n <= self.n or link.n in self._above:
            return []
        self._above[link.n] = link
        return self._advance()

    def excuse(self, hole: Hole) -> list[int]:
        """Take a range that a stored gap names. Return the n whose prev does not fit."""
        if hole.last <= self.n or hole in self._holes:
            return []
        self._holes.append(hole)
        return self._advance()

    def load(self, links: Iterable[Link], holes: Iterable[Hole]) -> None:
        """Take what the store holds beyond n, the first stored of each n first; faults were reported before."""
        for link in links:
            self.store(link)
        for hole in holes:
            self.excuse(hole)

    def _advance(self) -> list[int]:
        faults: list[int] = []
        while True:
            link = self._above.pop(self.n + 1, None)
            if link is not None:
                if link.prev != self.hash:
                    faults.append(link.n)
                self.n, self.hash = link.n, link.hash
                continue
            covering = [hole for hole in self._holes if hole.first <= self.n + 1 <= hole.last]
            if not covering:
                self._holes = [hole for hole in self._holes if hole.last > self.n]
                return faults
            faults += self._jump(max(covering, key=lambda hole: hole.last))

    def _jump(self, hole: Hole) -> list[int]:
        faults = [hole.first] if hole.first == self.n + 1 and hole.prev != self.hash else []
        at_end = self._above.get(hole.last)
        if at_end is not None and at_end.hash != hole.hash:
            faults.append(hole.last)
        self._above = {n: link for n, link in self._above.items() if n > hole.last}
        self.n, self.hash = hole.last, hole.hash if at_end is None else at_end.hash
        return faults

    def ranges(self, cap: int | None = None) -> tuple[Range, ...]:
        """Return what is settled above n, lowest first, each ending at a stored batch.

        Args:
            cap: No range goes beyond this n.
        """
        spans = [(n, n) for n in self._above]
        spans += [(max(hole.first, self.n + 1), hole.last) for hole in self._holes]
        joined: list[tuple[int, int]] = []
        for first, last in sorted(spans):
            if joined and first <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
            else:
                joined.append((first, last))
        stored = sorted(n for n in self._above if cap is None or n <= cap)
        found: list[Range] = []
        at = 0
        for first, last in joined:
            end = 0
            while at < len(stored) and stored[at] <= last:
                end = stored[at]
                at += 1
            if end >= first:
                found.append(Range(first=first, last=end, hash=self._above[end].hash))
        return tuple(found[:RANGES])
