"""What earlier runs left: rows without a batch, holes that damage made, and how the run before this one ended. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from agent.spool.chains import Chain, ChainKey, Numbered, Segment
from agent.spool.gaps import GapBuilder
from agent.spool.index import Index
from agent.spool.shelf import Shelf
from agent.wire.batch import Header, Stream
from agent.wire.bodies import End, Gap, Previous, Span
from agent.wire.senml import Row
from agent.wire.spans import Spans

HeaderAt = Callable[[ChainKey, int], Header | None]
RowsAt = Callable[[Segment, int], list[Row]]

_TOGETHER = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What one chain left.

    Attributes:
        chain: Whose rows.
        spans: Durable rows that no batch holds.
        lost_rows: Rows that were taken and are neither in a batch nor in a frame.
        lost_batches: n that are neither here, nor settled, nor named by a gap.
    """

    chain: Chain
    spans: tuple[Span, ...]
    lost_rows: tuple[Span, ...]
    lost_batches: tuple[tuple[int, int], ...]


def left(index: Index, stream: Stream, sealed: Mapping[ChainKey, Spans]) -> list[Left]:
    """Return what each chain of a stream left, oldest first; nothing for chains in order.

    Args:
        index: Of the spool.
        stream: Whose chains.
        sealed: Rows for which batches stand that are on their way here.
    """
    found: list[Left] = []
    for chain in index.chains.values():
        if chain.stream is not stream:
            continue
        chain.trim()
        covered = Spans([*chain.covered, *sealed.get(chain.key, ())])
        kept = Spans()
        for seq0, count, _, _ in chain.unsealed:
            for first, last in covered.missing(seq0, seq0 + count - 1):
                kept.add(first, last)
        batches = Spans([*index.held(chain.key), *chain.gone, *chain.ranges])
        lost_batches = batches.missing(max(chain.base.n, chain.settled) + 1, chain.end.n)
        here = Spans([*covered, *kept])
        lost_rows = [_span(chain, span) for span in here.missing(chain.base.seq + 1, chain.taken)]
        if lost_batches:
            lost_rows += _lost_promises(index, chain)
        if kept or lost_rows or lost_batches:
            spans = tuple(_span(chain, span) for span in kept)
            found.append(Left(chain=chain, spans=spans, lost_rows=tuple(lost_rows), lost_batches=tuple(lost_batches)))
    return found


def _span(chain: Chain, span: tuple[int, int]) -> Span:
    return Span(origin=chain.run, first=span[0], last=span[1])


def _lost_promises(index: Index, chain: Chain) -> Iterator[Span]:
    """Yield rows that a chain took over from runs that are gone by now, and lost."""
    for span in chain.promised:
        key = (span.origin, chain.stream)
        if key not in index.chains:
            for first, last in index.elsewhere.get(key, Spans()).missing(span.first, span.last):
                yield Span(origin=span.origin, first=first, last=last)


def rows(left: Left, rows_at: RowsAt) -> Iterator[Numbered]:
    """Yield the durable rows without a batch, each row once, unbroken by seq."""
    for seq0, found in _rows(left, rows_at):
        yield Numbered(origin=left.chain.run, boot=left.chain.boot, seq0=seq0, rows=found)


def _rows(left: Left, rows_at: RowsAt) -> Iterator[tuple[int, list[Row]]]:
    wanted_rows = Spans((span.first, span.last) for span in left.spans)
    done = Spans(wanted_rows.missing(1, left.chain.taken))
    together: list[Row] = []
    start = 0
    for seq0, count, segment, offset in sorted(left.chain.unsealed, key=_seq0):
        wanted = done.missing(seq0, seq0 + count - 1)
        frame = rows_at(segment, offset) if wanted else []
        for first, last in wanted:
            piece = frame[first - seq0 : last - seq0 + 1]
            if together and (first != start + len(together) or len(together) >= _TOGETHER):
                yield start, together
                together = []
            if piece:
                start = start if together else first
                together = [*together, *piece]
                done.add(first, first + len(piece) - 1)
    if together:
        yield start, together


def _seq0(entry: tuple[int, int, Segment, int]) -> int:
    return entry[0]


def gaps(left: Left, sealed: Spans, index: Index, shelf: Shelf) -> list[Gap]:
    """Return the gap records for what damage took from a chain.

    Args:
        left: What the chain left.
        sealed: Those of its rows that could still be read and were taken over.
        index: Of the spool.
        shelf: For the hashes of neighbours.
    """
    gap = GapBuilder(index, shelf, reason="damaged")
    for first, last in left.lost_batches:
        gap.lose(left.chain.key, first, last)
    for span in left.lost_rows:
        gap.lose_rows(span.origin, span.first, span.last)
    for span in left.spans:
        for first, last in sealed.missing(span.first, span.last):
            gap.lose_rows(span.origin, first, last)
    return gap.build()


def previous(index: Index, header_at: HeaderAt) -> Previous | None:
    """Return how the newest run on disk ended."""
    run = index.newest_run()
    if run is None:
        return None
    chains = {chain.stream: chain for chain in index.chains.values() if chain.run == run}
    at_boot_ms, at_utc_ms = 0, None
    for chain in chains.values():
        newest = header_at(chain.key, chain.end.n)
        moments = [(chain.at_boot_ms, chain.at_utc_ms)]
        if newest is not None and newest.run == run and newest.origin is None:
            moments.append((newest.at_boot_ms, newest.at_utc_ms))
        at_boot_ms, at_utc_ms = max([(at_boot_ms, at_utc_ms), *moments], key=_boot_ms)
    return Previous(
        run=run,
        boot=next(iter(chains.values())).boot,
        alarm=_end(chains.get(Stream.ALARM)),
        telemetry=_end(chains.get(Stream.TELEMETRY)),
        at_boot_ms=at_boot_ms,
        at_utc_ms=at_utc_ms,
        clean=all(chain.clean for chain in chains.values()),
    )


def _boot_ms(moment: tuple[int, int | None]) -> int:
    return moment[0]


def _end(chain: Chain | None) -> End:
    return End() if chain is None else End(n=chain.end.n, hash=chain.end.hash, seq=chain.taken)
