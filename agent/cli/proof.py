"""What files prove, offline: every batch opened, every chain judged. The work behind ``gardu verify``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cbor2

from agent.spool import frames
from agent.spool.frames import FrameKind, Name
from agent.wire.batch import Batch, Stream, open_batch, peek
from agent.wire.bodies import Json
from agent.wire.chain import ChainReport, Ledger, Ranges
from agent.wire.errors import Reason, WireError
from agent.wire.keys import Verifier
from agent.wire.records import KeyChange, body_of
from agent.wire.spans import Spans

_ID_CHARACTERS = 8

ChainKey = tuple[bytes, Stream]
Box = tuple[str, str]
"""City and node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a record stands; ``offset`` in bytes."""

    file: str
    offset: int

    def __str__(self) -> str:
        return f"{self.file} at byte {self.offset}" if self.offset else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """One bad record. ``where`` is None when what is bad is that it is not here."""

    where: Place | None
    what: str
    reason: str
    detail: str


@dataclass(slots=True)
class Evidence:
    """What the files hold."""

    messages: list[tuple[Place, bytes]] = field(default_factory=list)
    delivered: dict[ChainKey, Spans] = field(default_factory=dict)
    unsealed: dict[ChainKey, Spans] = field(default_factory=dict)
    bad: list[Bad] = field(default_factory=list)
    torn_bytes: int = 0


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        inside = sorted(one for one in path.rglob("*") if one.is_file())
        segments = [one for one in inside if frames.parse_name(one.name)]
        yield from segments or inside


def read(paths: Sequence[Path]) -> Evidence:
    """Read files and folders: segments of a spool, or messages. Raises OSError."""
    found = Evidence()
    for path in _files(paths):
        data = path.read_bytes()
        name = frames.parse_name(path.name)
        if name is None:
            found.messages.append((Place(file=str(path), offset=0), data))
        else:
            _read_segment(found, path, name, data)
    return found


def _read_segment(found: Evidence, path: Path, name: Name, data: bytes) -> None:
    scan = frames.scan(name, data)
    found.torn_bytes += scan.torn_bytes
    end = 0
    for frame in scan.frames:
        if frame.offset != end:
            detail = f"{frame.offset - end} bytes between good frames"
            found.bad.append(
                Bad(where=Place(file=str(path), offset=end), what="segment", reason="damaged", detail=detail)
            )
        end = frame.offset + frames.HEADER_BYTES + len(frame.body)
        place = Place(file=str(path), offset=frame.offset)
        try:
            _read_frame(found, place, name, frame)
        except (cbor2.CBORError, TypeError, ValueError) as error:
            found.bad.append(Bad(where=place, what="segment", reason=Reason.FORM.value, detail=f"{error}"))


def _read_frame(found: Evidence, place: Place, name: Name, frame: frames.Frame) -> None:
    if frame.kind in (FrameKind.BATCH, FrameKind.COPY):
        found.messages.append((place, frames.message_of(frame)))
    elif frame.kind == FrameKind.MARK:
        mark = frames.decode_mark(frame.body)
        settled = found.delivered.setdefault((mark.run, mark.stream), Spans())
        for first, last in ((1, mark.n), *mark.ranges):
            settled.add(first, last)
    elif frame.kind == FrameKind.ROWS:
        seq0, count = frames.rows_span(frame.body)
        found.unsealed.setdefault((name.run, name.stream), Spans()).add(seq0, seq0 + count - 1)


def _label(run: bytes, stream: Stream, n: int | None = None) -> str:
    chain = f"run {run.hex()[:_ID_CHARACTERS]} {stream.name.lower()}"
    return chain if n is None else f"{chain} n {n}"


def _text(ranges: Ranges) -> str:
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges) or "none"


class Trial:
    """Opens every message, then judges the chains."""

    def __init__(self, evidence: Evidence, keys: Sequence[Verifier], city: str | None, node: str | None) -> None:
        self._evidence = evidence
        self._keys = {key.kid: key for key in keys}
        self._city, self._node = city, node
        self._ledgers: dict[Box, Ledger] = {}
        self._places: dict[tuple[Box, bytes, Stream, int], Place] = {}
        self._seen: set[bytes] = set()
        self.bad: list[Bad] = list(evidence.bad)
        self.chains: list[tuple[Box, ChainReport]] = []

    def judge(self, *, complete: bool) -> None:
        """Fill ``chains`` and ``bad``."""
        waiting = self._evidence.messages
        known = -1
        while waiting and known < len(self._keys):  # a key record brings the key of later batches
            known = len(self._keys)
            waiting = [one for one in waiting if not self._take(*one, last=False)]
        for place, message in waiting:
            self._take(place, message, last=True)
        for box in sorted(self._ledgers):
            for report in self._ledgers[box].report():
                self.chains.append((box, report))
                self._judge_chain(box, report, complete=complete)

    def _take(self, place: Place, message: bytes, *, last: bool) -> bool:
        """Open a message; False when its key may still come."""
        what = "message"
        try:
            header = peek(message)
            what = _label(header.run, header.stream, header.n)
            box = (self._city or header.city, self._node or header.node)
            batch = open_batch(message, city=box[0], node=box[1], find_key=self._keys.get)
            body = body_of(batch)
        except WireError as error:
            if error.reason is Reason.KID_UNKNOWN and not last:
                return False
            self.bad.append(Bad(where=place, what=what, reason=error.reason.value, detail=error.detail))
            return True
        if isinstance(body, KeyChange):
            new = Verifier(body.new)
            self._keys.setdefault(new.kid, new)
        self._keep(box, place, batch)
        return True

    def _keep(self, box: Box, place: Place, batch: Batch) -> None:
        header = batch.header
        self._seen.add(batch.hash)
        self._places.setdefault((box, header.run, header.stream, header.n), place)
        self._ledgers.setdefault(box, Ledger()).add_batch(batch)

    def _judge_chain(self, box: Box, report: ChainReport, *, complete: bool) -> None:
        for finding in report.findings:
            where = self._places.get((box, report.run, report.stream, finding.n))
            what = _label(report.run, report.stream, finding.n)
            self.bad.append(Bad(where=where, what=what, reason=finding.fault.value, detail=finding.detail))
        what = _label(report.run, report.stream)
        if report.volatile:
            return  # the node never promised what it had in memory only
        holes = report.missing if complete else self._unexplained(report)
        if holes:
            detail = f"n {_text(holes)}: neither here nor in a signed gap"
            self.bad.append(Bad(where=None, what=what, reason="missing", detail=detail))
        if complete and report.lost_rows:
            detail = f"rows {_text(report.lost_rows)}: neither here nor in a signed gap"
            self.bad.append(Bad(where=None, what=what, reason="missing", detail=detail))

    def _unexplained(self, report: ChainReport) -> Ranges:
        """Holes behind the first batch that is here, unless the node noted that the center has them."""
        if not report.stored:
            return ()
        delivered = self._evidence.delivered.get((report.run, report.stream), Spans())
        holes = Spans([(max(first, report.stored[0][0]), last) for first, last in report.missing])
        return tuple(part for first, last in holes for part in delivered.missing(first, last))

    def _unsealed(self) -> int:
        settled = {(report.run, report.stream): report.settled for _, report in self.chains}
        return sum(
            last - first + 1
            for key, rows in self._evidence.unsealed.items()
            for low, high in rows
            for first, last in Spans(settled.get(key, ())).missing(low, high)
        )

    def as_json(self) -> dict[str, Json]:
        """Return the verdict for programs."""
        return {
            "proven": not self.bad,
            "batches": len(self._seen),
            "rows": sum(len(Spans(report.settled)) for _, report in self.chains),
            "unsealed_rows": self._unsealed(),
            "torn_bytes": self._evidence.torn_bytes,
            "chains": [
                {
                    "city": box[0],
                    "node": box[1],
                    "run": report.run.hex(),
                    "stream": report.stream.name.lower(),
                    "stored": list(report.stored),
                    "in_gaps": list(report.in_gaps),
                    "missing": list(report.missing),
                    "taken": report.taken,
                    "settled": list(report.settled),
                    "rows_in_gaps": list(report.gap_rows),
                    "missing_rows": list(report.lost_rows),
                    "lost_in_memory": list(report.memory_rows),
                    "volatile": report.volatile,
                    "predecessor": None if report.predecessor is None else report.predecessor.hex(),
                    "clean": report.clean,
                    "sound": report.sound,
                }
                for box, report in self.chains
            ],
            "bad": [
                {
                    "file": None if bad.where is None else bad.where.file,
                    "offset": None if bad.where is None else bad.where.offset,
                    "what": bad.what,
                    "reason": bad.reason,
                    "detail": bad.detail,
                }
                for bad in self.bad
            ],
        }

    def as_text(self) -> Iterator[str]:
        """Yield the verdict line by line, the first bad record last but one."""
        for box, report in self.chains:
            if report.last_n or report.taken:
                yield f"{box[0]}/{box[1]}  {_label(report.run, report.stream)}: {'; '.join(_facts(report))}"
        if unsealed := self._unsealed():
            yield f"{unsealed} rows are not sealed yet: they prove nothing"
        if self._evidence.torn_bytes:
            yield f"{self._evidence.torn_bytes} bytes at the end of a segment are torn: a power cut, not a fault"
        rows = sum(len(Spans(report.settled)) for _, report in self.chains)
        if not self.bad:
            yield f"proven: {len(self._seen)} batches, {rows} rows"
            return
        first = self.bad[0]
        where = "" if first.where is None else f"{first.where}, "
        yield f"first bad: {where}{first.what}: {first.reason}: {first.detail}"
        yield f"NOT proven: {len(self.bad)} bad, {len(self._seen)} good batches, {rows} rows"


def _facts(report: ChainReport) -> Iterator[str]:
    if report.volatile:
        yield "in memory only, its disk refused"
    yield f"n {_text(report.stored)} here" if report.stored else "named, nothing of it here"
    if report.in_gaps:
        yield f"n {_text(report.in_gaps)} in signed gaps"
    if report.missing:
        yield f"n {_text(report.missing)} not here"
    if report.taken:
        yield f"rows {_text(report.settled)} of {report.taken}"
    if report.gap_rows:
        yield f"rows {_text(report.gap_rows)} in signed gaps"
    if report.lost_rows:
        yield f"rows {_text(report.lost_rows)} not here"
    if report.memory_rows:
        yield f"rows {_text(report.memory_rows)} not here, and never on disk"
    if report.clean is not None:
        yield "closed cleanly" if report.clean else "ended without a farewell"
    if not report.sound:
        yield f"{len(report.findings)} faults"
