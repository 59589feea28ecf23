"""What lies on disk, for reading: every batch is checked once more before it is handed out."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from agent.spool import frames
from agent.spool.chains import Chain, ChainKey, Segment
from agent.spool.disk import Medium
from agent.spool.index import Index
from agent.sync import Held
from agent.wire import batch
from agent.wire.batch import NO_HASH, Stream
from agent.wire.errors import WireError
from agent.wire.senml import Row
from agent.wire.spans import Spans

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """Name of a batch on this disk."""

    run: bytes
    stream: Stream
    n: int

    @property
    def key(self) -> ChainKey:
        """Its chain."""
        return self.run, self.stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A batch as it lies on disk."""

    ref: Ref
    message: bytes
    hash: bytes


class Shelf:
    """Reads what an index knows of.

    Attributes:
        has_damage: True once a batch was found bad that is not in a gap yet.
    """

    def __init__(self, disk: Medium, index: Index) -> None:
        self._disk = disk
        self._index = index
        self.has_damage = False
        self._unreadable: set[str] = set()

    def held(self) -> list[Held]:
        """Return every chain with a batch on disk, oldest first."""
        found: list[Held] = []
        for chain in self._index.chains.values():
            here = list(self._index.held(chain.key))
            if here:
                found.append(
                    Held(
                        run=chain.run,
                        stream=chain.stream,
                        first=here[0][0],
                        last=here[-1][1],
                        last_seq=chain.taken,
                        settled=chain.settled,
                        ranges=tuple(chain.ranges),
                        refused=frozenset(chain.refused).union(_named(chain, Spans(here))),
                    )
                )
        return found

    def read(self, ref: Ref) -> Stored | None:
        """Return a batch; None when it is not here, its bytes have gone bad, or the card cannot read it now."""
        for segment, offset in self._index.where(ref.key, ref.n):
            try:
                frame = self._frame(segment, offset)
                if frame is not None:
                    message = frames.message_of(frame)
                    return Stored(ref=ref, message=message, hash=batch.hash_of(batch.split(message)[0]))
            except OSError as error:
                self._say_unreadable(segment, error)
                continue
            except WireError:
                pass
            segment.forget(ref.key, ref.n)
            self.has_damage = True
            log.warning("batch damaged on disk: run=%s stream=%s n=%d", ref.run.hex(), ref.stream.name.lower(), ref.n)
        return None

    def batches(self, run: bytes) -> Iterator[tuple[Ref, frames.BatchFacts, bytes]]:
        """Yield the batches of a run that are here and can be read, each with its message, in order."""
        for stream in Stream:
            for first, last in self._index.held((run, stream)):
                for n in range(first, last + 1):
                    found = (self.frame(*place) for place in self._index.where((run, stream), n))
                    frame = next((one for one in found if one is not None), None)
                    if frame is not None:
                        ref = Ref(run=run, stream=stream, n=n)
                        yield ref, frames.batch_facts(frame.body), frames.message_of(frame)

    def sealed_rows(self, run: bytes) -> dict[ChainKey, Spans]:
        """Return the rows that the batches of a run hold, per origin."""
        found: dict[ChainKey, Spans] = {}
        for ref, facts, _ in self.batches(run):
            rows = found.setdefault((facts.origin or run, ref.stream), Spans())
            rows.add(facts.seq0, facts.seq0 + facts.count - 1)
        return found

    def hash(self, key: ChainKey, n: int) -> bytes | None:
        """Return the hash of a batch of which the disk knows: from itself, the batch behind it, a head or the end."""
        if n == 0:
            return NO_HASH
        found = self.read(Ref(run=key[0], stream=key[1], n=n))
        if found is not None:
            return found.hash
        behind = self.header(key, n + 1)
        if behind is not None:
            return behind.prev
        ends = [segment.head.end for segment in self._index.segments if segment.key == key]
        if key in self._index.chains:
            ends.append(self._index.chains[key].end)
        return next((end.hash for end in ends if end.n == n and end.hash != NO_HASH), None)

    def header(self, key: ChainKey, n: int) -> batch.Header | None:
        """Return the header of a batch that is here."""
        found = self.read(Ref(run=key[0], stream=key[1], n=n))
        with contextlib.suppress(WireError):
            return None if found is None else batch.peek(found.message)
        return None

    def rows(self, segment: Segment, offset: int) -> list[Row]:
        """Return the rows of a ROWS frame; none when its bytes have gone bad."""
        frame = self.frame(segment, offset)
        return [] if frame is None else frames.decode_rows(frame.body)[1]

    def frame(self, segment: Segment, offset: int) -> frames.Frame | None:
        """Return the frame at an offset; None when its bytes have gone bad or cannot be read."""
        try:
            return self._frame(segment, offset)
        except OSError as error:
            self._say_unreadable(segment, error)
            return None

    def _say_unreadable(self, segment: Segment, error: OSError) -> None:
        if str(segment.name) not in self._unreadable:
            log.warning("segment unreadable: segment=%s error=%s", segment.name, error.strerror)
            self._unreadable.add(str(segment.name))

    def _frame(self, segment: Segment, offset: int) -> frames.Frame | None:
        size = frames.length_at(self._disk.read_at(segment.name, offset, frames.HEADER_BYTES))
        return frames.frame_at(segment.name, self._disk.read_at(segment.name, offset, size)) if size else None

    def size(self, segment: Segment, offset: int) -> int:
        """Return the size of the frame at an offset, in bytes; 0 when it cannot be read."""
        try:
            return frames.length_at(self._disk.read_at(segment.name, offset, frames.HEADER_BYTES))
        except OSError:
            return 0

    def free_bytes(self, otherwise: int) -> int:
        """Return the free bytes of the disk, or ``otherwise`` when it does not say."""
        try:
            return self._disk.free_bytes()
        except OSError:
            return otherwise


def _named(chain: Chain, here: Spans) -> Iterator[int]:
    """Yield the n that are here although a gap names them: they need not leave."""
    elsewhere = here.missing(1, chain.end.n)
    for first, last in chain.gone:
        for low, high in Spans(elsewhere).missing(first, last):
            yield from range(low, high + 1)
