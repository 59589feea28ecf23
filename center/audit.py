"""The proof that nothing is lost, doubled or unverified: every stored batch verified again and counted by seq.

What stands here is computed from the batches as received, not from what the center remembers of them; then it is
compared with the table of readings as sets.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from agent.wire.batch import Stream, open_batch
from agent.wire.cbor import UINT_MAX
from agent.wire.chain import ChainKey, ChainReport, Ledger, Ranges
from agent.wire.errors import WireError
from agent.wire.keys import Verifier
from agent.wire.records import body_of
from agent.wire.spans import Spans
from center.ingest import Box
from center.store import AlarmRow, HelloRow, Views

OK, OPEN, BROKEN = "ok", "open", "broken"
"""A chain without a hole or a fault; one that waits for batches its node still holds; one that is neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One run and stream, rows counted by seq of the run that took them.

    Attributes:
        node: The box.
        run: Hex.
        stream: ``alarm`` or ``telemetry``.
        volatile: The run lived in memory, because its disk refused.
        taken: Highest seq that any signed record names.
        settled: Rows stored.
        held: Rows that the node's last hello says it still has.
        in_gaps: Rows that a signed gap names.
        missing: Rows that were on disk and that nobody accounts for.
        lost_in_memory: The same of rows that were never on disk: a run in memory ended before it could send them.
        batches: Stored.
        last_n: Highest n that any signed record names.
        batches_missing: Neither stored nor in a gap nor held.
        settled_n: What acks say.
        doubles_refused: Batches that came again and rows that came under a second seal.
        projected: Readings in the table.
        chain: ``ok``, ``open`` or ``broken``.
        findings: What is wrong with it.
        clean: How the run ended as its successor says; None while nobody said.
    """

    node: str
    run: str
    stream: str
    volatile: bool
    taken: int
    settled: int
    held: int
    in_gaps: int
    missing: int
    lost_in_memory: int
    batches: int
    last_n: int
    batches_missing: int
    settled_n: int
    doubles_refused: int
    projected: int
    chain: str
    findings: tuple[str, ...]
    clean: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAudit:
    """One node.

    Attributes:
        node: The box.
        unverified: Stored batches whose signature or body does not hold.
        waiting: Messages held for a key.
        refusals: Refused messages by reason.
        alarms: What a person should know.
        unequal: Runs and streams whose table of readings is not the set of their batches' rows.
        twice: Readings that stand twice.
        lines: Run by run.
    """

    node: str
    unverified: int
    waiting: int
    refusals: Mapping[str, int]
    alarms: tuple[AlarmRow, ...]
    unequal: tuple[str, ...]
    twice: int
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """All nodes together.

    ``lost`` = ``missing``. What was ``lost_in_memory`` nobody promised, and what is ``waiting`` for a key anybody may
    have sent: both are no fault.
    """

    nodes: int
    runs: int
    batches: int
    taken: int
    settled: int
    held: int
    in_gaps: int
    lost: int
    lost_in_memory: int
    twice: int
    unverified: int
    waiting: int
    doubles_refused: int
    refused: int
    alarms: int
    unprojected: int
    chain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The whole; ``sound`` when nothing is lost, doubled, unverified or contradicts."""

    totals: Totals
    nodes: tuple[NodeAudit, ...]
    of_no_node: Mapping[str, int]

    @property
    def sound(self) -> bool:
        """Tell whether there is nothing to explain."""
        totals = self.totals
        equal = all(not node.unequal for node in self.nodes)
        return equal and not (totals.lost or totals.twice or totals.unverified) and totals.chain != BROKEN

    def as_json(self) -> dict[str, object]:
        """Return what a program reads."""
        return asdict(self) | {"sound": self.sound}


@dataclass(slots=True)
class _Counted:
    """Of one node: what its stored batches say."""

    ledger: Ledger = field(default_factory=Ledger)
    unverified: int = 0
    batches: Counter[ChainKey] = field(default_factory=Counter)
    seals: dict[ChainKey, list[tuple[int, int, int]]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[ChainKey, Spans] = field(default_factory=lambda: defaultdict(Spans))
    again: Counter[ChainKey] = field(default_factory=Counter)


def audit(store: Views, keys: Mapping[Box, Mapping[bytes, Verifier]], *, node: str | None = None) -> Audit:
    """Count and verify everything in the store, or one node of it, as it is at one moment.

    The table of readings is compared once projection has caught up; until then ``unprojected`` says how far it is.
    """
    with store.snapshot():
        unprojected = store.unprojected()
        boxes = [box for box in store.boxes() if node in (None, box[1])]
        nodes = tuple(_node(store, box, keys.get(box, {}), caught_up=unprojected == 0) for box in boxes)
        of_no_node = store.refusals(None)
    return Audit(totals=_totals(nodes, of_no_node, unprojected), nodes=nodes, of_no_node=of_no_node)


def _totals(nodes: Sequence[NodeAudit], of_no_node: Mapping[str, int], unprojected: int) -> Totals:
    lines = [line for node in nodes for line in node.lines]
    chains = {line.chain for line in lines}
    return Totals(
        nodes=len(nodes),
        runs=len({line.run for line in lines}),
        batches=sum(line.batches for line in lines),
        taken=sum(line.taken for line in lines),
        settled=sum(line.settled for line in lines),
        held=sum(line.held for line in lines),
        in_gaps=sum(line.in_gaps for line in lines),
        lost=sum(line.missing for line in lines),
        lost_in_memory=sum(line.lost_in_memory for line in lines),
        twice=sum(node.twice for node in nodes),
        unverified=sum(node.unverified for node in nodes),
        waiting=sum(node.waiting for node in nodes),
        doubles_refused=sum(line.doubles_refused for line in lines),
        refused=sum(sum(node.refusals.values()) for node in nodes) + sum(of_no_node.values()),
        alarms=sum(not alarm.over for node in nodes for alarm in node.alarms),
        unprojected=unprojected,
        chain=BROKEN if BROKEN in chains else OPEN if OPEN in chains else OK,
    )


def _count(store: Views, box: Box, keys: Mapping[bytes, Verifier]) -> _Counted:
    counted = _Counted()
    city, node = box
    for stored in store.batches(box):
        try:
            batch = open_batch(stored.message, city=city, node=node, find_key=keys.get)
            body = body_of(batch)
        except WireError:
            counted.unverified += 1
            continue
        header = batch.header
        key, origin = (header.run, header.stream), (header.origin or header.run, header.stream)
        counted.ledger.add(header, batch.hash, body, kid=batch.key.kid)
        counted.batches[key] += 1
        if header.origin is None:
            counted.seals[key].append((header.n, header.seq0, header.seq0 + header.count - 1))
        rows = counted.rows[origin]
        before = len(rows)
        rows.add(header.seq0, header.seq0 + header.count - 1)
        counted.again[origin] += header.count - (len(rows) - before)
    return counted


def _node(store: Views, box: Box, keys: Mapping[bytes, Verifier], *, caught_up: bool) -> NodeAudit:
    counted = _count(store, box, keys)
    hellos, doubles, settled = store.hellos(box), store.doubles(box), store.settled(box)
    projected = store.row_counts(box)
    lines: list[Line] = []
    unequal: list[str] = []
    for report in counted.ledger.report():
        key = (report.run, report.stream)
        numbers = _Numbers(
            batches=counted.batches[key],
            doubles=doubles.get(key, 0) + counted.again[key],
            settled_n=settled.get(key, 0),
            projected=projected.get(key, 0),
        )
        lines.append(_line(box, report, _held(report, hellos, counted.seals[key]), numbers))
        if caught_up and numbers.projected != len(counted.rows[key]):
            unequal.append(f"{report.run.hex()} {report.stream.name.lower()}")
    return NodeAudit(
        node=box[1],
        unverified=counted.unverified,
        waiting=store.waiting(box),
        refusals=store.refusals(box),
        alarms=tuple(store.alarms(box)),
        unequal=tuple(unequal),
        twice=store.twice(box),
        lines=tuple(lines),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbers:
    """Of one chain, what is not in its report."""

    batches: int
    doubles: int
    settled_n: int
    projected: int


@dataclass(slots=True, kw_only=True)
class _Held:
    """What the last hellos of a node say it still holds of one chain, and the highest n and seq they name."""

    rows: Spans = field(default_factory=Spans)
    batches: Spans = field(default_factory=Spans)
    last_n: int = 0
    last_seq: int = 0


def _held(report: ChainReport, hellos: Sequence[HelloRow], seals: Sequence[tuple[int, int, int]]) -> _Held:
    held = _Held()
    for hello in hellos:
        _hold(held, report, hello, seals)
    return held


def _hold(held: _Held, report: ChainReport, hello: HelloRow, seals: Sequence[tuple[int, int, int]]) -> None:
    for sealer, first, last in report.elsewhere:  # their sealer is still there and seals them
        if sealer == hello.run or (sealer, report.stream) in hello.chains:
            held.rows.add(first, last)
    first_n, last_n, last_seq = hello.chains.get((report.run, report.stream), (1, 0, 0))
    own = hello.run == report.run  # it went on after its hello: what came out of order is still on its way
    if not own and not last_n:
        return
    held.rows.add(_first_held_seq(seals, first_n), UINT_MAX if own else last_seq)
    held.batches.add(first_n, UINT_MAX if own else last_n)
    held.last_n, held.last_seq = max(held.last_n, last_n), max(held.last_seq, last_seq)


def _line(box: Box, report: ChainReport, held: _Held, numbers: _Numbers) -> Line:
    held_rows = _overlap(report.missing_rows, held.rows)
    rows_beyond = _overlap(((report.taken + 1, held.last_seq),), held.rows)
    held_batches = _overlap(report.missing, held.batches)
    batches_beyond = _overlap(((report.last_n + 1, held.last_n),), held.batches)
    missing = _size(report.lost_rows) - _overlap(report.lost_rows, held.rows)
    batches_missing = _size(report.missing) - held_batches
    broken = report.findings or missing or (batches_missing and not report.volatile)
    waits = held_rows or rows_beyond or held_batches or batches_beyond
    return Line(
        node=box[1],
        run=report.run.hex(),
        stream=Stream(report.stream).name.lower(),
        volatile=report.volatile,
        taken=report.taken + rows_beyond,
        settled=_size(report.settled),
        held=held_rows + rows_beyond,
        in_gaps=_size(report.gap_rows),
        missing=missing,
        lost_in_memory=_size(report.missing_rows) - held_rows - missing,
        batches=numbers.batches,
        last_n=report.last_n,
        batches_missing=batches_missing,
        settled_n=numbers.settled_n,
        doubles_refused=numbers.doubles,
        projected=numbers.projected,
        chain=BROKEN if broken else OPEN if waits else OK,
        findings=tuple(f"n {finding.n}: {finding.fault}: {finding.detail}" for finding in report.findings),
        clean=report.clean,
    )


def _first_held_seq(seals: Sequence[tuple[int, int, int]], first_n: int) -> int:
    """Return the lowest seq that a node can still hold which has this chain on disk from ``first_n`` on."""
    exact = [seq0 for n, seq0, _ in seals if n == first_n]
    return exact[0] if exact else max((last + 1 for n, _, last in seals if n < first_n), default=1)


def _size(ranges: Ranges) -> int:
    return sum(last - first + 1 for first, last in ranges)


def _overlap(ranges: Ranges, spans: Spans) -> int:
    return sum(last - first + 1 - _size(tuple(spans.missing(first, last))) for first, last in ranges if first <= last)
