"""The spool: numbers rows, seals them, keeps both on disk until the center has them. Confined to one thread.

A run's chain of a stream begins when its first row waits: the start record is synced, then rows that earlier runs
left unsealed are taken over, then the row itself is written.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.errors import SpoolError
from agent.seal import Limits, Moment, Sealer
from agent.spool import frames, mending, recovery
from agent.spool.chains import Chain, ChainKey
from agent.spool.disk import Medium
from agent.spool.frames import BatchFacts, Head, Mark
from agent.spool.index import Index
from agent.spool.mending import Mender
from agent.spool.opening import Opener
from agent.spool.room import Room, Settings
from agent.spool.settle import Settling, settle
from agent.spool.shelf import Ref, Shelf, Stored
from agent.spool.stream import Handed, OpenStream
from agent.spool.tail import Piece, Tail
from agent.sync import Held
from agent.wire.ack import Ack
from agent.wire.batch import Header, Kind, Stream
from agent.wire.bodies import Previous, Start
from agent.wire.senml import Row
from agent.wire.spans import Spans

__all__ = ["Facts", "Settings", "Spool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a start record says of this process."""

    version: str = ""
    slot: str = ""
    config_hash: str = ""
    config: str = ""
    restarts: int | None = None


class Spool:
    """One spool for one run.

    Attributes:
        index: What it holds.

    Raises:
        SpoolError: from ``commit``, ``record`` and ``close`` when the disk refuses; all that was given stays in line
            and is written next time.
    """

    def __init__(
        self, disk: Medium, sealer: Sealer, settings: Settings, facts: Facts, *, volatile: bool = False
    ) -> None:
        self._disk = disk
        self._sealer = sealer
        self._settings = settings
        self._facts = facts
        self._volatile = volatile
        self.index = Index()
        self._shelf = Shelf(disk, self.index)
        self._opener = Opener(disk)
        self._mender = Mender(self.index, self._shelf, self._opener)
        self._room = Room(disk, self.index, self._shelf, settings)
        self._open: dict[Stream, OpenStream] = {}
        self._previous: Previous | None = None
        self._left: dict[Stream, list[recovery.Left]] = {}
        self._handed: dict[Stream, Handed] = {}
        self._marks: dict[ChainKey, Mark] = {}
        self._ready: list[Ref] = []
        self._limits = settings.limits

    # -- opening and closing ----------------------------------------------------------------------------------------

    def open(self, memory: "Spool | None" = None) -> None:
        """Read what is there. Never needs a person: bad bytes are cut or stepped over.

        Args:
            memory: What will be brought home: its batches stand for rows that lie here without one.

        Raises:
            SpoolError: the folder itself cannot be used.
        """
        self._opener.load(self.index)
        for segment in [one for one in self.index.segments if one.hollow]:
            if sum(other.key == segment.key for other in self.index.segments) == 1:
                self._room.remove(segment)  # a run that ended before its start was synced leaves nothing
        self._previous = recovery.previous(self.index, self._shelf.header)
        sealed = {} if memory is None else memory.sealed_rows()
        self._left = {stream: recovery.left(self.index, stream, sealed) for stream in Stream}

    def follow(self, before: "Spool") -> None:
        """Go on, instead of ``open``, in the place of a run whose disk refuses: what it could not keep is kept here."""
        self._previous = recovery.previous(before.index, before.header)
        self._handed = before.hand_over()

    def hand_over(self) -> dict[Stream, Handed]:
        """Write no more; return what is in line, and the durable rows without a batch. What is here is still given."""
        found: dict[Stream, Handed] = {}
        for stream in Stream:
            if stream in self._open:
                found[stream] = self._open.pop(stream).hand_over()
            else:
                left = self._left.pop(stream, [])
                rows = [given for one in left for given in recovery.rows(one, self._shelf.rows)]
                found[stream] = Handed(rows=tuple(rows))
        return found

    def close(self, moment: Moment) -> None:
        """Seal what waits and say that this run ended cleanly. Raises SpoolError."""
        for here in self._open.values():
            if here.unsealed:
                here.seal(moment, everything=True)
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
            SpoolError: the disk refuses. The rows of both streams count as given: they are in line, and the same frames
                are written at the next commit.
        """
        self._mend(moment)
        for stream in Stream:
            new = rows.get(stream, ())
            if new or stream in seal or self._left.get(stream) or self._handed.get(stream):
                here = self._begin(stream, moment)
                before = here.end.n
                self._take(here, new, moment)
                if stream in seal and (here.unsealed or here.end.n == before):
                    here.seal(moment, everything=True)
                if not self._volatile:
                    here.write_rows()
        return self._flush(moment)

    def record(self, kind: Kind, body: bytes, stream: Stream, moment: Moment) -> list[Ref]:
        """Seal one record that is no reading, behind the rows that wait, and make it durable.

        Raises:
            SpoolError: the disk refuses; the record is in line.
        """
        here = self._begin(stream, moment)
        if here.unsealed:
            here.seal(moment, everything=True)
        here.record(kind, body, moment)
        return self._flush(moment)

    def reseal(self, stored: Stored, moment: Moment) -> list[Ref]:
        """Seal the rows of a batch that is too large for the way once more, in smaller ones; a gap names the old one.

        Raises:
            SpoolError: the disk refuses; all is in line.
        """
        rows, gap = mending.too_large(stored)
        here = self._begin(stored.ref.stream, moment)
        here.take_over(rows)
        self._room.name(here, [gap], moment, lasting=True)
        return self._flush(moment)

    def limit(self, limits: Limits) -> None:
        """Seal no larger batches from now on."""
        self._limits = limits
        for here in self._open.values():
            here.limits = limits

    def ready(self) -> list[Ref]:
        """Return batches that were synced by a commit that then failed; they may be sent."""
        done, self._ready = self._ready, []
        return done

    def _begin(self, stream: Stream, moment: Moment) -> OpenStream:
        """Put the start record of a stream in line, once, and behind it what earlier runs left."""
        if stream in self._open:
            return self._open[stream]
        chain = Chain(run=self._sealer.run, stream=stream, boot=moment.boot, live=True)
        segment_bytes = self._settings.segment_bytes(stream)
        tail = Tail(self._disk, self.index, run=chain.run, stream=stream, segment_bytes=segment_bytes)
        here = OpenStream(tail, chain, self._sealer, self._limits)
        left, handed = self._left.pop(stream, []), self._handed.pop(stream, Handed())
        start = Start(
            previous=self._previous,
            taken_over=(*(span for one in left for span in one.spans), *(given.span for given in handed.rows)),
            torn_bytes=self.index.torn_bytes,
            damaged_frames=self.index.damaged,
            restarts=self._facts.restarts,
            version=self._facts.version,
            slot=self._facts.slot,
            config_hash=self._facts.config_hash,
            config=self._facts.config if self._facts.config_hash != self.index.config_hash else None,
            volatile=self._volatile,
        )
        self.index.config_hash = self._facts.config_hash
        self.index.chains[chain.key] = chain
        self._open[stream] = here
        here.record(Kind.START, start.encode(), moment, alone=True, lasting=False)
        for one in left:
            self._take_over(one, here, moment)
        for given in handed.rows:
            here.take_over(given)
        for kind, body in handed.records:
            here.record(kind, body, moment)
        return here

    def _mend(self, moment: Moment) -> None:
        """Tell what turned out to be damaged or forgotten, once nothing else waits; rows that survive are kept."""
        waits = any(self._left.values()) or any(here.tail.waiting_bytes for here in self._open.values())
        if waits or not self._mender.has_news:
            return
        waiting = {
            here.chain.key: Spans([(here.chain.end.seq + 1, here.end.seq + len(here.unsealed))])
            for here in self._open.values()
        }
        for found in self._mender.found(moment.boot_ms, waiting):
            if found.left or found.gaps:
                here = self._begin(found.stream, moment)
                for one in found.left:
                    self._take_over(one, here, moment)
                self._room.name(here, found.gaps, moment, lasting=True)

    def _take_over(self, one: recovery.Left, here: OpenStream, moment: Moment) -> None:
        sealed = Spans()
        for given in recovery.rows(one, self._shelf.rows):
            here.take_over(given)
            sealed.add(given.span.first, given.span.last)
        here.origins.append(one.chain)
        self._room.name(here, recovery.gaps(one, sealed, self.index, self._shelf), moment)

    def _take(self, here: OpenStream, rows: Sequence[Row], moment: Moment) -> None:
        """Number rows and seal full batches; very many rows are written in steps, and so is room made for them."""
        step = self._limits.rows
        for at in range(0, len(rows), step):
            here.take(rows[at : at + step], moment)
            if here.tail.waiting_bytes > self._settings.segment_bytes(here.chain.stream) // 2 and not here.tail.refused:
                with contextlib.suppress(SpoolError):  # it stays in line, and the flush at the end says so
                    self._flush_stream(here, moment)

    # -- from memory to disk ----------------------------------------------------------------------------------------

    def batches(self) -> Iterator[tuple[Ref, BatchFacts, bytes]]:
        """Yield the batches of this run that are here, each with its message, in order."""
        return self._shelf.batches(self._sealer.run)

    def sealed_rows(self) -> dict[ChainKey, Spans]:
        """Return the rows that the batches of this run hold, per origin."""
        return self._shelf.sealed_rows(self._sealer.run)

    def seal_rest(self, moment: Moment) -> list[Ref]:
        """Seal all that waits. Raises SpoolError."""
        for here in self._open.values():
            if here.unsealed:
                here.seal(moment, everything=True)
        return self._flush(moment)

    def learn(self, other: "Spool") -> None:
        """Take over what the center has settled of chains that another spool knows, too."""
        for theirs in other.index.chains.values():
            chain = self.index.chains.get(theirs.key)
            if chain is not None and theirs.mark() != chain.mark():
                chain.apply(theirs.mark())
                self._marks[chain.key] = theirs.mark()

    def bring_home(self, memory: "Spool", moment: Moment) -> list[Ref]:
        """Copy forward what a run in memory holds and the center does not have; that run has ended.

        Batches of rows that were taken over are copied in any case: the rows may lie here without a batch, too.

        Raises:
            SpoolError: the disk refuses again; what was copied so far is here and there from now on.
        """
        here_already = {key: self.index.held(key) for key in memory.index.chains}
        adopted = [self.index.adopt(theirs) for theirs in memory.index.chains.values()]
        self.learn(memory)
        done: list[tuple[ChainKey, BatchFacts]] = []
        for ref, facts, message in memory.batches():
            settled = memory.index.chains[ref.key].is_settled(ref.n)
            if ref.n in here_already[ref.key] or (settled and facts.origin is None):
                continue
            here = self._begin(ref.stream, moment)
            copy = frames.encode_batch(facts, message, copied=True)
            here.tail.append(Piece(data=copy, copy=(*ref.key, ref.n)))
            done.append((ref.key, facts))
            if here.tail.waiting_bytes > self._settings.segment_bytes(ref.stream) // 2:
                self._flush_stream(here, moment)
        refs = self._flush(moment)
        for key, facts in done:
            self.index.cover(key, facts)
        for chain in adopted:
            chain.live = False
        return refs

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
                    self._crowd(self._open[stream])
        if failed is not None:
            raise failed
        return self.ready()

    def _crowd(self, here: OpenStream) -> None:
        """Where the disk is full, telemetry makes room for alarms as well."""
        if here.tail.full and Stream.TELEMETRY in self._open:
            self._open[Stream.TELEMETRY].tail.full = True

    def _flush_stream(self, here: OpenStream, moment: Moment) -> None:
        chain = here.chain
        for key in [key for key in self._marks if key[1] is chain.stream or len(self._open) == 1]:
            here.tail.append(Piece(data=frames.encode_mark(self._marks.pop(key))))
        if (here.tail.waiting_bytes or here.tail.full) and not here.leaving:
            self._room.make(here, moment)
        while here.tail.waiting_bytes:
            for piece in here.tail.flush(lambda: self._head(here, moment), seq0=chain.taken + 1):
                if (n := here.synced(piece)) is not None:
                    self._ready.append(Ref(run=chain.run, stream=chain.stream, n=n))
        for origin in here.origins:
            origin.unsealed.clear()
        here.origins.clear()
        for segment in here.leaving:
            self._room.remove(segment)
        here.leaving = []
        here.naming = False

    def _head(self, here: OpenStream, moment: Moment) -> Head:
        return Head(
            node=f"{self._sealer.city}/{self._sealer.node}",
            boot=moment.boot,
            end=here.chain.end,
            at_boot_ms=moment.boot_ms,
            at_utc_ms=moment.utc_ms,
        )

    # -- giving -----------------------------------------------------------------------------------------------------

    def held(self) -> list[Held]:
        """Return every chain with a batch on disk, oldest first."""
        return self._shelf.held()

    def read(self, ref: Ref) -> Stored | None:
        """Return a batch after checking it once more; None when it is not here or its bytes have gone bad."""
        return self._shelf.read(ref)

    def refuse(self, ref: Ref) -> None:
        """Note that a batch can never leave: it counts as held."""
        if (chain := self.index.chains.get(ref.key)) is not None:
            chain.refused.add(ref.n)
            self._marks[ref.key] = chain.mark()

    def header(self, key: ChainKey, n: int) -> Header | None:
        """Return the header of a batch that is here."""
        return self._shelf.header(key, n)

    def settle(self, ack: Ack) -> Settling:
        """Take an ack whose signature and nonce hold; its mark goes to disk with the next rows."""
        before = {key: chain.settled for key, chain in self.index.chains.items()}
        found = settle(self.index, ack, self._shelf.hash)
        self._mender.heard(ack, before)
        for progress in found.progress:
            self._room.eased(progress.key[1])
            self._marks[progress.key] = self.index.chains[progress.key].mark()
        return found
