"""What turns out while running: batches that have gone bad, that a restored center forgot, that are too large."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from agent.spool import recovery
from agent.spool.chains import ChainKey, Numbered
from agent.spool.gaps import GapBuilder
from agent.spool.index import Index
from agent.spool.opening import Opener
from agent.spool.shelf import Shelf, Stored
from agent.wire import batch, senml
from agent.wire.ack import Ack, Settled
from agent.wire.batch import Stream
from agent.wire.bodies import ChainSpan, Gap, GapReason
from agent.wire.senml import Row
from agent.wire.spans import Spans

log = logging.getLogger(__name__)

_AGAIN_MS = 60_000
"""Pause before a disk that could not be read is read once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is to be told of one stream: rows to seal again with the damage around them, and further gaps."""

    stream: Stream
    left: tuple[recovery.Left, ...]
    gaps: tuple[Gap, ...]


class Mender:
    """Notes what turns out, and then reads the disk once more as a start does."""

    def __init__(self, index: Index, shelf: Shelf, opener: Opener) -> None:
        self._index = index
        self._shelf = shelf
        self._opener = opener
        self._forgotten: dict[ChainKey, Settled] = {}
        self._not_before_ms = 0

    @property
    def has_news(self) -> bool:
        """True while something is to be told."""
        return self._shelf.has_damage or bool(self._forgotten)

    def heard(self, ack: Ack, settled: Mapping[ChainKey, int]) -> None:
        """Note chains of which the center forgot what is not here, either.

        Args:
            ack: What the center says.
            settled: How far each chain was settled before.
        """
        for item in ack.settled if ack.answers_hello else ():
            key = (item.run, item.stream)
            if key in self._index.chains and (item.n < settled.get(key, 0) or _holes(self._index, item, Spans())):
                self._forgotten[key] = item

    def found(self, boot_ms: int, waiting: Mapping[ChainKey, Spans]) -> list[Found]:
        """Return what is to be told now; where the disk cannot be read, that is tried again later.

        Args:
            boot_ms: Now.
            waiting: Rows that will be sealed in any case.
        """
        if boot_ms < self._not_before_ms:
            return []
        fresh = Index()
        try:
            for segment in self._index.segments:
                fresh.load(segment.name, self._opener.read(segment.name))
        except OSError as error:
            log.warning("damage not looked at yet: error=%s", error.strerror)
            self._not_before_ms = boot_ms + _AGAIN_MS
            return []
        for chain in self._index.chains.values():
            fresh.reach(chain)
        forgotten, self._forgotten = self._forgotten, {}
        self._shelf.has_damage = False
        return [self._of(stream, fresh, forgotten, waiting) for stream in Stream]

    def _of(
        self,
        stream: Stream,
        fresh: Index,
        forgotten: Mapping[ChainKey, Settled],
        waiting: Mapping[ChainKey, Spans],
    ) -> Found:
        left = recovery.left(fresh, stream, waiting)
        named = {one.chain.key: Spans(one.lost_batches) for one in left}
        gaps = [
            gap
            for key, item in forgotten.items()
            if key[1] is stream
            for gap in self._forgotten_gaps(fresh, item, named.get(key, Spans()))
        ]
        return Found(stream=stream, left=tuple(left), gaps=tuple(gaps))

    def _forgotten_gaps(self, fresh: Index, item: Settled, named: Spans) -> list[Gap]:
        """Return the gaps for what neither the center nor the disk has; gap records that left name nothing any more."""
        key: ChainKey = (item.run, item.stream)
        if key not in fresh.chains or self._shelf.hash(key, item.n) not in {None, item.hash}:
            return []
        gap = GapBuilder(self._index, self._shelf, reason=GapReason.CENTER_RESTORED)
        gap.known = {(key, item.n): item.hash, **{(key, one.last): one.hash for one in item.ranges}}
        for first, last in _holes(fresh, item, named):
            gap.lose(key, first, last)
        return gap.build()


def _holes(index: Index, item: Settled, named: Spans) -> list[tuple[int, int]]:
    key = (item.run, item.stream)
    chain = index.chains[key]
    ranges = ((one.first, one.last) for one in item.ranges)
    return Spans([*index.held(key), *chain.gone, *named, *ranges]).missing(item.n + 1, chain.end.n)


def too_large(stored: Stored) -> tuple[Numbered, Gap]:
    """Return the rows of a batch that is too large for the way, and the gap that names it."""
    header, ref = batch.peek(stored.message), stored.ref
    node, plain = f"{header.city}/{header.node}", batch.plain_of(stored.message)
    rows = senml.unpack(plain, node=node, at_boot_ms=header.at_boot_ms, at_utc_ms=header.at_utc_ms)
    rows.sort(key=_boot_ms)
    given = Numbered(origin=header.origin or header.run, boot=header.boot, seq0=header.seq0, rows=rows)
    span = ChainSpan(run=ref.run, first=ref.n, last=ref.n, prev=header.prev, hash=stored.hash)
    return given, Gap(chains=(span,), rows=(), from_utc_ms=None, to_utc_ms=None, reason=GapReason.TOO_LARGE)


def _boot_ms(row: Row) -> int:
    return row.boot_ms
