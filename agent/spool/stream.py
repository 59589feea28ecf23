"""One stream of a run: rows are numbered and sealed here, and wait in line until the disk has taken them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.seal import Limits, Moment, Sealed, Sealer, cut
from agent.spool import frames
from agent.spool.chains import Chain, Numbered, Segment
from agent.spool.tail import Piece, Tail
from agent.wire.batch import Kind
from agent.wire.bodies import End
from agent.wire.senml import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What one run could not keep, for the run that goes on in its place.

    Attributes:
        rows: In order; of one origin and without a hole each.
        records: Kind and body of records that are no readings.
    """

    rows: tuple[Numbered, ...] = ()
    records: tuple[tuple[Kind, bytes], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rows or self.records)


class OpenStream:
    """Numbers and seals for one run and stream.

    Attributes:
        tail: Where its frames go.
        chain: Where it stands on disk.
        limits: Largest batch.
        end: Where it stands behind all that is in line.
        unsealed: Rows that no batch holds, numbered from ``end.seq + 1``.
        origins: Chains whose rows were taken over by what is in line.
        leaving: Segments to remove once all that is in line is synced.
        naming: True while a gap is in line.
    """

    def __init__(self, tail: Tail, chain: Chain, sealer: Sealer, limits: Limits) -> None:
        self.tail = tail
        self.chain = chain
        self.limits = limits
        self.end = End()
        self.unsealed: list[Row] = []
        self.origins: list[Chain] = []
        self.leaving: list[Segment] = []
        self.naming = False
        self._sealer = sealer
        self._written = 0  # highest seq in a ROWS frame or a batch, on disk or in line

    def take(self, rows: Sequence[Row], moment: Moment) -> None:
        """Number rows; seal what fills a batch."""
        self.unsealed += rows
        self.seal(moment, everything=False)

    def seal(self, moment: Moment, *, everything: bool) -> None:
        """Seal full batches, or everything: an empty one where nothing waits."""
        pieces = cut(self.unsealed, self.limits)
        if not everything and pieces and len(pieces[-1]) < self.limits.rows:
            pieces.pop()
        if everything and not pieces and not self.tail.refused:
            pieces = [()]
        for piece in pieces:
            sealed = self._sealer.readings(piece, stream=self.chain.stream, end=self.end, moment=moment)
            self._append(sealed, rows=self._numbered(self.chain.run, self.chain.boot, sealed.seq0, piece))
        del self.unsealed[: sum(len(piece) for piece in pieces)]
        self._written = max(self._written, self.end.seq)

    def write_rows(self) -> None:
        """Put rows that no batch holds yet into a ROWS frame."""
        numbered = self.end.seq + len(self.unsealed)
        if numbered > self._written:
            rows = self.unsealed[self._written - numbered :]
            self.tail.append(Piece(data=frames.encode_rows(self._written + 1, rows), rows_to=numbered))
            self._written = numbered

    def take_over(self, given: Numbered) -> None:
        """Seal rows that an earlier run has numbered."""
        self.chain.promised = (*self.chain.promised, given.span)
        at = given.seq0
        for piece in cut(given.rows, self.limits):
            sealed = self._sealer.taken_over(
                piece, seq0=at, origin=given.origin, boot=given.boot, stream=self.chain.stream, end=self.end
            )
            self._append(sealed, rows=self._numbered(given.origin, given.boot, at, piece))
            at += len(piece)

    def record(self, kind: Kind, body: bytes, moment: Moment, *, alone: bool = False, lasting: bool = True) -> None:
        """Seal a record that is no reading.

        Args:
            kind: What it is.
            body: What it says.
            moment: Now.
            alone: Sync it before anything behind it is written.
            lasting: False when it means nothing to another run, should the disk refuse it.
        """
        sealed = self._sealer.record(kind, body, stream=self.chain.stream, end=self.end, moment=moment)
        self._append(sealed, alone=alone, record=(kind, body) if lasting else None)

    @staticmethod
    def _numbered(origin: bytes, boot: bytes, seq0: int, rows: Sequence[Row]) -> Numbered | None:
        return Numbered(origin=origin, boot=boot, seq0=seq0, rows=tuple(rows)) if rows else None

    def _append(
        self,
        sealed: Sealed,
        *,
        rows: Numbered | None = None,
        record: tuple[Kind, bytes] | None = None,
        alone: bool = False,
    ) -> None:
        facts = frames.BatchFacts(
            n=sealed.end.n, seq0=sealed.seq0, count=sealed.count, kind=sealed.kind, origin=sealed.origin
        )
        data = frames.encode_batch(facts, sealed.message)
        self.tail.append(Piece(data=data, end=sealed.end, alone=alone, rows=rows, record=record))
        self.end = sealed.end

    def synced(self, piece: Piece) -> int | None:
        """Note that a frame is on disk; return n when it is a batch of this run."""
        if piece.end is not None:
            self.chain.end = piece.end
        self.chain.taken = max(self.chain.taken, piece.rows_to, self.chain.end.seq)
        return None if piece.end is None else piece.end.n

    def hand_over(self) -> Handed:
        """End here and return what is in line or has no batch on disk; nothing more is written."""
        line = self.tail.drop()
        rows = [piece.rows for piece in line if piece.rows is not None]
        own = self._numbered(self.chain.run, self.chain.boot, self.end.seq + 1, self.unsealed)
        records = tuple(piece.record for piece in line if piece.record is not None)
        self.unsealed = []
        self.end = self.chain.end
        return Handed(rows=tuple(joined([*rows, *([own] if own else [])])), records=records)


def joined(pieces: Sequence[Numbered]) -> Iterator[Numbered]:
    """Yield rows with those of the same origin that follow them without a hole as one."""
    last: Numbered | None = None
    for one in pieces:
        if last is not None and (last.origin, last.seq0 + len(last.rows)) == (one.origin, one.seq0):
            last = Numbered(origin=one.origin, boot=one.boot, seq0=last.seq0, rows=(*last.rows, *one.rows))
            continue
        if last is not None:
            yield last
        last = one
    if last is not None:
        yield last
