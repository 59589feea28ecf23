"""Two boxes from one copied card, with the same keys, at once: both go on, nothing is lost, the center tells of it."""

import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.center.processes import until
from tests.faults.real.place import TIMERS, made
from tests.system import ledger
from tests.system.ledger import Identity
from tests.system.lines import Counting
from tests.system.test_kills import check_counters
from tests.system.town import COUNTER, NODE, NodeProcess, Town

pytestmark = [pytest.mark.faults, pytest.mark.broker]

_TOGETHER_S = 8.0


def twin_of(town: Town, folder: Path) -> Town:
    """Copy what lies on the node's card into another box."""
    folder.mkdir()
    shutil.copytree(town.spool, folder / "spool")
    shutil.copytree(town.keys_of(NODE), folder / f"{NODE}.keys")
    node = NodeProcess(config=folder / "agent.toml", log=folder / "node.log")
    return Town(folder=folder, broker=town.broker, center=town.center, node=node)


def rows(boxes: Iterable[Town]) -> set[Identity]:
    """Identities of what lies on the cards of all boxes."""
    return {identity for box in boxes for identity in box.spooled().rows}


def counted(there: Iterable[Identity]) -> list[int]:
    """Count the rows of each unit."""
    paths = [path for _, _, path, _ in there]
    return [sum(path.startswith(f"counter{at}/") for path in paths) for at in (1, 2)]


def test_two_boxes_from_one_card_both_go_on_and_the_center_tells_of_a_fork(
    tmp_path: Path, tell: Callable[[str, str], None]
) -> None:
    units = [Counting(first=place * 1_000_000, every_s=0.11) for place in (1, 2)]
    with made(tmp_path) as place:
        town = place.town
        town.fit({"counter1": (units[0], COUNTER)}, timers=TIMERS, port=place.road.port)
        town.center.start()
        town.node.start()
        until("rows are at the center", lambda: bool(town.store.exists() and town.at_center()))
        town.node.kill()
        twin = twin_of(town, tmp_path / "twin")
        twin.fit({"counter2": (units[1], COUNTER)}, timers=TIMERS, port=place.road.port)
        boxes = (town, twin)
        try:
            for box in boxes:
                box.node.start()
            time.sleep(_TOGETHER_S)
            pids = [box.node.process.pid for box in boxes if box.node.process is not None]
            half = counted(town.at_center())
            until(
                "both go on", lambda: all(now > then for now, then in zip(counted(town.at_center()), half, strict=True))
            )
            for box in boxes:
                box.pull_all()
            until("all of both is there", lambda: rows(boxes) == town.at_center().keys(), deadline_s=60)
            until("nothing is held", lambda: ledger.audit(town.store, NODE).totals["held"] == 0)
            assert pids == [box.node.process.pid for box in boxes if box.node.process is not None]
            assert [box.node.stop() for box in boxes] == [0, 0]
        finally:
            twin.pull_all()
            twin.node.kill()
        assert town.center.stop() == 0
        there, verdict = town.at_center(), ledger.audit(town.store, NODE)
        assert rows(boxes) == there.keys()
    told = [alarm["what"] for alarm in verdict.alarms]
    result = (
        f"{' and '.join(map(str, counted(there)))} rows of each at the center,"
        f" lost {verdict.totals['lost']}, twice {verdict.totals['twice']};"
        f" the center says {', '.join(map(str, told))}"
    )
    tell(f"two boxes from one card, {_TOGETHER_S:g} s together", result)
    assert verdict.verdict == (1, 0, 0, 0), verdict  # 1: somebody should look at the fork
    assert told == ["fork"]
    assert {finding.split(": ")[1] for finding in verdict.findings} == {"fork"}
    check_counters({f"counter{at}": unit for at, unit in enumerate(units, 1)}, there)
