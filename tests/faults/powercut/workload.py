"""The workload: three runs of the real spool, with all that a spool does, and after each call that returns a promise.

Run as a process of its own: ``python -m tests.faults.powercut.workload FOLDER LOG SEED DISK``; it prints nothing.
The first run ends without a close, the second cleanly, the third is still running when the record ends.
"""

import random
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.seal import Moment
from agent.spool.shelf import Ref
from agent.spool.spool import Spool
from agent.wire.batch import Kind, Stream
from agent.wire.bodies import Time
from agent.wire.records import Note as NoteBody
from agent.wire.records import Work
from agent.wire.senml import Row
from tests.agent.spool.rig import BOOT, run_id
from tests.faults.powercut.center import Center, center
from tests.faults.powercut.faulty import DISKS, Sound
from tests.faults.powercut.history import Log, Note, RowsKey
from tests.faults.powercut.mounts import settle
from tests.faults.powercut.tracer import Tracer
from tests.faults.powercut.truth import FACTS, SETTINGS, moment, rows, sealer

_COMMITS = {1: 70, 2: 90, 3: 30}
_OFFLINE = {1: range(15, 60), 2: range(10, 75), 3: range(0)}
"""Commits of each run while the link is down: the telemetry cap is reached, and the oldest readings leave."""
_LIVE = 3
"""Newest batches that are sent before the oldest."""
_TIME = Time(boot=BOOT, at_boot_ms=1, at_utc_ms=2, uncertainty_ms=3, source="kernel").encode()
_NOTE = NoteBody(work=Work.CLEAN, by="Sari", sensor=None, text="lens").encode()


class Workload:
    """What has been given and promised over all runs."""

    def __init__(self, folder: Path, log: Log, chance: random.Random, disk: type[Sound], to: Center) -> None:
        self._folder = folder
        self._log = log
        self._chance = chance
        self._disk_kind = disk
        self._center = to
        self._given: dict[RowsKey, int] = {}
        self._durable: dict[RowsKey, int] = {}
        self._ending: list[int] = []
        self._ended: list[int] = []
        self._delivered: list[bytes] = []
        self._sent: set[Ref] = set()
        self._step = 0
        self._spools: list[Spool] = []  # kept: a process that is cut off closes nothing

    def _note(self, phase: str) -> None:
        given, durable = ([[*key, seq] for key, seq in table.items()] for table in (self._given, self._durable))
        self._log.append(Note(phase, given, durable, self._ending, self._ended, self._delivered))
        self._delivered = []

    def _promised(self, phase: str) -> None:
        self._disk.finish()
        self._durable.update(self._given)
        self._note(phase)

    def life(self, run: int, *, close: bool) -> None:
        """Open the spool as a new run, work, end."""
        self._run, self._step = run, 0
        if run > 1:
            settle(self._folder)  # time has gone by since the run before
        self._note("starting")
        self._disk = self._disk_kind(self._folder)
        self._spool = Spool(self._disk, sealer(run), SETTINGS, FACTS)
        self._spools.append(self._spool)
        self._spool.open()
        self._commit({Stream.ALARM: 1, Stream.TELEMETRY: 3}, frozenset(), "taking over" if run > 1 else "starting")
        for at in range(_COMMITS[run]):
            self._work(online=at not in _OFFLINE[run])
        if close:
            self._ending = [*self._ending, run]
            self._note("closing")
            self._spool.close(self._moment())
            self._ended = [*self._ended, run]
            self._promised("closing")

    def _work(self, *, online: bool) -> None:
        chance = self._chance
        counts = {Stream.ALARM: int(chance.random() < 0.5), Stream.TELEMETRY: chance.randint(4, 34)}
        seal = frozenset(stream for stream in Stream if chance.random() < (0.5 if online else 0.2))
        self._commit(counts, seal, "taking")
        if chance.random() < 0.05:
            kind, body, stream = chance.choice([(Kind.TIME, _TIME, Stream.TELEMETRY), (Kind.NOTE, _NOTE, Stream.ALARM)])
            self._spool.record(kind, body, stream, self._moment())
            self._promised("taking")
        if online and chance.random() < 0.7:
            self._send(most=chance.randint(2, 12))

    def _moment(self) -> Moment:
        self._step += 1
        newest = max(seq for (run, _), seq in self._given.items() if run == self._run)
        return moment(self._run, newest + self._step)

    def _commit(self, counts: dict[Stream, int], seal: frozenset[Stream], phase: str) -> None:
        new: dict[Stream, Sequence[Row]] = {}
        for stream, count in counts.items():
            key = (self._run, stream)
            before = self._given.get(key, 0)
            new[stream] = rows(self._run, stream, before + 1, before + count)
            if count:
                self._given[key] = before + count
        self._note(phase)
        self._spool.commit(new, moment=self._moment(), seal=seal)
        self._promised("taking")

    def _send(self, most: int) -> None:
        """Let the center have batches, the newest first and then the oldest, and take its acks; marks go with rows."""
        held = [
            Ref(run=one.run, stream=one.stream, n=n)
            for one in self._spool.held()
            for n in range(max(one.settled + 1, one.first), one.last + 1)
        ]
        waiting = [ref for ref in held if ref not in self._sent]
        live = [ref for ref in waiting if ref.run == run_id(self._run)][-_LIVE:]
        for ref in [*live, *waiting[:most]]:
            stored = None if ref in self._sent else self._spool.read(ref)
            if stored is not None:
                self._delivered.append(stored.message)
                self._sent.add(ref)
        self._center.take(self._delivered)
        self._note("taking")
        for ack in self._center.acks():
            self._spool.settle(ack)


def main(folder: Path, log_path: Path, seed: int, disk: str) -> None:
    """Run the workload."""
    log = Log(log_path)
    with center() as to:
        Tracer(folder, log.append).install()
        work = Workload(folder, log, random.Random(seed), DISKS[disk], to)  # noqa: S311 - choices of a test, no secret
        work.life(1, close=False)
        work.life(2, close=True)
        work.life(3, close=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
