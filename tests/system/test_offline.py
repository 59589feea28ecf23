"""No broker from the start: the node reads and keeps, its spool proves itself, and all of it arrives later in order."""

import json
import subprocess
import sys
import time

import pytest

from agent.wire import topics
from agent.wire.batch import Header, Stream, peek
from agent.wire.keys import public_to_pem
from drivers.simulate.simulator import NS, Simulator
from tests.center.fake_node import CITY
from tests.center.processes import until
from tests.system import ledger
from tests.system.lines import Counting, Water
from tests.system.town import COUNTER, FLOOD, NODE, RIVER, Town, Vandal, lines

pytestmark = [pytest.mark.broker, pytest.mark.campaign]


def clock_s() -> float:
    """The units' clock."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) / NS


def verify(town: Town) -> tuple[int, dict[str, object]]:
    """Run ``gardu verify`` on the whole spool with nothing but the node's public key."""
    key = town.folder / "node.pub.pem"
    key.write_text(public_to_pem(town.key.public))
    command = [sys.executable, "-sP", "-m", "agent", "verify", str(town.spool), "--key", str(key), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    told: dict[str, object] = json.loads(done.stdout)
    return done.returncode, told


def arrivals(vandal: Vandal) -> list[tuple[str, Header]]:
    """Lane and header of every batch, in the order in which the broker passed them on."""
    own = f"gardu/v1/{CITY}/{NODE}/up/"
    lanes = {topics.up(CITY, NODE, lane): lane for lane in ("alarm", "live", "history")}
    heard = [one for one in vandal.all_heard() if one[0].startswith(own)]
    assert heard[0][0] == topics.hello(CITY, NODE)
    return [(lanes[where], peek(payload)) for where, payload in heard if where in lanes]


def test_without_a_broker_all_is_kept_proved_and_later_delivered_alarms_first_then_live_then_history(
    town: Town,
) -> None:
    river: Simulator = Water(lambda now_s: 2.1 if now_s < high_s else 1.0, every_s=0.1)
    high_s = clock_s() + 4.0
    town.fit({"counter": (Counting(first=1, every_s=0.11), COUNTER), "river": (river, RIVER)}, FLOOD)
    town.node.start()
    until("the river has risen", lambda: bool(town.node.told("alarm: name=flood state=high")))
    until("some batches are held", lambda: len(town.spooled().batches) >= 8)
    assert not town.store.with_suffix(".db-wal").exists()
    code, proof = verify(town)
    assert (code, proof["proven"], proof["bad"]) == (0, True, [])
    assert len(town.node.told("link down")) == 1

    with town.node.frozen():
        held = town.spooled().batches
        town.broker.start()
        vandal = Vandal(town)
        town.center.start()
        until("the center listens", lambda: bool(lines(town.center_log, "broker connected")))
    town.drain()
    order = arrivals(vandal)
    vandal.leave()
    assert town.node.stop() == 0
    assert town.center.stop() == 0
    assert town.spooled().rows == town.at_center()
    assert ledger.audit(town.store, NODE).verdict == (0, 0, 0, 0)
    check_order(order, {n for _, stream, n in held if stream is Stream.TELEMETRY})
    print(
        f"held {len(held)} batches, proven offline: {proof['batches']} batches, {proof['rows']} rows;"
        f" arrived: {' '.join(f'{lane[0]}{header.n}' for lane, header in order)}"
    )


def check_order(order: list[tuple[str, Header]], held: set[int]) -> None:
    """Alarms before anything else, then the newest of telemetry, then what is older, from the oldest on."""
    lanes = [lane for lane, _ in order]
    telemetry = [(lane, header.n) for lane, header in order if header.stream is Stream.TELEMETRY]
    assert lanes[: lanes.index("live")] == ["alarm"] * lanes.index("live")
    assert lanes.index("live") >= 2  # a start record and a rise at least
    assert telemetry[0] >= ("live", max(held))
    history = [n for lane, n in telemetry if lane == "history"]
    assert history == sorted(history)
    assert held - set(history) <= {telemetry[0][1]}
