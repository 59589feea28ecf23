"""What the center asks of its store. One small interface: SQLite today, another database tomorrow.

Writing happens inside ``transaction``; what a transaction wrote is on disk when it ends without an error, and gone
when it ends with one. Times of receipt are UTC ms of the center's clock, handed in.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.wire.batch import Header, Stream
from agent.wire.bodies import Start
from agent.wire.keys import Verifier
from agent.wire.senml import Row, Scalar
from center.acks import Announced
from center.chains import Hole, Link
from center.ingest import Box


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChain:
    """A chain as it was saved, with what is stored above n, the first stored of each n first."""

    id: int
    n: int
    hash: bytes
    end_n: int | None
    links: tuple[Link, ...]
    holes: tuple[Hole, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BootTime:
    """UTC of one moment of a boot."""

    boot: bytes
    at_boot_ms: int
    at_utc_ms: int
    uncertainty_ms: int | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRow:
    """Something a person should know about a node, once however often it was seen; ``over``: it was, and ended."""

    box: Box
    what: str
    subject: str
    detail: str
    first_utc_ms: int
    last_utc_ms: int
    count: int
    over: bool = False

    def __str__(self) -> str:
        """Return the line for people."""
        first, last = (dt.datetime.fromtimestamp(ms / 1000, dt.UTC) for ms in (self.first_utc_ms, self.last_utc_ms))
        seen = f"{first:%F %T}Z" if self.count == 1 else f"{self.count} times, {first:%F %T}Z to {last:%F %T}Z"
        return f"{'over' if self.over else 'ALARM'} {self.what} {self.subject}: {self.detail} (seen {seen})"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    """A node the center knows.

    Attributes:
        box: City and node.
        kids: Names of its keys, hex.
        added_utc_ms: When its first key was added.
        batches: Stored.
        last_utc_ms: When its last batch came; None before the first.
        state: Last retained state, JSON text; None before the first.
        alarms: What a person should know, oldest first.
    """

    box: Box
    kids: tuple[str, ...]
    added_utc_ms: int
    batches: int
    last_utc_ms: int | None
    state: str | None
    alarms: tuple[AlarmRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A message that waits for a key."""

    id: int
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBatch:
    """A batch as received."""

    id: int
    run: bytes
    stream: Stream
    message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloRow:
    """The last hello of a run: its moment, who said it, and each chain's first n, last n and last seq."""

    run: bytes
    at_utc_ms: int
    chains: Mapping[tuple[bytes, Stream], tuple[int, int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingRow:
    """One reading as people ask for it.

    Attributes:
        id: Order of projection; grows.
        box: City and node.
        origin: Run that took it.
        stream: Alarm or telemetry.
        path: ``sensor/channel``.
        unit: Symbol.
        boot_ms: CLOCK_BOOTTIME, ms.
        value: As sent.
        flags: Doubts.
        utc_ms: Best UTC; None while only bounds are known.
        utc_source: ``device`` (its own batch), ``corrected`` (another mapping of its boot), ``told`` (a clock that was
            set once: by hand, the board's), or ``bounds``.
        low_utc_ms: Not before, where it is not certain and a bound is known.
        high_utc_ms: Not after, where it is not certain.
    """

    id: int
    box: Box
    origin: bytes
    stream: Stream
    path: str
    unit: str
    boot_ms: int
    value: Scalar
    flags: tuple[str, ...]
    utc_ms: int | None
    utc_source: str
    low_utc_ms: int | None
    high_utc_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Projected:
    """What one step of projection did: batches read, the last one's id, rows offered, rows that were new."""

    batches: int
    last: int
    offered: int
    new: int


class Intake(Protocol):
    """The writing half, used by the one process that receives."""

    def close(self) -> None:
        """Close it."""

    def transaction(self) -> AbstractContextManager[None]:
        """Open a transaction; durable at its end. Raises StoreError."""

    def reading(self) -> AbstractContextManager[None]:
        """Read outside a transaction. Raises StoreError."""

    def changed(self) -> bool:
        """Tell whether another process wrote since the last call."""

    def keys(self, city: str) -> Mapping[Box, Mapping[bytes, Verifier]]:
        """Return the public keys of a city's nodes."""

    def chain(self, box: Box, name: tuple[bytes, Stream], *, create: bool) -> StoredChain | None:
        """Return a chain as saved; None when it is unknown and not to be created."""

    def put_batch(self, chain: int, header: Header, batch_hash: bytes, message: bytes, *, now_ms: int) -> int | None:
        """Store a batch; return its id, or None when this very batch is stored already."""

    def save_chain(self, chain: int, *, n: int, settled_hash: bytes, doubles: int) -> None:
        """Save how far a chain is settled and add to its count of doubles."""

    def stored_at(self, chain: int, n: int) -> Link | None:
        """Return the first batch stored at n or, where there is none, at the nearest n below."""

    def highest(self, chain: int) -> int:
        """Return the highest n stored; 0 for none."""

    def put_hole(self, chain: int, hole: Hole, *, batch: int) -> None:
        """Store what a gap says of a chain."""

    def put_start(self, box: Box, header: Header, start: Start, *, batch: int) -> tuple[bytes, ...]:
        """Store a start; return the other non-volatile runs that name the same predecessor, or none as it does."""

    def put_end(self, chain: int, n: int) -> None:
        """Note the end of a chain that a later start named; the lowest counts."""

    def put_mapping(self, box: Box, mapping: BootTime, *, batch: int) -> None:
        """Keep a mapping beside those that are there."""

    def put_hello(self, box: Box, hello: Announced, *, now_ms: int) -> None:
        """Replace a run's last hello; the hello of a new run succeeds all others."""

    def put_state(self, box: Box, text: str, *, now_ms: int) -> None:
        """Replace a node's state."""

    def alarm(self, box: Box, what: str, subject: str, detail: str, *, now_ms: int) -> None:
        """Raise an alarm, or count it again."""

    def refuse(self, box: Box | None, topic: str, reason: str, detail: str, payload: bytes, *, now_ms: int) -> None:
        """Count a refusal and keep the message while there is room."""

    def hold(self, box: Box, topic: str, kid: bytes, payload: bytes, *, now_ms: int) -> bool:
        """Hold a message for a key; False when there is no room."""

    def release(self, box: Box, kids: Sequence[bytes]) -> list[Kept]:
        """Take out the held messages of keys that are known now."""

    def project(self, parsed: Mapping[int, Sequence[Row]], *, most: int, now_ms: int) -> Projected:
        """Turn the next stored batches into readings, in a transaction of its own.

        Args:
            parsed: Rows by batch id, where the caller still has them.
            most: Batches at most.
            now_ms: UTC ms.
        """


class Views(Protocol):
    """The reading half, and what a person writes."""

    def snapshot(self) -> AbstractContextManager[None]:
        """See the store as it is at one moment, whatever others write meanwhile."""

    def add_node(self, box: Box, public: bytes, *, now_ms: int) -> bool:
        """Add a key of a node; False when it is there."""

    def nodes(self) -> list[NodeInfo]:
        """Return all nodes."""

    def batches(self, box: Box) -> Iterator[StoredBatch]:
        """Return a node's batches in order of arrival."""

    def notes(self, box: Box) -> Iterator[StoredBatch]:
        """Return those of a node's batches that are notes of people, in order of arrival."""

    def boxes(self) -> list[Box]:
        """Return every node with a key, a chain or a refusal."""

    def doubles(self, box: Box) -> Mapping[tuple[bytes, Stream], int]:
        """Return how many batches came again, by chain."""

    def settled(self, box: Box) -> Mapping[tuple[bytes, Stream], int]:
        """Return the settled n by chain."""

    def row_counts(self, box: Box) -> Mapping[tuple[bytes, Stream], int]:
        """Return the number of readings by origin and stream."""

    def twice(self, box: Box) -> int:
        """Return how many readings stand under an identity that another reading has."""

    def hellos(self, box: Box) -> list[HelloRow]:
        """Return the last hello of each run of a node that may be alive: one, or more where boxes share an identity."""

    def refusals(self, box: Box | None) -> Mapping[str, int]:
        """Return the refusals by reason; of no node for None."""

    def waiting(self, box: Box) -> int:
        """Return how many messages are held for a key."""

    def alarms(self, box: Box) -> list[AlarmRow]:
        """Return a node's alarms, oldest first; a ``volatile`` is over when another run writes to the card."""

    def unprojected(self) -> int:
        """Return how many batches are not projected yet."""

    def rebuild(self) -> None:
        """Empty the readings, so that projection begins anew."""

    def backup(self, path: Path) -> None:
        """Write the whole store, as it is now, to a new file."""

    def readings(
        self, *, node: str | None, sensor: str | None, channel: str | None, after: int, last: int | None
    ) -> list[ReadingRow]:
        """Return readings beyond an id, in order of projection; only the last so many where ``last`` is set."""


class Store(Intake, Views, Protocol):
    """The whole."""
