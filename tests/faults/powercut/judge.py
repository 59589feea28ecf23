"""What the next run makes of a card after a power cut, held against what had been promised."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.spool import frames
from agent.spool.disk import Disk
from agent.spool.frames import Name, parse_name
from agent.spool.shelf import Ref
from agent.spool.spool import Spool
from agent.sync import Held
from agent.wire.batch import Batch, Kind, Stream
from agent.wire.bodies import Gap, Previous, Start, decode_gap, decode_start
from agent.wire.chain import Ledger
from agent.wire.senml import Row
from agent.wire.spans import Spans
from tests.agent.spool.rig import run_id
from tests.faults.powercut import truth
from tests.faults.powercut.center import center, opened
from tests.faults.powercut.history import RowsKey, Said

_FULL = "full"


@dataclass(slots=True)
class Verdict:
    """What one state showed.

    Attributes:
        lost: Promised rows that are nowhere, by run and stream.
        wrong: Whatever must never be: one line each.
        in_gaps: Promised rows that left because the spool was full, and a gap says so.
        damage: Torn bytes and damaged frames that the start record tells.
        unclean: What the start says of the run before it; None when it names none, or one that had been closed.
        knows: True when the center has batches that the card has forgotten.
        told: What the center says of it: alarms, or that rows are missing.
        emptied: True when the card has forgotten all there was, and so names no run before this one.
        taken_over: Rows that the new run sealed for earlier ones.
    """

    lost: dict[RowsKey, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    in_gaps: int = 0
    damage: int = 0
    unclean: bool | None = None
    knows: bool = False
    told: frozenset[str] = frozenset()
    emptied: bool = False
    taken_over: int = 0


def judge(folder: Path, said: Said, *, honest: bool, thorough: bool = True, attempt: int = 0) -> Verdict:
    """Start the next run on a folder, take a row on both streams, and audit what there is then.

    Args:
        folder: The spool's.
        said: What had been said when the power went.
        honest: The card keeps what it promised, so nothing may be missing and nobody may raise an alarm.
        thorough: Also let the center count and verify everything again, which takes longer than all else.
        attempt: Starts before this one on the same card.

    Raises:
        SpoolError: the disk refuses.
    """
    disk = _Leashed(folder)
    try:
        return _judge(folder, disk, said, honest=honest, thorough=thorough, run=truth.AFTER + attempt)
    finally:
        disk.let_go()


def _judge(folder: Path, disk: Disk, said: Said, *, honest: bool, thorough: bool, run: int) -> Verdict:
    torn, damaged = _damage(folder)
    spool = Spool(disk, truth.sealer(run), truth.SETTINGS, truth.FACTS)
    spool.open()
    first: dict[Stream, Sequence[Row]] = {stream: [truth.row(run, stream, 1)] for stream in Stream}
    spool.commit(first, moment=truth.moment(run, 2), seal=frozenset(Stream))
    held = spool.held()
    refs = [Ref(run=one.run, stream=one.stream, n=n) for one in held for n in range(one.first, one.last + 1)]
    messages = [stored.message for ref in refs if (stored := spool.read(ref)) is not None]
    found = _Audit(said, run)
    for message in (*messages, *said.delivered):
        found.add(opened(message))
    found.count()
    if honest:
        found.check_whole()
    found.check_start(torn, damaged, honest=honest)
    _ask_center(found, messages, held, honest=honest, thorough=thorough)
    spool.close(truth.moment(run, 3))
    return found.verdict


class _Leashed(Disk):
    """A disk whose files can be closed although its spool broke off: else the card stays mounted."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._files: set[int] = set()

    def create(self, name: Name) -> int:
        descriptor = super().create(name)
        self._files.add(descriptor)
        return descriptor

    def create_reserved(self, name: Name) -> int:
        descriptor = super().create_reserved(name)
        self._files.add(descriptor)
        return descriptor

    def close(self, descriptor: int) -> None:
        self._files.discard(descriptor)
        super().close(descriptor)

    def let_go(self) -> None:
        for descriptor in list(self._files):
            self.close(descriptor)


def _damage(folder: Path) -> tuple[int, int]:
    """Return the torn bytes and the damaged places in the segments, as they are found."""
    scans = [
        frames.scan(name, path.read_bytes())
        for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
        if (name := parse_name(path.name)) is not None
    ]
    return sum(scan.torn_bytes for scan in scans), sum(scan.damaged for scan in scans)


class _Audit:
    """Batches of the disk and of the center together, against the truth."""

    def __init__(self, said: Said, run: int) -> None:
        self.said = said
        self.run = run
        self.verdict = Verdict()
        self.starts: dict[Stream, Start] = {}
        starts = range(truth.AFTER, run + 1)  # one that broke off may have left its row, too
        self._given = {**said.given, **{(one, stream): 1 for one in starts for stream in Stream}}
        self._promised = {**said.durable, (run, Stream.ALARM): 1, (run, Stream.TELEMETRY): 1}
        self._names: dict[tuple[bytes, Stream, int], Batch] = {}
        self._rows: dict[RowsKey, Counter[int]] = {}
        self._gaps: list[tuple[Stream, Gap]] = []
        self._ledger = Ledger()

    def add(self, batch: Batch) -> None:
        header = batch.header
        name = (header.run, header.stream, header.n)
        if name in self._names:
            if self._names[name].hash != batch.hash:
                self._wrong(f"two batches with one name: run {truth.number_of(header.run)} {header.stream} {header.n}")
            return
        self._names[name] = batch
        self._ledger.add_batch(batch)
        if header.kind is Kind.GAP:
            self._gaps.append((header.stream, decode_gap(batch.plain)))
        elif header.kind is Kind.START and header.run == run_id(self.run):
            self.starts[header.stream] = decode_start(batch.plain)
        elif header.count:
            self._add_rows(batch)

    def _add_rows(self, batch: Batch) -> None:
        header = batch.header
        origin = truth.number_of(header.origin or header.run)
        key, last = (origin, header.stream), header.seq0 + header.count - 1
        if last > self._given.get(key, 0):
            self._wrong(f"rows {header.seq0} to {last} of {key}, of which {self._given.get(key, 0)} were given")
            return
        if sorted(batch.rows, key=_identity) != truth_of(*key, header.seq0, last):
            self._wrong(f"rows {header.seq0} to {last} of {key} are not what was given")
        self._rows.setdefault(key, Counter()).update(range(header.seq0, last + 1))
        if header.origin is not None and header.run == run_id(self.run):
            self.verdict.taken_over += header.count

    def _wrong(self, what: str) -> None:
        self.verdict.wrong.append(what)

    def count(self) -> None:
        """Count the promised rows that are nowhere: neither in a batch nor in a gap of a spool that was full."""
        for key, last in self._promised.items():
            here = self._rows.get(key, Counter[int]())
            left = Spans(
                (span.first, span.last)
                for stream, gap in self._gaps
                for span in gap.rows
                if gap.reason == _FULL and (truth.number_of(span.origin), stream) == key
            )
            absent = [seq for seq in range(1, last + 1) if not here[seq]]
            lost = sum(seq not in left for seq in absent)
            self.verdict.in_gaps += len(absent) - lost
            if lost:
                self.verdict.lost[key] = lost

    def check_whole(self) -> None:
        """On an honest card nothing contradicts, no row is in two batches, the newest state of each alarm is here."""
        for report in self._ledger.report():
            key = (truth.number_of(report.run), report.stream)
            for finding in report.findings:
                self._wrong(f"{key} n {finding.n}: {finding.fault}: {finding.detail}")
            if not report.complete:
                self._wrong(f"{key}: missing batches {report.missing}, rows {report.missing_rows}")
        for key, counts in self._rows.items():
            twice = [seq for seq, count in counts.items() if count > 1]
            if twice:
                self._wrong(f"rows {twice} of {key} stand in two batches")
        newest = {
            truth.row(run, Stream.ALARM, seq).path: (run, seq)
            for run, stream in sorted(self.said.durable)
            if stream is Stream.ALARM
            for seq in range(1, self.said.durable[run, stream] + 1)
        }
        for path, (run, seq) in newest.items():
            if not self._rows.get((run, Stream.ALARM), Counter[int]())[seq]:
                self._wrong(f"the newest state of alarm {path}, row {seq} of run {run}, left")

    def check_start(self, torn: int, damaged: int, *, honest: bool) -> None:
        """Both start records tell the same of the run before, and what was found torn and damaged."""
        if set(self.starts) != set(Stream):
            self._wrong("a stream of the new run has no start record")
            return
        alarm, telemetry = self.starts[Stream.ALARM], self.starts[Stream.TELEMETRY]
        if alarm.previous != telemetry.previous:
            self._wrong("the two start records tell different predecessors")
        for start in (alarm, telemetry):
            told = (start.torn_bytes, start.damaged_frames)
            if told != (torn, damaged):
                self._wrong(f"torn bytes and damaged frames are {(torn, damaged)}, the start record says {told}")
        self.verdict.damage = alarm.torn_bytes + alarm.damaged_frames
        previous = alarm.previous
        if previous is None:
            self.verdict.emptied = bool(self.said.newest)
            if honest and self.said.newest:
                self._wrong("the start record names no run before it")
            return
        number = truth.number_of(previous.run)
        if number not in self.said.ending:
            self.verdict.unclean = not previous.clean
            if previous.clean:
                self._wrong(f"run {number} is said to have ended cleanly")
        if honest:
            self._check_previous(number, previous)

    def _check_previous(self, number: int, previous: Previous) -> None:
        if number < self.said.newest:
            self._wrong(f"the start record names run {number}, run {self.said.newest} was promised")
        if number == self.said.newest and number in self.said.ended and not previous.clean:
            self._wrong(f"run {number} was closed and is said to be unclean")
        for stream, end in ((Stream.ALARM, previous.alarm), (Stream.TELEMETRY, previous.telemetry)):
            if end.seq < self.said.durable.get((number, stream), 0):
                self._wrong(f"run {number} is said to end at row {end.seq} of {stream.name.lower()}")

    def forgotten(self) -> bool:
        """Tell whether the center has batches beyond what the new run says of the one before it."""
        previous = self.starts[Stream.TELEMETRY].previous if self.starts else None
        number = 0 if previous is None else truth.number_of(previous.run)
        ends = {} if previous is None else {Stream.ALARM: previous.alarm.n, Stream.TELEMETRY: previous.telemetry.n}
        headers = [opened(message).header for message in self.said.delivered]
        return any(
            truth.number_of(one.run) > number or (truth.number_of(one.run) == number and one.n > ends[one.stream])
            for one in headers
        )


def truth_of(run: int, stream: Stream, first: int, last: int) -> list[Row]:
    """Return what these rows must be, in the order in which rows are compared."""
    return sorted(truth.rows(run, stream, first, last), key=_identity)


def _identity(row: Row) -> tuple[str, int]:
    return row.path, row.boot_ms


def _ask_center(found: _Audit, messages: list[bytes], held: list[Held], *, honest: bool, thorough: bool) -> None:
    """Send all that is here to a center that has what it had got before the cut, and see what it says."""
    verdict = found.verdict
    verdict.knows = bool(found.starts) and found.forgotten()
    with center() as there:
        there.take(found.said.delivered)
        there.take(messages)
        told = there.alarms()
        if thorough or (verdict.knows and not told):
            chains = [(one.run, one.stream, one.first, one.last, one.last_seq) for one in held]
            there.greet(run_id(found.run), chains)
            audit = there.audit()
            totals = audit.totals
            if totals.twice or totals.unverified or totals.unprojected or any(node.unequal for node in audit.nodes):
                verdict.wrong.append(f"the center's account: {totals}")
            if not audit.sound:
                told.add("the audit is not sound")
    verdict.told = frozenset(told)
    if verdict.knows and not told and not verdict.emptied:
        verdict.wrong.append("the center has batches that the card has forgotten, and says nothing")
    if honest and told:
        verdict.wrong.append(f"the center says {sorted(told)}")
    if honest and verdict.knows:
        verdict.wrong.append("the center has batches that the card has forgotten")
