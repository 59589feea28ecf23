"""What the spool holds, as its frames tell it. Pure: bytes of segments in, chains out.

Memory matters more than speed here: a batch costs four bytes (its offset); everything else is read when it is needed.
"""

import contextlib
from collections.abc import Iterator, Sequence

from agent.spool import frames
from agent.spool.chains import NOWHERE, Chain, ChainKey, Segment
from agent.spool.frames import BatchFacts, Frame, FrameKind, Head, Mark, Name
from agent.wire import batch
from agent.wire.batch import ID_BYTES, NO_HASH, Kind, Stream
from agent.wire.bodies import End, Gap, GapReason, Span, Start, decode_gap, decode_start
from agent.wire.spans import Spans

_NO_BOOT = bytes(ID_BYTES)
FULL = "full"
"""Reason of a gap: the oldest readings left to make room."""


class Index:
    """All segments and chains of a spool, oldest first.

    Attributes:
        full_gaps: The newest gap of each stream that tells what left because the spool was full.
        counter: Highest counter of any segment that was ever seen.
        elsewhere: seq that batches or gaps here stand for, of runs that have nothing else here.
    """

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.chains: dict[ChainKey, Chain] = {}
        self.torn_bytes = 0
        self.damaged = 0
        self.config_hash = ""
        self.counter = 0
        self.elsewhere: dict[ChainKey, Spans] = {}
        self.full_gaps: dict[Stream, Gap] = {}
        self._marks: dict[ChainKey, Mark] = {}

    # -- reading what is there --------------------------------------------------------------------------------------

    def load(self, name: Name, data: bytes) -> int:
        """Take a segment in; return its length without a torn tail, in bytes."""
        scan = frames.scan(name, data)
        self.counter = max(self.counter, name.counter)
        self.torn_bytes += scan.torn_bytes
        self.damaged += scan.damaged
        known = self.chains.get((name.run, name.stream))
        head = _head(scan.frames)
        segment = Segment(name=name, head=head or _guess_head(name, scan.frames, known), size_bytes=scan.end)
        segment.hollow = all(frame.kind == FrameKind.HEAD for frame in scan.frames)
        self.segments.append(segment)
        chain = known or self._new_chain(segment.key, segment.head.boot, End() if head is None else head.end)
        chain.clean = False
        chain.taken = max(chain.taken, name.seq0 - 1)
        if head is not None:
            chain.boot, chain.at_boot_ms, chain.at_utc_ms = head.boot, head.at_boot_ms, head.at_utc_ms
            chain.taken = max(chain.taken, head.end.seq)
            if head.end.n > chain.end.n:
                chain.end = head.end
        elif chain.boot == _NO_BOOT:
            chain.boot = segment.head.boot
        newest: tuple[int, Frame] | None = None
        for frame in scan.frames:
            try:
                if self._take(chain, segment, frame):
                    newest = chain.end.n, frame
            except frames.FOREIGN:
                self.damaged += 1
        if newest is not None and newest[0] == chain.end.n:  # only the last one is worth the hashing
            with contextlib.suppress(*frames.FOREIGN):
                sign1, _ = batch.split(frames.message_of(newest[1]))
                chain.end = End(n=chain.end.n, hash=batch.hash_of(sign1), seq=chain.end.seq)
        return scan.end

    def _new_chain(self, key: ChainKey, boot: bytes, end: End) -> Chain:
        chain = Chain(run=key[0], stream=key[1], boot=boot, end=end, taken=end.seq, base=end)
        chain.covered = self.elsewhere.pop(key, chain.covered)
        self.chains[key] = chain
        if key in self._marks:
            chain.apply(self._marks.pop(key))
        return chain

    def _take(self, chain: Chain, segment: Segment, frame: Frame) -> bool:
        """Take a frame in; True when it is the newest batch of its chain so far."""
        if frame.kind == FrameKind.BATCH:
            return self._take_batch(chain, segment, frame)
        if frame.kind == FrameKind.COPY:
            self._take_copy(segment, frame)
        elif frame.kind == FrameKind.ROWS:
            seq0, count = frames.rows_span(frame.body)
            chain.unsealed.append((seq0, count, segment, frame.offset))
            segment.rows_to = max(segment.rows_to, seq0 + count - 1)
            chain.taken = max(chain.taken, seq0 + count - 1)
        elif frame.kind == FrameKind.MARK:
            self.mark(frames.decode_mark(frame.body))
        elif frame.kind == FrameKind.END:
            chain.clean = True
            self._reach(chain, frames.decode_end(frame.body))
        return False

    def _take_batch(self, chain: Chain, segment: Segment, frame: Frame) -> bool:
        facts = frames.batch_facts(frame.body)
        segment.put(facts.n, frame.offset)
        newest = facts.n > chain.end.n
        if newest:
            seq = chain.end.seq
            if facts.kind is Kind.READINGS and facts.origin is None:
                seq = max(seq, facts.seq0 + facts.count - 1)
            chain.end = End(n=facts.n, hash=NO_HASH, seq=seq)
            chain.taken = max(chain.taken, seq)
        self._cover(chain.key, facts)
        if facts.kind in (Kind.START, Kind.GAP):
            chain.promised += self._take_record(facts.kind, chain.stream, batch.plain_of(frames.message_of(frame)))
        return newest

    def _take_copy(self, segment: Segment, frame: Frame) -> None:
        message = frames.message_of(frame)
        header = batch.peek(message)
        segment.copies[header.run, header.stream, header.n] = frame.offset
        key = (header.run, header.stream)
        seq = 0 if header.origin is not None else header.seq0 + header.count - 1
        end = End(n=header.n, hash=batch.hash_of(batch.split(message)[0]), seq=seq)
        chain = self.chains.get(key) or self._new_chain(key, header.boot, end)
        if (
            end.n > chain.end.n
        ):  # a chain of which nothing but copies is left ends, for this disk, with the last of them
            chain.end = chain.base = End(n=end.n, hash=end.hash, seq=max(seq, chain.end.seq))
            chain.taken = max(chain.taken, seq)
        self._cover(key, frames.batch_facts(frame.body))
        if header.kind in (Kind.START, Kind.GAP):
            chain.promised += self._take_record(header.kind, header.stream, batch.plain_of(message))

    def _take_record(self, kind: Kind, stream: Stream, plain: bytes) -> tuple[Span, ...]:
        """Take a start or a gap in; return the rows that nothing would name if the record were lost."""
        if kind is Kind.START:
            return self._take_start(decode_start(plain), stream).taken_over
        gap = decode_gap(plain)
        self.note_gap(stream, gap)
        for rows in gap.rows:
            self._cover_rows((rows.origin, stream), rows.first, rows.last)
        for span in gap.chains:
            if (chain := self.chains.get((span.run, stream))) is not None:
                chain.gone.add(span.first, span.last)
        return gap.rows if gap.reason == GapReason.DAMAGED else ()

    def note_gap(self, stream: Stream, gap: Gap) -> None:
        """Note the newest gap that tells what left a full spool; it repeats those before it."""
        known = self.full_gaps.get(stream)
        if gap.reason == FULL and (known is None or not contains(known, gap)):
            self.full_gaps[stream] = gap

    def _take_start(self, start: Start, stream: Stream) -> Start:
        """Learn from a start how the run before it ended: what its own segments no longer show is lost, and known."""
        self.config_hash = start.config_hash
        for span in start.taken_over:
            if (chain := self.chains.get((span.origin, stream))) is not None:
                chain.taken = max(chain.taken, span.last)
        if start.previous is not None:
            for its, end in ((Stream.ALARM, start.previous.alarm), (Stream.TELEMETRY, start.previous.telemetry)):
                if (chain := self.chains.get((start.previous.run, its))) is not None:
                    self._reach(chain, end)
        return start

    def _reach(self, chain: Chain, end: End) -> None:
        """Note how far a chain went; what of it cannot be read is then known to be lost."""
        chain.taken = max(chain.taken, end.seq)
        if end.n > chain.end.n:
            chain.end = End(n=end.n, hash=end.hash, seq=chain.end.seq)

    def reach(self, theirs: Chain) -> None:
        """Note what another index knows of a chain: how far it went, and what the center has."""
        if (chain := self.chains.get(theirs.key)) is not None:
            chain.apply(theirs.mark())
            self._reach(chain, End(n=theirs.end.n, hash=theirs.end.hash, seq=theirs.taken))

    def _cover(self, key: ChainKey, facts: BatchFacts) -> None:
        if facts.count:
            self._cover_rows((facts.origin or key[0], key[1]), facts.seq0, facts.seq0 + facts.count - 1)

    def _cover_rows(self, key: ChainKey, first: int, last: int) -> None:
        chain = self.chains.get(key)
        if chain is None:
            self.elsewhere.setdefault(key, Spans()).add(first, last)
            return
        chain.covered.add(first, last)
        chain.taken = max(chain.taken, last)
        if len(chain.unsealed) >= chain.trim_at:
            chain.trim()

    def cover(self, key: ChainKey, facts: BatchFacts) -> None:
        """Note that a batch stands for rows, and forget where these stand by themselves."""
        self._cover(key, facts)
        if (chain := self.chains.get((facts.origin or key[0], key[1]))) is not None:
            chain.trim()

    def adopt(self, theirs: Chain) -> Chain:
        """Know a chain whose batches are copied here from elsewhere."""
        chain = self.chains.get(theirs.key) or self._new_chain(theirs.key, theirs.boot, theirs.end)
        chain.end = chain.base = theirs.end
        chain.taken, chain.gone, chain.live = theirs.taken, theirs.gone, True
        chain.promised = theirs.promised
        return chain

    def mark(self, mark: Mark) -> None:
        """Note what the center has settled."""
        chain = self.chains.get((mark.run, mark.stream))
        if chain is None:
            self._marks[mark.run, mark.stream] = mark
        else:
            chain.apply(mark)

    # -- finding ----------------------------------------------------------------------------------------------------

    def of(self, stream: Stream) -> Iterator[Segment]:
        """Yield the segments of a stream, oldest first."""
        return (segment for segment in self.segments if segment.name.stream is stream)

    def bytes_of(self, stream: Stream) -> int:
        """Return the bytes that a stream takes."""
        return sum(segment.size_bytes for segment in self.of(stream))

    def where(self, key: ChainKey, n: int) -> Iterator[tuple[Segment, int]]:
        """Yield the segments and offsets of a batch, the newest place first."""
        for segment in reversed(self.segments):
            if segment.key == key and (offset := segment.find(n)) is not None:
                yield segment, offset
            if offset := segment.copies.get((*key, n), NOWHERE):
                yield segment, offset

    def held(self, key: ChainKey) -> Spans:
        """Return the n of a chain that are on disk."""
        found = Spans()
        for segment in self.segments:
            if segment.key == key:
                if NOWHERE not in segment.offsets:
                    found.add(segment.first_n, segment.last_n)
                else:
                    for at, offset in enumerate(segment.offsets):
                        if offset:
                            found.add(segment.first_n + at, segment.first_n + at)
            for (run, stream, n), offset in segment.copies.items():
                if (run, stream) == key and offset:
                    found.add(n, n)
        return found

    def drop(self, segment: Segment) -> None:
        """Forget a segment, and chains that have nothing left."""
        self.segments.remove(segment)
        for key in {segment.key, *(copy[:2] for copy in segment.copies)}:
            chain = self.chains.get(key)
            rest = [other for other in self.segments if other.key == key]
            if chain is None or chain.live:
                continue
            if rest:
                chain.base = rest[0].head.end
            elif not any(key == copy[:2] for other in self.segments for copy in other.copies):
                del self.chains[key]

    def newest_run(self) -> bytes | None:
        """Return the run of the newest segment whose chain has begun; a start that was never synced began nothing."""
        begun = (segment.name.run for segment in reversed(self.segments) if self.chains[segment.key].end.n)
        return next(begun, None)


def contains(gap: Gap, other: Gap) -> bool:
    """Tell whether a gap names all that another one names."""
    chains: dict[bytes, Spans] = {}
    rows: dict[bytes, Spans] = {}
    for chain in gap.chains:
        chains.setdefault(chain.run, Spans()).add(chain.first, chain.last)
    for row in gap.rows:
        rows.setdefault(row.origin, Spans()).add(row.first, row.last)
    none = Spans()
    return not any(chains.get(one.run, none).missing(one.first, one.last) for one in other.chains) and not any(
        rows.get(one.origin, none).missing(one.first, one.last) for one in other.rows
    )


def _head(found: Sequence[Frame]) -> Head | None:
    try:
        return next((frames.decode_head(frame.body) for frame in found if frame.kind == FrameKind.HEAD), None)
    except frames.FOREIGN:
        return None


def _guess_head(name: Name, found: Sequence[Frame], chain: Chain | None) -> Head:
    """Rebuild a damaged head from the first batch behind it."""
    seq = max(name.seq0 - 1, 0)
    for frame in found:
        if frame.kind == FrameKind.BATCH:
            try:
                header = batch.peek(frames.message_of(frame))
            except frames.FOREIGN:
                continue
            boot = header.boot if header.origin is None else _NO_BOOT
            end = End(n=header.n - 1, hash=header.prev, seq=seq)
            return Head(node=f"{header.city}/{header.node}", boot=boot, end=end, at_boot_ms=0, at_utc_ms=None)
    end = End() if chain is None else chain.end
    return Head(node="", boot=_NO_BOOT, end=end, at_boot_ms=0, at_utc_ms=None)
