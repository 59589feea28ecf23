"""What leaves when space is needed: the oldest segment first. What must stay is copied forward, the rest is a gap."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.spool import frames
from agent.spool.chains import BatchKey, Chain, ChainKey, Segment
from agent.spool.gaps import MOST_REPEATED, GapBuilder
from agent.spool.index import FULL, Index, contains
from agent.spool.shelf import Shelf
from agent.spool.tail import Piece
from agent.wire import batch, senml
from agent.wire.batch import Header, Kind, Stream
from agent.wire.bodies import Gap, decode_gap
from agent.wire.errors import WireError

Place = tuple[ChainKey, int, int]
"""A batch of a segment: its chain, n and offset; offset 0 where its bytes have gone bad."""


@dataclass(slots=True, kw_only=True)
class Leaving:
    """What to do: remove what is free, then append the copies, seal the gaps, sync both, remove the other segments."""

    free: list[Segment] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    copies: list[Piece] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


def plan(
    index: Index, shelf: Shelf, stream: Stream, *, short_bytes: int, settled_bytes: int, copy_bytes: int
) -> Leaving:
    """Choose the oldest segments of a stream until enough is won, or nothing more may leave.

    Args:
        index: What there is.
        shelf: For reading it.
        stream: Whose segments.
        short_bytes: How many bytes to win.
        settled_bytes: How many bytes to win by what the center has; nothing else leaves for them.
        copy_bytes: Most bytes to copy forward at once.
    """
    leaving = Leaving()
    gap = GapBuilder(index, shelf, reason=FULL)
    newest = _newest_copies(index)
    choice = _candidates(index, stream)
    copied_bytes = 0
    older = index.full_gaps.get(stream)
    repeated = older if older is not None and len(older.chains) <= MOST_REPEATED else None
    for at, segment in enumerate(choice):
        if max(short_bytes, settled_bytes) <= 0:
            break
        rest = unsettled(index, segment, newest)
        if not rest and not leaving.segments:
            leaving.free.append(segment)
            short_bytes -= segment.size_bytes
            settled_bytes -= segment.size_bytes
            continue
        size_bytes = sum(shelf.size(segment, offset) for _, _, offset in rest if offset)
        spare = size_bytes < _spare_bytes(index, choice[at + 1 :], newest)
        if short_bytes <= 0 and not spare:
            break
        states = set() if spare else _newest_states(index, shelf, segment, rest)
        copies: list[Piece] = []
        gone: list[tuple[Place, Header | None, bytes]] = []
        for place in rest:
            key, n, offset = place
            frame = shelf.frame(segment, offset) if offset else None
            try:
                message = b"" if frame is None else frames.message_of(frame)
                header = batch.peek(message)
            except WireError:
                frame = None
            if frame is None:
                gone.append((place, None, b""))
                continue
            told = header.kind is Kind.GAP and repeated is not None and _repeats(repeated, message)
            stays = header.kind is not Kind.READINGS or (*key, n) in states
            if spare or (stays and not told):
                data = frames.encode_batch(frames.batch_facts(frame.body), message, copied=True)
                copies.append(Piece(data=data, copy=(*key, n)))
            else:
                gone.append((place, header, batch.hash_of(batch.split(message)[0])))
        size_bytes = sum(piece.size_bytes for piece in copies)
        copied_bytes += size_bytes
        if leaving.segments and copied_bytes > copy_bytes:
            break
        for (key, n, _), its_header, digest in gone:
            if its_header is not None:
                gap.add(its_header, digest)
            else:
                gap.lose(key, n, n)
                if key in index.chains:
                    gap.lose_rows_between(key, n, n)
        leaving.copies += copies
        leaving.segments.append(segment)
        short_bytes -= segment.size_bytes - size_bytes
        settled_bytes -= segment.size_bytes - size_bytes
    if repeated is not None and gap.chains:
        gap.repeat(stream, repeated)
    leaving.gaps = gap.build()
    return leaving


def _repeats(newest: Gap, message: bytes) -> bool:
    """Tell whether the newest gap repeats the one in a message: it need not stay."""
    with contextlib.suppress(WireError):
        older = decode_gap(batch.plain_of(message))
        return older.reason == FULL and contains(newest, older)
    return False


def _candidates(index: Index, stream: Stream) -> list[Segment]:
    """Return the segments that may leave, oldest first: all before the newest and before one with unsealed rows."""
    waiting = {str(at.name) for chain in index.chains.values() for _, _, at, _ in chain.unsealed}
    found: list[Segment] = []
    for segment in list(index.of(stream))[:-1]:
        chain = index.chains[segment.key]
        if str(segment.name) in waiting or (chain.live and segment.rows_to > chain.end.seq):
            break
        found.append(segment)
    return found


def _newest_copies(index: Index) -> dict[BatchKey, int]:
    """Return the counter of the newest segment that holds a copy, for each batch that was copied forward."""
    return {key: segment.name.counter for segment in index.segments for key, offset in segment.copies.items() if offset}


def unsettled(index: Index, segment: Segment, newest: dict[BatchKey, int]) -> list[Place]:
    """Return what only this segment has, and neither the center has it nor a gap names it; oldest first."""
    found: list[Place] = []
    for (run, stream, n), offset in segment.copies.items():
        owner: Chain | None = index.chains.get((run, stream))
        if owner is not None and (owner.is_settled(n) or n in owner.gone):
            continue
        if newest.get((run, stream, n), 0) <= segment.name.counter:
            found.append(((run, stream), n, offset))
    chain = index.chains[segment.key]
    twins = [other for other in index.segments if other.key == chain.key and other.name.counter > segment.name.counter]
    for n in range(max(segment.first_n, chain.settled + 1), segment.last_n + 1):
        if chain.is_settled(n) or n in chain.gone or (*chain.key, n) in newest:
            continue
        if any(twin.find(n) is not None for twin in twins if twin.first_n <= n <= twin.last_n):
            continue
        found.append((chain.key, n, segment.find(n) or 0))
    return found


def _spare_bytes(index: Index, newer: Iterable[Segment], newest: dict[BatchKey, int]) -> int:
    """Return the bytes of segments that the center has whole."""
    return sum(segment.size_bytes for segment in newer if not unsettled(index, segment, newest))


def _newest_states(index: Index, shelf: Shelf, segment: Segment, rest: list[Place]) -> set[BatchKey]:
    """Return the batches of an alarm segment that hold the newest state of an alarm: they never leave."""
    if segment.name.stream is not Stream.ALARM:
        return set()
    last: dict[str, BatchKey] = {}
    for key, n, offset in rest:
        for path in _paths(shelf, segment, offset):
            last[path] = (*key, n)
    for newer in reversed(list(index.of(Stream.ALARM))):
        if newer is segment or not last:
            break
        for offset in reversed(newer.offsets):
            for path in _paths(shelf, newer, offset):
                last.pop(path, None)
    return set(last.values())


def _paths(shelf: Shelf, segment: Segment, offset: int) -> set[str]:
    """Return the channels in a batch."""
    frame = shelf.frame(segment, offset) if offset else None
    if frame is None or frames.batch_facts(frame.body).kind is not Kind.READINGS:
        return set()
    message = frames.message_of(frame)
    header = batch.peek(message)
    node = f"{header.city}/{header.node}"
    try:
        plain = batch.plain_of(message)
        found = senml.unpack(plain, node=node, at_boot_ms=header.at_boot_ms, at_utc_ms=header.at_utc_ms)
    except WireError:
        return set()
    return {row.path for row in found}
