"""An alarm is at the center within two seconds while a week of backlog drains over a narrow, slow line."""

import os
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from agent import identity
from agent.seal import Moment, Sealer
from agent.spool.disk import Disk
from agent.spool.spool import Facts, Settings, Spool
from agent.wire.batch import ID_BYTES, Kind, Stream, open_batch
from agent.wire.senml import Row
from drivers.driver import Line
from drivers.framing import sum8
from drivers.simulate.simulator import Talker
from tests.center.fake_node import CITY
from tests.center.processes import until
from tests.faults.real.place import FULL, center_listens, is_quiet, made
from tests.faults.real.proxy import NARROW
from tests.faults.real.watching import looking
from tests.system import ledger
from tests.system.town import NODE, Town

pytestmark = [pytest.mark.faults, pytest.mark.broker]

SENSORS = 8
BACKLOG_S = 7 * 24 * 3600 if FULL else 13 * 3600
"""A week; a tenth of the campaign takes what drains in about a minute."""
DRAINS_S = BACKLOG_S / 600
"""More than it takes, for the number of alarms that must be ready: 4.7 bytes a reading."""
RISES_EVERY_S = 2.0
LATEST_S = 2.0
LEAST_OF_LINE = 0.8
_LINE_BYTES_PER_S = 32_000
_BATCH_S = 62  # of readings of all sensors fill a batch of 500
_SPARE = 3
_LEVELS = int(2 * DRAINS_S / RISES_EVERY_S / SENSORS) + _SPARE
_FIRST_MM, _STEP_MM, _MOUNT_MM = 300, 3500 // (_LEVELS + 1), 4200

TIMERS = """\
[center]
url = "{url}"
backoff_base = "200 ms"
backoff_cap = "1 s"
first_spread = "0 s"
[spool]
folder = "{spool}"
telemetry_cap = "1 GiB"
free_disk = "1 MiB"
[host]
enabled = false
"""
GAUGE = """\
driver = "a02yyuw"
every = "1 s"
mount_height = "4.20 m"
"""


class Climbing(Talker):
    """A gauge that speaks once a second, and every so many seconds the water is one level higher.

    Attributes:
        said: When it first said each level, s of the steady clock.
    """

    def __init__(self, *, first: int, every: int) -> None:
        super().__init__(line=Line(baud=9600), every_s=1.0)
        self._beats, self._every = first, every
        self.said: list[float] = []

    def frames(self, now_ns: int) -> list[bytes]:  # noqa: ARG002 - it counts its beats
        self._beats += 1
        level_mm = _FIRST_MM - _STEP_MM // 2 + _STEP_MM * min(self._beats // self._every, _LEVELS)
        if self._beats > 0 and self._beats % self._every == 0 and len(self.said) < _LEVELS:
            self.said.append(time.monotonic())
        body = b"\xff" + (_MOUNT_MM - level_mm).to_bytes(2, "big")
        return [body + bytes((sum8(body),))]


def rule(name: str) -> str:
    """Return an alarm that rises level by level; one that gets worse is never held back."""
    levels = ", ".join(f'l{at} = "{(_FIRST_MM + _STEP_MM * (at - 1)) / 1000:.3f} m"' for at in range(1, _LEVELS + 1))
    return f'[alarm.{name}]\nwatch = "{name}/level"\nlevels = {{ {levels} }}\nfor = "0 s"\naccept = ["step"]\n'


def write_backlog(town: Town) -> tuple[bytes, int]:
    """Write what a node leaves that was without a link for so long, in an earlier boot; return its run and last n."""
    run = os.urandom(ID_BYTES)
    sealer = Sealer(city=CITY, node=NODE, run=run, signer=identity.load(town.keys_of(NODE)).signer)
    spool = Spool(Disk(town.spool), sealer, Settings(telemetry_cap=2**30, free_disk=0), Facts(version="backlog"))
    spool.open()
    chance = random.Random(7)  # noqa: S311 - believable values, no secret
    values = [20.0 + sensor for sensor in range(SENSORS)]
    boot = os.urandom(ID_BYTES)
    for first_s in range(60, 60 + BACKLOG_S, _BATCH_S):
        rows: list[Row] = []
        for at_s in range(first_s, min(first_s + _BATCH_S, 60 + BACKLOG_S)):
            for sensor in range(SENSORS):
                values[sensor] = round(max(0.0, values[sensor] + chance.uniform(-0.5, 0.5)), 1)
                boot_ms = at_s * 1000 + chance.randrange(8)
                rows.append(Row(path=f"air{sensor}/pm2_5", unit="ug/m3", boot_ms=boot_ms, value=values[sensor]))
        moment = Moment(boot=boot, boot_ms=rows[-1].boot_ms + 10)
        spool.commit({Stream.TELEMETRY: rows}, moment=moment, seal=frozenset({Stream.TELEMETRY}))
    spool.close(moment)
    return run, max(held.last for held in spool.held())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One batch at the center."""

    number: int
    run: bytes
    stream: Stream
    kind: Kind
    size_bytes: int
    message: bytes


def stored(store: Path) -> list[Stored]:
    query = (
        "SELECT batches.id, run, stream, kind, length(message), iif(stream = 0, message, x'')"
        " FROM batches JOIN chains ON chain = chains.id ORDER BY batches.id"
    )
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as view:
        return [
            Stored(number=a, run=b, stream=Stream(c), kind=Kind(d), size_bytes=e, message=f)
            for a, b, c, d, e, f in view.execute(query)
        ]


def latencies(
    town: Town, said: dict[tuple[str, str], float], batches: list[Stored], seen: dict[int, float]
) -> list[float]:
    """Return the times from the moment a gauge first says a level to the moment its alarm is committed, sorted."""
    committed: dict[tuple[str, str], float] = {}
    for one in batches:
        if one.stream is Stream.ALARM and one.kind is Kind.READINGS:
            batch = open_batch(one.message, city=CITY, node=NODE, find_key={town.key.kid: town.key}.get)
            for row in batch.rows:
                if row.path.startswith("alarm/"):
                    committed.setdefault((row.path.removeprefix("alarm/"), str(row.value)), seen[one.number])
    assert said.keys() <= committed.keys()
    return sorted(committed[name] - said_s for name, said_s in said.items())


def share(values: list[float], part: float) -> float:
    """Return a percentile of sorted values."""
    return values[min(len(values) - 1, int(part * len(values)))]


@pytest.mark.timeout(2400)
def test_alarms_are_there_within_two_seconds_while_a_backlog_drains_over_256_kbit_and_200_ms(
    tmp_path: Path, tell: Callable[[str, str], None]
) -> None:
    every = round(RISES_EVERY_S * SENSORS)
    names = [f"gauge{at}" for at in range(SENSORS)]
    gauges = {name: Climbing(first=-round(RISES_EVERY_S * at), every=every) for at, name in enumerate(names)}
    with made(tmp_path) as place:
        town = place.town
        begun_s = time.monotonic()
        old, last = write_backlog(town)
        written_s = time.monotonic() - begun_s
        town.fit(
            {name: (gauge, GAUGE) for name, gauge in gauges.items()},
            "".join(rule(name) for name in names),
            timers=TIMERS,
            port=place.road.port,
        )
        place.road.be(NARROW)
        town.center.start()
        center_listens(town)
        begun_s = time.monotonic()
        town.node.start()
        with looking(town.store) as eye:
            until("the node is answered", lambda: bool(town.node.told("link up")), deadline_s=120)
            up_s = time.monotonic()
            until("the backlog has drained", lambda: drained(town, old, last), deadline_s=60 + 3 * DRAINS_S)
            end_s = time.monotonic()
            passed = place.road.passed["server"]
            said = {(name, f"l{at}"): when for name, unit in gauges.items() for at, when in enumerate(unit.said, 1)}
            time.sleep(1.0)  # the last line is read before the plug is pulled
            town.pull_all()
            until("no chain waits for anything", lambda: is_quiet(ledger.audit(town.store, NODE)), deadline_s=600)
        batches, seen = stored(town.store), {number: at for one in eye.seen.values() for number, at in one}
        history_s = sorted(seen[one.number] for one in batches if one.run == old)
        history_bytes = sum(one.size_bytes for one in batches if one.run == old)
        live_s = [seen[one.number] for one in batches if one.run != old and one.stream is Stream.TELEMETRY]
        found = latencies(town, said, batches, seen)
        assert town.node.stop() == 0
        assert town.center.stop() == 0
        verdict = ledger.audit(town.store, NODE)
    took_s = history_s[-1] - history_s[0]
    of_line = history_bytes / took_s / _LINE_BYTES_PER_S
    moments = [up_s, *(at_s for at_s in live_s if up_s < at_s < end_s), end_s]
    live_pause_s = max(after - before for before, after in pairwise(moments))
    result = (
        f"{BACKLOG_S * SENSORS} readings, {history_bytes / 1e6:.1f} MB, written in {written_s:.0f} s,"
        f" link up {up_s - begun_s:.1f} s after the start, drained in {took_s:.0f} s over 256 kbit/s, 200 ms:"
        f" {of_line:.0%} of the line (all bytes {passed / (end_s - begun_s) / _LINE_BYTES_PER_S:.0%});"
        f" {len(found)} alarms: p50 {share(found, 0.5):.2f} s, p99 {share(found, 0.99):.2f} s, max {found[-1]:.2f} s;"
        f" longest pause between live batches {live_pause_s:.1f} s"
    )
    tell(f"alarms while {BACKLOG_S / 3600:g} h of {SENSORS} sensors drain", result)
    assert verdict.verdict == (0, 0, 0, 0), verdict
    assert share(found, 0.99) < LATEST_S
    assert of_line > LEAST_OF_LINE
    assert live_pause_s < 2 * 10 + LATEST_S


def drained(town: Town, old: bytes, last: int) -> bool:
    """Tell whether the center has settled the old run as far as the node has it."""
    time.sleep(0.2)
    query = "SELECT n FROM chains WHERE run = ? AND stream = ?"
    with closing(sqlite3.connect(f"file:{town.store}?mode=ro", uri=True)) as view:
        return view.execute(query, (old, Stream.TELEMETRY)).fetchall() == [(last,)]
