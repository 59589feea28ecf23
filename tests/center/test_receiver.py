import logging
import os
import random
import sqlite3
from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.wire import topics
from agent.wire.ack import Range, Settled
from agent.wire.batch import NO_HASH, Stream
from agent.wire.hello import CHAINS_PER_PAGE
from center.acks import NO_NONCE, AckSettings
from center.errors import StoreError
from center.receiver import Message
from center.sqlite_store import HELD_MESSAGES, QUARANTINE_PER_REASON, SqliteStore
from tests.center.fake_node import CITY, FakeNode, tampered
from tests.center.harness import Center

TELEMETRY = Stream.TELEMETRY


def settled(node: FakeNode, n: int, *ranges: Range, run: bytes | None = None, stream: Stream = TELEMETRY) -> Settled:
    run = run or node.run
    digest = node.made[run, stream][n - 1].hash if n else NO_HASH
    return Settled(run=run, stream=stream, n=n, hash=digest, ranges=ranges)


def chain(node: FakeNode, batches: int) -> list[Message]:
    """A start and so many batches of readings."""
    for _ in range(batches):
        node.readings()
    return [node.up(made) for made in node.made[node.run, TELEMETRY]]


def alarms(center: Center, node: FakeNode) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in center.store.alarms(node.box):
        found[row.what] = found.get(row.what, 0) + row.count
    return found


def stored(center: Center) -> int:
    ((number,),) = center.values("SELECT count(*) FROM batches")
    assert isinstance(number, int)
    return number


def test_stored_batches_are_acked_after_a_second(make_center: Callable[[AckSettings], Center]) -> None:
    center = make_center(AckSettings(every_s=1.0, quiet_s=0.5))
    node = FakeNode()
    center.know(node)
    center.greet(node)
    for message in chain(node, 3):
        center.take(message)
        assert center.acks(node) == []
        center.seconds += 0.25
    assert center.receiver.wait_s(center.now()) == 0.0
    (ack,) = center.acks(node)
    assert ack.settled == (settled(node, 4),)
    assert not ack.answers_hello
    assert center.later_acks(node) == []
    assert center.receiver.wait_s(center.now()) is None


def test_the_end_of_a_backlog_is_acked_when_its_node_falls_silent(center: Center, node: FakeNode) -> None:
    center.greet(node)
    center.take(*chain(node, 2))
    assert center.receiver.wait_s(center.now()) == pytest.approx(0.2)
    center.seconds += 0.2
    (ack,) = center.acks(node)
    assert ack.settled == (settled(node, 3),)


def test_twenty_batches_are_acked_at_once(center: Center, node: FakeNode) -> None:
    center.greet(node)
    center.take(*chain(node, 19))
    (ack,) = center.acks(node)
    assert ack.settled == (settled(node, 20),)


def test_a_quarter_of_the_window_is_acked_at_once(make_center: Callable[[AckSettings], Center]) -> None:
    center = make_center(AckSettings(window_bytes=4000))
    node = FakeNode()
    center.know(node)
    center.greet(node)
    center.take(*chain(node, 3))
    (ack,) = center.acks(node)
    assert (ack.window_bytes, ack.settled[0].n) == (4000, 4)


def test_batches_out_of_order_are_ranges_until_the_hole_closes(center: Center, node: FakeNode) -> None:
    center.greet(node)
    messages = chain(node, 7)
    center.take(messages[0], *messages[3:5], messages[7])
    (ack,) = center.later_acks(node)
    made = node.made[node.run, TELEMETRY]
    ranges = Range(first=4, last=5, hash=made[4].hash), Range(first=8, last=8, hash=made[7].hash)
    assert ack.settled == (settled(node, 1, *ranges),)
    center.take(*messages[1:3], *messages[5:7])
    (ack,) = center.later_acks(node)
    assert ack.settled == (settled(node, 8),)
    assert alarms(center, node) == {}


def test_the_same_batch_again_is_counted_and_acked_again(center: Center, node: FakeNode) -> None:
    center.greet(node)
    messages = chain(node, 2)
    center.take(*messages)
    center.later_acks(node)
    center.take(messages[1], messages[1])
    (ack,) = center.later_acks(node)
    assert ack.settled == (settled(node, 3),)
    assert center.store.doubles(node.box) == {(node.run, TELEMETRY): 2}
    assert stored(center) == 3


@pytest.mark.parametrize("late", [False, True])
def test_two_batches_at_one_n_are_both_kept_with_an_alarm(center: Center, node: FakeNode, *, late: bool) -> None:
    messages = chain(node, 2)
    made = node.made[node.run, TELEMETRY][-1]
    rival = node.up(tampered(made, node.signer, body=b"[]", count=0))
    center.take(*(messages if late else messages[2:]), rival)
    assert stored(center) == (4 if late else 2)
    assert alarms(center, node) == {"conflict": 1}


def test_a_broken_link_is_an_alarm_and_stored(center: Center, node: FakeNode) -> None:
    center.greet(node)
    node.readings()
    node.readings(prev=b"\x07" * 32)
    center.take(*(node.up(made) for made in node.made[node.run, TELEMETRY]))
    (ack,) = center.later_acks(node)
    assert ack.settled == (settled(node, 3),)
    assert alarms(center, node) == {"link": 1}


def test_a_gap_settles_batches_of_another_run_up_to_what_hello_announced(center: Center, node: FakeNode) -> None:
    chain(node, 5)
    old = node.run
    previous = node.restart()
    start = node.start(previous=previous)
    center.greet(node)
    gap = node.gap([node.span(2, 4, run=old)])
    center.take(node.up(start), node.up(gap), node.up(node.made[old, TELEMETRY][0]))
    (ack,) = center.later_acks(node)
    assert {(one.run, one.n, one.hash) for one in ack.settled} == {
        (node.run, 2, gap.hash),
        (old, 4, node.made[old, TELEMETRY][3].hash),
    }
    center.take(node.up(node.made[old, TELEMETRY][5]))
    (ack,) = center.later_acks(node)
    (one,) = ack.settled
    assert [(at.first, at.last) for at in one.ranges] == [(6, 6)]


def test_a_batch_that_comes_after_the_gap_that_excused_it_is_stored(center: Center, node: FakeNode) -> None:
    messages = chain(node, 4)
    gap = node.gap([node.span(2, 3)])
    center.take(messages[0], messages[3], messages[4], node.up(gap), messages[1])
    assert stored(center) == 5
    assert alarms(center, node) == {}


def test_an_ack_never_names_more_of_another_run_than_hello_announced(center: Center, node: FakeNode) -> None:
    old = node.run
    center.take(*chain(node, 9))
    node.restart()
    answer = center.greet(node, most=4)
    assert answer.settled == (settled(node, 4, run=old),)
    center.take(node.up(node.made[old, TELEMETRY][5]))
    (ack,) = center.later_acks(node)
    assert ack.settled == (settled(node, 4, run=old),)


def test_ranges_of_another_run_end_where_hello_ended(center: Center, node: FakeNode) -> None:
    old = node.run
    messages = chain(node, 9)
    center.take(messages[0], *messages[2:9])
    node.restart()
    answer = center.greet(node, most=5)
    made = node.made[old, TELEMETRY]
    assert answer.settled == (settled(node, 1, Range(first=3, last=5, hash=made[4].hash), run=old),)


def test_hello_is_answered_with_every_chain_it_named_when_its_last_page_is_here(center: Center, node: FakeNode) -> None:
    for _ in range(CHAINS_PER_PAGE + 5):
        chain(node, 1)
        node.restart()
    known = next(iter(node.made))
    center.take(*(node.up(made) for made in node.made[known]))
    pages = node.hello(b"n" * 16)
    assert len(pages) == 2
    center.take(pages[1])
    assert center.acks(node) == []
    center.take(pages[0])
    (answer,) = center.acks(node)
    assert {(one.run, one.stream): (one.n, one.hash) for one in answer.settled} == {
        name: (2, made[1].hash) if name == known else (0, NO_HASH) for name, made in node.made.items()
    }


def test_an_answer_too_long_for_one_ack_comes_in_several(center: Center, node: FakeNode) -> None:
    for _ in range(450):
        node.start()
        node.restart()
    center.take(*node.hello(b"n" * 16))
    answers = center.acks(node)
    assert [len(answer.settled) for answer in answers] == [400, 50]
    assert all(answer.answers_hello for answer in answers)


def test_a_new_nonce_replaces_a_hello_that_never_ended(center: Center, node: FakeNode) -> None:
    for _ in range(CHAINS_PER_PAGE + 1):
        chain(node, 1)
        node.restart()
    first, second = node.hello(b"a" * 16), node.hello(b"b" * 16)
    center.take(first[0], second[1])
    assert center.acks(node) == []
    center.take(first[1])
    assert center.acks(node) == []
    center.take(*second)
    (answer,) = center.acks(node)
    assert answer.nonce == b"b" * 16


def test_acks_carry_the_nonce_of_the_runs_last_hello(center: Center, node: FakeNode) -> None:
    center.greet(node)
    last = center.greet(node).nonce
    center.take(*chain(node, 1))
    (ack,) = center.later_acks(node)
    assert ack.nonce == last


def test_two_boxes_with_one_identity_each_get_their_own_nonce(center: Center, node: FakeNode) -> None:
    other = replace(node, run=bytes(16), made={}, seq={})
    mine, theirs = center.greet(node).nonce, center.greet(other).nonce
    center.take(*chain(node, 1), *chain(other, 1))
    acks = center.later_acks(node)
    assert {ack.nonce: ack.settled[0].run for ack in acks} == {mine: node.run, theirs: other.run}


def test_a_center_that_forgot_the_hello_asks_for_one_at_most_every_ten_seconds(center: Center, node: FakeNode) -> None:
    center.greet(node)
    messages = chain(node, 4)
    center.take(*messages[:2])
    center.reopen()
    for at, message in enumerate(messages):
        center.take(message)
        acks = center.later_acks(node)
        assert [ack.nonce for ack in acks] == ([NO_NONCE] if at == 0 else [])
        assert all(not ack.settled for ack in acks)
    center.seconds += 10
    center.take(messages[0])
    assert [ack.nonce for ack in center.later_acks(node)] == [NO_NONCE]
    assert center.greet(node).settled == (settled(node, 5),)


def test_a_crash_between_commit_and_ack_costs_a_double_and_nothing_else(center: Center, node: FakeNode) -> None:
    messages = chain(node, 3)
    center.greet(node)
    center.take(*messages)
    center.reopen()
    center.greet(node)
    center.take(*messages)
    (ack,) = center.later_acks(node)
    assert ack.settled == (settled(node, 4),)
    assert stored(center) == 4
    assert sum(center.store.doubles(node.box).values()) == 4


def test_a_transaction_that_fails_is_never_acked_and_comes_again(
    center: Center, node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    center.greet(node)
    messages = chain(node, 3)
    center.take(*messages[:2])
    other = sqlite3.connect(center.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    center.store.db.execute("PRAGMA busy_timeout=1")
    with pytest.raises(StoreError):
        center.take(*messages[2:])
    other.execute("ROLLBACK")
    other.close()
    assert center.later_acks(node) == []
    center.take(*messages)
    (ack,) = center.later_acks(node)
    assert ack.settled == (settled(node, 4),)


def test_a_transaction_that_fails_half_way_leaves_memory_as_the_disk_is(center: Center, node: FakeNode) -> None:
    messages = chain(node, 3)
    center.greet(node)
    center.values(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON batches WHEN new.n = 3 BEGIN SELECT raise(FAIL, 'full'); END"
    )
    with pytest.raises(StoreError, match="full"):
        center.take(*messages)
    assert stored(center) == 0
    center.values("DROP TRIGGER full")
    center.take(messages[1])
    (ack,) = center.later_acks(node)
    assert (ack.settled[0].n, len(ack.settled[0].ranges)) == (0, 1)


def test_a_batch_refused_for_good_is_answered_in_field_six(center: Center, node: FakeNode) -> None:
    center.greet(node)
    made = node.readings()
    message = node.up(tampered(made, node.signer, body=b"[]"))
    center.take(message)
    (ack,) = center.later_acks(node)
    (one,) = ack.refused
    assert (one.n, one.reason, ack.settled) == (2, "count", ())
    assert alarms(center, node) == {"refused": 1}
    assert stored(center) == 0


def test_a_forged_or_foreign_batch_is_counted_and_never_answered(center: Center, node: FakeNode) -> None:
    center.greet(node)
    forged = bytearray(node.readings().message)
    forged[-1] ^= 1
    center.take(node.up(bytes(forged)), node.up(FakeNode(name="dago-02").readings()))
    assert center.later_acks(node) == []
    assert dict(center.store.refusals(node.box)) == {"digest": 1, "node": 1}


def test_a_refusal_is_logged_once_for_each_reason_however_they_alternate(
    center: Center, node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "center"):
        for _ in range(5):
            center.take(node.up(b"garbage"))
            center.take(node.up(bytes(300_000)))
    assert len(caplog.records) == 2


def test_quarantine_keeps_the_first_of_each_reason_and_counts_all(center: Center, node: FakeNode) -> None:
    center.take(*(node.up(os.urandom(40)) for _ in range(300)))
    center.take(*(node.up(bytes(300_000) + bytes([at])) for at in range(QUARANTINE_PER_REASON)))
    refusals = dict(center.store.refusals(node.box))
    assert sum(refusals.values()) == 300 + QUARANTINE_PER_REASON
    kept = center.values("SELECT reason, count(*) <= ? FROM quarantine GROUP BY reason", [QUARANTINE_PER_REASON])
    assert set(kept) == {(reason, 1) for reason in refusals}
    ((size,),) = center.values("SELECT sum(length(payload)) FROM quarantine")
    assert isinstance(size, int)
    assert size <= 4 * 1024 * 1024


def test_ten_thousand_messages_of_garbage_change_nothing(center: Center, node: FakeNode) -> None:
    chance = random.Random(3)  # noqa: S311
    places = [
        topics.up(CITY, node.name, "live"),
        topics.hello(CITY, node.name),
        topics.state(CITY, node.name),
        "gardu/v1/x",
    ]
    for _ in range(100):
        center.take(
            *(Message(topic=chance.choice(places), payload=chance.randbytes(chance.randrange(60))) for _ in range(100))
        )
    center.take(*chain(node, 2))
    assert stored(center) == 3
    assert sum(center.store.refusals(None).values()) > 2000


def test_batches_wait_for_their_key_and_are_stored_when_it_comes(center: Center) -> None:
    node = FakeNode()
    messages = chain(node, 3)
    center.take(*messages, *messages, *node.hello(b"n" * 16))
    assert stored(center) == 0
    assert center.store.waiting(node.box) == 4
    assert center.later_acks(node) == []
    center.know(node)
    assert stored(center) == 4
    assert center.store.waiting(node.box) == 0
    assert [ack.nonce for ack in center.later_acks(node)] == [NO_NONCE]


def test_a_key_that_came_while_the_store_was_locked_is_taken_later(center: Center) -> None:
    node = FakeNode()
    center.take(*chain(node, 1))
    center.store.db.execute("PRAGMA busy_timeout=1")
    other = sqlite3.connect(center.path, isolation_level=None)
    other.execute("INSERT INTO nodes VALUES(?, ?, ?, 0)", (*node.box, node.signer.public))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError):
        center.receiver.refresh_keys(center.now())
    other.execute("ROLLBACK")
    other.close()
    center.receiver.refresh_keys(center.now())
    assert stored(center) == 2
    center.receiver.refresh_keys(center.now())


def test_what_waits_for_a_key_is_bounded(center: Center) -> None:
    node = FakeNode()
    message = node.readings(1).message
    for at in range(HELD_MESSAGES + 50):
        center.store.hold(node.box, "t", bytes(8), message + at.to_bytes(2), now_ms=0)
    assert center.store.waiting(node.box) == HELD_MESSAGES
    center.take(node.up(message))
    assert dict(center.store.refusals(node.box)) == {"kid_unknown": 1}


def test_two_runs_that_name_one_predecessor_raise_an_alarm(center: Center, node: FakeNode) -> None:
    center.take(*chain(node, 1))
    previous = node.restart()
    center.take(node.up(node.start(previous=previous)), node.up(node.start(Stream.ALARM, previous=previous)))
    assert alarms(center, node) == {}
    node.restart()
    center.take(node.up(node.start(previous=previous, volatile=True)))
    assert alarms(center, node) == {"volatile": 1}
    node.restart()
    center.take(node.up(node.start(previous=previous)))
    assert alarms(center, node) == {"volatile": 1, "fork": 1}


@pytest.mark.parametrize("start_first", [False, True])
def test_a_run_that_grows_beyond_its_named_end_raises_an_alarm(
    center: Center, node: FakeNode, *, start_first: bool
) -> None:
    messages = chain(node, 2)
    old = replace(node, made=dict(node.made))
    previous = node.restart()
    start = node.up(node.start(previous=previous))
    grown = old.up(old.readings())
    center.take(*messages, *((start, grown) if start_first else (grown, start)))
    assert alarms(center, node) == {"grown": 1}


def test_the_state_of_a_known_node_is_kept_as_it_came(center: Center, node: FakeNode) -> None:
    topic = topics.state(CITY, node.name)
    center.take(Message(topic=topic, payload=b'{"up":true}'))
    stranger = topics.state(CITY, "stranger")
    center.take(Message(topic=stranger, payload=b'{"up":true}'))
    (info,) = center.store.nodes()
    assert info.state == '{"up":true}'


def test_a_center_opens_only_its_own_format(center: Center) -> None:
    center.values("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="format 99"):
        SqliteStore(center.path)
