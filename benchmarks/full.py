"""A start with a spool that is full: a day of an offline node with 8 sensors at 1 Hz, 9 tenths of 64 MiB."""

import contextlib
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

from agent import clock, identity
from agent.seal import Moment, Sealer
from agent.spool import frames
from agent.spool.disk import Disk
from agent.spool.keeper import Keeper
from agent.spool.spool import Facts, Settings
from agent.wire.batch import ID_BYTES, Stream
from agent.wire.senml import Row
from benchmarks.processes import cost, gardu, running, until
from benchmarks.town import CITY, NODE, SENSORS, Town, sensors

_CHANNELS = 2 * SENSORS
_TURN_S = 10  # rows are written each 10 s and sealed 500 at a time
_WITHIN_S = 60
_FILLED = 0.9  # what a spool keeps free for its next steps begins a little above


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """What it takes.

    Attributes:
        size_mb: Of the spool.
        readings: In it.
        start_s: From exec to the first durable reading of the new run, the spool's files dropped from the cache.
        rss_mb: Memory then.
    """

    size_mb: float
    readings: int
    start_s: float
    rss_mb: float


def full(here: Town) -> Full:
    """Fill a spool, start the agent on it, wait for its first reading."""
    readings = _fill(here)
    old = set(here.spool.iterdir())
    size = sum(path.stat().st_size for path in old)
    for path in old:
        _drop_cache(path)
    with sensors(here, SENSORS):
        begun_s = time.monotonic()
        with running(gardu("run", "--config", str(here.config(sensors=SENSORS))), here.folder / "agent.log") as process:
            until(lambda: _new_rows(here.spool, old), _WITHIN_S, "first durable reading", look_s=0.005)
            start_s = time.monotonic() - begun_s
            rss_mb = cost(process.pid).rss_mb
    return Full(size_mb=size / 2**20, readings=readings, start_s=start_s, rss_mb=rss_mb)


class _Unsynced(Disk):
    """A disk that does not wait: only the files count here."""

    def sync(self, descriptor: int, *, new: bool) -> None:
        """Do nothing."""


def _fill(here: Town) -> int:
    """Write rows as an offline node does until the cap is near; return how many."""
    signer = identity.load(here.node_keys).signer
    sealer = Sealer(city=CITY, node=NODE, run=os.urandom(ID_BYTES), signer=signer)
    settings = Settings(free_disk=0)
    keeper = Keeper(_Unsynced(here.spool), sealer, settings, Facts(version="bench"))
    keeper.open()
    chance = random.Random(7)  # noqa: S311 - believable values, no secret
    values = [20.0] * _CHANNELS
    boot = clock.boot_id()
    most = round(settings.telemetry_cap * _FILLED)
    at_ms, taken, size = 60_000, 0, -1
    while size < (size := sum(path.stat().st_size for path in here.spool.glob("*.seg"))) < most:
        rows: list[Row] = []
        for _ in range(_TURN_S):
            at_ms += 1000
            for channel in range(_CHANNELS):
                values[channel] = round(max(0.0, values[channel] + chance.uniform(-0.5, 0.5)), 1)
                path = f"air{channel // 2}/{'pm10' if channel % 2 else 'pm2_5'}"
                rows.append(Row(path=path, unit="ug/m3", boot_ms=at_ms + channel, value=values[channel]))
        keeper.commit({Stream.TELEMETRY: rows}, moment=Moment(boot=boot, boot_ms=at_ms + _CHANNELS))
        taken += len(rows)
    keeper.close(Moment(boot=boot, boot_ms=at_ms + _CHANNELS))
    return taken


def _drop_cache(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _new_rows(spool: Path, old: set[Path]) -> bool:
    for path in set(spool.glob("*telemetry*.seg")) - old:
        name = frames.parse_name(path.name)
        with contextlib.suppress(FileNotFoundError):
            for frame in frames.frames(name, path.read_bytes()) if name is not None else ():
                if frame.kind == frames.FrameKind.ROWS:
                    return True
                if frame.kind == frames.FrameKind.BATCH and frames.batch_facts(frame.body).count:
                    return True
    return False
