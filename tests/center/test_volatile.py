"""A node whose card refuses writes: a run in memory, what the center says of it, and what it counts apart."""

from dataclasses import replace

import pytest

from agent.wire.batch import Stream
from agent.wire.bodies import Previous, Span
from agent.wire.senml import Row
from center.audit import OK, Audit, audit
from center.store import AlarmRow
from tests.center.fake_node import CITY, FakeNode
from tests.center.harness import Center

TELEMETRY = Stream.TELEMETRY


def check(center: Center) -> Audit:
    center.project()
    return audit(center.store, center.store.keys(CITY))


def alarms(center: Center, node: FakeNode) -> list[AlarmRow]:
    return center.store.alarms(node.box)


def send_all(center: Center, node: FakeNode) -> None:
    center.take(*(node.up(made) for chain in node.made.values() for made in chain))


def refuse(node: FakeNode) -> tuple[FakeNode, Previous, list[Row]]:
    """Ten rows on the card, then it refuses: four more go to a run in memory, which is the node's from now on.

    Returns the box as its card knows it, what starts say of that run, and the rows handed over.
    """
    node.readings(10)
    card, previous = replace(node), node.previous()
    left = node.rows(4)
    card.boot_ms = node.boot_ms
    node.restart()
    node.start(previous=previous, volatile=True, taken_over=(Span(origin=card.run, first=11, last=14),))
    node.readings(left, origin=card.run, seq0=11)
    return card, previous, left


def test_a_run_in_memory_is_an_alarm_until_another_run_writes_to_the_card(center: Center, node: FakeNode) -> None:
    _, previous, _ = refuse(node)
    node.start(Stream.ALARM, previous=previous, volatile=True)
    run = node.run
    send_all(center, node)
    (alarm,) = alarms(center, node)
    assert (alarm.what, alarm.subject, alarm.over) == ("volatile", run.hex(), False)
    assert "card of the node refuses writes" in str(alarm)
    assert check(center).totals.alarms == 1
    node.restart()
    center.take(node.up(node.start(previous=previous)))
    (alarm,) = alarms(center, node)
    assert (alarm.what, alarm.over) == ("volatile", True)
    assert str(alarm).startswith("over volatile")
    assert check(center).totals.alarms == 0


def test_it_is_over_too_when_the_run_in_memory_itself_is_named_as_the_one_before(
    center: Center, node: FakeNode
) -> None:
    refuse(node)
    send_all(center, node)
    center.take(node.up(node.start(previous=node.restart())))
    assert [alarm.over for alarm in alarms(center, node)] == [True]


def test_older_runs_that_arrive_late_do_not_end_the_alarm(center: Center, node: FakeNode) -> None:
    older = node.readings(5)
    node.start(previous=node.restart())
    refuse(node)
    center.take(*(node.up(made) for made in node.made[node.run, TELEMETRY]))
    send_all(center, node)
    assert older.header.run != node.run
    assert [(alarm.what, alarm.over) for alarm in alarms(center, node)] == [("volatile", False)]


def test_a_card_that_could_not_be_read_is_over_only_when_a_run_on_it_speaks(center: Center, node: FakeNode) -> None:
    older = node.start()
    previous = node.restart()
    memory = node.start(volatile=True)
    center.greet(node)
    center.take(node.up(memory), node.up(older))
    assert [alarm.over for alarm in alarms(center, node)] == [False]
    node.restart()
    start = node.start(previous=previous)
    center.greet(node)
    assert [alarm.over for alarm in alarms(center, node)] == [False]
    center.take(node.up(start))
    assert [alarm.over for alarm in alarms(center, node)] == [True]


def test_another_box_with_the_same_identity_does_not_end_the_alarm(center: Center, node: FakeNode) -> None:
    other = node.copy()
    center.take(node.up(node.start(volatile=True)), other.up(other.start()))
    for box in (node, other, node):
        center.greet(box)
    assert [alarm.over for alarm in alarms(center, node)] == [False]


@pytest.mark.parametrize("late", [False, True])
def test_rows_and_batches_that_the_card_holds_after_all_stand_once(
    center: Center, node: FakeNode, *, late: bool
) -> None:
    card, _, left = refuse(node)
    card.readings(left)
    if late:
        center.take(*(node.up(made) for made in node.made[node.run, TELEMETRY]))
    send_all(center, node)
    node.restart()
    center.take(node.up(node.start(previous=card.previous())), node.up(node.readings(3)))
    assert [alarm.what for alarm in alarms(center, node)] == ["volatile"]
    totals = check(center).totals
    assert (totals.taken, totals.settled, totals.lost, totals.lost_in_memory, totals.twice) == (17, 17, 0, 0, 0)
    assert (totals.chain, check(center).sound) == (OK, True)


def test_what_was_in_memory_only_is_counted_apart_and_lost_by_nobody(center: Center, node: FakeNode) -> None:
    card, previous, _ = refuse(node)
    own = [node.readings(5), node.readings(5)]
    memory = node.run
    kept = [*node.made[card.run, TELEMETRY], node.made[memory, TELEMETRY][0], own[1]]
    center.take(*node.hello(b"n" * 16), *(node.up(made) for made in kept))
    center.acks(node)
    totals = check(center).totals
    assert (totals.held, totals.lost, totals.lost_in_memory) == (4 + 5, 0, 0)
    node.made = {name: chain for name, chain in node.made.items() if name[0] != memory}
    node.restart()
    node.start(previous=previous)
    center.greet(node)
    center.take(*(node.up(made) for made in node.made[node.run, TELEMETRY]))
    result = check(center)
    totals = result.totals
    assert (totals.taken, totals.settled, totals.lost, totals.lost_in_memory) == (24, 15, 0, 9)
    lines = {line.run: line for line in result.nodes[0].lines if line.stream == "telemetry"}
    assert (lines[memory.hex()].volatile, lines[memory.hex()].lost_in_memory) == (True, 5)
    assert (lines[card.run.hex()].volatile, lines[card.run.hex()].lost_in_memory) == (False, 4)
    assert {line.chain for line in lines.values()} == {OK}
    assert result.sound


def test_each_run_that_takes_its_turn_gets_acks_for_all_it_holds(center: Center, node: FakeNode) -> None:
    node.readings()
    card = node.run
    center.greet(node)
    refuse(node)
    memory = node.run
    nonce = center.greet(node).nonce
    send_all(center, node)
    (ack,) = center.later_acks(node)
    assert (ack.nonce, {(one.run, one.n) for one in ack.settled}) == (nonce, {(card, 3), (memory, 2)})
    node.restart()
    node.readings()
    nonce = center.greet(node).nonce
    send_all(center, node)
    (ack,) = center.later_acks(node)
    assert (ack.nonce, {one.run for one in ack.settled}) == (nonce, {card, memory, node.run})
