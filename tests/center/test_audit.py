import os
from collections.abc import Iterator
from dataclasses import replace

from agent.wire.batch import Stream
from agent.wire.bodies import Span
from center.audit import BROKEN, OK, OPEN, Audit, Line, audit
from center.ingest import Box
from center.sqlite_store import SqliteStore
from center.store import StoredBatch
from tests.center.fake_node import CITY, FakeNode
from tests.center.harness import Center

TELEMETRY = Stream.TELEMETRY


def check(center: Center) -> Audit:
    center.project()
    return audit(center.store, center.store.keys(CITY))


def only(result: Audit) -> Line:
    ((line,),) = (node.lines for node in result.nodes)
    return line


def test_a_whole_chain_is_sound(center: Center, node: FakeNode) -> None:
    for _ in range(3):
        node.readings(10)
    center.take(*(node.up(made) for made in node.made[node.run, TELEMETRY]))
    result = check(center)
    line = only(result)
    assert (line.taken, line.settled, line.missing, line.held, line.in_gaps) == (30, 30, 0, 0, 0)
    assert (line.chain, line.batches, line.settled_n, line.projected) == (OK, 4, 4, 30)
    assert result.sound
    assert result.as_json()["sound"] is True


def test_a_batch_nobody_has_is_lost(center: Center, node: FakeNode) -> None:
    for _ in range(3):
        node.readings(10)
    made = node.made[node.run, TELEMETRY]
    center.take(*(node.up(made[at]) for at in (0, 1, 3)))
    result = check(center)
    assert only(result).missing == 10
    assert (result.totals.lost, result.totals.chain) == (10, BROKEN)
    assert not result.sound


def test_what_the_node_announced_counts_as_held(center: Center, node: FakeNode) -> None:
    for _ in range(4):
        node.readings(10)
    made = node.made[node.run, TELEMETRY]
    node.restart()
    center.greet(node)
    center.take(*(node.up(made[at]) for at in (0, 1, 3)))
    result = check(center)
    line = only(result)
    assert (line.taken, line.settled, line.held, line.missing, line.chain) == (40, 20, 20, 0, OPEN)
    assert result.sound
    center.take(node.up(made[2]), node.up(made[4]))
    assert only(check(center)).chain == OK


def test_what_is_no_longer_announced_is_lost(center: Center, node: FakeNode) -> None:
    for _ in range(4):
        node.readings(10)
    run = node.run
    made = node.made[run, TELEMETRY]
    center.take(*(node.up(made[at]) for at in (0, 1, 3, 4)))
    node.restart()
    center.take(*node.hello(b"n" * 16, firsts={(run, TELEMETRY): 4}))
    assert check(center).totals.lost == 10


def test_batches_of_the_run_that_speaks_are_on_their_way(center: Center, node: FakeNode) -> None:
    for _ in range(3):
        node.readings(10)
    center.take(*node.hello(b"n" * 16, most=1))
    made = node.made[node.run, TELEMETRY]
    center.take(node.up(made[0]), node.up(made[3]))
    line = only(check(center))
    assert (line.held, line.missing, line.chain) == (20, 0, OPEN)


def test_a_signed_gap_excuses_what_it_names(center: Center, node: FakeNode) -> None:
    for _ in range(3):
        node.readings(10)
    gap = node.gap([node.span(2, 3)], [Span(origin=node.run, first=1, last=20)])
    made = node.made[node.run, TELEMETRY]
    center.take(node.up(made[0]), node.up(made[3]), node.up(gap))
    result = check(center)
    line = only(result)
    assert (line.taken, line.settled, line.in_gaps, line.missing, line.chain) == (30, 10, 20, 0, OK)
    assert result.sound


def test_an_unclean_end_shows_in_the_run_that_ended(center: Center, node: FakeNode) -> None:
    node.readings(5)
    first = node.run
    start = node.start(previous=node.restart())
    center.take(*(node.up(made) for made in node.made[first, TELEMETRY]), node.up(start))
    ends = {line.run: line.clean for line in check(center).nodes[0].lines if line.stream == "telemetry"}
    assert ends == {first.hex(): False, node.run.hex(): None}


def test_doubles_are_counted_and_harmless(center: Center, node: FakeNode) -> None:
    rows = node.rows(6)
    node.readings(rows)
    origin, at = node.run, node.boot_ms
    node.restart()
    node.start()
    node.boot_ms = at
    node.readings(rows, origin=origin, seq0=1)
    messages = [node.up(made) for chain in node.made.values() for made in chain]
    center.take(*messages, messages[1])
    result = check(center)
    assert result.totals.doubles_refused == 1 + 6
    assert (result.totals.taken, result.totals.settled, result.totals.twice) == (6, 6, 0)
    assert result.sound


def test_a_stored_batch_whose_bytes_changed_is_unverified(center: Center, node: FakeNode) -> None:
    center.take(node.up(node.readings(5)))
    center.values("UPDATE batches SET message = CAST(substr(message, 1, length(message) - 1) || x'ab' AS BLOB)")
    center.reopen()
    result = check(center)
    assert result.totals.unverified == 1
    assert not result.sound
    assert [alarm.what for alarm in result.nodes[0].alarms] == ["damaged"]


def test_rows_that_the_new_run_took_over_are_held_until_it_seals_them(center: Center, node: FakeNode) -> None:
    origin = node.run
    node.readings(4)
    center.take(*(node.up(made) for made in node.made[origin, TELEMETRY]))
    previous = node.restart()
    start = node.start(previous=previous, taken_over=(Span(origin=origin, first=5, last=9),))
    center.greet(node)
    center.take(node.up(start))
    result = check(center)
    assert (result.totals.taken, result.totals.held, result.totals.lost) == (9, 5, 0)
    node.restart()
    center.take(*replace(node, made={}).hello(b"n" * 16))
    assert check(center).totals.lost == 5


def test_what_comes_in_during_an_audit_is_left_for_the_next_one(center: Center, node: FakeNode) -> None:
    center.take(node.up(node.start()), node.up(node.readings(5)))
    center.project()

    class Reader(SqliteStore):
        def batches(self, box: Box) -> Iterator[StoredBatch]:
            yield from super().batches(box)
            center.take(node.up(node.readings(5)))
            center.project()

    reader = Reader(center.path)
    result = audit(reader, reader.keys(CITY))
    reader.close()
    assert result.sound
    assert (result.totals.settled, check(center).totals.settled) == (5, 10)


def test_readings_that_are_not_projected_yet_are_no_fault(center: Center, node: FakeNode) -> None:
    center.take(node.up(node.start()), node.up(node.readings(5)))
    result = audit(center.store, center.store.keys(CITY))
    assert result.sound
    assert result.totals.unprojected == 2


def test_readings_that_are_not_the_rows_of_the_batches_are_named(center: Center, node: FakeNode) -> None:
    center.take(node.up(node.start()), node.up(node.readings(5)))
    assert check(center).sound
    center.values("DELETE FROM readings WHERE id = 3")
    result = check(center)
    assert result.nodes[0].unequal == (f"{node.run.hex()} telemetry",)
    assert not result.sound


def test_what_waits_for_a_key_is_told_and_no_fault(center: Center) -> None:
    stranger = FakeNode(name="stranger")
    center.take(stranger.up(stranger.readings()))
    center.know(replace(stranger, signer=FakeNode(name="stranger").signer))
    result = check(center)
    assert (result.totals.waiting, result.totals.unverified, result.sound) == (1, 0, True)


def test_refusals_of_a_node_and_of_nobody_are_named_by_reason(center: Center, node: FakeNode) -> None:
    center.take(node.up(b"x"), node.up(os.urandom(9)), node.up(b""))
    center.take(replace(node.up(b"x"), topic="elsewhere"))
    result = check(center)
    assert sum(result.nodes[0].refusals.values()) == 3
    assert dict(result.of_no_node) == {"topic": 1}
    assert result.sound
