"""The spool: numbers rows, seals them, keeps both on disk until the center has them. Confined to one thread.

A run's chain of a stream begins when its first row waits: the start record is synced, then rows that earlier runs
left unsealed are taken over, then the row itself is written.
"""

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.errors import SpoolError
from agent.seal import Limits, Moment, Sealed, Sealer, cut
from agent.spool import frames, recovery, retention
from agent.spool.chains import Chain, ChainKey, Segment
from agent.spool.disk import Disk
from agent.spool.frames import Head, Mark, Name
from agent.spool.index import Index
from agent.spool.settle import Settling, settle
from agent.spool.shelf import Ref, Shelf, Stored
from agent.spool.tail import Piece, Tail
from agent.sync import Held
from agent.wire.ack import Ack
from agent.wire.batch import Kind, Stream
from agent.wire.bodies import End, Gap, Previous, Start
from agent.wire.senml import Row
from agent.wire.spans import Spans

log = logging.getLogger(__name__)

_READ_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Bounds of the spool, in bytes."""

    alarm_cap: int = 16 * 2**20
    telemetry_cap: int = 64 * 2**20
    free_disk: int = 64 * 2**20
    segment: int = 2**20
    limits: Limits = field(default_factory=Limits)

    def cap(self, stream: Stream) -> int:
        """Return the most bytes a stream may take."""
        return self.alarm_cap if stream is Stream.ALARM else self.telemetry_cap

    def segment_bytes(self, stream: Stream) -> int:
        """Return the size at which a segment is left: small beside the cap, so that room is made in small steps."""
        return min(self.segment, self.cap(stream) // 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a start record says of this process."""

    version: str = ""
    slot: str = ""
    config_hash: str = ""
    config: str = ""
    restarts: int | None = None


@dataclass(slots=True)
class _Open:
    """One stream of this run.

    Attributes:
        tail: Where its frames go.
        chain: Where it stands on disk.
        end: Where it stands behind all that is in line.
        unsealed: Rows that no batch holds, numbered from ``end.seq + 1``.
        written: Highest seq in a ROWS frame or a batch, on disk or in line.
        origins: Chains whose rows were taken over by what is in line.
        leaving: Segments to remove once all that is in line is synced.
        naming: True while a gap is in line.
    """

    tail: Tail
    chain: Chain
    end: End = field(default_factory=End)
    unsealed: list[Row] = field(default_factory=list)
    written: int = 0
    origins: list[Chain] = field(default_factory=list)
    leaving: list[Segment] = field(default_factory=list)
    naming: bool = False


class Spool:
    """One spool for one run.

    Raises:
        SpoolError: from ``commit``, ``record`` and ``close`` when the disk refuses; all that was given stays in line
            and is written next time.
    """

    def __init__(self, disk: Disk, sealer: Sealer, settings: Settings, facts: Facts) -> None:
        self._disk = disk
        self._sealer = sealer
        self._settings = settings
        self._facts = facts
        self._index = Index()
        self._shelf = Shelf(disk, self._index)
        self._open: dict[Stream, _Open] = {}
        self._previous: Previous | None = None
        self._left: dict[Stream, list[recovery.Left]] = {}
        self._marks: dict[ChainKey, Mark] = {}
        self._ready: list[Ref] = []
        self._full: set[Stream] = set()

    # -- opening and closing ----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Read what is there. Never needs a person: bad bytes are cut or stepped over.

        Raises:
            SpoolError: the folder itself cannot be used.
        """
        for name in self._disk.prepare():
            self._load(name)
        for segment in [one for one in self._index.segments if one.hollow]:
            if sum(other.key == segment.key for other in self._index.segments) == 1:
                self._remove(segment)  # a run that ended before its start was synced leaves nothing
        self._previous = recovery.previous(self._index, self._shelf.header)
        self._left = {stream: recovery.left(self._index, stream) for stream in Stream}

    def _load(self, name: Name) -> None:
        data: bytes | None = None
        try:
            data = self._read(name)
            end = self._index.load(name, data)
            if end < len(data):
                self._disk.cut(name, end)
        except OSError as error:
            log.warning("segment %s: segment=%s error=%s", "unreadable" if data is None else "not cut", name, error)
            if data is None:
                self._index.damaged += 1
                self._index.counter = max(self._index.counter, name.counter)

    def _read(self, name: Name) -> bytes:
        """Return a segment; a card may fail once and then read well. Raises OSError."""
        for _ in range(_READ_TRIES - 1):
            with contextlib.suppress(OSError):
                return self._disk.read(name)
        return self._disk.read(name)

    def close(self, moment: Moment) -> None:
        """Seal what waits and say that this run ended cleanly. Raises SpoolError."""
        for here in self._open.values():
            if here.unsealed:
                self._seal(here, moment, everything=True)
            here.tail.append(Piece(data=frames.encode_end(here.end)))
        try:
            self._flush(moment)
        finally:
            for here in self._open.values():
                here.tail.give_up()

    # -- taking -----------------------------------------------------------------------------------------------------

    def commit(
        self, rows: dict[Stream, Sequence[Row]], *, moment: Moment, seal: frozenset[Stream] = frozenset()
    ) -> list[Ref]:
        """Number rows and make them durable, as a rule by one sync per stream; seal where told or once a batch is full.

        Args:
            rows: New rows per stream, in order.
            moment: Now, at or after every row.
            seal: Streams to seal now, an empty batch where nothing waits.

        Returns:
            The batches that may be sent from now on, those of failed commits before it included.

        Raises:
            SpoolError: the disk refuses. The rows of both streams count as given: they are in line, and the same bytes
                are written at the next commit.
        """
        for stream in Stream:
            new = rows.get(stream, ())
            if new or stream in seal or self._left.get(stream):
                here = self._begin(stream, moment)
                before = here.end.n
                self._take(here, new, moment)
                if stream in seal and (here.unsealed or here.end.n == before):
                    self._seal(here, moment, everything=True)
                self._write_rows(here)
        return self._flush(moment)

    def record(self, kind: Kind, body: bytes, stream: Stream, moment: Moment) -> list[Ref]:
        """Seal one record that is no reading, behind the rows that wait, and make it durable.

        Raises:
            SpoolError: the disk refuses; the record is in line.
        """
        here = self._begin(stream, moment)
        if here.unsealed:
            self._seal(here, moment, everything=True)
        self._record(here, kind, body, moment)
        return self._flush(moment)

    def ready(self) -> list[Ref]:
        """Return batches that were synced by a commit that then failed; they may be sent."""
        done, self._ready = self._ready, []
        return done

    def _begin(self, stream: Stream, moment: Moment) -> _Open:
        """Put the start record of a stream in line, once, and behind it what earlier runs left."""
        if stream in self._open:
            return self._open[stream]
        chain = Chain(run=self._sealer.run, stream=stream, boot=moment.boot, live=True)
        segment_bytes = self._settings.segment_bytes(stream)
        tail = Tail(self._disk, self._index, run=chain.run, stream=stream, segment_bytes=segment_bytes)
        here = _Open(tail=tail, chain=chain)
        start = Start(
            previous=self._previous,
            taken_over=tuple(span for one in self._left.get(stream, []) for span in one.spans),
            torn_bytes=self._index.torn_bytes,
            damaged_frames=self._index.damaged,
            restarts=self._facts.restarts,
            version=self._facts.version,
            slot=self._facts.slot,
            config_hash=self._facts.config_hash,
            config=self._facts.config if self._facts.config_hash != self._index.config_hash else None,
        )
        self._index.config_hash = self._facts.config_hash
        self._index.chains[chain.key] = chain
        self._open[stream] = here
        self._record(here, Kind.START, start.encode(), moment, alone=True)
        for one in self._left.pop(stream, []):
            self._take_over(one, here, moment)
        return here

    def _take_over(self, one: recovery.Left, here: _Open, moment: Moment) -> None:
        origin = one.chain
        sealed = Spans()
        for seq0, rows in recovery.rows(one, self._shelf.rows):
            at = seq0
            for piece in cut(rows, self._settings.limits):
                self._append(
                    here,
                    self._sealer.taken_over(
                        piece, seq0=at, origin=origin.run, boot=origin.boot, stream=here.chain.stream, end=here.end
                    ),
                )
                at += len(piece)
            sealed.add(seq0, at - 1)
        here.origins.append(origin)
        self._record_gaps(here, recovery.gaps(one, sealed, self._index, self._shelf), moment)

    def _record_gaps(self, here: _Open, gaps: list[Gap], moment: Moment) -> None:
        for gap in gaps:
            here.naming = True
            self._record(here, Kind.GAP, gap.encode(), moment)
            self._index.note_gap(here.chain.stream, gap)
            for span in gap.chains:
                if (chain := self._index.chains.get((span.run, here.chain.stream))) is not None:
                    chain.gone.add(span.first, span.last)

    def _take(self, here: _Open, rows: Sequence[Row], moment: Moment) -> None:
        """Number rows and seal full batches; very many rows are written in steps, and so is room made for them."""
        step = self._settings.limits.rows
        for at in range(0, len(rows), step):
            here.unsealed += rows[at : at + step]
            self._seal(here, moment, everything=False)
            if here.tail.waiting_bytes > self._settings.segment_bytes(here.chain.stream) // 2 and not here.tail.refused:
                with contextlib.suppress(SpoolError):  # it stays in line, and the flush at the end says so
                    self._flush_stream(here, moment)

    def _seal(self, here: _Open, moment: Moment, *, everything: bool) -> None:
        limits = self._settings.limits
        pieces = cut(here.unsealed, limits)
        if not everything and pieces and len(pieces[-1]) < limits.rows:
            pieces.pop()
        if everything and not pieces and not here.tail.refused:
            pieces = [()]
        for piece in pieces:
            self._append(here, self._sealer.readings(piece, stream=here.chain.stream, end=here.end, moment=moment))
        del here.unsealed[: sum(len(piece) for piece in pieces)]
        here.written = max(here.written, here.end.seq)

    def _write_rows(self, here: _Open) -> None:
        """Put rows that no batch holds yet into a ROWS frame."""
        numbered = here.end.seq + len(here.unsealed)
        if numbered > here.written:
            rows = here.unsealed[here.written - numbered :]
            here.tail.append(Piece(data=frames.encode_rows(here.written + 1, rows), rows_to=numbered))
            here.written = numbered

    def _record(self, here: _Open, kind: Kind, body: bytes, moment: Moment, *, alone: bool = False) -> None:
        sealed = self._sealer.record(kind, body, stream=here.chain.stream, end=here.end, moment=moment)
        self._append(here, sealed, alone=alone)

    def _append(self, here: _Open, sealed: Sealed, *, alone: bool = False) -> None:
        facts = frames.BatchFacts(
            n=sealed.end.n, seq0=sealed.seq0, count=sealed.count, kind=sealed.kind, origin=sealed.origin
        )
        here.tail.append(Piece(data=frames.encode_batch(facts, sealed.message), end=sealed.end, alone=alone))
        here.end = sealed.end

    # -- writing ----------------------------------------------------------------------------------------------------

    def _flush(self, moment: Moment) -> list[Ref]:
        """Write all that is in line of both streams; one that the disk refuses does not hold up the other."""
        failed: SpoolError | None = None
        for stream in Stream:
            if stream in self._open:
                try:
                    self._flush_stream(self._open[stream], moment)
                except SpoolError as error:
                    failed = error
        if failed is not None:
            raise failed
        return self.ready()

    def _flush_stream(self, here: _Open, moment: Moment) -> None:
        chain = here.chain
        for key in [key for key in self._marks if key[1] is chain.stream or len(self._open) == 1]:
            here.tail.append(Piece(data=frames.encode_mark(self._marks.pop(key))))
        if here.tail.waiting_bytes and not here.leaving:
            self._make_room(here, moment)
        while here.tail.waiting_bytes:
            for piece in here.tail.flush(lambda: self._head(here, moment), seq0=chain.taken + 1):
                if piece.end is not None:
                    chain.end = piece.end
                    self._ready.append(Ref(run=chain.run, stream=chain.stream, n=piece.end.n))
                chain.taken = max(chain.taken, piece.rows_to, chain.end.seq)
        for origin in here.origins:
            origin.unsealed.clear()
        here.origins.clear()
        for segment in here.leaving:
            self._remove(segment)
        here.leaving = []
        here.naming = False

    def _head(self, here: _Open, moment: Moment) -> Head:
        return Head(
            node=f"{self._sealer.city}/{self._sealer.node}",
            boot=moment.boot,
            end=here.chain.end,
            at_boot_ms=moment.boot_ms,
            at_utc_ms=moment.utc_ms,
        )

    def _make_room(self, here: _Open, moment: Moment) -> None:
        """Choose segments to remove once what waits is synced; copies and the gap join what waits.

        A segment is kept free for what waits and one for copies and the gap, so a cap holds at every moment.
        """
        stream = here.chain.stream
        segment_bytes = self._settings.segment_bytes(stream)
        used = sum(segment.size_bytes for segment in self._index.of(stream))
        short = used + here.tail.waiting_bytes + 2 * segment_bytes - self._settings.cap(stream)
        if stream is not Stream.ALARM:  # the floor is there for alarms, among others: they do not leave for it
            short = max(short, self._settings.free_disk - self._shelf.free_bytes(self._settings.free_disk))
        if short <= 0:
            return
        leaving = retention.plan(self._index, self._shelf, stream, short, segment_bytes // 2)
        if here.naming:  # a gap in line may be all that names what they hold
            here.leaving += leaving.free
        else:
            for segment in leaving.free:
                self._remove(segment)
        for piece in leaving.copies:
            here.tail.append(piece)
        self._record_gaps(here, leaving.gaps, moment)
        if leaving.gaps and stream not in self._full:
            rows = sum(span.last - span.first + 1 for gap in leaving.gaps for span in gap.rows)
            log.warning("spool full, oldest readings leave: stream=%s rows=%d", stream.name.lower(), rows)
            self._full.add(stream)
        here.leaving += leaving.segments

    def _remove(self, segment: Segment) -> None:
        try:
            self._disk.remove(segment.name)
        except OSError as error:
            log.warning("segment stays: segment=%s error=%s", segment.name, error.strerror)
            return
        self._index.drop(segment)

    # -- giving -----------------------------------------------------------------------------------------------------

    def held(self) -> list[Held]:
        """Return every chain with a batch on disk, oldest first."""
        return self._shelf.held()

    def read(self, ref: Ref) -> Stored | None:
        """Return a batch after checking it once more; None when it is not here or its bytes have gone bad."""
        return self._shelf.read(ref)

    def settle(self, ack: Ack) -> Settling:
        """Take an ack whose signature and nonce hold; its mark goes to disk with the next rows."""
        found = settle(self._index, ack, self._shelf.hash)
        for progress in found.progress:
            run, stream = progress.key
            self._full.discard(stream)
            self._marks[progress.key] = Mark(run=run, stream=stream, n=progress.n, ranges=progress.ranges)
        return found
