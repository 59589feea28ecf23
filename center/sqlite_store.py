"""The store in one SQLite file: what the center received, and what it concluded from it.

WAL with synchronous=FULL: a transaction that ended is on disk. One object per thread; other processes may read and
add nodes meanwhile.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.wire.batch import NO_HASH, Header, Stream
from agent.wire.bodies import Start
from agent.wire.keys import Verifier
from agent.wire.senml import Row
from center.acks import LISTENERS, Announced
from center.chains import Hole, Link
from center.errors import StoreError
from center.ingest import Box
from center.sqlite_readings import SqliteReadings
from center.sqlite_schema import FORMAT, TABLES
from center.sqlite_times import put_mapping
from center.sqlite_views import SqliteViews
from center.store import BootTime, Kept, Projected, StoredChain

_BUSY_S = 10.0
QUARANTINE_PER_REASON = 20
"""Messages kept of each node and reason: the first ones, so that a flood costs no writing."""
QUARANTINE_BYTES = 4 * 1024 * 1024
"""Bytes of refused messages kept of each node."""
HELD_MESSAGES = 1000
"""Messages held for a key, of each node."""
HELD_BYTES = 8 * 1024 * 1024
"""Bytes held for a key, of each node."""
HELD_BYTES_IN_ALL = 256 * 1024 * 1024
"""Bytes held for keys, of all nodes."""
_DETAIL = 256


class SqliteStore(SqliteViews):
    """The store of one center."""

    def __init__(self, path: Path, *, create: bool = True, busy_s: float = _BUSY_S) -> None:
        """Open the file, or create it; wait so long for another writer. Raises StoreError."""
        if not create and not path.exists():
            raise StoreError(f"{path} does not exist")
        try:
            db = sqlite3.connect(path, isolation_level=None, timeout=busy_s, cached_statements=256)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute("PRAGMA cache_size=-16384")
            _create(db)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error
        super().__init__(db)
        self._readings = SqliteReadings(db)
        self._version = -1
        self._held_bytes: int | None = None  # None: to be counted again

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Open a transaction; durable at its end, undone at an error. Raises StoreError."""
        try:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:  # whatever ends it, nothing half done may stay; it goes on
                self._held_bytes = None
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read outside a transaction. Raises StoreError."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error

    def changed(self) -> bool:
        """Tell whether another process wrote since the last call; True at the first."""
        (version,) = self.db.execute("PRAGMA data_version").fetchone()
        before, self._version = self._version, version
        return bool(version != before)

    def keys(self, city: str) -> Mapping[Box, Mapping[bytes, Verifier]]:
        """Return the public keys of a city's nodes."""
        found: dict[Box, dict[bytes, Verifier]] = {}
        for node, public in self.db.execute("SELECT node, public FROM nodes WHERE city = ?", (city,)):
            key = Verifier(public)
            found.setdefault((city, node), {})[key.kid] = key
        return found

    def chain(self, box: Box, name: tuple[bytes, Stream], *, create: bool) -> StoredChain | None:
        """Return a chain as saved; None when it is unknown and not to be created."""
        key = (*box, name[0], int(name[1]))
        sql = "SELECT id, n, hash, end_n FROM chains WHERE city = ? AND node = ? AND run = ? AND stream = ?"
        row = self.db.execute(sql, key).fetchone()
        if row is None:
            if not create:
                return None
            new = "INSERT INTO chains(city, node, run, stream, hash) VALUES(?, ?, ?, ?, ?)"
            row = (self.db.execute(new, (*key, NO_HASH)).lastrowid, 0, NO_HASH, None)
        chain, n, settled_hash, end_n = row
        above = "SELECT n, hash, prev FROM batches WHERE chain = ? AND n > ? ORDER BY n, id"
        holes = "SELECT first, last, prev, hash FROM holes WHERE chain = ? AND last > ?"
        return StoredChain(
            id=chain,
            n=n,
            hash=settled_hash,
            end_n=end_n,
            links=tuple(Link(n=at, hash=its, prev=prev) for at, its, prev in self.db.execute(above, (chain, n))),
            holes=tuple(
                Hole(first=first, last=last, prev=prev, hash=its)
                for first, last, prev, its in self.db.execute(holes, (chain, n))
            ),
        )

    def put_batch(self, chain: int, header: Header, batch_hash: bytes, message: bytes, *, now_ms: int) -> int | None:
        """Store a batch; return its id, or None when this very batch is stored already."""
        row = (
            chain,
            header.n,
            batch_hash,
            header.prev,
            int(header.kind),
            header.boot,
            header.count,
            header.seq0,
            header.origin,
            now_ms,
            message,
        )
        done = self.db.execute(
            "INSERT OR IGNORE INTO batches(chain, n, hash, prev, kind, boot, count, seq0, origin, received_utc_ms,"
            " message) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        return done.lastrowid if done.rowcount else None

    def save_chain(self, chain: int, *, n: int, settled_hash: bytes, doubles: int) -> None:
        """Save how far a chain is settled and add to its count of doubles."""
        sql = "UPDATE chains SET n = ?, hash = ?, doubles = doubles + ? WHERE id = ?"
        self.db.execute(sql, (n, settled_hash, doubles, chain))

    def stored_at(self, chain: int, n: int) -> Link | None:
        """Return the first batch stored at n or, where there is none, at the nearest n below."""
        sql = "SELECT n, hash, prev FROM batches WHERE chain = ? AND n <= ? ORDER BY n DESC, id LIMIT 1"
        row = self.db.execute(sql, (chain, n)).fetchone()
        return None if row is None else Link(n=row[0], hash=row[1], prev=row[2])

    def highest(self, chain: int) -> int:
        """Return the highest n stored; 0 for none."""
        (n,) = self.db.execute("SELECT max(n) FROM batches WHERE chain = ?", (chain,)).fetchone()
        return n or 0

    def put_hole(self, chain: int, hole: Hole, *, batch: int) -> None:
        """Store what a gap says of a chain."""
        row = (chain, hole.first, hole.last, hole.prev, hole.hash, batch)
        self.db.execute("INSERT OR IGNORE INTO holes VALUES(?, ?, ?, ?, ?, ?)", row)

    def put_start(self, box: Box, header: Header, start: Start, *, batch: int) -> tuple[bytes, ...]:
        """Store a start; return the other non-volatile runs that name the same predecessor, or none as it does."""
        run, before = header.run, start.previous
        previous = None if before is None else before.run
        named = (None,) * 3 if before is None else (before.boot, before.at_boot_ms, before.at_utc_ms)
        row = (*box, run, header.boot, header.at_boot_ms, previous, *named, start.volatile, batch)
        self.db.execute("INSERT OR IGNORE INTO starts VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        if start.volatile:
            return ()
        sql = (
            "SELECT DISTINCT run FROM starts WHERE city = ? AND node = ? AND previous IS ? AND run <> ?"
            " AND NOT volatile LIMIT 10"
        )
        return tuple(other for (other,) in self.db.execute(sql, (*box, previous, run)))

    def put_end(self, chain: int, n: int) -> None:
        """Note the end of a chain that a later start named; the lowest counts."""
        self.db.execute("UPDATE chains SET end_n = min(ifnull(end_n, ?1), ?1) WHERE id = ?2", (n, chain))

    def put_mapping(self, box: Box, mapping: BootTime, *, batch: int) -> None:
        """Keep a mapping beside those that are there."""
        put_mapping(self.db, box, mapping, batch=batch)

    def put_hello(self, box: Box, hello: Announced, *, now_ms: int) -> None:
        """Replace a run's last hello; the hello of a new run succeeds all others."""
        speaker = (*box, hello.run)
        known = self.db.execute("SELECT 1 FROM hellos WHERE city = ? AND node = ? AND run = ?", speaker).fetchone()
        if known is None:
            self.db.execute("UPDATE hellos SET live = 0 WHERE city = ? AND node = ?", box)
        self.db.execute("INSERT OR REPLACE INTO hellos VALUES(?, ?, ?, ?, ?, 1)", (*speaker, hello.boot, now_ms))
        self.db.execute(
            "DELETE FROM hellos WHERE city = ?1 AND node = ?2 AND run NOT IN (SELECT run FROM hellos"
            " WHERE city = ?1 AND node = ?2 ORDER BY run = ?3 DESC, live DESC, at_utc_ms DESC LIMIT ?4)",
            (*speaker, LISTENERS),
        )
        self.db.execute(
            "DELETE FROM announced WHERE city = ?1 AND node = ?2 AND (speaker = ?3 OR speaker NOT IN"
            " (SELECT run FROM hellos WHERE city = ?1 AND node = ?2 AND live))",
            speaker,
        )
        self.db.executemany(
            "INSERT OR REPLACE INTO announced VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
            [(*speaker, c.run, int(c.stream), c.first, c.last, c.last_seq) for c in hello.chains],
        )

    def put_state(self, box: Box, text: str, *, now_ms: int) -> None:
        """Replace a node's state."""
        self.db.execute("INSERT OR REPLACE INTO states VALUES(?, ?, ?, ?)", (*box, text, now_ms))

    def alarm(self, box: Box, what: str, subject: str, detail: str, *, now_ms: int) -> None:
        """Raise an alarm, or count it again."""
        self.db.execute(
            "INSERT INTO alarms VALUES(?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT DO UPDATE"
            " SET last_utc_ms = excluded.last_utc_ms, count = count + 1",
            (*box, what, subject, detail[:_DETAIL], now_ms, now_ms),
        )

    def refuse(self, box: Box | None, topic: str, reason: str, detail: str, payload: bytes, *, now_ms: int) -> None:
        """Count a refusal and keep the message while there is room."""
        city, node = box or ("", "")
        self.db.execute(
            "INSERT INTO refusals VALUES(?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE"
            " SET last_utc_ms = excluded.last_utc_ms, count = count + 1",
            (city, node, reason, now_ms, now_ms),
        )
        (kept, size) = self.db.execute(
            "SELECT count(*) FILTER (WHERE reason = ?3), ifnull(sum(length(payload)), 0) FROM quarantine"
            " WHERE city = ?1 AND node = ?2",
            (city, node, reason),
        ).fetchone()
        if kept < QUARANTINE_PER_REASON and size + len(payload) <= QUARANTINE_BYTES:
            digest = hashlib.sha256(payload).digest()
            self.db.execute(
                "INSERT OR IGNORE INTO quarantine(city, node, reason, detail, topic, at_utc_ms, digest, payload)"
                " VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                (city, node, reason, _printable(detail), _printable(topic), now_ms, digest, payload),
            )

    def hold(self, box: Box, topic: str, kid: bytes, payload: bytes, *, now_ms: int) -> bool:
        """Hold a message for a key; False when there is no room."""
        kept, size = self.db.execute(
            "SELECT count(*), ifnull(sum(length(payload)), 0) FROM held WHERE city = ? AND node = ?", box
        ).fetchone()
        if self._held_bytes is None:
            (self._held_bytes,) = self.db.execute("SELECT ifnull(sum(length(payload)), 0) FROM held").fetchone()
        in_all = (self._held_bytes or 0) + len(payload)
        if kept >= HELD_MESSAGES or size + len(payload) > HELD_BYTES or in_all > HELD_BYTES_IN_ALL:
            return False
        self._held_bytes = in_all
        digest = hashlib.sha256(payload).digest()
        self.db.execute(
            "INSERT OR IGNORE INTO held(city, node, kid, topic, at_utc_ms, digest, payload)"
            " VALUES(?, ?, ?, ?, ?, ?, ?)",
            (*box, kid, topic, now_ms, digest, payload),
        )
        return True

    def release(self, box: Box, kids: Sequence[bytes]) -> list[Kept]:
        """Take out the held messages of keys that are known now."""
        found: list[Kept] = []
        self._held_bytes = None
        for kid in kids:
            sql = "DELETE FROM held WHERE city = ? AND node = ? AND kid = ? RETURNING id, topic, payload"
            rows = self.db.execute(sql, (*box, kid)).fetchall()
            found += [Kept(id=row, topic=topic, payload=payload) for row, topic, payload in rows]
        return sorted(found, key=lambda kept: kept.id)

    def project(self, parsed: Mapping[int, Sequence[Row]], *, most: int, now_ms: int) -> Projected:
        """Turn the next stored batches into readings, in a transaction of its own. Raises StoreError."""
        with self.transaction():
            done, troubles = self._readings.project(parsed, most)
            for box, what, subject, detail in troubles:
                self.alarm(box, what, subject, detail, now_ms=now_ms)
        return done


@contextmanager
def opened(path: Path, *, create: bool = False) -> Iterator[SqliteStore]:
    """Open a store for a short look. Raises StoreError, also for what goes wrong meanwhile."""
    store = SqliteStore(path, create=create)
    try:
        yield store
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
    finally:
        store.close()


def _printable(text: str) -> str:
    return text[:_DETAIL].encode("utf-8", "backslashreplace").decode()


def _create(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for table in TABLES:
            db.execute(table)
        db.execute(f"PRAGMA user_version = {FORMAT}")
    db.execute("COMMIT")
    if version not in (0, FORMAT):
        raise StoreError(f"the store has format {version}; this program knows {FORMAT}")
