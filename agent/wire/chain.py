"""The chains of one node, judged from its signed records alone: what is here, what is excused, what is missing.

A run and a stream have one chain of batches, n = 1, 2, 3... Everything a signed record says about a chain is kept as
a claim: a batch names itself and, by ``prev``, the batch before it; a gap names the batch before it and its last; a
start names both ends of the run before it. A chain is sound when no two claims about one n differ; so a link over a
gap holds when the gap's prev and hash are those of its neighbours. The order of adding does not matter.

Rows are counted by seq per origin run and stream, as sets: ``taken`` is the highest seq that any record names, and
1 to taken = settled + in gaps + missing, in this order of right. What the node says in its hello that it still holds
is no signed record: whoever hears hello takes it off the missing. Of what is missing only that was promised which a
record of a run on disk, or an end in a start, names: a run in memory seals rows that no disk has taken.

Trust is the caller's: only batches that passed ``open_batch`` go in.
"""

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum

from agent.wire.batch import Batch, Header, Stream
from agent.wire.bodies import Gap, GapReason, Start
from agent.wire.records import Body, body_of
from agent.wire.spans import Spans

Ranges = tuple[tuple[int, int], ...]
"""Sorted, disjoint, inclusive: ``((1, 4), (7, 7))`` is 1, 2, 3, 4 and 7."""

ChainKey = tuple[bytes, Stream]
"""Run and stream."""

_A_START = b""  # claims the ends it names as what the disk shows, also when its own run is in memory


class Fault(StrEnum):
    """What is wrong with a chain although every signature holds."""

    CONFLICT = "conflict"
    """Two different batches of one run, stream and n."""
    LINK = "link"
    """A prev, a gap or a named end does not fit the batch it names."""
    GROWN = "grown"
    """A batch beyond the end that a later start named: a copied or rolled back card."""
    FORK = "fork"
    """Two runs, neither in memory only, name one predecessor: a copied or rolled back card."""
    KEY = "key"
    """One chain under two keys."""
    RETOLD = "retold"
    """The two starts of one run tell different predecessors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault and the batch where it shows. A finding is an alarm, never a reason to stop collecting."""

    run: bytes
    stream: Stream
    n: int
    fault: Fault
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReport:
    """One run and stream.

    Attributes:
        run: Whose chain; as origin, whose rows.
        stream: Alarm or telemetry.
        stored: The n that are here.
        last_n: Highest n that any record names; 0 where none does.
        in_gaps: The n that are not here but named by a gap that is here.
        missing: The n from 1 to ``last_n`` that are neither.
        findings: Faults in order of n.
        taken: Highest seq of this origin that any record names.
        settled: The seq that are here, whichever run sealed them.
        gap_rows: The seq that are not here but excused by a gap.
        missing_rows: The seq from 1 to ``taken`` that are neither.
        synced: Highest seq that was on disk as a record says; rows beyond it were promised by nobody. 0 for a run in
            memory.
        elsewhere: Rows of this origin that batches of another chain should hold, each span with that chain's run.
        predecessor: Run before this one as its start says; None for the first or while no start of it is here.
        started: True when a start of the run is here (in either stream).
        volatile: True for a run in memory.
        clean: How the run ended as its successor says; None while nobody said.
    """

    run: bytes
    stream: Stream
    stored: Ranges
    last_n: int
    in_gaps: Ranges
    missing: Ranges
    findings: tuple[Finding, ...]
    taken: int
    settled: Ranges
    gap_rows: Ranges
    missing_rows: Ranges
    synced: int
    elsewhere: tuple[tuple[bytes, int, int], ...]
    predecessor: bytes | None
    started: bool
    volatile: bool
    clean: bool | None

    @property
    def sound(self) -> bool:
        """True when nothing contradicts."""
        return not self.findings

    @property
    def lost_rows(self) -> Ranges:
        """Missing rows that were on disk."""
        return _without(Spans(self.missing_rows), Spans([(self.synced + 1, self.taken)]))

    @property
    def memory_rows(self) -> Ranges:
        """Missing rows that were in memory only."""
        return _without(Spans(self.missing_rows), Spans([(1, self.synced)]))

    @property
    def complete(self) -> bool:
        """True when every batch and every row that any record names is here or in a gap."""
        return not self.missing and not self.missing_rows


def _without(whole: Spans, part: Spans) -> Ranges:
    return tuple(hole for first, last in whole for hole in part.missing(first, last))


@dataclass(slots=True)
class _Chain:
    """What records say about one chain, and about the rows of one origin."""

    stored: dict[int, dict[bytes, bytes]] = field(default_factory=dict)  # n -> hash -> prev
    named: list[tuple[int, bytes, str]] = field(default_factory=list)  # n, hash, who says so
    present: Spans = field(default_factory=Spans)
    gaps: Spans = field(default_factory=Spans)
    rowless: list[tuple[int, int, ChainKey]] = field(default_factory=list)  # n to n, and the chain whose gap says so
    forgotten: list[tuple[int, int]] = field(default_factory=list)  # n to n that a restored center forgot
    elsewhere: list[tuple[ChainKey, int, int]] = field(default_factory=list)  # sealing chain, first seq, last seq
    own_rows: list[tuple[int, int, int]] = field(default_factory=list)  # n, first seq, last seq (first - 1: none)
    settled: Spans = field(default_factory=Spans)
    gap_rows: Spans = field(default_factory=Spans)
    signers: dict[bytes, int] = field(default_factory=dict)  # kid -> the first n added under it
    claims: dict[bytes, int] = field(default_factory=dict)  # run whose record says so -> highest seq
    last_n: int = 0
    end: int | None = None

    @property
    def taken(self) -> int:
        return max(self.claims.values(), default=0)

    def claim(self, run: bytes, seq: int) -> None:
        self.claims[run] = max(self.claims.get(run, 0), seq)

    def name(self, n: int, batch_hash: bytes, who: str) -> None:
        self.last_n = max(self.last_n, n)
        if n:
            self.named.append((n, batch_hash, who))

    def faults(self) -> list[tuple[int, Fault, str]]:
        found: list[tuple[int, Fault, str]] = []
        wanted: dict[int, tuple[bytes, str]] = {}
        for n, names in self.stored.items():
            if len(names) > 1:
                found.append((n, Fault.CONFLICT, f"{len(names)} different batches have n {n}"))
            for prev in names.values() if n > 1 else ():
                if n - 1 not in self.stored:
                    wanted[n - 1] = (prev, f"the prev of n {n}")
                elif prev not in self.stored[n - 1]:
                    found.append((n, Fault.LINK, f"its prev is not the hash of n {n - 1}"))
        for kid, n in list(self.signers.items())[1:]:
            found.append((n, Fault.KEY, f"signed by {kid.hex()}, and other batches of this chain by another key"))
        if self.end is not None and (beyond := [n for n in self.stored if n > self.end]):
            found.append((min(beyond), Fault.GROWN, f"a later start names n {self.end} as the end of this chain"))
        for n, batch_hash, who in self.named:
            if n in self.stored:
                if batch_hash not in self.stored[n]:
                    found.append((n, Fault.LINK, f"{who} names another n {n} than this one"))
            elif wanted.setdefault(n, (batch_hash, who))[0] != batch_hash:
                found.append((n, Fault.LINK, f"n {n} is not here, and {who} and {wanted[n][1]} name different ones"))
        return found

    def missing(self, first: int, last: int) -> Ranges:
        return tuple(Spans([*self.present, *self.gaps]).missing(first, last))

    def between(self, first: int, last: int) -> list[tuple[int, int]]:
        """Own rows of batches ``first`` to ``last``, as the neighbours show them.

        A batch missing without a word between the neighbours makes them unknowable: then there are none.
        """
        self.own_rows.sort()
        low, high = bisect_left(self.own_rows, (first,)) - 1, bisect_left(self.own_rows, (last + 1,))
        low_n, _, before = self.own_rows[low] if low >= 0 else (0, 0, 0)
        high_n, after, _ = self.own_rows[high] if high < len(self.own_rows) else (self.last_n + 1, self.taken + 1, 0)
        return [] if self.missing(low_n + 1, high_n - 1) or before + 1 >= after else [(before + 1, after - 1)]

    @property
    def forgot(self) -> bool:
        """Batches were forgotten by a restored center, and no other is missing: what should stand here stood there."""
        return bool(self.forgotten) and not self.missing(1, self.last_n)


class Ledger:
    """All chains of one node; one instance per node."""

    def __init__(self) -> None:
        self._chains: dict[ChainKey, _Chain] = defaultdict(_Chain)
        self._starts: dict[ChainKey, Start] = {}

    def add_batch(self, batch: Batch) -> None:
        """Add an opened batch. Raises WireError (body) when it lacks the fields of its kind; then it is not added."""
        self.add(batch.header, batch.hash, body_of(batch), kid=batch.key.kid)

    def add(self, header: Header, batch_hash: bytes, body: Body | None, *, kid: bytes = b"") -> None:
        """Add one stored batch; adding it again changes nothing.

        Args:
            header: Of the batch.
            batch_hash: SHA-256 of its sign1.
            body: The decoded body of a start or a gap; any other counts like None.
            kid: Key that signed, where the caller knows it; a chain has one key.
        """
        key = (header.run, header.stream)
        chain = self._chains[key]
        same_n = chain.stored.setdefault(header.n, {})
        if batch_hash in same_n:
            return
        same_n[batch_hash] = header.prev
        chain.signers.setdefault(kid, header.n)
        chain.present.add(header.n, header.n)
        chain.last_n = max(chain.last_n, header.n)
        self._rows(header)
        if isinstance(body, Start):
            self._start(key, body)
        elif isinstance(body, Gap):
            self._gap(header, body)

    def _rows(self, header: Header) -> None:
        last = header.seq0 + header.count - 1
        rows_of = self._chains[header.origin or header.run, header.stream]
        rows_of.claim(header.run, last)
        if header.count:
            rows_of.settled.add(header.seq0, last)
        if header.origin is None:
            rows_of.own_rows.append((header.n, header.seq0, last))

    def _start(self, key: ChainKey, start: Start) -> None:
        run, stream = key
        self._starts[key] = start
        for span in start.taken_over:
            origin = self._chains[span.origin, stream]
            origin.claim(run, span.last)
            origin.elsewhere.append((key, span.first, span.last))
        if start.previous is not None:
            who = f"the start of run {run.hex()}"
            for at, end in ((Stream.ALARM, start.previous.alarm), (Stream.TELEMETRY, start.previous.telemetry)):
                chain = self._chains[start.previous.run, at]
                chain.claim(_A_START, end.seq)
                chain.name(end.n, end.hash, who)
                if not start.volatile:  # a disk that refuses may hold more than it owned up to
                    chain.end = end.n if chain.end is None else min(chain.end, end.n)

    def _gap(self, header: Header, gap: Gap) -> None:
        who = f"the gap at n {header.n} of run {header.run.hex()}"
        for lost in gap.chains:
            chain = self._chains[lost.run, header.stream]
            chain.gaps.add(lost.first, lost.last)
            chain.name(lost.first - 1, lost.prev, who)
            chain.name(lost.last, lost.hash, who)
            if gap.reason == GapReason.CENTER_RESTORED:
                chain.forgotten.append((lost.first, lost.last))
            elif not gap.rows:
                chain.rowless.append((lost.first, lost.last, (header.run, header.stream)))
        for span in gap.rows:
            chain = self._chains[span.origin, header.stream]
            chain.claim(header.run, span.last)
            chain.gap_rows.add(span.first, span.last)

    def report(self) -> tuple[ChainReport, ...]:
        """Return one report for each chain that any record names, ordered by run and stream."""
        lost_starts = [key for key, chain in self._chains.items() if key not in self._starts and chain.forgot]
        return tuple(self._report(key, lost_starts) for key in sorted(self._chains))

    def _report(self, key: ChainKey, lost_starts: list[ChainKey]) -> ChainReport:
        run, stream = key
        chain = self._chains[key]
        start = self._start_of(run)
        previous = None if start is None else start.previous
        elsewhere = self._elsewhere(key)
        excused = Spans(chain.gap_rows)
        for low, high in self._forgotten(key, elsewhere, lost_starts):
            excused.add(low, high)
        faults = sorted(chain.faults() + self._succession(key))
        clean = [s.previous.clean for s in self._starts.values() if s.previous is not None and s.previous.run == run]
        return ChainReport(
            run=run,
            stream=stream,
            stored=tuple(chain.present),
            last_n=chain.last_n,
            in_gaps=_without(chain.gaps, chain.present),
            missing=chain.missing(1, chain.last_n),
            findings=tuple(Finding(run=run, stream=stream, n=n, fault=fault, detail=text) for n, fault, text in faults),
            taken=chain.taken,
            settled=tuple(chain.settled),
            gap_rows=_without(excused, chain.settled),
            missing_rows=tuple(Spans([*chain.settled, *excused]).missing(1, chain.taken)),
            synced=self._synced(key),
            elsewhere=tuple((sealer[0], low, high) for sealer, low, high in elsewhere),
            predecessor=None if previous is None else previous.run,
            started=start is not None,
            volatile=self._in_memory(run),
            clean=all(clean) if clean else None,
        )

    def _start_of(self, run: bytes) -> Start | None:
        return self._starts.get((run, Stream.ALARM)) or self._starts.get((run, Stream.TELEMETRY))

    def _in_memory(self, run: bytes) -> bool:
        start = self._start_of(run)
        return start is not None and start.volatile

    def _synced(self, key: ChainKey) -> int:
        if self._in_memory(key[0]):
            return 0
        return max((seq for who, seq in self._chains[key].claims.items() if not self._in_memory(who)), default=0)

    def _elsewhere(self, key: ChainKey) -> list[tuple[ChainKey, int, int]]:
        """Rows of this origin that another chain seals: taken over, or of batches that were sealed again."""
        chain = self._chains[key]
        again = [(who, *rows) for first, last, who in chain.rowless for rows in chain.between(first, last)]
        return chain.elsewhere + again

    def _forgotten(
        self, key: ChainKey, elsewhere: list[tuple[ChainKey, int, int]], lost_starts: list[ChainKey]
    ) -> list[tuple[int, int]]:
        """Rows that a restored center forgot with their batches: in this chain, or where a later run sealed them."""
        chain = self._chains[key]
        found = [rows for first, last in chain.forgotten for rows in chain.between(first, last)]
        found += [(low, high) for sealer, low, high in elsewhere if self._chains[sealer].forgot]
        if any(self._may_follow(run, key) for run, stream in lost_starts if stream == key[1]):
            found += chain.between(chain.last_n + 1, chain.last_n + 1)  # what it took over its start would say
        return found

    def _may_follow(self, run: bytes, key: ChainKey) -> bool:
        twin = self._start_of(run)
        return run != key[0] and (twin is None or (twin.previous is not None and twin.previous.run == key[0]))

    def _succession(self, key: ChainKey) -> list[tuple[int, Fault, str]]:
        start = self._starts.get(key)
        if start is None or start.previous is None:
            return []
        run, stream = key
        found: list[tuple[int, Fault, str]] = []
        twin = self._starts.get((run, Stream(1 - stream)))
        if twin is not None and twin.previous != start.previous:
            found.append((1, Fault.RETOLD, "the two starts of this run tell different predecessors"))
        rivals = {
            other
            for (other, _), its in self._starts.items()
            if other != run and its.previous and its.previous.run == start.previous.run and not its.volatile
        }
        if rivals and not start.volatile:
            names = ", ".join(sorted(rival.hex() for rival in rivals))
            found.append((1, Fault.FORK, f"run {start.previous.run.hex()} is also the predecessor of {names}"))
        return found
