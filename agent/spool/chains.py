"""One segment and one chain, as the index knows them. Pure."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.spool.frames import Head, Mark, Name
from agent.wire.batch import Stream
from agent.wire.bodies import End, Span
from agent.wire.senml import Row
from agent.wire.spans import Spans

ChainKey = tuple[bytes, Stream]
BatchKey = tuple[bytes, Stream, int]
NOWHERE = 0
"""Offset of a batch that is lost: none begins there, the head does."""
_TRIM_AT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """Rows that a run has numbered, without a hole.

    Attributes:
        origin: The run that took them.
        boot: Kernel boot id of that run.
        seq0: Number of the first.
        rows: At least one.
    """

    origin: bytes
    boot: bytes
    seq0: int
    rows: Sequence[Row]

    @property
    def span(self) -> Span:
        """Their numbers."""
        return Span(origin=self.origin, first=self.seq0, last=self.seq0 + len(self.rows) - 1)


@dataclass(slots=True)
class Segment:
    """One file.

    Attributes:
        name: Its name.
        head: Its first frame.
        size_bytes: Length of what is known to be on disk.
        offsets: Where batch ``first_n + i`` begins; 0 where it is lost.
        copies: Where batches begin that were copied forward from older segments.
        rows_to: Highest seq in a ROWS frame; 0 when there is none.
        hollow: True when nothing but its head can be read.
    """

    name: Name
    head: Head
    size_bytes: int = 0
    offsets: "array[int]" = field(default_factory=lambda: array("I"))
    copies: dict[BatchKey, int] = field(default_factory=dict)
    rows_to: int = 0
    hollow: bool = False

    @property
    def key(self) -> ChainKey:
        """The chain it belongs to."""
        return self.name.run, self.name.stream

    @property
    def first_n(self) -> int:
        """Lowest n that can be in it."""
        return self.head.end.n + 1

    @property
    def last_n(self) -> int:
        """Highest n in it; ``first_n - 1`` when there is none."""
        return self.head.end.n + len(self.offsets)

    def put(self, n: int, offset: int) -> None:
        """Note where batch n begins. Raises ValueError when it is older than the head says."""
        at = n - self.first_n
        if at < 0:
            raise ValueError(f"n {n} below {self.first_n}")
        while len(self.offsets) <= at:
            self.offsets.append(NOWHERE)
        self.offsets[at] = offset

    def forget(self, key: ChainKey, n: int) -> None:
        """Note that the bytes of batch n have gone bad here; a copy then counts as lost, too."""
        if key == self.key and self.find(n) is not None:
            self.offsets[n - self.first_n] = NOWHERE
        elif (*key, n) in self.copies:
            self.copies[*key, n] = NOWHERE

    def find(self, n: int) -> int | None:
        """Return where batch n begins."""
        at = n - self.first_n
        return (self.offsets[at] or None) if 0 <= at < len(self.offsets) else None


@dataclass(slots=True)
class Chain:
    """One run and stream on disk.

    Attributes:
        run: The run.
        stream: The stream.
        boot: Kernel boot id of the run.
        end: n and hash of the last batch, highest seq sealed.
        taken: Highest seq taken.
        settled: All n up to here are the center's.
        ranges: Settled n above it.
        refused: n that the center will never take.
        disputed: n of which the center names another hash, told once.
        at_boot_ms: Newest moment the chain knows of.
        at_utc_ms: The same in UTC where believed.
        clean: True when the run was closed.
        live: True for the run that writes now.
        unsealed: Where rows without a batch stand: (seq0, count, segment, offset).
        covered: seq that some batch or gap on this disk stands for.
        gone: n that a gap on this disk names.
        promised: Rows of others that it seals again, or names as damaged: lost with an unreadable batch of it.
        base: Where the chain stood at the head of its oldest segment; nowhere when that head is damaged.
    """

    run: bytes
    stream: Stream
    boot: bytes
    end: End = field(default_factory=End)
    taken: int = 0
    settled: int = 0
    ranges: Spans = field(default_factory=Spans)
    refused: set[int] = field(default_factory=set)
    disputed: set[int] = field(default_factory=set)
    at_boot_ms: int = 0
    at_utc_ms: int | None = None
    clean: bool = False
    live: bool = False
    unsealed: list[tuple[int, int, Segment, int]] = field(default_factory=list)
    trim_at: int = _TRIM_AT
    covered: Spans = field(default_factory=Spans)
    gone: Spans = field(default_factory=Spans)
    promised: tuple[Span, ...] = ()
    base: End = field(default_factory=End)

    @property
    def key(self) -> ChainKey:
        """Run and stream."""
        return self.run, self.stream

    def is_settled(self, n: int) -> bool:
        """Tell whether the center has batch n, or a gap that names it."""
        return n <= self.settled or n in self.ranges

    def trim(self) -> None:
        """Forget where rows stand that a batch or a gap stands for by now."""
        self.unsealed = [one for one in self.unsealed if self.covered.missing(one[0], one[0] + one[1] - 1)]
        self.trim_at = 2 * len(self.unsealed) + _TRIM_AT

    def mark(self) -> Mark:
        """Return what the center has settled."""
        ranges, refused = tuple(self.ranges), tuple(sorted(self.refused))
        return Mark(run=self.run, stream=self.stream, n=self.settled, ranges=ranges, refused=refused)

    def apply(self, mark: Mark) -> None:
        """Note what the center has settled."""
        self.settled, self.ranges, self.refused = mark.n, Spans(mark.ranges), set(mark.refused)
