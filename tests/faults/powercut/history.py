"""A history: what reached the disk, what was done to files and what had been promised, in the order it happened.

The recorder of blocks and the workload are two processes; both append to one file, each record in one write, so the
order of records is the order of events.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

import cbor2

from agent.wire.batch import Stream

RowsKey = tuple[int, Stream]
"""Number of a run, and a stream of it."""


@dataclass(frozen=True, slots=True)
class BlockWrite:
    """Bytes that arrived at the card."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Flush:
    """The card was told to keep all before this, and said that it does."""


@dataclass(frozen=True, slots=True)
class Create:
    """A name for a new, empty file; ``file`` numbers files, whatever they are called later."""

    name: str
    file: int


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes written to a file."""

    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    """A file cut, or filled up with zeros."""

    file: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Sync:
    """fsync or fdatasync of a file returned."""

    file: int


@dataclass(frozen=True, slots=True)
class SyncFolder:
    """fsync of the folder returned: its names are kept."""


@dataclass(frozen=True, slots=True)
class Unlink:
    """A name went."""

    name: str


@dataclass(frozen=True, slots=True)
class Rename:
    """A name changed."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Note:
    """What the workload is about to do, or what a call that returned has promised. All but ``delivered`` adds up.

    Attributes:
        phase: What happens from here on.
        given: Rows handed to the spool so far, [run, stream, highest seq].
        durable: Rows promised so far, likewise.
        ending: Runs whose clean close has begun.
        ended: Runs whose clean close has returned.
        delivered: Batches that the center got since the last note.
    """

    phase: str
    given: list[list[int]]
    durable: list[list[int]]
    ending: list[int]
    ended: list[int]
    delivered: list[bytes]


NameOp = Create | Unlink | Rename
FileOp = Create | Write | Resize | Sync | SyncFolder | Unlink | Rename
Record = BlockWrite | Flush | FileOp | Note
_KINDS: tuple[type[Record], ...] = (
    BlockWrite, Flush, Create, Write, Resize, Sync, SyncFolder, Unlink, Rename, Note
)  # fmt: skip


class Log:
    """Appends records to a file that other processes append to, too."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._write: Callable[[int, bytes], int] = os.write  # the real one, whatever is put in its place later

    def append(self, record: Record) -> None:
        """Add a record. Raises OSError when it does not fit."""
        body = [_KINDS.index(type(record)), *(getattr(record, one.name) for one in fields(record))]
        data = cbor2.dumps(body)
        if self._write(self._descriptor, data) != len(data):
            raise OSError("the log of the history was cut short: the folder it lies in is full")

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def read_log(path: Path) -> list[Record]:
    """Return all records."""
    found: list[Record] = []
    with path.open("rb") as file:
        while file.peek(1):
            kind, *values = cbor2.load(file)
            found.append(_KINDS[kind](*values))
    return found


@dataclass(slots=True)
class Said:
    """What the workload had said at a moment."""

    phase: str = "starting"
    given: dict[RowsKey, int] = field(default_factory=dict)
    durable: dict[RowsKey, int] = field(default_factory=dict)
    ending: frozenset[int] = frozenset()
    ended: frozenset[int] = frozenset()
    delivered: list[bytes] = field(default_factory=list)

    def after(self, note: Note) -> "Said":
        """Return what was said with one more note."""
        return Said(
            phase=note.phase,
            given=rows_of(note.given),
            durable=rows_of(note.durable),
            ending=frozenset(note.ending),
            ended=frozenset(note.ended),
            delivered=[*self.delivered, *note.delivered] if note.delivered else self.delivered,
        )

    @property
    def newest(self) -> int:
        """The newest run that promised a row; 0 when none did."""
        return max((run for run, _ in self.durable), default=0)


def rows_of(table: list[list[int]]) -> dict[RowsKey, int]:
    """Return a note's table by run and stream."""
    return {(run, Stream(stream)): seq for run, stream, seq in table}


@dataclass(frozen=True, slots=True)
class History:
    """A whole recorded history; ``said[i]`` is what had been said before record i happened, one more than records."""

    records: list[Record]
    said: list[Said]

    @classmethod
    def load(cls, path: Path) -> "History":
        """Read a log; calls in which a file was removed count as making room, whatever they were meant for."""
        records = read_log(path)
        said: list[Said] = [Said()]
        for record in records:
            said.append(said[-1].after(record) if isinstance(record, Note) else said[-1])
        for calls in _calls(records):
            if any(isinstance(records[at], Unlink) for at in calls) and said[calls[-1]].phase == "taking":
                for at in calls:
                    said[at] = Said(**{one.name: getattr(said[at], one.name) for one in fields(Said)})
                    said[at].phase = "making room"
        return cls(records, said)


def _calls(records: list[Record]) -> Iterator[list[int]]:
    """Yield the places of records from note to note."""
    bounds = [0, *(at + 1 for at, record in enumerate(records) if isinstance(record, Note)), len(records)]
    for first, last in itertools.pairwise(bounds):
        if last > first:
            yield list(range(first, last))
