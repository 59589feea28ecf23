"""The tables of the SQLite store.

What was received stands in ``batches``; ``readings`` and ``series`` are a projection of it and may be dropped.
A boolean reading is stored as a one-byte blob, so that it stays one.
"""

FORMAT = 2
"""Written to ``PRAGMA user_version``."""

TABLES = (
    """CREATE TABLE nodes(
        city TEXT NOT NULL, node TEXT NOT NULL, public BLOB NOT NULL, added_utc_ms INTEGER NOT NULL,
        PRIMARY KEY(city, node, public)) WITHOUT ROWID""",
    # n and hash: how far it is settled. end_n: the lowest end that a later start named.
    """CREATE TABLE chains(
        id INTEGER PRIMARY KEY, city TEXT NOT NULL, node TEXT NOT NULL, run BLOB NOT NULL, stream INTEGER NOT NULL,
        n INTEGER NOT NULL DEFAULT 0, hash BLOB NOT NULL, end_n INTEGER, doubles INTEGER NOT NULL DEFAULT 0,
        UNIQUE(city, node, run, stream))""",
    # AUTOINCREMENT: projection keeps a watermark of ids, so none may come twice.
    """CREATE TABLE batches(
        id INTEGER PRIMARY KEY AUTOINCREMENT, chain INTEGER NOT NULL REFERENCES chains, n INTEGER NOT NULL,
        hash BLOB NOT NULL, prev BLOB NOT NULL, kind INTEGER NOT NULL, boot BLOB NOT NULL, count INTEGER NOT NULL,
        seq0 INTEGER NOT NULL, origin BLOB, received_utc_ms INTEGER NOT NULL, message BLOB NOT NULL,
        UNIQUE(chain, n, hash))""",
    """CREATE TABLE holes(
        chain INTEGER NOT NULL REFERENCES chains, first INTEGER NOT NULL, last INTEGER NOT NULL, prev BLOB NOT NULL,
        hash BLOB NOT NULL, batch INTEGER NOT NULL, PRIMARY KEY(chain, last, first, batch)) WITHOUT ROWID""",
    """CREATE TABLE starts(
        city TEXT NOT NULL, node TEXT NOT NULL, run BLOB NOT NULL, boot BLOB NOT NULL, boot_ms INTEGER NOT NULL,
        previous BLOB, previous_boot BLOB, previous_boot_ms INTEGER, previous_utc_ms INTEGER,
        volatile INTEGER NOT NULL, batch INTEGER NOT NULL, PRIMARY KEY(city, node, run, batch)) WITHOUT ROWID""",
    "CREATE INDEX starts_previous ON starts(city, node, previous)",
    """CREATE TABLE mappings(
        city TEXT NOT NULL, node TEXT NOT NULL, boot BLOB NOT NULL, at_boot_ms INTEGER NOT NULL,
        at_utc_ms INTEGER NOT NULL, uncertainty_ms INTEGER, source TEXT NOT NULL, batch INTEGER NOT NULL,
        PRIMARY KEY(city, node, boot, at_boot_ms, batch)) WITHOUT ROWID""",
    # The last hello of each run that was heard lately; live: not succeeded by a run that spoke after it.
    """CREATE TABLE hellos(
        city TEXT NOT NULL, node TEXT NOT NULL, run BLOB NOT NULL, boot BLOB NOT NULL, at_utc_ms INTEGER NOT NULL,
        live INTEGER NOT NULL, PRIMARY KEY(city, node, run)) WITHOUT ROWID""",
    """CREATE TABLE announced(
        city TEXT NOT NULL, node TEXT NOT NULL, speaker BLOB NOT NULL, run BLOB NOT NULL, stream INTEGER NOT NULL,
        first INTEGER NOT NULL, last INTEGER NOT NULL, last_seq INTEGER NOT NULL,
        PRIMARY KEY(city, node, speaker, run, stream)) WITHOUT ROWID""",
    """CREATE TABLE states(
        city TEXT NOT NULL, node TEXT NOT NULL, text TEXT NOT NULL, at_utc_ms INTEGER NOT NULL,
        PRIMARY KEY(city, node)) WITHOUT ROWID""",
    """CREATE TABLE alarms(
        city TEXT NOT NULL, node TEXT NOT NULL, what TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL,
        first_utc_ms INTEGER NOT NULL, last_utc_ms INTEGER NOT NULL, count INTEGER NOT NULL,
        PRIMARY KEY(city, node, what, subject)) WITHOUT ROWID""",
    # city and node are empty for a topic that belongs to no node.
    """CREATE TABLE refusals(
        city TEXT NOT NULL, node TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
        first_utc_ms INTEGER NOT NULL, last_utc_ms INTEGER NOT NULL, PRIMARY KEY(city, node, reason)) WITHOUT ROWID""",
    """CREATE TABLE quarantine(
        id INTEGER PRIMARY KEY, city TEXT NOT NULL, node TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
        topic TEXT NOT NULL, at_utc_ms INTEGER NOT NULL, digest BLOB NOT NULL, payload BLOB NOT NULL,
        UNIQUE(city, node, reason, digest))""",
    """CREATE TABLE held(
        id INTEGER PRIMARY KEY, city TEXT NOT NULL, node TEXT NOT NULL, kid BLOB NOT NULL, topic TEXT NOT NULL,
        at_utc_ms INTEGER NOT NULL, digest BLOB NOT NULL, payload BLOB NOT NULL, UNIQUE(city, node, digest))""",
    """CREATE TABLE series(
        id INTEGER PRIMARY KEY, city TEXT NOT NULL, node TEXT NOT NULL, origin BLOB NOT NULL, stream INTEGER NOT NULL,
        boot BLOB NOT NULL, path TEXT NOT NULL, unit TEXT NOT NULL, UNIQUE(city, node, origin, stream, path))""",
    # unit: only where it differs from that of its series. source: 0 device, 1 corrected, 2 bounds.
    """CREATE TABLE readings(
        id INTEGER PRIMARY KEY, series INTEGER NOT NULL, boot_ms INTEGER NOT NULL, value NOT NULL, flags TEXT,
        unit TEXT, utc_ms INTEGER, source INTEGER NOT NULL, batch INTEGER NOT NULL, UNIQUE(series, boot_ms))""",
    # Boots without a mapping, and boots with mappings that contradict each other.
    "CREATE TABLE undated(city TEXT, node TEXT, boot BLOB, PRIMARY KEY(city, node, boot)) WITHOUT ROWID",
    "CREATE TABLE disputed(city TEXT, node TEXT, boot BLOB, PRIMARY KEY(city, node, boot)) WITHOUT ROWID",
    "CREATE TABLE facts(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO facts VALUES('projected', 0)",
)
