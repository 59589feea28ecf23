"""What the node was given and what it promised, kept beside the real code: the measure of every run.

A row is promised once the call that covers it has returned with a run on disk. It may be absent from the center for
two reasons only: a signed gap names it, or something outside the promise destroyed the last copy of it (or of the gap
that named it), and then this module saw the copies before and after.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.spool import frames
from agent.spool.frames import FrameKind, parse_name
from agent.wire import batch, senml
from agent.wire.batch import Kind, Stream
from agent.wire.bodies import decode_gap
from agent.wire.errors import WireError
from agent.wire.senml import Row

ChainKey = tuple[bytes, Stream]
Key = tuple[int, Stream, str, int]
"""Process that took the row, stream, path and boot_ms: an identity that no change of run inside a process hides."""


@dataclass(slots=True)
class Truth:
    """Everything that was given, by identity and by number.

    Attributes:
        processes: Which process drew a run.
        rows: Every row given.
        numbered: The rows of each run and stream in the order of their seq.
        promised: Rows whose write returned durable.
        excused: Promised rows whose last copy something outside the promise destroyed.
        forgotten: Rows that a restore took from the center; a node that has not heard of it may still free them.
    """

    processes: dict[bytes, int] = field(default_factory=dict)
    rows: dict[Key, Row] = field(default_factory=dict)
    numbered: dict[ChainKey, list[Key]] = field(default_factory=dict)
    promised: dict[Key, None] = field(default_factory=dict)
    excused: set[Key] = field(default_factory=set)
    forgotten: set[Key] = field(default_factory=set)
    _pending: dict[int, list[Key]] = field(default_factory=dict)

    def key(self, origin: bytes, stream: Stream, path: str, boot_ms: int) -> Key:
        """Return the identity of a row that names its origin run."""
        return self.processes.get(origin, 0), stream, path, boot_ms

    def give(self, run: bytes, rows: Mapping[Stream, Sequence[Row]]) -> None:
        """Note rows that a spool numbers now."""
        process = self.processes[run]
        for stream in Stream:
            for row in rows.get(stream, ()):
                key = self.key(run, stream, row.path, row.boot_ms)
                assert key not in self.rows, f"two rows have the identity {key}"
                self.rows[key] = row
                self.numbered.setdefault((run, stream), []).append(key)
                self._pending.setdefault(process, []).append(key)

    def promise(self, process: int) -> None:
        """A write of a process returned durable: so is all that was given to it before."""
        self.promised.update(dict.fromkeys(self._pending.pop(process, ())))

    def on_disk(self, folder: Path) -> set[Key]:
        """Return the rows that the good frames of a spool's folder account for."""
        found: set[Key] = set()
        for path in folder.iterdir():
            if parse_name(path.name) is not None:
                found |= self.in_segment(path.name, path.read_bytes())
        return found

    def in_segment(self, file: str, data: bytes) -> set[Key]:
        """Return the rows that the good frames of one segment account for."""
        name = parse_name(file)
        found: set[Key] = set()
        for frame in frames.frames(name, data) if name is not None else ():
            if frame.kind in (FrameKind.BATCH, FrameKind.COPY):
                found |= self.in_batch(frames.message_of(frame))
            elif frame.kind == FrameKind.ROWS and name is not None:
                _, rows = frames.decode_rows(frame.body)
                found |= {self.key(name.run, name.stream, row.path, row.boot_ms) for row in rows}
        return found

    def in_batch(self, message: bytes) -> set[Key]:
        """Return the rows that a batch holds, or that it names as gone: both account for them."""
        header = batch.peek(message)
        if header.kind is Kind.GAP:
            return self.in_gap(header.stream, batch.plain_of(message))
        if header.kind is not Kind.READINGS:
            return set()
        node = f"{header.city}/{header.node}"
        try:
            rows = senml.unpack(
                batch.plain_of(message), node=node, at_boot_ms=header.at_boot_ms, at_utc_ms=header.at_utc_ms
            )
        except WireError:
            return set()
        origin = header.origin or header.run
        return {self.key(origin, header.stream, row.path, row.boot_ms) for row in rows}

    def in_gap(self, stream: Stream, plain: bytes) -> set[Key]:
        """Return the rows that a gap names."""
        return {
            key
            for span in decode_gap(plain).rows
            for key in self.numbered.get((span.origin, stream), [])[span.first - 1 : span.last]
        }
