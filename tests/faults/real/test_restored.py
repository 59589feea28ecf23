"""A center that comes back from an old backup is refilled by its node; nobody is asked anything."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.wire.batch import Stream
from tests.center.fake_node import CITY
from tests.center.processes import until
from tests.faults.real.place import FULL, TIMERS, Place, back_up, made, restore
from tests.system import ledger
from tests.system.ledger import Spooled
from tests.system.lines import Counting, Water, tide
from tests.system.test_kills import check_counters
from tests.system.town import COUNTER, FLOOD, NODE, RIVER, Town

pytestmark = [pytest.mark.faults, pytest.mark.broker]

OLD_S = 60.0 if FULL else 10.0
"""Age of the backup: an hour of a node whose timers are slower."""
_TIGHT = (
    TIMERS.replace("[seal]", 'telemetry_cap = "64 KiB"\n[seal]')
    .replace('segment = "64 KiB"', 'segment = "16 KiB"')
    .replace('bytes = "16 KiB"', 'bytes = "4 KiB"')
)
_FAST_S = 0.04


def begin(place: Place, counter: Counting, timers: str) -> int:
    """Let node and center work until there is something to lose; return the node's process."""
    town = place.town
    river = Water(tide(1.2, 0.15, 3.0), every_s=0.1)
    town.fit({"counter": (counter, COUNTER), "river": (river, RIVER)}, FLOOD, timers=timers, port=place.road.port)
    town.center.start()
    town.node.start()
    until("rows are at the center", lambda: bool(town.store.exists() and town.at_center()))
    assert town.node.process is not None
    return town.node.process.pid


def test_a_center_from_an_old_backup_is_refilled_by_its_node(tmp_path: Path, tell: Callable[[str, str], None]) -> None:
    counter = Counting(first=1, every_s=0.11)
    with made(tmp_path) as place:
        town = place.town
        pid = begin(place, counter, TIMERS)
        copy = back_up(town.store)
        time.sleep(OLD_S)
        had, begun_s = town.at_center(), time.monotonic()
        restore(town.center, copy)
        forgotten = had.keys() - town.at_center().keys()
        until("the center has again what it had", lambda: had.keys() <= town.at_center().keys())
        took_s = time.monotonic() - begun_s
        assert town.node.process is not None
        assert town.node.process.pid == pid
        place.settle()
        outcome = place.check()
    assert outcome.here.rows == outcome.there
    assert (outcome.verdict.totals["in_gaps"], outcome.verdict.totals["held"]) == (0, 0)
    check_counters({"counter": counter}, outcome.there)
    assert forgotten
    tell(
        f"center from a backup {OLD_S:g} s old",
        f"{len(forgotten)} rows forgotten, all there again after {took_s:.1f} s, nobody asked;"
        f" {len(outcome.there)} rows, lost 0, twice 0",
    )


def test_what_the_node_no_longer_has_is_named_in_a_gap(tmp_path: Path, tell: Callable[[str, str], None]) -> None:
    counter = Counting(first=1, every_s=_FAST_S)
    with made(tmp_path) as place:
        town = place.town
        pid = begin(place, counter, _TIGHT)
        copy = back_up(town.store)
        last = max(n for _, stream, n in ledger.center_batches(town.store) if stream is Stream.TELEMETRY)
        until("acked segments have left", lambda: oldest(town) > last + 1, deadline_s=90)
        restore(town.center, copy)
        until("the gap is there", lambda: bool(at_center(town).gaps), deadline_s=60)
        place.settle()
        assert town.node.process is not None
        assert town.node.process.pid == pid
        outcome = place.check()
        reasons = {gap.reason for gap in at_center(town).gaps}
    totals = outcome.verdict.totals
    assert reasons == {"center_restored"}
    assert int(totals["in_gaps"]) > 0
    assert totals["taken"] == int(totals["settled"]) + int(totals["in_gaps"])
    check_counters({"counter": counter}, outcome.there)
    tell(
        "center from a backup older than what its node still has",
        f"taken {totals['taken']} = settled {totals['settled']} + in gaps {totals['in_gaps']} (center_restored),"
        " lost 0, twice 0",
    )


def at_center(town: Town) -> Spooled:
    """Return what the center has, opened."""
    return ledger.stored(town.store, city=CITY, node=NODE, key=town.key)


def oldest(town: Town) -> int:
    """Return the lowest n of telemetry on the node's disk."""
    return min((n for _, stream, n in town.spooled().batches if stream is Stream.TELEMETRY), default=0)
