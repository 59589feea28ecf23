"""Runs of 20 faults with real processes, mutual TLS, bad lines and a bad card: nothing lost, nothing twice."""

import random
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest

from agent.wire import topics
from agent.wire.batch import Stream, peek
from agent.wire.senml import Scalar
from drivers.simulate.sds011 import Sds011Simulator
from drivers.simulate.simulator import Simulator
from tests.center.fake_node import CITY
from tests.center.processes import until
from tests.faults.real.breakage import Breaker
from tests.faults.real.card import MISSING
from tests.faults.real.place import CARD_BYTES, FULL, TIMERS, Place, made
from tests.faults.real.proxy import GOOD, REFUSING
from tests.system import ledger
from tests.system.ledger import Identity, Name
from tests.system.lines import Counting, Water, tide
from tests.system.test_kills import check_counters
from tests.system.town import COUNTER, DUST, FLOOD, NODE, RIVER, Town, Vandal

pytestmark = [pytest.mark.faults, pytest.mark.broker]

RUNS, FAULTS = (5, 20) if FULL else (1, 10)
_COUNTERS = 3
_FAR = 1_000_000  # between the first numbers of two counters
_HELD_TELEMETRY = 3
_LOW_M, _HIGH_M = 2.2, 0.9  # from the sensor's face to the water
_WEIR = FLOOD.replace("flood", "weir").replace("river/", "gauge/")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(1, RUNS + 1))
def test_whatever_breaks_in_a_real_town_all_arrives_once_and_alarms_first(
    number: int, tmp_path: Path, campaign_seed: int, tell: Callable[[str, str], None]
) -> None:
    print(f"GARDU_SEED={campaign_seed} run {number}")
    chance = random.Random(f"{campaign_seed} {number}")  # noqa: S311 - choices of a test, no secret
    with made(tmp_path, card_bytes=0 if MISSING else CARD_BYTES) as place:
        breaker = Breaker(place, chance)
        try:
            result = one_run(place, breaker)
        except BaseException:
            print("faults:", *breaker.told, sep="\n  ")
            raise
    tell(f"campaign, run {number}", f"{result}; seed {campaign_seed}" + (f"; NO CARD: {MISSING}" if MISSING else ""))


def one_run(place: Place, breaker: Breaker) -> str:
    """Break things under load, heal, drain, compare; return what there is to tell."""
    town = place.town
    counters = {f"counter{at}": Counting(first=at * _FAR, every_s=0.11) for at in range(1, _COUNTERS + 1)}
    fitted: dict[str, tuple[Simulator, str]] = {name: (unit, COUNTER) for name, unit in counters.items()}
    river, dust = Water(tide(1.2, 0.15, 3.0), every_s=0.1), Sds011Simulator(seed=1, every_s=1.0)
    gauge = Water(lambda _: _LOW_M, every_s=0.1)
    fitted |= {"river": (river, RIVER), "gauge": (gauge, RIVER), "dust": (dust, DUST)}
    town.fit(fitted, FLOOD + _WEIR, timers=TIMERS, port=place.road.port)
    town.center.start()
    town.node.start()
    until("rows are at the center", lambda: bool(town.store.exists() and town.at_center()))
    begun_s = time.monotonic()
    for fault in breaker.choose(FAULTS):
        breaker.a_while()
        fault()
        town.alive()
    breaker.heal()
    broken_s = time.monotonic() - begun_s
    place.back_on_disk()
    check_alarms_first(place, gauge)
    begun_s = time.monotonic()
    place.settle()
    drained_s = time.monotonic() - begun_s
    outcome = place.check()
    assert outcome.strange == set()
    check_counters(counters, outcome.there)
    for segments in breaker.left:
        assert ledger.read(segments, city=CITY, node=NODE, key=town.key).rows.keys() <= outcome.there.keys()
    return summary(breaker, outcome.there, broken_s, drained_s)


def check_alarms_first(place: Place, gauge: Water) -> None:
    """Keep the line down until both streams wait; when it is up again, the alarms come before all else."""
    town = place.town
    until("the node is answered", lambda: is_answered(town), deadline_s=90)
    place.road.be(REFUSING)
    place.road.cut("rst")
    before = town.spooled().batches.keys()
    until("telemetry waits", lambda: len(town.spooled().batches.keys() - before) >= _HELD_TELEMETRY)
    gauge.distance_m = lambda _: _HIGH_M
    until("both streams wait", lambda: both(town.spooled().batches.keys() - before))
    held = town.spooled().batches.keys() - before
    heard = Vandal(town)
    try:
        place.road.be(GOOD)
        until("the node is answered", lambda: is_answered(town), deadline_s=90)
        seen: dict[Name, None] = {}
        until("what waited has come", lambda: held <= arrived(heard, seen).keys())
    finally:
        heard.leave()
    order = list(seen)
    first = next(at for at, (_, stream, _) in enumerate(order) if stream is Stream.TELEMETRY)
    late = [name for name in order[first:] if name in held and name[1] is Stream.ALARM]
    assert late == [], f"telemetry came before {len(late)} alarms that waited"


def both(waiting: AbstractSet[Name]) -> bool:
    return {stream for _, stream, _ in waiting} == {Stream.ALARM, Stream.TELEMETRY}


def arrived(heard: Vandal, seen: dict[Name, None]) -> dict[Name, None]:
    """Add the batches that the broker passed on since the last call, in order, the same again not counted."""
    lanes = [topics.up(CITY, NODE, lane) for lane in ("alarm", "live", "history")]
    headers = [peek(payload) for topic, payload in heard.all_heard() if topic in lanes]
    seen.update(((header.run, header.stream, header.n), None) for header in headers)
    return seen


def is_answered(town: Town) -> bool:
    """Tell whether that is the node's last word about its link."""
    told = town.node.told(r"link (up|down)|run \w+ begins")
    return bool(told) and "link up" in told[-1]


def summary(breaker: Breaker, there: dict[Identity, Scalar], broken_s: float, drained_s: float) -> str:
    """Return the line of a run."""
    named = ", ".join(f"{kind} {count}" if count > 1 else kind for kind, count in sorted(breaker.kinds.items()))
    return (
        f"{FAULTS} faults in {broken_s:.0f} s, {len(there)} rows at the center, {len(there) / broken_s:.0f}/s,"
        f" drained in {drained_s:.0f} s, lost 0, twice 0, alarms first ({named})"
    )
