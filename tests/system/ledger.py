"""What lies on the node's disk and what the center has, each read from outside, as sets of rows by identity."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from agent.spool import frames
from agent.spool.frames import FrameKind, Mark
from agent.wire.batch import Header, Kind, Stream, open_batch
from agent.wire.bodies import Gap, Start, decode_gap, decode_start
from agent.wire.keys import Verifier
from agent.wire.senml import Row, Scalar

Identity = tuple[str, str, str, int]
"""Run that took the row, stream, path, boot_ms."""

Name = tuple[bytes, Stream, int]
"""Run, stream and n of a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lying:
    """One batch as it lies in a segment."""

    header: Header
    hash: bytes
    message: bytes


@dataclass(slots=True)
class Spooled:
    """What the segments of a spool hold.

    Attributes:
        rows: Every row, from ROWS frames and from batches, with its value.
        batches: Every batch; each was verified.
        starts: Start records by run and stream.
        rows_of: Identities of the rows of each batch.
        gaps: Gap records.
        copied: Batches that were copied forward.
        marks: The last mark of each chain.
        damaged: Segments with bad bytes before good ones.
        torn: Segments with a torn tail.
    """

    rows: dict[Identity, Scalar] = field(default_factory=dict)
    batches: dict[Name, Lying] = field(default_factory=dict)
    starts: dict[tuple[bytes, Stream], Start] = field(default_factory=dict)
    rows_of: dict[Name, list[Identity]] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    copied: set[Name] = field(default_factory=set)
    marks: dict[tuple[bytes, Stream], Mark] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)

    @property
    def freed(self) -> set[bytes]:
        """Hashes of the batches that the node noted as settled."""
        return {
            one.hash
            for (run, stream, n), one in self.batches.items()
            if (mark := self.marks.get((run, stream))) is not None
            and (n <= mark.n or any(first <= n <= last for first, last in mark.ranges))
        }

    @property
    def hashes(self) -> set[bytes]:
        return {one.hash for one in self.batches.values()}

    @property
    def runs(self) -> set[str]:
        """Runs that began to write."""
        return {run.hex() for run, _ in self.starts}


def freeze(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every segment, as another process sees them."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.seg"))}


def read(segments: Mapping[str, bytes], *, city: str, node: str, key: Verifier) -> Spooled:
    """Read segments; the same row in a ROWS frame and in a batch must have the same value."""
    found = Spooled()
    for text, data in segments.items():
        name = frames.parse_name(text)
        assert name is not None
        scan = frames.scan(name, data)
        found.damaged += [text] if scan.damaged else []
        found.torn += [text] if scan.torn_bytes else []
        for frame in scan.frames:
            match frame.kind:
                case FrameKind.ROWS:
                    _add(found, name.run, name.stream, frames.decode_rows(frame.body)[1])
                case FrameKind.BATCH | FrameKind.COPY:
                    batch = _open(found, frames.message_of(frame), city, node, key)
                    found.copied |= {batch} if frame.kind == FrameKind.COPY else set()
                case FrameKind.MARK:
                    mark = frames.decode_mark(frame.body)
                    found.marks[mark.run, mark.stream] = mark
                case _:
                    pass
    return found


def is_kept(before: Mapping[str, bytes], now: Mapping[str, bytes]) -> bool:
    """Tell whether all that was whole is still there, byte by byte; a segment that held only its head may go."""
    for text, data in before.items():
        name = frames.parse_name(text)
        assert name is not None
        scan = frames.scan(name, data)
        if not now.get(text, b"").startswith(data[: scan.end]) or text not in now:
            return all(frame.kind == FrameKind.HEAD for frame in scan.frames)
    return True


def _open(found: Spooled, message: bytes, city: str, node: str, key: Verifier) -> Name:
    batch = open_batch(message, city=city, node=node, find_key={key.kid: key}.get)
    header = batch.header
    found.batches[header.run, header.stream, header.n] = Lying(header=header, hash=batch.hash, message=message)
    if header.kind is Kind.START:
        found.starts[header.run, header.stream] = decode_start(batch.plain)
    if header.kind is Kind.GAP:
        found.gaps.append(decode_gap(batch.plain))
    rows = _add(found, header.origin or header.run, header.stream, batch.rows)
    name = header.run, header.stream, header.n
    found.rows_of[name] = rows
    return name


def _add(found: Spooled, run: bytes, stream: Stream, rows: list[Row] | tuple[Row, ...]) -> list[Identity]:
    added = [(run.hex(), stream.name.lower(), row.path, row.boot_ms) for row in rows]
    for identity, row in zip(added, rows, strict=True):
        assert found.rows.setdefault(identity, row.value) == row.value, f"two values of {identity}"
    return added


def center_rows(store: Path, node: str) -> dict[Identity, Scalar]:
    """Ask ``gardu-center readings`` for everything it has of a node; no identity stands twice."""
    words = ["readings", "--store", f"sqlite:{store}", "--node", node, "--json", "--last", "1000000000"]
    found: dict[Identity, Scalar] = {}
    for line in _center(*words).stdout.splitlines():
        row = json.loads(line)
        identity = (row["run"], row["stream"], row["n"], row["boot_ms"])
        assert identity not in found, f"{identity} stands twice"
        found[identity] = row["v"]
    return found


def center_batches(store: Path) -> set[Name]:
    """Return run, stream and n of every batch that the center has committed."""
    query = "SELECT run, stream, batches.n FROM batches JOIN chains ON chain = chains.id"
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as view:
        return {(run, Stream(stream), n) for run, stream, n in view.execute(query)}


def center_hashes(store: Path) -> list[bytes]:
    """Return the names of the batches that the center has committed, in the order of their arrival."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as view:
        return [row[0] for row in view.execute("SELECT hash FROM batches ORDER BY id")]


def stored(store: Path, *, city: str, node: str, key: Verifier) -> Spooled:
    """Open every batch that the center has of a node."""
    query = (
        "SELECT message FROM batches JOIN chains ON chain = chains.id WHERE city = ? AND node = ? ORDER BY batches.id"
    )
    found = Spooled()
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as view:
        for (message,) in view.execute(query, (city, node)):
            _open(found, message, city, node, key)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """The verdict of ``gardu-center audit --json``."""

    code: int
    totals: Mapping[str, int | str]
    refusals: Mapping[str, int]
    of_no_node: Mapping[str, int]
    alarms: list[Mapping[str, object]]
    clean: Mapping[str, set[bool | None]]
    findings: list[str]

    @property
    def verdict(self) -> tuple[int, ...]:
        """Exit code, lost, twice, unverified."""
        return (self.code, *(int(self.totals[name]) for name in ("lost", "twice", "unverified")))


def audit(store: Path, node: str) -> Audited:
    done = _center("audit", "--store", f"sqlite:{store}", "--json")
    told = json.loads(done.stdout)
    (own,) = [one for one in told["nodes"] if one["node"] == node]
    clean: dict[str, set[bool | None]] = {}
    for line in own["lines"]:
        clean.setdefault(line["run"], set()).add(line["clean"])
    return Audited(
        code=done.returncode,
        totals=told["totals"],
        refusals=own["refusals"],
        of_no_node=told["of_no_node"],
        alarms=own["alarms"],
        clean=clean,
        findings=[finding for line in own["lines"] for finding in line["findings"]],
    )


def _center(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "center.cli.main", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
