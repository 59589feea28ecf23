"""Times in the SQLite store: mappings of boots, and what is known of the UTC of a reading when somebody asks."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from center.dating import Dating, Mapping, disagree
from center.ingest import Box
from center.store import BootTime
from center.succession import Following, Succession

DEVICE, CORRECTED, BOUNDS = range(3)
"""Where the UTC of a reading comes from: its own batch, another mapping of its boot, or only bounds."""

_WORDS = ("device", "corrected", "bounds")
_TOLD = "told"
_AHEAD_MS = 30 * 60_000
"""A UTC so far after its own receipt is refuted; less may be the center's clock."""
_DRIFT_PPM = 100  # of a crystal in a hot cabinet
_LED_SOURCES = ("header", "kernel", "gnss")  # of a clock that was led by a true one; all others were set once
_LED = f"source IN {_LED_SOURCES}"
_OF_BOOT = (
    "SELECT at_boot_ms, at_utc_ms, ifnull(uncertainty_ms, 0) FROM mappings WHERE city = ? AND node = ? AND boot = ?"
)


def put_mapping(db: sqlite3.Connection, box: Box, mapping: BootTime, *, batch: int) -> None:
    """Keep a mapping beside those that are there; note its boot where it contradicts a neighbour."""
    key = (*box, mapping.boot)
    new = Mapping(mapping.at_boot_ms, mapping.at_utc_ms, mapping.uncertainty_ms or 0)
    row = (*key, new.boot_ms, new.utc_ms, mapping.uncertainty_ms, mapping.source, batch)
    done = db.execute("INSERT OR IGNORE INTO mappings VALUES(?, ?, ?, ?, ?, ?, ?, ?)", row)
    if not done.rowcount or mapping.source not in _LED_SOURCES:
        return
    near = db.execute(
        f"{_OF_BOOT} AND at_boot_ms < ? AND {_LED} ORDER BY at_boot_ms DESC, batch LIMIT 1", (*key, new.boot_ms)
    ).fetchall()
    near += db.execute(
        f"{_OF_BOOT} AND at_boot_ms > ? AND {_LED} ORDER BY at_boot_ms, batch LIMIT 1", (*key, new.boot_ms)
    ).fetchall()
    if any(disagree(new, Mapping(*one)) for one in near):
        db.execute("INSERT OR IGNORE INTO disputed VALUES(?, ?, ?)", key)


def dating_around(db: sqlite3.Connection, box: Box, boot: bytes, first_ms: int, last_ms: int) -> Dating | None:
    """Return the mappings of a boot that can date the moments from ``first_ms`` to ``last_ms``; None without any."""
    key = (*box, boot)
    near = db.execute(
        f"SELECT * FROM ({_OF_BOOT} AND at_boot_ms <= ? AND {_LED} ORDER BY at_boot_ms DESC, batch LIMIT 1)",  # noqa: S608 - no text from outside
        (*key, first_ms),
    ).fetchall()
    near += db.execute(
        f"{_OF_BOOT} AND at_boot_ms > ? AND at_boot_ms < ? AND {_LED} ORDER BY at_boot_ms, batch",
        (*key, first_ms, last_ms),
    )
    near += db.execute(
        f"{_OF_BOOT} AND at_boot_ms > ? AND at_boot_ms >= ? AND {_LED} ORDER BY at_boot_ms, batch LIMIT 1",
        (*key, first_ms, last_ms),
    )
    return Dating([Mapping(*one) for one in near]) if near else None


def dating_of(db: sqlite3.Connection, box: Box, boot: bytes) -> Dating | None:
    """Return all mappings of a boot that was led by a true clock; None without any."""
    found = db.execute(f"{_OF_BOOT} AND {_LED} ORDER BY at_boot_ms, batch", (*box, boot)).fetchall()
    return Dating([Mapping(*one) for one in found]) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """UTC of a reading: the best there is, where it comes from, and between what it lies where it is not certain."""

    utc_ms: int | None
    source: str
    low_ms: int | None = None
    high_ms: int | None = None


class Times:
    """Places readings in time, as known now. Lives for one question."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._disputed = {
            ((city, node), boot) for city, node, boot in db.execute("SELECT city, node, boot FROM disputed")
        }
        self._datings: dict[tuple[Box, bytes], Dating | None] = {}
        self._told: dict[tuple[Box, bytes], list[Mapping]] = {}
        self._successions: dict[Box, Succession] = {}

    def place(
        self, box: Box, boot: bytes, boot_ms: int, *, utc_ms: int | None, source: int, received_ms: int
    ) -> Placed:
        """Return what is known of a reading.

        Args:
            box: Its node.
            boot: Of the run that took it.
            boot_ms: Its moment.
            utc_ms: What it was dated first.
            source: Where that comes from.
            received_ms: Receipt of its batch.
        """
        is_ahead = utc_ms is not None and utc_ms > received_ms + _AHEAD_MS
        if utc_ms is not None and not is_ahead and (box, boot) not in self._disputed:
            return Placed(utc_ms=utc_ms, source=_WORDS[source])
        if utc_ms is not None and (box, boot) in self._disputed and (dating := self._dating(box, boot)) is not None:
            possible = [one for one in dating.spread(boot_ms) if one <= received_ms + _AHEAD_MS]
            if possible:
                return _between(min(possible), max(possible), utc_ms, _WORDS[source])
        low, high = self._bounds(box, boot, boot_ms, received_ms)
        if utc_ms is not None:
            return Placed(utc_ms=None, source=_WORDS[BOUNDS], low_ms=low, high_ms=high)
        return self._by_told(box, boot, boot_ms, low, high)

    def _bounds(self, box: Box, boot: bytes, boot_ms: int, received_ms: int) -> tuple[int | None, int]:
        if box not in self._successions:
            self._successions[box] = Succession(self._starts(box), lambda boot, at_ms: self._known(box, boot, at_ms))
        succession = self._successions[box]
        low, later = succession.low_ms(boot, boot_ms), succession.high_ms(boot, boot_ms)
        high = received_ms if later is None else min(received_ms, later)
        if low is not None and low > high:  # a node's word against the center's own clock
            low, high = None, received_ms
        return low, high

    def _by_told(self, box: Box, boot: bytes, boot_ms: int, low: int | None, high: int) -> Placed:
        """Narrow bounds by what a clock said that was set once: a person's, the board's."""
        errors = [
            (one.uncertainty_ms + abs(boot_ms - one.boot_ms) * _DRIFT_PPM // 1_000_000, boot_ms + one.offset_ms)
            for one in self._told_of(box, boot)
        ]
        if errors:
            error_ms, utc_ms = min(errors)
            from_ms = utc_ms - error_ms if low is None else max(low, utc_ms - error_ms)
            to_ms = min(high, utc_ms + error_ms)
            if from_ms <= to_ms:
                return Placed(utc_ms=min(max(utc_ms, from_ms), to_ms), source=_TOLD, low_ms=from_ms, high_ms=to_ms)
        return Placed(utc_ms=None, source=_WORDS[BOUNDS], low_ms=low, high_ms=high)

    def _dating(self, box: Box, boot: bytes) -> Dating | None:
        key = (box, boot)
        if key not in self._datings:
            self._datings[key] = dating_of(self._db, box, boot)
        return self._datings[key]

    def _told_of(self, box: Box, boot: bytes) -> list[Mapping]:
        key = (box, boot)
        if key not in self._told:
            found = self._db.execute(f"{_OF_BOOT} AND NOT {_LED}", (*box, boot))
            self._told[key] = [Mapping(*one) for one in found]
        return self._told[key]

    def _known(self, box: Box, boot: bytes, at_ms: int) -> tuple[int, int] | None:
        if (box, boot) in self._disputed:
            dating = self._dating(box, boot)
        else:
            dating = dating_around(self._db, box, boot, at_ms, at_ms)
        if dating is None:
            return None
        possible = dating.spread(at_ms)
        return min(possible), max(possible)

    def _starts(self, box: Box) -> Iterable[Following]:
        sql = (
            "SELECT s.previous_boot, s.previous_boot_ms, s.previous_utc_ms, s.boot, s.boot_ms, b.received_utc_ms"
            " FROM starts s JOIN batches b ON b.id = s.batch WHERE city = ? AND node = ? AND previous_boot IS NOT NULL"
        )
        for before, before_ms, before_utc_ms, boot, boot_ms, received_ms in self._db.execute(sql, box):
            yield Following(
                before=before,
                before_ms=before_ms,
                before_utc_ms=before_utc_ms,
                boot=boot,
                boot_ms=boot_ms,
                received_ms=received_ms,
            )


def _between(low: int, high: int, utc_ms: int, source: str) -> Placed:
    """Place a reading of a boot whose mappings contradict; what it was dated first stands where it is possible."""
    if low == high:
        return Placed(utc_ms=low, source=source if low == utc_ms else _WORDS[CORRECTED])
    if low <= utc_ms <= high:
        return Placed(utc_ms=utc_ms, source=source, low_ms=low, high_ms=high)
    return Placed(utc_ms=None, source=_WORDS[BOUNDS], low_ms=low, high_ms=high)
