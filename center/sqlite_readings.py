"""Projection in SQLite: stored batches to a table of readings, one row for each identity.

It follows a watermark of batch ids that moves in the same transaction as the rows, so a crash repeats nothing and
skips nothing, and it may be rebuilt at any time.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.wire.batch import Coding, Kind, Stream, decode_header, digest_of, inflate, split
from agent.wire.cbor import UINT_MAX
from agent.wire.cose import parts
from agent.wire.errors import Reason, WireError
from agent.wire.senml import Row, Scalar, unpack
from center.dating import Dating
from center.ingest import Box
from center.sqlite_times import BOUNDS, CORRECTED, DEVICE, dating_around, dating_of
from center.store import Projected

_COLUMNS = 8
_CHUNKS = (128, 16, 1)  # rows a statement: each step hands the GIL away, and few steps wait less often to get it back
_INSERT = {
    rows: "INSERT OR IGNORE INTO readings(series, boot_ms, value, flags, unit, utc_ms, source, batch)"  # noqa: S608
    f" VALUES {','.join(['(' + ','.join('?' * _COLUMNS) + ')'] * rows)}"  # nothing but question marks
    for rows in _CHUNKS
}

_SqlValue = int | float | str | bytes | None
Trouble = tuple[Box, str, str, str]
"""Node, what, subject and detail of an alarm."""


@dataclass(frozen=True, slots=True)
class _Batch:
    id: int
    box: Box
    run: bytes
    origin: bytes
    stream: int
    boot: bytes


class SqliteReadings:
    """The projection, on one connection."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._series: dict[tuple[str, str, bytes, int, str], tuple[int, str]] = {}

    def project(self, parsed: Mapping[int, Sequence[Row]], most: int) -> tuple[Projected, list[Trouble]]:
        """Project the next batches inside the caller's transaction."""
        (watermark,) = self._db.execute("SELECT value FROM facts WHERE name = 'projected'").fetchone()
        batches = self._db.execute(
            "SELECT b.id, c.city, c.node, c.run, ifnull(b.origin, c.run), c.stream, b.boot, b.kind"
            " FROM batches b JOIN chains c ON c.id = b.chain WHERE b.id > ? ORDER BY b.id LIMIT ?",
            (watermark, most),
        ).fetchall()
        self._series.clear()  # a rebuild by another process gives new ids
        offered = new = 0
        troubles: list[Trouble] = []
        for at, city, node, run, origin, stream, boot, kind in batches:
            if kind != Kind.READINGS:
                continue
            batch = _Batch(at, (city, node), run, origin, stream, boot)
            try:
                rows = parsed[at] if at in parsed else self._parse(batch)
            except WireError as error:
                troubles.append((batch.box, "damaged", f"batch {at}", f"its stored bytes changed: {error}"))
                continue
            inserted = self._insert(batch, rows)
            offered, new = offered + len(rows), new + inserted
            if inserted < len(rows):
                troubles += self._compare(batch, rows)
        if batches:
            self._db.execute("UPDATE facts SET value = ? WHERE name = 'projected'", (batches[-1][0],))
        self._date_undated()
        return Projected(
            batches=len(batches), last=batches[-1][0] if batches else watermark, offered=offered, new=new
        ), troubles

    def _parse(self, batch: _Batch) -> Sequence[Row]:
        (message,) = self._db.execute("SELECT message FROM batches WHERE id = ?", (batch.id,)).fetchone()
        sign1, body = split(message)
        header = decode_header(parts(sign1).payload)
        if digest_of(body) != header.digest:
            raise WireError(Reason.DIGEST, "the body is not the one that was signed")
        plain = inflate(body) if header.coding is Coding.DEFLATE else body
        return unpack(plain, node="/".join(batch.box), at_boot_ms=header.at_boot_ms, at_utc_ms=header.at_utc_ms)

    def _insert(self, batch: _Batch, rows: Sequence[Row]) -> int:
        if not rows:
            return 0
        dating = self._dating(batch, rows)
        constant = None if dating is None else dating.constant
        source = BOUNDS if dating is None else self._source(batch)
        flat: list[_SqlValue] = []
        path = unit = ""
        series = 0
        for row in rows:
            if row.path != path:
                path = row.path
                series, unit = self._series_of(batch, row)
            value = row.value
            boot_ms = row.boot_ms
            flat += (
                series,
                boot_ms,
                bytes((value,)) if value is True or value is False else value,
                ",".join(row.flags) if row.flags else None,
                None if row.unit == unit else row.unit,
                boot_ms + constant
                if constant is not None
                else (None if dating is None else boot_ms + dating.offset_ms(boot_ms)),
                source,
                batch.id,
            )
        inserted = at = 0
        for chunk in _CHUNKS:
            width = chunk * _COLUMNS
            while len(flat) - at >= width:
                inserted += self._db.execute(_INSERT[chunk], flat[at : at + width]).rowcount
                at += width
        if dating is None:
            self._db.execute("INSERT OR IGNORE INTO undated VALUES(?, ?, ?)", (*batch.box, batch.boot))
        return inserted

    def _series_of(self, batch: _Batch, row: Row) -> tuple[int, str]:
        key = (*batch.box, batch.origin, batch.stream, row.path)
        found = self._series.get(key)
        if found is None:
            sql = "SELECT id, unit FROM series WHERE city = ? AND node = ? AND origin = ? AND stream = ? AND path = ?"
            found = self._db.execute(sql, key).fetchone()
            if found is None:
                new = "INSERT INTO series(city, node, origin, stream, path, boot, unit) VALUES(?, ?, ?, ?, ?, ?, ?)"
                done = self._db.execute(new, (*key, batch.boot, row.unit))
                found = (done.lastrowid or 0, row.unit)
            self._series[key] = found
        return found

    def _dating(self, batch: _Batch, rows: Sequence[Row]) -> Dating | None:
        first, last = min(row.boot_ms for row in rows), max(row.boot_ms for row in rows)
        return dating_around(self._db, batch.box, batch.boot, first, last)

    def _source(self, batch: _Batch) -> int:
        sql = "SELECT 1 FROM mappings WHERE city = ? AND node = ? AND boot = ? AND batch = ? LIMIT 1"
        own = self._db.execute(sql, (*batch.box, batch.boot, batch.id)).fetchone()
        return CORRECTED if own is None else DEVICE

    def _compare(self, batch: _Batch, rows: Sequence[Row]) -> list[Trouble]:
        """Name the rows whose identity another batch holds with another value."""
        found: list[Trouble] = []
        sql = "SELECT value, batch FROM readings WHERE series = ? AND boot_ms = ?"
        for row in rows:
            series, _ = self._series_of(batch, row)
            value, other = self._db.execute(sql, (series, row.boot_ms)).fetchone()
            if scalar(value) != row.value:
                subject = f"{batch.origin.hex()} {Stream(batch.stream).name.lower()} {row.path} {row.boot_ms}"
                found.append(
                    (
                        batch.box,
                        "row_conflict",
                        subject,
                        f"batch {batch.id} says {row.value!r}, batch {other} another value",
                    )
                )
        return found

    def _date_undated(self) -> None:
        boots = self._db.execute("SELECT city, node, boot FROM undated").fetchall()
        for city, node, boot in boots:
            dating = dating_of(self._db, (city, node), boot)
            if dating is None:
                continue
            for offset, last_ms in dating.pieces():  # what a piece has dated the next ones leave alone
                self._db.execute(
                    "UPDATE readings SET utc_ms = boot_ms + ?, source = ? WHERE utc_ms IS NULL AND boot_ms <= ?"
                    " AND series IN (SELECT id FROM series WHERE city = ? AND node = ? AND boot = ?)",
                    (offset, CORRECTED, UINT_MAX if last_ms is None else last_ms, city, node, boot),
                )
            self._db.execute("DELETE FROM undated WHERE city = ? AND node = ? AND boot = ?", (city, node, boot))


def scalar(stored: Scalar | bytes) -> Scalar:
    """Return a value as it was sent; a boolean is stored as a one-byte blob."""
    return stored == b"\x01" if isinstance(stored, bytes) else stored
