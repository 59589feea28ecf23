"""A whole town with bad lines to its broker and, where the machine lets one make it, a small card for its node."""

import contextlib
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from agent.wire.batch import Stream
from agent.wire.senml import Scalar
from tests.center.fake_node import CITY
from tests.center.processes import CenterProcess, Mosquitto, until
from tests.faults.real.card import Card
from tests.faults.real.proxy import Proxy
from tests.system import ledger
from tests.system.ledger import Audited, Identity, Spooled
from tests.system.town import NODE, NodeProcess, Town, found, lines

FULL = os.environ.get("FULL", "0") not in ("", "0")
"""Whether campaigns run whole, not a tenth."""
TIMERS = """\
[center]
url = "{url}"
keepalive = "2 s"
progress_within = "6 s"
resend_after = "1 s"
resend_at_most = "4 s"
backoff_base = "200 ms"
backoff_cap = "1 s"
first_spread = "0 s"
[spool]
folder = "{spool}"
durable_within = "500 ms"
free_disk = "256 KiB"
segment = "64 KiB"
[seal]
live = "1 s"
offline = "1 s"
rows = 60
bytes = "16 KiB"
[host]
enabled = false
"""
CARD_BYTES = 8 * 2**20

_STEADY_S = 1.5
"""Longer than rows wait in memory: what has been so for so long stays so."""
_BACK_WITHIN_S = 100.0
"""A node tries a card that refused after 10 s, then after 20 s more, then after 40 s."""

Somebody = NodeProcess | Mosquitto | CenterProcess


@dataclass(slots=True)
class Place:
    """A town, the line from its node to the broker, the one from its center, and the node's card if there is one."""

    town: Town
    road: Proxy
    hall: Proxy
    card: Card | None = None

    def in_memory(self) -> bool:
        """Tell whether the node's disk refuses and its rows are in memory."""
        told = self.town.node.told(r"run \w+ begins|rows go to memory|disk takes rows again")
        return bool(told) and "rows go to memory" in told[-1]

    def back_on_disk(self) -> None:
        """Wait until the node has found that its card takes rows again."""
        until("rows are on the disk again", lambda: not self.in_memory(), deadline_s=_BACK_WITHIN_S)

    def settle(self, *, deadline_s: float = 60.0) -> None:
        """Pull the sensors, and wait until the center has all that the node holds, and that has lasted."""
        self.back_on_disk()  # it is tried when there is something to write
        self.town.pull_all()
        since_s: float | None = None
        end_s = time.monotonic() + deadline_s
        while since_s is None or time.monotonic() - since_s < _STEADY_S:
            self.town.alive()
            here, there = self.town.spooled().rows, self.town.at_center()
            missing = here.keys() - there.keys()
            since_s = None if missing else since_s or time.monotonic()
            assert time.monotonic() < end_s, (
                f"{len(missing)} rows not drained in {deadline_s:g} s: {sorted(missing)[:3]}"
            )
            time.sleep(0.1)
        until("no chain waits for anything", lambda: is_quiet(ledger.audit(self.town.store, NODE)))

    def check(self) -> "Outcome":
        """End node and center well, and hold what one has against what the other has."""
        town = self.town
        assert town.node.stop() == 0
        assert town.center.stop() == 0
        here, there, verdict = town.spooled(), town.at_center(), ledger.audit(town.store, NODE)
        stored = ledger.stored(town.store, city=CITY, node=NODE, key=town.key)
        assert verdict.verdict == (0, 0, 0, 0), verdict
        assert here.rows.items() <= there.items()
        assert here.hashes <= stored.hashes
        assert here.freed <= stored.hashes
        volatile = {run for (run, _), start in stored.starts.items() if start.volatile}
        return Outcome(here=here, there=there, verdict=verdict, strange=_unexplained(here, stored, volatile))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What there was in the end.

    Attributes:
        here: What the node's disk holds.
        there: Rows at the center.
        verdict: Of the audit.
        strange: Rows at the center that neither are on the disk, nor were there and left, nor were in memory only.
    """

    here: Spooled
    there: dict[Identity, Scalar]
    verdict: Audited
    strange: set[Identity]


def is_quiet(verdict: Audited) -> bool:
    """Tell whether all is sound and the center waits for nothing."""
    return verdict.code == 0 and (verdict.totals["chain"], verdict.totals["held"]) == ("ok", 0)


def _unexplained(here: Spooled, stored: Spooled, volatile: set[bytes]) -> set[Identity]:
    """Rows of stored batches that should still be on the disk and are not."""
    oldest: dict[tuple[bytes, Stream], int] = {}
    for run, stream, n in here.batches.keys() - here.copied:
        oldest[run, stream] = min(n, oldest.get((run, stream), n))
    return {
        row
        for (run, stream, n), rows in stored.rows_of.items()
        if run not in volatile and n >= oldest.get((run, stream), n + 1)
        for row in rows
    } - here.rows.keys()


@contextlib.contextmanager
def made(folder: Path, *, card_bytes: int = 0) -> Iterator[Place]:
    """Make a place in which nobody runs but the broker; whatever happens, nothing of it runs on or stays mounted."""
    with contextlib.ExitStack() as stack:
        town = found(folder)
        card = stack.enter_context(Card(folder / "card", town.spool, size_bytes=card_bytes)) if card_bytes else None
        road, hall = (stack.enter_context(Proxy(town.broker.port)) for _ in range(2))
        stack.callback(town.end)
        town.center.url = f"mqtts://localhost:{hall.port}"
        town.broker.start()
        try:
            yield Place(town=town, road=road, hall=hall, card=card)
        except BaseException:
            shutil.copytree(town.spool, folder / "spool-left", ignore=shutil.ignore_patterns("foreign", "lost+found"))
            raise


def center_listens(town: Town, *, times: int = 1) -> None:
    """Wait until the center has connected so many times."""
    until("the center listens", lambda: len(lines(town.center_log, "broker connected")) >= times)


@contextlib.contextmanager
def frozen(somebody: Somebody) -> Iterator[None]:
    """Let a process stand still meanwhile."""
    process: Popen[bytes] | None = somebody.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def back_up(store: Path) -> Path:
    """Copy the center's store while it works, in place of an older copy."""
    copy = store.with_suffix(".backup")
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(store)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def restore(center: CenterProcess, copy: Path) -> None:
    """Bring the center back as it was when the copy was made."""
    center.kill()
    for suffix in (".db-wal", ".db-shm"):
        center.store.with_suffix(suffix).unlink(missing_ok=True)
    shutil.copy(copy, center.store)
    center.start()
