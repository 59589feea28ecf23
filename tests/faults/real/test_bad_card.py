"""A real node on a real bad card: full to the last block, read-only, dead, slow. It polls on and needs nobody."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.wire.senml import Scalar
from drivers.simulate.simulator import Simulator
from tests.center.processes import until
from tests.faults.real.card import needs_card
from tests.faults.real.place import CARD_BYTES, FULL, TIMERS, Place, made
from tests.faults.real.proxy import GOOD, REFUSING
from tests.faults.real.watching import Ear, listening
from tests.system import ledger
from tests.system.ledger import Identity
from tests.system.lines import Counting, Water
from tests.system.test_kills import check_counters
from tests.system.town import COUNTER, FLOOD, NODE, RIVER

pytestmark = [pytest.mark.faults, pytest.mark.broker, needs_card]

_COUNTERS = 12
_FAR = 1_000_000
_SAYS_EVERY_S = 0.2  # a line that comes within 0.1 s of the one before is passed over: so none is
_NO_ROOM = TIMERS.replace('segment = "64 KiB"', 'segment = "64 KiB"\nmemory = "256 KiB"').replace(
    "rows = 60", "rows = 4"
)
"""Batches so small that they soon take all the memory there is."""
_SILENT_S = 1.5
"""A sensor says something every 0.1 s; this is what two busy processors may add."""
_LOW_M, _HIGH_M = 2.2, 0.9


@dataclass(slots=True)
class Living:
    """A place in which all is well so far; ``river`` is 2 m high."""

    place: Place
    counters: dict[str, Counting]
    river: Water
    ear: Ear
    pid: int

    def still_the_same(self) -> None:
        """The node was not started again."""
        process = self.place.town.node.process
        assert process is not None
        assert process.pid == self.pid
        assert process.poll() is None

    def rise(self) -> float:
        """Let the river rise; return how long it took until the center has the alarm, s."""
        before, begun_s = alarms(self.place), time.monotonic()
        self.river.distance_m = lambda _: _HIGH_M
        until("the alarm is at the center", lambda: alarms(self.place) > before)
        return time.monotonic() - begun_s


@contextlib.contextmanager
def life(folder: Path, timers: str) -> Iterator[Living]:
    """Let a node on a card live until all is well."""
    counters = {f"counter{at}": Counting(first=at * _FAR, every_s=_SAYS_EVERY_S) for at in range(1, _COUNTERS + 1)}
    river = Water(lambda _: _LOW_M, every_s=0.1)
    fitted: dict[str, tuple[Simulator, str]] = {name: (unit, COUNTER) for name, unit in counters.items()}
    with made(folder, card_bytes=CARD_BYTES) as place:
        town = place.town
        town.fit({**fitted, "river": (river, RIVER)}, FLOOD, timers=timers, port=place.road.port)
        town.center.start()
        town.node.start()
        until("rows are at the center", lambda: bool(town.store.exists() and town.at_center()))
        assert town.node.process is not None
        with listening(folder) as ear:
            yield Living(place=place, counters=counters, river=river, ear=ear, pid=town.node.process.pid)


@pytest.fixture
def living(tmp_path: Path) -> Iterator[Living]:
    with life(tmp_path, TIMERS) as made_so:
        yield made_so


def alarms(place: Place) -> int:
    """Count the alarm rows at the center."""
    return sum(stream == "alarm" for _, stream, _, _ in place.town.at_center())


def missing(living: Living, there: dict[Identity, Scalar]) -> int:
    """Return how many numbers the node told its own socket and the center does not have."""
    values = {(path, value) for (_, _, path, _), value in there.items()}
    heard = {(path, number) for path, numbers in living.ear.numbers.items() for number in numbers}
    assert len(heard) > len(living.counters)
    return len(heard - values)


def test_full_to_the_last_block_and_freed_again_rows_go_on_and_a_gap_says_how_many_are_gone(
    tmp_path: Path, tell: Callable[[str, str], None]
) -> None:
    with life(tmp_path, _NO_ROOM) as living:
        place, card = living.place, living.place.card
        assert card is not None
        place.road.be(REFUSING)
        place.road.cut("rst")
        begun_s = time.monotonic()
        foreign = card.fill()
        time.sleep(60.0 if FULL else 25.0)
        card.free()
        freed_s = time.monotonic()
        place.back_on_disk()
        silent_s = living.ear.longest_silence_s(begun_s, time.monotonic())
        place.road.be(GOOD)
        place.settle()
        living.still_the_same()
        outcome = place.check()
        check_counters(living.counters, outcome.there)
        lost = missing(living, outcome.there)
    totals = outcome.verdict.totals
    result = (
        f"{freed_s - begun_s:.0f} s, {foreign} bytes of somebody else; longest silence of a sensor {silent_s:.2f} s,"
        f" same process; taken {totals['taken']} = settled {totals['settled']} + in gaps {totals['in_gaps']};"
        f" numbers missing {lost}"
    )
    tell("card full without a link", result)
    assert silent_s < _SILENT_S
    assert int(totals["taken"]) == int(totals["settled"]) + int(totals["in_gaps"])
    assert outcome.strange == set()
    assert 0 < lost <= int(totals["in_gaps"])


@pytest.mark.parametrize("fault", ["read-only", "dead"])
def test_a_card_that_refuses_does_not_keep_alarms_from_the_center_and_is_used_again_once_it_works(
    living: Living, fault: str, tell: Callable[[str, str], None]
) -> None:
    place, card = living.place, living.place.card
    assert card is not None
    begun_s = time.monotonic()
    (card.go_read_only if fault == "read-only" else card.die)()
    time.sleep(1.0)
    rise_s = living.rise()
    told = [alarm["what"] for alarm in ledger.audit(place.town.store, NODE).alarms]
    refused_s = time.monotonic()
    assert place.in_memory()
    card.put_in()
    place.back_on_disk()
    back_s = time.monotonic() - refused_s
    silent_s = living.ear.longest_silence_s(begun_s, time.monotonic())
    place.settle()
    living.still_the_same()
    outcome = place.check()
    check_counters(living.counters, outcome.there)
    result = (
        f"alarm at the center after {rise_s:.2f} s, the center says {', '.join(map(str, told))};"
        f" put in again, in use after {back_s:.1f} s, same process; {len(outcome.there)} rows, lost 0, twice 0"
    )
    tell(f"card {fault}", result)
    assert rise_s < 5
    assert "volatile" in told
    assert silent_s < _SILENT_S
    assert missing(living, outcome.there) == 0
    assert outcome.strange == set()


def test_what_only_memory_held_is_on_the_card_once_it_works_and_arrives_when_the_link_is_back(
    living: Living, tell: Callable[[str, str], None]
) -> None:
    place, card = living.place, living.place.card
    assert card is not None
    place.road.be(REFUSING)
    place.road.cut("rst")
    begun_s = time.monotonic()
    card.die()
    until("rows are in memory", place.in_memory)
    time.sleep(4.0)
    card.put_in()
    place.back_on_disk()
    silent_s = living.ear.longest_silence_s(begun_s, time.monotonic())
    place.road.be(GOOD)
    place.settle()
    living.still_the_same()
    outcome = place.check()
    check_counters(living.counters, outcome.there)
    (moved,) = place.town.node.told("disk takes rows again")
    rows = int(moved.rpartition("=")[2])
    result = f"{rows} rows came from memory to the card, same process; {len(outcome.there)} rows, lost 0, twice 0"
    tell("card dead without a link", result)
    assert rows > 0
    assert silent_s < _SILENT_S
    assert missing(living, outcome.there) == 0
    assert outcome.strange == set()


def test_a_card_that_lets_writes_wait_for_seconds_delays_no_poll(
    living: Living, tell: Callable[[str, str], None]
) -> None:
    place, card = living.place, living.place.card
    assert card is not None
    begun_s = time.monotonic()
    with card.stalled():
        time.sleep(6.0)
        until_s = time.monotonic()
    silent_s = living.ear.longest_silence_s(begun_s, until_s)
    place.settle()
    living.still_the_same()
    outcome = place.check()
    check_counters(living.counters, outcome.there)
    tell(
        "card lets writes wait 6 s", f"longest silence of a sensor {silent_s:.2f} s; {len(outcome.there)} rows, lost 0"
    )
    assert silent_s < _SILENT_S
    assert not place.in_memory()
    assert missing(living, outcome.there) == 0
    assert outcome.here.rows == outcome.there
