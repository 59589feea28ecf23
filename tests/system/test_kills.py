"""SIGKILL of node, broker and center at random moments under load: what the node wrote is what the center has.

A kill takes no page from the kernel's cache, so a spool that skipped its sync would pass here; `tests/agent/spool`
cuts the power instead.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Set as AbstractSet
from itertools import pairwise

import pytest

from agent.wire import topics
from agent.wire.ack import open_ack
from agent.wire.keys import Verifier
from agent.wire.senml import Scalar
from center.keys import load_signer
from drivers.simulate.sds011 import Sds011Simulator
from tests.center.fake_node import CITY
from tests.center.processes import CenterProcess, Mosquitto, until
from tests.system import ledger
from tests.system.ledger import Audited, Identity, Spooled
from tests.system.lines import Counting, Water, tide
from tests.system.town import COUNTER, DUST, FLOOD, NODE, RIVER, NodeProcess, Town, Vandal

pytestmark = [pytest.mark.broker, pytest.mark.campaign]

KILLS = int(os.environ.get("GARDU_KILLS") or 12)
LEAST_PER_S = 40
AIMED = 0.7
"""Share of the center's kills that come right after one of its acks."""
_COUNTERS = 5
_FAR = 1_000_000  # between the first numbers of two counters

Victim = NodeProcess | Mosquitto | CenterProcess


def victims(town: Town, chance: random.Random) -> list[tuple[str, Victim]]:
    """Every second kill hits the node, the others broker and center, in random order."""
    some: list[tuple[str, Victim]] = [("node", town.node), ("broker", town.broker), ("node", town.node)]
    found = [(some if place % 4 < 3 else [*some, ("center", town.center)])[place % 4] for place in range(KILLS)]
    chance.shuffle(found)
    return found


def a_while(chance: random.Random) -> float:
    """Often so short that what was killed last is still coming up."""
    return chance.uniform(0.0, 0.3) if chance.random() < 0.3 else chance.uniform(0.3, 2.0)


@pytest.mark.timeout(120 + 6 * KILLS)
def test_killed_at_random_under_load_nothing_is_lost_or_doubled(
    town: Town, vandal: Vandal, chance: random.Random
) -> None:
    counters = {f"counter{at}": Counting(first=at * _FAR, every_s=0.11) for at in range(1, _COUNTERS + 1)}
    fitted = {name: (unit, COUNTER) for name, unit in counters.items()}
    river, dust = Water(tide(1.2, 0.15, 3.0), every_s=0.1), Sds011Simulator(seed=1, every_s=1.0)
    town.fit({**fitted, "river": (river, RIVER), "dust": (dust, DUST)}, FLOOD)
    town.center.start()
    town.node.start()
    until("rows are at the center", lambda: bool(town.store.exists() and town.at_center()))

    begun_s = time.monotonic()
    killed: Counter[str] = Counter()
    acked = 0
    left: list[dict[str, bytes]] = []  # the spool as each killed node left it
    for name, victim in victims(town, chance):
        time.sleep(a_while(chance))
        town.alive()
        if victim is town.center and chance.random() < AIMED:
            wait_for_ack(vandal)
        victim.kill()
        if victim is town.node:
            left.append(ledger.freeze(town.spool))
        if victim is town.center:
            acked += check_acks(town, vandal)
        victim.start()
        killed[name] += 1
    until("the node writes again", lambda: ledger.freeze(town.spool) != left[-1])
    load_s = time.monotonic() - begun_s
    begun_s = time.monotonic()
    town.drain()
    until("every batch is there", lambda: ledger.audit(town.store, NODE).totals["chain"] == "ok")
    drained_s = time.monotonic() - begun_s
    last = town.node.told(r": run \w+ begins")[-1].split()[4]
    assert town.node.stop() == 0
    assert town.center.stop() == 0

    acked += check_acks(town, vandal)
    here, there, verdict = town.spooled(), town.at_center(), ledger.audit(town.store, NODE)
    print(
        f"kills {killed.total()} {dict(killed)}; load {load_s:.1f} s, {len(there) / load_s:.0f} rows/s; drained within"
        f" {drained_s:.1f} s; rows {len(there)} in {len(here.batches)} batches of {len(here.runs)} runs;"
        f" taken over {sum(s.last - s.first + 1 for one in here.starts.values() for s in one.taken_over)} rows;"
        f" alarm rows {sum(stream == 'alarm' for _, stream, _, _ in there)};"
        f" resent {verdict.totals['doubles_refused']}; acks named {acked} batches"
    )
    assert acked
    assert here.rows == there
    assert verdict.verdict == (0, 0, 0, 0), verdict
    totals = verdict.totals
    assert (totals["taken"], totals["settled"], totals["held"], totals["in_gaps"]) == (len(there), len(there), 0, 0)
    assert (totals["chain"], totals["refused"], verdict.alarms) == ("ok", 0, [])
    assert here.hashes == set(ledger.center_hashes(town.store))
    assert here.freed <= here.hashes
    assert (here.damaged, here.torn) == ([], [])
    assert len(there) / load_s > LEAST_PER_S
    check_what_each_kill_left(town, left, there.keys())
    check_ends(here, verdict, last)
    check_counters(counters, there)


def wait_for_ack(vandal: Vandal) -> None:
    """Wait for the center's next ack, but not long: it may still be coming up, or the broker."""
    heard, end_s = vandal.acks, time.monotonic() + 2
    while vandal.acks == heard and time.monotonic() < end_s:
        time.sleep(0.005)


def check_acks(town: Town, vandal: Vandal) -> int:
    """Whatever an ack named until now is committed, and so is what the node noted; return how much was named."""
    stored, center = ledger.center_batches(town.store), Verifier(load_signer(town.center.keys).public)
    heard = [payload for topic, payload in vandal.all_heard() if topic == topics.ack(CITY, NODE)]
    named = {
        (one.run, one.stream, n)
        for payload in heard
        for one in open_ack(payload, city=CITY, node=NODE, center=[center]).settled
        for first, last in [(1, one.n), *((each.first, each.last) for each in one.ranges)]
        for n in range(first, last + 1)
    }
    assert named <= stored
    assert town.spooled().freed <= set(ledger.center_hashes(town.store))
    return len(named)


def check_what_each_kill_left(town: Town, left: list[dict[str, bytes]], there: AbstractSet[Identity]) -> None:
    """What was whole on disk when a node was killed has not changed since, and the center has its rows."""
    now = ledger.freeze(town.spool)
    for segments in left:
        assert ledger.is_kept(segments, now)
        assert ledger.read(segments, city=CITY, node=NODE, key=town.key).rows.keys() <= there


def check_ends(here: Spooled, verdict: Audited, last: str) -> None:
    """Each run but the last was killed, and the next start says so; nobody has named the last one yet."""
    assert len(here.runs) > 1
    assert verdict.clean == {run: {None} if run == last else {False} for run in here.runs}


def check_counters(counters: dict[str, Counting], there: dict[Identity, Scalar]) -> None:
    """No number stands under two identities, none was never said, and in one life they come in order."""
    for name, unit in counters.items():
        said = [
            (run, boot_ms, int(value)) for (run, _, path, boot_ms), value in there.items() if path == f"{name}/count"
        ]
        numbers = {number for _, _, number in said}
        assert len(numbers) == len(said)
        assert numbers <= set(range(unit.first, unit.next))
        for (run, _, before), (same, _, after) in pairwise(sorted(said)):
            assert run != same or before < after
