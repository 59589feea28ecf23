"""What the workload writes: each row follows from its run, stream and number, so anyone can say what it must be."""

import hashlib
from functools import lru_cache

from agent.seal import Limits, Moment, Sealer
from agent.spool.spool import Facts, Settings
from agent.wire.batch import Clock, Stream
from agent.wire.senml import Row
from tests.agent.spool.rig import BOOT, CITY, KEY, NODE, run_id

SETTINGS = Settings(
    telemetry_cap=64 * 1024,
    alarm_cap=32 * 1024,
    free_disk=0,
    segment=8 * 1024,
    limits=Limits(rows=20, plain_bytes=4096),
)
FACTS = Facts(version="1.2.3", config_hash="c0ffee", config='{"a":1}')
AFTER = 1000
"""Number of the first run after a power cut."""
_RUN_MS = 10_000_000
_ROW_MS = 100
_UTC_MS = 1_795_000_000_000


@lru_cache(100_000)
def row(run: int, stream: Stream, seq: int) -> Row:
    """Return the row with this number."""
    chance = hashlib.sha256(b"%d %d %d" % (run, stream, seq)).digest()
    sensors = 6 if stream is Stream.TELEMETRY else 3
    return Row(
        path=f"{stream.name.lower()[:1]}{seq % sensors}/v",
        unit="m",
        boot_ms=run * _RUN_MS + seq * _ROW_MS,
        value=round(int.from_bytes(chance[:3]) / 1000, 3),
        flags=("stale", "step") if seq % 7 == 0 else (),
    )


def rows(run: int, stream: Stream, first: int, last: int) -> list[Row]:
    """Return the rows with these numbers."""
    return [row(run, stream, seq) for seq in range(first, last + 1)]


def moment(run: int, step: int) -> Moment:
    """Return a moment of a run."""
    boot_ms = run * _RUN_MS + step * _ROW_MS
    return Moment(boot=BOOT, boot_ms=boot_ms, utc_ms=_UTC_MS + boot_ms, clock=Clock.SYNCHRONISED)


def sealer(run: int) -> Sealer:
    """Return what signs for a run."""
    return Sealer(city=CITY, node=NODE, run=run_id(run), signer=KEY)


def number_of(run: bytes) -> int:
    """Return the number of a run."""
    return int.from_bytes(run)
