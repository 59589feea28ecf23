"""What people and the audit ask of the SQLite store."""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from agent.wire.batch import Kind, Stream
from agent.wire.keys import kid_of
from center.errors import StoreError
from center.ingest import Box
from center.sqlite_readings import scalar
from center.sqlite_times import Times
from center.store import AlarmRow, HelloRow, NodeInfo, ReadingRow, StoredBatch

# By succession: a run on disk comes after the one in memory, or in its place. Or, where nobody says what came before:
# such a run speaks now, and the one in memory does not.
_OVER = """EXISTS(SELECT 1 FROM starts v JOIN starts w USING(city, node)
    WHERE city = a.city AND node = a.node AND lower(hex(v.run)) = a.subject AND NOT w.volatile
    AND (w.previous IN (v.run, v.previous)
        OR EXISTS(SELECT 1 FROM hellos h WHERE h.city = a.city AND h.node = a.node AND h.run = w.run AND live)
        AND NOT EXISTS(SELECT 1 FROM hellos h WHERE h.city = a.city AND h.node = a.node AND h.run = v.run AND live)))"""


class SqliteViews:
    """The reading half of the store, and what a person writes."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See the store as it is at one moment, whatever others write meanwhile."""
        self.db.execute("BEGIN")
        try:
            yield
        finally:
            self.db.execute("COMMIT")

    def add_node(self, box: Box, public: bytes, *, now_ms: int) -> bool:
        """Add a key of a node; False when it is there. Raises StoreError."""
        try:
            done = self.db.execute("INSERT OR IGNORE INTO nodes VALUES(?, ?, ?, ?)", (*box, public, now_ms))
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error
        return done.rowcount > 0

    def nodes(self) -> list[NodeInfo]:
        """Return all nodes."""
        kids: dict[Box, list[str]] = {}
        added: dict[Box, int] = {}
        for city, node, public, at in self.db.execute("SELECT * FROM nodes ORDER BY city, node, added_utc_ms"):
            kids.setdefault((city, node), []).append(kid_of(public).hex())
            added.setdefault((city, node), at)
        return [self._node(box, tuple(kids[box]), added[box]) for box in kids]

    def _node(self, box: Box, kids: tuple[str, ...], added_utc_ms: int) -> NodeInfo:
        batches, last = self.db.execute(
            "SELECT count(*), max(received_utc_ms) FROM batches b JOIN chains c ON c.id = b.chain"
            " WHERE city = ? AND node = ?",
            box,
        ).fetchone()
        state = self.db.execute("SELECT text FROM states WHERE city = ? AND node = ?", box).fetchone()
        return NodeInfo(
            box=box,
            kids=kids,
            added_utc_ms=added_utc_ms,
            batches=batches,
            last_utc_ms=last,
            state=None if state is None else state[0],
            alarms=tuple(self.alarms(box)),
        )

    def batches(self, box: Box) -> Iterator[StoredBatch]:
        """Return a node's batches in order of arrival."""
        return self._batches(box, None)

    def notes(self, box: Box) -> Iterator[StoredBatch]:
        """Return those of a node's batches that are notes of people, in order of arrival."""
        return self._batches(box, Kind.NOTE)

    def _batches(self, box: Box, kind: Kind | None) -> Iterator[StoredBatch]:
        sql = (
            "SELECT b.id, c.run, c.stream, b.message FROM batches b JOIN chains c ON c.id = b.chain"
            " WHERE city = ? AND node = ? AND kind = ifnull(?, kind) ORDER BY b.id"
        )
        for at, run, stream, message in self.db.execute(sql, (*box, kind)):
            yield StoredBatch(id=at, run=run, stream=Stream(stream), message=message)

    def boxes(self) -> list[Box]:
        """Return every node with a key, a chain or a refusal."""
        sql = (
            "SELECT city, node FROM nodes UNION SELECT city, node FROM chains"
            " UNION SELECT city, node FROM refusals WHERE city <> '' ORDER BY city, node"
        )
        return [(city, node) for city, node in self.db.execute(sql)]

    def doubles(self, box: Box) -> Mapping[tuple[bytes, Stream], int]:
        """Return how many batches came again, by chain."""
        return self._by_chain("SELECT run, stream, doubles FROM chains WHERE city = ? AND node = ?", box)

    def settled(self, box: Box) -> Mapping[tuple[bytes, Stream], int]:
        """Return the settled n by chain."""
        return self._by_chain("SELECT run, stream, n FROM chains WHERE city = ? AND node = ?", box)

    def row_counts(self, box: Box) -> Mapping[tuple[bytes, Stream], int]:
        """Return the number of readings by origin and stream."""
        return self._by_chain(
            "SELECT origin, stream, count(*) FROM series s JOIN readings r ON r.series = s.id"
            " WHERE city = ? AND node = ? GROUP BY origin, stream",
            box,
        )

    def _by_chain(self, sql: str, box: Box) -> Mapping[tuple[bytes, Stream], int]:
        return {(run, Stream(stream)): number for run, stream, number in self.db.execute(sql, box)}

    def twice(self, box: Box) -> int:
        """Return how many readings stand under an identity that another reading has."""
        (rows,) = self.db.execute(
            "SELECT ifnull(sum(same - 1), 0) FROM (SELECT count(*) AS same FROM series s"
            " JOIN readings r ON r.series = s.id WHERE city = ? AND node = ?"
            " GROUP BY origin, stream, path, boot_ms HAVING same > 1)",
            box,
        ).fetchone()
        return int(rows)

    def hellos(self, box: Box) -> list[HelloRow]:
        """Return the last hello of each run of a node that may be alive."""
        sql = "SELECT run, at_utc_ms FROM hellos WHERE city = ? AND node = ? AND live ORDER BY at_utc_ms, run"
        spoken = self.db.execute(sql, box).fetchall()
        sql = "SELECT run, stream, first, last, last_seq FROM announced WHERE city = ? AND node = ? AND speaker = ?"
        return [
            HelloRow(
                run=speaker,
                at_utc_ms=at_utc_ms,
                chains={
                    (run, Stream(stream)): (first, last, last_seq)
                    for run, stream, first, last, last_seq in self.db.execute(sql, (*box, speaker))
                },
            )
            for speaker, at_utc_ms in spoken
        ]

    def refusals(self, box: Box | None) -> Mapping[str, int]:
        """Return the refusals by reason; of no node for None."""
        sql = "SELECT reason, count FROM refusals WHERE city = ? AND node = ? ORDER BY reason"
        return dict(self.db.execute(sql, box or ("", "")).fetchall())

    def waiting(self, box: Box) -> int:
        """Return how many messages are held for a key."""
        (number,) = self.db.execute("SELECT count(*) FROM held WHERE city = ? AND node = ?", box).fetchone()
        return int(number)

    def alarms(self, box: Box) -> list[AlarmRow]:
        """Return a node's alarms, oldest first; a ``volatile`` is over when another run writes to the card."""
        sql = (
            f"SELECT a.*, what = 'volatile' AND {_OVER} FROM alarms a WHERE city = ? AND node = ?"  # noqa: S608 - ours
            " ORDER BY first_utc_ms, what, subject"
        )
        return [
            AlarmRow(
                box=(city, node),
                what=what,
                subject=subject,
                detail=detail,
                first_utc_ms=first,
                last_utc_ms=last,
                count=count,
                over=bool(over),
            )
            for city, node, what, subject, detail, first, last, count, over in self.db.execute(sql, box)
        ]

    def unprojected(self) -> int:
        """Return how many batches are not projected yet."""
        (number,) = self.db.execute(
            "SELECT count(*) FROM batches WHERE id > (SELECT value FROM facts WHERE name = 'projected')"
        ).fetchone()
        return int(number)

    def rebuild(self) -> None:
        """Empty the readings, so that projection begins anew. Raises StoreError."""
        try:
            self.db.execute("BEGIN IMMEDIATE")
            for sql in ("DELETE FROM readings", "DELETE FROM series", "DELETE FROM undated"):
                self.db.execute(sql)
            self.db.execute("UPDATE facts SET value = 0 WHERE name = 'projected'")
            self.db.execute("COMMIT")
        except sqlite3.Error as error:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise StoreError(str(error)) from error

    def backup(self, path: Path) -> None:
        """Write the whole store, as it is now, to a new file; others may go on writing. Raises StoreError."""
        part = path.with_name(f"{path.name}.part")
        try:
            if path.exists():
                raise StoreError(f"{path} exists; a backup is never overwritten")
            part.unlink(missing_ok=True)
            self.db.execute("VACUUM INTO ?", (str(part),))
            _sync(part)
            part.rename(path)
            _sync(path.parent)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{path}: {error}") from error

    def readings(
        self, *, node: str | None, sensor: str | None, channel: str | None, after: int, last: int | None
    ) -> list[ReadingRow]:
        """Return readings beyond an id, in order of projection; only the last so many where ``last`` is set."""
        sql = (
            "SELECT r.id, s.city, s.node, s.origin, s.stream, s.path, ifnull(r.unit, s.unit), r.boot_ms, r.value,"
            " r.flags, r.utc_ms, r.source, s.boot, (SELECT received_utc_ms FROM batches b WHERE b.id = r.batch)"
            " FROM readings r JOIN series s ON s.id = r.series"
            " WHERE r.id > ?1 AND (?2 IS NULL OR s.node = ?2)"
            " AND (?3 IS NULL OR substr(s.path, 1, instr(s.path, '/') - 1) = ?3)"
            " AND (?4 IS NULL OR substr(s.path, instr(s.path, '/') + 1) = ?4)"
            " ORDER BY r.id DESC LIMIT ?5"
        )
        rows = self.db.execute(sql, (after, node, sensor, channel, -1 if last is None else last)).fetchall()
        times = Times(self.db)
        return [_reading(row, times) for row in reversed(rows)]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_Row = tuple[
    int, str, str, bytes, int, str, str, int, int | float | str | bytes, str | None, int | None, int,
    bytes, int,
]  # fmt: skip


def _reading(row: _Row, times: Times) -> ReadingRow:
    at, city, node, origin, stream, path, unit, boot_ms, value, flags, utc_ms, source, boot, received_ms = row
    placed = times.place((city, node), boot, boot_ms, utc_ms=utc_ms, source=source, received_ms=received_ms)
    return ReadingRow(
        id=at,
        box=(city, node),
        origin=origin,
        stream=Stream(stream),
        path=path,
        unit=unit,
        boot_ms=boot_ms,
        value=scalar(value),
        flags=tuple(flags.split(",")) if flags else (),
        utc_ms=placed.utc_ms,
        utc_source=placed.source,
        low_utc_ms=placed.low_ms,
        high_utc_ms=placed.high_ms,
    )
