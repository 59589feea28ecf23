"""Gap records: what is missing, named so that the chain still proves. A hash that was lost is read off a neighbour."""

from dataclasses import dataclass, field, replace

from agent.spool.chains import Chain, ChainKey
from agent.spool.index import Index
from agent.spool.shelf import Shelf
from agent.wire.batch import NO_HASH, Header, Stream
from agent.wire.bodies import ChainSpan, End, Gap, Span
from agent.wire.spans import Spans

_MOST_SPANS = 256
"""Of batches and of rows in one record: it stays well below the largest message."""
MOST_REPEATED = 100
"""Spans of batches that a gap repeats from the one before it; a longer one is left alone and copied forward."""


@dataclass(slots=True)
class _Lost:
    """Batches of one chain; a hash is None where nobody has looked it up yet."""

    key: ChainKey
    first: int
    last: int
    prev: bytes | None
    hash: bytes | None


@dataclass(slots=True)
class GapBuilder:
    """Collects what is missing into gap records.

    Attributes:
        index: Of the spool.
        shelf: For the hashes of neighbours.
        reason: Why it is missing.
        chains: Batches that are missing.
        rows: Rows that are missing, per origin.
        from_utc_ms: UTC of the first of them where known.
        to_utc_ms: UTC of the last of them where known.
        known: Hashes that the disk need not know.
    """

    index: Index
    shelf: Shelf
    reason: str
    chains: list[_Lost] = field(default_factory=list)
    rows: dict[bytes, Spans] = field(default_factory=dict)
    from_utc_ms: int | None = None
    to_utc_ms: int | None = None
    known: dict[tuple[ChainKey, int], bytes] = field(default_factory=dict)

    def add(self, header: Header, digest: bytes) -> None:
        """Name one batch that leaves."""
        key = (header.run, header.stream)
        self.chains.append(_Lost(key=key, first=header.n, last=header.n, prev=header.prev, hash=digest))
        if header.count:
            self.lose_rows(header.origin or header.run, header.seq0, header.seq0 + header.count - 1)
            self._reach(header.at_utc_ms)

    def _reach(self, utc_ms: int | None) -> None:
        if utc_ms is not None:
            self.from_utc_ms = utc_ms if self.from_utc_ms is None else min(self.from_utc_ms, utc_ms)
            self.to_utc_ms = utc_ms if self.to_utc_ms is None else max(self.to_utc_ms, utc_ms)

    def repeat(self, stream: Stream, older: Gap) -> None:
        """Name once more what an older gap names: spans that meet become one, and the older one may leave."""
        for span in older.chains:
            key = (span.run, stream)
            self.chains.append(_Lost(key=key, first=span.first, last=span.last, prev=span.prev, hash=span.hash))
        for rows in older.rows:
            self.lose_rows(rows.origin, rows.first, rows.last)
        self._reach(older.from_utc_ms)
        self._reach(older.to_utc_ms)

    def lose(self, key: ChainKey, first: int, last: int) -> None:
        """Name batches whose bytes can no longer be read."""
        self.chains.append(_Lost(key=key, first=first, last=last, prev=None, hash=None))

    def lose_rows(self, origin: bytes, first: int, last: int) -> None:
        """Name rows that are gone."""
        self.rows.setdefault(origin, Spans()).add(first, last)

    def lose_rows_between(self, key: ChainKey, first: int, last: int) -> None:
        """Name the rows of batches that cannot be read: the run's own between their neighbours, any it took over.

        That may name too many; a row that is held or settled counts as such all the same.
        """
        chain = self.index.chains[key]
        for span in chain.promised:
            self.lose_rows(span.origin, span.first, span.last)
        self.lose_rows(chain.run, self._next_seq(chain, first - 1), self._seq_at(chain, last + 1) - 1)

    def build(self) -> list[Gap]:
        """Return the gaps; none when nothing is missing."""
        chains = [self._span(one) for one in self._joined()]
        rows = [
            Span(origin=origin, first=first, last=last) for origin, lost in self.rows.items() for first, last in lost
        ]
        return [
            Gap(
                chains=tuple(chains[at : at + _MOST_SPANS]),
                rows=tuple(rows[at : at + _MOST_SPANS]),
                from_utc_ms=self.from_utc_ms,
                to_utc_ms=self.to_utc_ms,
                reason=self.reason,
            )
            for at in range(0, max(len(chains), len(rows)), _MOST_SPANS)
        ]

    def _joined(self) -> list[_Lost]:
        """Return the batches of each chain with neighbours as one span, oldest run first."""
        runs = {key: at for at, key in enumerate(dict.fromkeys(one.key for one in self.chains))}
        joined: list[_Lost] = []
        for one in sorted(self.chains, key=lambda one: (runs[one.key], one.first)):
            before = joined[-1] if joined and joined[-1].key == one.key else None
            if before is None or before.last + 1 < one.first:
                joined.append(replace(one))
            elif before.last < one.last:
                before.last, before.hash = one.last, one.hash
        return joined

    def _span(self, lost: _Lost) -> ChainSpan:
        """Look up the hashes of both edges; where one is lost with its neighbours, the span grows over them."""
        first, last, prev, digest = lost.first, lost.last, lost.prev, lost.hash
        chain = self.index.chains.get(lost.key)
        while prev is None and (prev := self._hash(lost.key, first - 1)) is None:
            first -= 1
        most = last if chain is None else chain.end.n
        while digest is None and (digest := self._hash(lost.key, last)) is None and last < most:
            last += 1
        return ChainSpan(run=lost.key[0], first=first, last=last, prev=prev, hash=digest or NO_HASH)

    def _hash(self, key: ChainKey, n: int) -> bytes | None:
        return self.known.get((key, n)) or self.shelf.hash(key, n)

    def _next_seq(self, chain: Chain, n: int) -> int:
        """Return the number of the run's first own row behind batch n."""
        heads: dict[int, End] = {
            segment.head.end.n: segment.head.end for segment in self.index.segments if segment.key == chain.key
        }
        for at in range(n, 0, -1):
            if at in heads:
                return heads[at].seq + 1
            header = self.shelf.header(chain.key, at)
            if header is not None and header.origin is None:
                return header.seq0 + header.count
        return 1

    def _seq_at(self, chain: Chain, n: int) -> int:
        """Return the number of the run's first own row in or behind batch n."""
        for at in range(n, chain.end.n + 1):
            header = self.shelf.header(chain.key, at)
            if header is not None and header.origin is None:
                return header.seq0
        return chain.end.seq + 1
