"""The verdict on a run: what the center has against what was given and promised, as sets and by seq."""

from collections import Counter
from collections.abc import Iterator

from agent.wire import batch
from agent.wire.batch import Kind, Stream
from agent.wire.senml import Row
from center.audit import Line, audit
from center.sqlite_store import SqliteStore
from center.store import ReadingRow
from tests.faults.simulation.center import BOX
from tests.faults.simulation.truth import Key, Truth
from tests.faults.simulation.world import World

COPY_ALARMS = frozenset({"fork", "grown", "conflict", "link", "row_conflict"})
"""What a copied or rolled back card may make the center say."""


def judge(world: World) -> Iterator[str]:
    """Yield what is wrong; nothing when every promise holds."""
    yield from world.failures
    store = SqliteStore(world.center.path)
    try:
        keys = store.keys(BOX[0])
        while store.project({}, most=1000, now_ms=0).batches:
            pass
        yield from _sets(world.truth, store)
        yield from _counts(world, store, keys)
    finally:
        store.close()


def _sets(truth: Truth, store: SqliteStore) -> Iterator[str]:
    readings = store.readings(node=None, sensor=None, channel=None, after=0, last=None)
    there: dict[Key, ReadingRow] = {}
    for row in readings:
        key = truth.key(row.origin, row.stream, row.path, row.boot_ms)
        if key in there:
            yield f"twice at the center: {key} of runs {there[key].origin.hex()} and {row.origin.hex()}"
        there[key] = row
        if key not in truth.rows:
            yield f"at the center and never given: {key} = {row.value!r}"
        elif not _same(truth.rows[key], row):
            yield f"another value at the center: {key} = {row.value!r}, given {truth.rows[key]}"
    named = set(_in_gaps(truth, store))
    lost = [key for key in truth.promised if key not in there and key not in named and key not in truth.excused]
    if lost:
        first = lost[0]
        seqs = [(run.hex(), keys.index(first) + 1) for (run, _), keys in truth.numbered.items() if first in keys]
        yield f"{len(lost)} promised rows are lost, the first is {first}, run and seq {seqs}"


def _same(given: Row, found: ReadingRow) -> bool:
    flags = tuple(sorted(given.flags)) == tuple(sorted(found.flags))
    value = given.value == found.value and isinstance(given.value, bool) == isinstance(found.value, bool)
    return value and flags and given.unit == found.unit


def _in_gaps(truth: Truth, store: SqliteStore) -> Iterator[Key]:
    for stored in store.batches(BOX):
        if batch.peek(stored.message).kind is Kind.GAP:
            yield from truth.in_batch(stored.message)


def _counts(world: World, store: SqliteStore, keys: object) -> Iterator[str]:
    found = audit(store, store.keys(BOX[0]))
    totals = found.totals
    if totals.twice or totals.unverified or totals.unprojected:
        yield f"the audit: twice {totals.twice} unverified {totals.unverified} unprojected {totals.unprojected}"
    if not world.marks & {"copied", "restored"} and not found.sound:
        yield f"the audit is not sound: {_unsound([line for node in found.nodes for line in node.lines])}"
    for node in found.nodes:
        if node.unequal:
            yield f"readings are not the rows of the batches: {node.unequal}"
        if "copied" not in world.marks:
            for alarm in node.alarms:
                if alarm.what in COPY_ALARMS:
                    yield f"an alarm that nothing explains: {alarm.what} {alarm.subject} {alarm.detail}"
        for line in node.lines:
            yield from _line(world.truth, line)
            if line.findings and "copied" not in world.marks:
                yield f"{line.run} {line.stream} contradicts itself: {line.findings}"


def _unsound(lines: list[Line]) -> str:
    return "; ".join(
        f"{line.run[:8]} {line.stream} missing {line.missing} batches missing {line.batches_missing} {line.findings}"
        for line in lines
        if line.chain != "ok"
    )


def _line(truth: Truth, line: Line) -> Iterator[str]:
    if line.taken != line.settled + line.held + line.in_gaps + line.missing + line.lost_in_memory:
        yield f"the sums of {line.run} {line.stream} differ: {line}"
    numbered = truth.numbered.get((bytes.fromhex(line.run), Stream[line.stream.upper()]), [])
    lost = Counter(key in truth.excused for key in numbered)[True]
    if line.missing + line.held > lost:  # a copy of the box that is gone for good said that it held some
        yield f"{line.run} {line.stream}: {line.missing} missing, {line.held} held, {lost} may be: {line}"
