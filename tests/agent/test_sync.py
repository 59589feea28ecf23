"""The rules of sending, and a model of a center behind a bad link that must get everything in the end."""

import math
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.flow import FLOOR_BYTES
from agent.sync import Counters, Held, Key, Lane, Name, Next, Sync, Timing, hello_chains
from agent.wire.batch import Stream
from agent.wire.spans import Spans

RUN = b"r" * 16
OLD = b"o" * 16
LIVE = (RUN, Stream.TELEMETRY)
ALARM = (RUN, Stream.ALARM)
PAST = (OLD, Stream.TELEMETRY)
TIMING = Timing(window_bytes=64 * 1024, resend_s=10, resend_most_s=120, progress_s=300)
SIZE = 1000


def held(key: Key, last: int, *, first: int = 1, settled: int = 0, ranges: Iterable[tuple[int, int]] = ()) -> Held:
    return Held(
        run=key[0],
        stream=key[1],
        first=first,
        last=last,
        last_seq=last,
        settled=settled,
        ranges=tuple(ranges),
        refused=frozenset(),
    )


def fresh(*chains: Held, timing: Timing = TIMING, answered: bool = True) -> Sync:
    sync = Sync(RUN, timing)
    sync.load(chains)
    sync.connected(0)
    if answered:
        answer(sync)
    return sync


def answer(sync: Sync, *, window: int = 64 * 1024, rate: int = 0) -> None:
    sync.allow(window_bytes=window, rate_bytes_per_s=rate, answers_hello=True)


def store(sync: Sync, key: Key, *ns: int) -> None:
    for n in ns:
        sync.stored(*key, n)


def send(sync: Sync, now_s: float = 0, size: int = SIZE) -> Next | None:
    item = sync.next(now_s)
    if item is not None:
        sync.sent(item.name, item.lane, size, now_s)
        sync.received(item.name, now_s)
    return item


def drain(sync: Sync, now_s: float = 0, size: int = SIZE) -> list[tuple[Lane, int]]:
    sent: list[tuple[Lane, int]] = []
    while (item := send(sync, now_s, size)) is not None:
        sent.append((item.lane, item.n))
        assert len(sent) < 1000
    return sent


def ack(sync: Sync, key: Key, n: int, now_s: float, *ranges: tuple[int, int], refused: Iterable[int] = ()) -> None:
    sync.settled(key, n, ranges, refused, now_s)


# -- lanes ------------------------------------------------------------------------------------------------------------


def test_alarms_leave_first_then_the_newest_live_batch_then_history_oldest_first() -> None:
    sync = fresh(held(PAST, 2))
    store(sync, LIVE, 1, 2, 3)
    store(sync, ALARM, 1, 2)
    assert drain(sync) == [
        ("alarm", 1),
        ("alarm", 2),
        ("live", 3),
        ("history", 1),
        ("history", 2),
        ("history", 1),
        ("history", 2),
    ]


def test_old_alarms_leave_as_alarms_and_oldest_run_first() -> None:
    sync = fresh(held((OLD, Stream.ALARM), 2), answered=False)
    store(sync, ALARM, 1)
    runs = [item.run for item in iter(lambda: send(sync), None)]
    assert runs == [OLD, OLD, RUN]


def test_nothing_leaves_before_the_connection_or_after_it() -> None:
    sync = Sync(RUN, TIMING)
    sync.load([held(PAST, 3)])
    store(sync, ALARM, 1)
    assert sync.next(0) is None
    sync.connected(0)
    assert send(sync) is not None
    sync.disconnected()
    assert sync.next(0) is None
    assert sync.deadline(0) == math.inf


def test_alarms_and_live_leave_before_the_hello_is_answered_and_history_does_not() -> None:
    sync = fresh(held(PAST, 3), answered=False)
    store(sync, LIVE, 1, 2)
    store(sync, ALARM, 1)
    assert drain(sync) == [("alarm", 1), ("live", 2)]
    answer(sync)
    assert [lane for lane, _ in drain(sync)] == ["history"] * 4


def test_an_ack_that_answers_no_hello_does_not_open_the_history() -> None:
    sync = fresh(held(PAST, 3), answered=False)
    sync.allow(window_bytes=10**6, rate_bytes_per_s=0, answers_hello=False)
    assert sync.next(0) is None


def test_each_connection_waits_for_its_own_answer() -> None:
    sync = fresh(held(PAST, 3))
    sync.disconnected()
    sync.connected(1)
    assert sync.next(1) is None


def test_a_full_window_keeps_one_place_for_an_alarm_and_one_for_the_newest_live_batch() -> None:
    sync = fresh(held(PAST, 500))
    filled = drain(sync)
    assert {lane for lane, _ in filled} == {"history"}
    assert sync.next(0) is None
    store(sync, LIVE, 1)
    store(sync, ALARM, 1)
    assert drain(sync) == [("alarm", 1), ("live", 1)]
    store(sync, LIVE, 2)
    store(sync, ALARM, 2)
    assert sync.next(0) is None
    ack(sync, ALARM, 1, 1)
    assert drain(sync, 1) == [("alarm", 2)]
    ack(sync, LIVE, 1, 1)
    assert drain(sync, 1) == [("live", 2)]


def test_a_live_batch_that_was_overtaken_leaves_as_history() -> None:
    sync = fresh()
    store(sync, LIVE, 1)
    assert drain(sync) == [("live", 1)]
    store(sync, LIVE, 2, 3)
    assert drain(sync) == [("live", 3), ("history", 2)]


def test_the_batch_that_is_being_read_is_not_chosen_again() -> None:
    sync = fresh()
    store(sync, LIVE, 1)
    store(sync, ALARM, 1)
    first, second = sync.next(0), sync.next(0)
    assert (first and first.lane, second and second.lane) == ("alarm", "live")
    assert sync.next(0) is None


def test_the_live_lane_follows_the_run_that_takes_rows() -> None:
    sync = fresh(held(LIVE, 3))
    assert drain(sync) == [("live", 3), ("history", 1), ("history", 2)]
    sync.run = OLD
    store(sync, LIVE, 4)
    store(sync, PAST, 1, 2)
    assert [(item.run, item.lane, item.n) for item in iter(lambda: send(sync), None)] == [
        (OLD, "live", 2),
        (RUN, "history", 4),
        (OLD, "history", 1),
    ]


# -- window -----------------------------------------------------------------------------------------------------------


def test_the_window_bounds_the_bytes_in_flight() -> None:
    sync = fresh(held(PAST, 500), timing=Timing(window_bytes=20_000))
    assert len(drain(sync)) == 20
    ack(sync, PAST, 5, 1)
    assert sync.in_flight_bytes() == 15_000


@pytest.mark.parametrize(("center", "count"), [(0, 9), (FLOOR_BYTES, 9), (12_000, 12), (10**9, 64)])
def test_the_center_sets_the_window_between_the_floor_and_ours(center: int, count: int) -> None:
    sync = fresh(held(PAST, 500))
    answer(sync, window=center)
    assert len(drain(sync)) == count


def test_a_batch_larger_than_the_window_still_leaves() -> None:
    sync = fresh(held(PAST, 2), timing=Timing(window_bytes=FLOOR_BYTES))
    assert drain(sync, size=200_000) == [("history", 1)]


def test_many_small_batches_do_not_flood_the_client() -> None:
    sync = fresh(held(PAST, 500))
    assert len(drain(sync, size=1)) == 64


def acked_one_by_one(sync: Sync, first: int, count: int, begin_s: float, every_s: float) -> float:
    """Settle batch after batch at a steady pace, with the window kept full; return when the last one was."""
    now_s = begin_s
    for n in range(first, first + count):
        now_s += every_s
        ack(sync, PAST, n, now_s)
        drain(sync, now_s)
    return now_s


def test_history_in_flight_is_at_most_a_second_of_what_the_center_acks() -> None:
    sync = fresh(held(PAST, 5000))
    drain(sync)
    assert sync.in_flight_bytes() == 64_000  # as much as the window takes: of the center nothing is known yet
    acked_one_by_one(sync, 1, 100, 0, 0.1)  # 10 kB/s
    assert sync.in_flight_bytes() in {10_000, 11_000}


def test_the_center_bounds_the_rate_too() -> None:
    sync = fresh(held(PAST, 5000))
    answer(sync, rate=12_000)
    assert len(drain(sync)) == 12


def test_a_slow_center_still_gets_the_floor() -> None:
    sync = fresh(held(PAST, 5000))
    answer(sync, rate=1)
    assert len(drain(sync)) == 9


def test_the_measured_rate_follows_acks_that_come_faster() -> None:
    sync = fresh(held(PAST, 5000))
    drain(sync)
    now_s = acked_one_by_one(sync, 1, 100, 0, 0.1)
    acked_one_by_one(sync, 101, 100, now_s, 0.02)
    assert 45_000 < sync.in_flight_bytes() <= 51_000


def test_the_measured_rate_follows_acks_that_come_more_slowly() -> None:
    sync = fresh(held(PAST, 5000))
    drain(sync)
    now_s = acked_one_by_one(sync, 1, 300, 0, 0.02)
    acked_one_by_one(sync, 301, 200, now_s, 0.05)
    assert sync.in_flight_bytes() == 20_000


def test_a_broker_of_unknown_speed_is_first_given_little() -> None:
    sync = fresh(held(PAST, 5000))
    sent = []
    while (item := sync.next(0)) is not None:
        sync.sent(item.name, item.lane, SIZE, 0)
        sent.append(item)
    assert len(sent) * SIZE == 17_000
    for item in sent:
        sync.received(item.name, 0.1)
    assert sync.next(0.1) is not None


def test_an_ack_that_overtakes_the_receipt_tells_of_the_way_to_the_broker_too() -> None:
    sync = fresh(held(PAST, 5000))
    while (item := sync.next(0)) is not None:
        sync.sent(item.name, item.lane, SIZE, 0)
    ack(sync, PAST, 17, 0.1)
    again = 0
    while (item := sync.next(0.1)) is not None:
        sync.sent(item.name, item.lane, SIZE, 0.1)
        again += 1
    assert again == 64


def test_what_the_broker_does_not_have_yet_holds_up_history_but_no_alarm() -> None:
    sync = fresh(held(PAST, 5000))
    while (item := sync.next(0)) is not None:
        sync.sent(item.name, item.lane, SIZE, 0)
    store(sync, LIVE, 1)
    store(sync, ALARM, 1)
    assert drain(sync) == [("alarm", 1), ("live", 1)]


def test_history_is_not_sent_again_while_the_way_to_the_broker_is_full() -> None:
    sync = fresh(held(PAST, 5000), timing=Timing(window_bytes=200_000))
    answer(sync, window=200_000)
    while (item := sync.next(0)) is not None:
        sync.sent(item.name, item.lane, 6000, 0)
        sync.received(item.name, 0.1)
    lost = sync.in_flight_bytes() // 6000
    assert lost > 30  # all of them at the broker, which forgets them
    again = 0
    while (item := sync.next(10.2)) is not None:
        sync.sent(item.name, item.lane, 6000, 10.2)
        again += 1
    assert again < lost
    assert sync.deadline(10.2) == math.inf  # news of the broker, no clock, lets the rest go


# -- sending again ----------------------------------------------------------------------------------------------------


def test_the_same_batch_leaves_again_after_10_s_doubling_to_120_s() -> None:
    sync = fresh()
    store(sync, LIVE, 1)
    send(sync)
    sent_s, waits = 0.0, []
    for _ in range(6):
        due_s = sync.deadline(sent_s)
        assert sync.next(due_s - 0.001) is None
        again = send(sync, due_s)
        assert again is not None
        assert (again.name, again.lane) == ((*LIVE, 1), "live")
        waits.append(due_s - sent_s)
        sent_s = due_s
    assert waits == [10, 20, 40, 80, 120, 120]
    assert (sync.counters.sent, sync.counters.resent, sync.counters.sent_bytes) == (1, 6, 7 * SIZE)


def test_a_batch_that_the_broker_does_not_have_yet_is_not_sent_again() -> None:
    sync = fresh()
    store(sync, LIVE, 1)
    item = sync.next(0)
    assert item is not None
    sync.sent(item.name, item.lane, SIZE, 0)
    assert sync.next(500) is None
    assert sync.deadline(0) == math.inf
    sync.received(item.name, 500)
    assert sync.deadline(0) == 510


def test_a_late_receipt_of_a_settled_batch_changes_nothing() -> None:
    sync = fresh()
    store(sync, LIVE, 1)
    drain(sync)
    ack(sync, LIVE, 1, 1)
    sync.received((*LIVE, 1), 2)
    assert sync.deadline(0) == math.inf


def test_a_resend_takes_no_new_place_in_the_window() -> None:
    sync = fresh(held(PAST, 500))
    drain(sync)
    before = sync.in_flight_bytes()
    assert send(sync, 10) is not None
    assert sync.in_flight_bytes() == before


def test_the_deadline_lies_ahead_whenever_nothing_may_leave() -> None:
    sync = fresh(held(PAST, 100), timing=Timing(window_bytes=FLOOR_BYTES))
    now_s = 0.0
    for _ in range(200):
        drain(sync, now_s)
        due_s = sync.deadline(now_s)
        assert due_s > now_s
        now_s = due_s


def test_a_batch_that_left_the_disk_is_not_asked_for_again() -> None:
    sync = fresh(held(PAST, 3))
    for n in (1, 2):
        item = sync.next(0)
        assert item is not None
        assert item.n == n
        sync.missing(item.name)
    assert drain(sync) == [("history", 3)]
    assert sync.backlog() == 1
    sync.missing((*PAST, 3))
    assert sync.in_flight_bytes() == 0
    assert sync.deadline(0) == math.inf


def test_all_that_is_not_settled_leaves_again_on_a_new_connection() -> None:
    sync = fresh(held(PAST, 4))
    drain(sync)
    ack(sync, PAST, 2, 1)
    sync.disconnected()
    sync.connected(2)
    answer(sync)
    assert drain(sync, 2) == [("history", 3), ("history", 4)]


def test_what_is_loaded_again_replaces_what_was_known() -> None:
    sync = fresh(held(PAST, 5), held(LIVE, 2))
    drain(sync)
    ack(sync, PAST, 4, 1)
    sync.disconnected()
    sync.load([held(LIVE, 3, settled=1)])
    assert sync.backlog() == 2
    sync.connected(2)
    answer(sync)
    assert drain(sync, 2) == [("live", 3), ("history", 2)]


# -- a broker that refuses --------------------------------------------------------------------------------------------


def decline(sync: Sync, now_s: float) -> Next:
    item = sync.next(now_s)
    assert item is not None
    sync.sent(item.name, item.lane, SIZE, now_s)
    sync.declined(item.name, now_s)
    return item


def test_a_lane_that_the_broker_refuses_pauses_from_60_s_up_to_an_hour() -> None:
    sync = fresh(held(PAST, 9))
    now_s, waits = 0.0, []
    for _ in range(9):
        assert decline(sync, now_s).n == 1
        assert sync.next(now_s) is None
        due_s = sync.deadline(now_s)
        assert sync.next(due_s - 0.001) is None
        waits.append(due_s - now_s)
        now_s = due_s
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert sync.counters.declined == 9
    assert (sync.in_flight_bytes(), sync.backlog()) == (0, 9)


def test_alarms_wait_no_longer_than_10_s_once_the_broker_takes_anything_again() -> None:
    sync = fresh(held((OLD, Stream.ALARM), 1), held(PAST, 1))
    now_s = 0.0
    for _ in range(4):
        assert decline(sync, now_s).lane == "alarm"
        now_s += 80
    now_s -= 79
    item = sync.next(now_s)
    assert item is not None
    assert item.lane == "history"
    sync.sent(item.name, item.lane, SIZE, now_s)
    assert sync.next(now_s + 10) is None
    sync.received(item.name, now_s)
    assert sync.next(now_s + 9.9) is None
    soon = sync.next(now_s + 10)
    assert soon is not None
    assert soon.lane == "alarm"


def test_alarms_that_the_broker_refuses_are_tried_again_sooner() -> None:
    sync = fresh(held((OLD, Stream.ALARM), 3))
    now_s, waits = 0.0, []
    for _ in range(7):
        decline(sync, now_s)
        waits.append(sync.deadline(now_s) - now_s)
        now_s += waits[-1]
    assert waits == [10, 20, 40, 80, 160, 300, 300]


def test_a_refused_lane_holds_up_no_other() -> None:
    sync = fresh(held(PAST, 3))
    store(sync, LIVE, 1)
    assert decline(sync, 0).lane == "live"
    store(sync, ALARM, 1)
    lanes = [lane for lane, _ in drain(sync)]
    assert lanes == ["alarm", *["history"] * 4]
    store(sync, LIVE, 2)
    assert drain(sync, 1) == [("history", 2)]
    store(sync, LIVE, 3)
    assert decline(sync, 60).lane == "live"


def test_what_was_under_way_when_a_lane_was_refused_makes_the_pause_no_longer() -> None:
    sync = fresh(held(PAST, 9))
    items = []
    while (item := sync.next(0)) is not None:
        sync.sent(item.name, item.lane, SIZE, 0)
        items.append(item)
    for item in items:
        sync.declined(item.name, 1)
    assert sync.deadline(1) == 61
    assert drain(sync, 61) == [("history", n) for n in range(1, 10)]


def test_a_receipt_ends_the_doubling() -> None:
    sync = fresh(held(PAST, 9))
    decline(sync, 0)
    decline(sync, 60)
    assert send(sync, 180) is not None
    decline(sync, 180)
    assert sync.deadline(180) == 240


def test_a_pause_outlives_its_connection() -> None:
    sync = fresh(held(PAST, 9))
    decline(sync, 0)
    sync.disconnected()
    sync.connected(5)
    answer(sync)
    assert sync.next(5) is None
    assert sync.next(60) is not None


def test_a_refusal_of_what_is_settled_already_changes_nothing() -> None:
    sync = fresh(held(PAST, 2))
    drain(sync)
    ack(sync, PAST, 2, 1)
    sync.declined((*PAST, 1), 1)
    assert sync.counters.declined == 0


# -- a quota ----------------------------------------------------------------------------------------------------------


def test_only_alarms_leave_once_the_quota_is_used_up() -> None:
    sync = fresh(held(PAST, 3))
    assert send(sync) is not None
    sync.only_alarms = True
    store(sync, LIVE, 1)
    assert sync.next(1000) is None
    assert sync.deadline(1000) == math.inf
    store(sync, ALARM, 1)
    assert drain(sync, 1000) == [("alarm", 1)]
    sync.only_alarms = False
    assert [lane for lane, _ in drain(sync, 1001)] == ["live", "history", "history", "history"]


# -- what the center says ---------------------------------------------------------------------------------------------


def test_ranges_and_refused_batches_are_passed_over() -> None:
    sync = fresh(held(PAST, 10, settled=2, ranges=[(4, 5)]))
    ack(sync, PAST, 2, 1, (4, 5), (8, 8), refused=[7])
    assert sync.backlog() == 4
    assert drain(sync) == [("history", 3), ("history", 6), ("history", 9), ("history", 10)]


def test_a_batch_that_was_refused_before_is_not_offered_again() -> None:
    sync = fresh(replace(held(PAST, 3), refused=frozenset({2})))
    assert drain(sync) == [("history", 1), ("history", 3)]
    assert sync.backlog() == 2


def test_a_chain_starts_at_the_first_batch_on_disk() -> None:
    sync = fresh(held(PAST, 10, first=9))
    assert drain(sync) == [("history", 9), ("history", 10)]


def test_an_ack_frees_the_window() -> None:
    sync = fresh(held(PAST, 5))
    drain(sync)
    ack(sync, PAST, 3, 1, (5, 5))
    assert (sync.in_flight_bytes(), sync.counters.settled, sync.backlog()) == (SIZE, 4, 1)


def test_a_refused_batch_leaves_the_window() -> None:
    sync = fresh(held(PAST, 2))
    drain(sync)
    ack(sync, PAST, 0, 1, refused=[1])
    assert sync.in_flight_bytes() == SIZE


def test_an_ack_of_a_chain_that_is_not_here_changes_nothing() -> None:
    sync = fresh()
    ack(sync, PAST, 5, 1)
    assert sync.backlog() == 0


def test_a_restored_center_is_offered_again_what_it_lost() -> None:
    sync = fresh(held(PAST, 6))
    drain(sync)
    ack(sync, PAST, 6, 1)
    assert sync.next(1) is None
    ack(sync, PAST, 2, 2)
    assert drain(sync, 2) == [("history", n) for n in (3, 4, 5, 6)]


def test_a_restored_center_is_offered_again_a_range_it_lost() -> None:
    sync = fresh(held(PAST, 6))
    drain(sync)
    ack(sync, PAST, 1, 1, (4, 6))
    ack(sync, PAST, 1, 2)
    assert drain(sync, 2) == [("history", n) for n in (4, 5, 6)]


# -- progress ---------------------------------------------------------------------------------------------------------


def test_silence_of_the_center_is_a_stall_only_while_something_is_in_flight() -> None:
    sync = fresh()
    assert not sync.stalled(10_000)
    store(sync, LIVE, 1, 2)
    drain(sync, 10_000)
    assert not sync.stalled(10_299)
    assert sync.stalled(10_300)


def test_the_largest_batch_that_the_broker_does_not_have_is_known() -> None:
    sync = fresh(held(PAST, 3))
    assert sync.largest_unreceived() is None
    for size in (100, 300, 200):
        item = sync.next(0)
        assert item is not None
        sync.sent(item.name, item.lane, size, 0)
    assert sync.largest_unreceived() == ((*PAST, 2), 300)
    sync.received((*PAST, 2), 1)
    assert sync.largest_unreceived() == ((*PAST, 3), 200)


def test_each_settled_batch_is_progress_and_an_empty_ack_is_none() -> None:
    sync = fresh()
    store(sync, LIVE, 1, 2)
    drain(sync)
    ack(sync, LIVE, 1, 200)
    assert not sync.stalled(499)
    ack(sync, LIVE, 1, 499)
    assert sync.stalled(500)


def test_hello_names_what_is_on_disk() -> None:
    (chain,) = hello_chains([held(PAST, 7, first=3)])
    assert (chain.run, chain.stream, chain.first, chain.last, chain.last_seq) == (OLD, Stream.TELEMETRY, 3, 7, 7)


# -- cost -------------------------------------------------------------------------------------------------------------


class _Counting(Spans):
    """Spans that count how often they are asked."""

    __slots__ = ()
    asked = 0

    def __contains__(self, number: int) -> bool:
        type(self).asked += 1
        return super().__contains__(number)


@pytest.mark.parametrize("removed", [0, 99_000])
def test_a_call_costs_the_same_with_100_000_batches_held(monkeypatch: pytest.MonkeyPatch, removed: int) -> None:
    monkeypatch.setattr("agent.sync.Spans", _Counting)
    monkeypatch.setattr("agent.backlog.Spans", _Counting)
    sync = fresh(held(PAST, 100_000))
    for n in range(2, removed + 1):
        sync.missing((*PAST, n))
    n, now_s = removed + 1, 0.0
    drain(sync)
    _Counting.asked = 0
    for _ in range(50):
        n, now_s = n + 10, now_s + 0.1
        ack(sync, PAST, 0, now_s, (removed + 2, n))  # the first one never arrives
        drain(sync, now_s)
    sends = sync.counters.sent
    assert sends > 400
    assert _Counting.asked < 30 * sends


# -- a model ----------------------------------------------------------------------------------------------------------

NEW = b"n" * 16
KEYS = (PAST, (OLD, Stream.ALARM), LIVE, ALARM, (NEW, Stream.TELEMETRY), (NEW, Stream.ALARM))


@dataclass(frozen=True)
class _Ack:
    key: Key
    has: frozenset[int]
    refused: frozenset[int]
    answers: bool = False


@dataclass
class _Chain:
    last: int = 0
    at_center: set[int] = field(default_factory=set)
    settled: set[int] = field(default_factory=set)  # what the spool believes, as `agent.spool.settle` keeps it
    bad: set[int] = field(default_factory=set)  # what the center refuses for good
    refused: set[int] = field(default_factory=set)  # ... and said so
    gone: set[int] = field(default_factory=set)  # no longer on disk
    found_gone: set[int] = field(default_factory=set)  # ... and sync was told on this connection

    def open(self) -> set[int]:
        return set(range(1, self.last + 1)) - self.settled - self.refused - self.found_gone

    def held(self, key: Key) -> list[Held]:
        here = set(range(1, self.last + 1)) - self.gone
        if not here:
            return []
        n = self.settled_to()
        one = held(key, max(here), first=min(here), settled=n, ranges=Spans((m, m) for m in self.settled if m > n))
        return [replace(one, refused=frozenset(self.refused))]

    def settled_to(self) -> int:
        n = 0
        while n + 1 in self.settled:
            n += 1
        return n


@dataclass
class _Flown:
    lane: Lane
    size: int
    tries: int = 1
    received_s: float = math.inf


class BadLink(RuleBasedStateMachine):
    """Batches, receipts and acks are lost, reordered, doubled; the broker refuses; connections break; a disk forgets;
    the run changes; the center refuses, or is restored.
    """

    @initialize(past=st.integers(0, 150), alarms=st.integers(0, 3), seed=st.integers(0, 2**32))
    def begin(self, past: int, alarms: int, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a game of chance, seeded
        self.now_s = 0.0
        self.run = RUN
        self.chains = {key: _Chain() for key in KEYS}
        self.sync = Sync(RUN, TIMING)
        self.chains[PAST].last, self.chains[OLD, Stream.ALARM].last = past, alarms
        self.is_up = self.answered = False
        self.acks: list[_Ack] = []
        self.flights: dict[Name, _Flown] = {}
        self.paused_s: dict[Lane, float] = {}
        self.refusals: Counter[Lane] = Counter()
        self.count = Counters()

    @rule(stream=st.sampled_from(Stream), count=st.integers(1, 5))
    def take(self, stream: Stream, count: int) -> None:
        chain = self.chains[self.run, stream]
        for _ in range(count):
            chain.last += 1
            self.sync.stored(self.run, stream, chain.last)

    @precondition(lambda self: not self.is_up)
    @rule()
    def connect(self) -> None:
        self.is_up, self.answered = True, False
        self.acks.clear()
        self.flights.clear()
        for chain in self.chains.values():
            chain.found_gone.clear()
        self.sync.load(one for key, chain in self.chains.items() for one in chain.held(key))
        self.sync.connected(self.now_s)

    @precondition(lambda self: self.is_up)
    @rule()
    def disconnect(self) -> None:
        self.is_up = False
        self.flights.clear()
        self.sync.disconnected()

    @precondition(lambda self: self.run == RUN)
    @rule()
    def change_run(self) -> None:
        self.run = self.sync.run = NEW

    @precondition(lambda self: self.is_up)
    @rule()
    def answer_hello(self) -> None:
        self.acks += [self.ack_of(key, answers=True) for key in KEYS]

    def ack_of(self, key: Key, *, answers: bool = False) -> _Ack:
        chain = self.chains[key]
        return _Ack(key, frozenset(chain.at_center), frozenset(chain.bad & chain.at_center), answers)

    @precondition(lambda self: self.is_up)
    @rule(share=st.integers(0, 2**16))
    def restore_center(self, share: int) -> None:
        for chain in self.chains.values():
            chain.at_center = {n for n in chain.at_center if (n * 2_654_435_761 ^ share) & 3}
        self.acks.clear()
        self.answer_hello()
        self.hear_all()

    @rule(key=st.sampled_from(KEYS), share=st.integers(0, 2**16))
    def lose_from_disk(self, key: Key, share: int) -> None:
        chain = self.chains[key]
        chain.gone |= {n for n in range(1, chain.last) if not (n * 2_654_435_761 ^ share) & 31}  # the newest stays

    @rule(key=st.sampled_from(KEYS), share=st.integers(0, 2**16))
    def be_refused_by_the_center(self, key: Key, share: int) -> None:
        chain = self.chains[key]
        chain.bad |= {n for n in range(1, chain.last + 1) if not (n * 2_654_435_761 ^ share) & 7} - chain.settled

    @rule(loses=st.booleans(), count=st.integers(1, 80))
    def send(self, loses: bool, count: int) -> None:  # noqa: FBT001 - drawn by Hypothesis
        for _ in range(count):
            item = self.sync.next(self.now_s)
            if item is None:
                return
            self.check(item)
            chain = self.chains[item.run, item.stream]
            if item.n in chain.gone:
                chain.found_gone.add(item.n)
                self.flights.pop(item.name, None)
                self.sync.missing(item.name)
                continue
            self.fly(item)
            if not (loses and self.random.random() < 0.5):
                chain.at_center.add(item.n)

    def fly(self, item: Next) -> None:
        size = self.random.randrange(100, 4000)
        self.sync.sent(item.name, item.lane, size, self.now_s)
        self.count.sent_bytes += size
        flown = self.flights.get(item.name)
        if flown is None:
            self.flights[item.name] = _Flown(item.lane, size)
            self.count.sent += 1
        else:
            flown.tries += 1
            flown.received_s = math.inf
            self.count.resent += 1

    def check(self, item: Next) -> None:
        assert self.is_up
        chain = self.chains[item.run, item.stream]
        assert item.n in chain.open()
        assert self.now_s >= self.paused_s.get(item.lane, 0)
        flown = self.flights.get(item.name)
        if flown is not None:
            assert item.lane == flown.lane
            assert self.now_s >= flown.received_s + min(TIMING.resend_s * 2 ** (flown.tries - 1), TIMING.resend_most_s)
            return
        lanes = [flown.lane for flown in self.flights.values()]
        is_full = sum(flown.size for flown in self.flights.values()) >= TIMING.window_bytes or len(lanes) >= 64
        assert not is_full or (item.lane != "history" and item.lane not in lanes)
        if item.lane == "live":
            assert (item.run, item.n) == (self.run, chain.last)
        if item.lane == "history":
            assert self.answered
        may_alarm = self.now_s >= self.paused_s.get("alarm", 0) and not (is_full and "alarm" in lanes)
        assert item.lane == "alarm" or not may_alarm or not self.waiting_alarms()

    def waiting_alarms(self) -> set[Name]:
        chains = ((key, chain) for key, chain in self.chains.items() if key[1] is Stream.ALARM)
        return {(*key, n) for key, chain in chains for n in chain.open() - chain.gone} - set(self.flights)

    @precondition(lambda self: self.is_up)
    @rule(share=st.floats(0, 1))
    def broker_receives(self, share: float) -> None:
        for name, flown in self.flights.items():
            if flown.received_s == math.inf and self.random.random() < share:
                flown.received_s = self.now_s
                self.refusals[flown.lane] = 0
                self.sync.received(name, self.now_s)

    @precondition(lambda self: any(flown.received_s == math.inf for flown in self.flights.values()))
    @rule()
    def broker_declines(self) -> None:
        waiting = sorted(name for name, flown in self.flights.items() if flown.received_s == math.inf)
        name = self.random.choice(waiting)
        lane = self.flights.pop(name).lane
        self.sync.declined(name, self.now_s)
        self.count.declined += 1
        if self.now_s >= self.paused_s.get(lane, 0):
            first_s, most_s = (10, 300) if lane == "alarm" else (60, 3600)
            self.paused_s[lane] = self.now_s + min(first_s * 2 ** self.refusals[lane], most_s)
            self.refusals[lane] += 1

    @rule(wait_s=st.floats(0, 40))
    def wait(self, wait_s: float) -> None:
        self.now_s += wait_s

    @precondition(lambda self: self.is_up)
    @rule(key=st.sampled_from(KEYS))
    def ack_later(self, key: Key) -> None:
        self.acks.append(self.ack_of(key))

    @precondition(lambda self: self.is_up and self.acks)
    @rule(data=st.data(), keep=st.booleans())
    def hear(self, data: st.DataObject, keep: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        at = data.draw(st.integers(0, len(self.acks) - 1))
        self.hear_one(self.acks[at])
        if not keep:
            del self.acks[at]

    def hear_all(self) -> None:
        for one in self.acks:
            self.hear_one(one)
        self.acks.clear()

    def hear_one(self, one: _Ack) -> None:
        chain = self.chains[one.key]
        stored = one.has - one.refused
        chain.settled = set(stored) if one.answers else chain.settled | stored
        chain.refused |= one.refused
        n = chain.settled_to()
        self.answered |= one.answers
        self.sync.allow(window_bytes=TIMING.window_bytes, rate_bytes_per_s=0, answers_hello=one.answers)
        above = Spans((m, m) for m in chain.settled if m > n)
        self.sync.settled(one.key, n, above, frozenset(chain.refused), self.now_s)
        over = chain.settled | chain.refused
        for name in [name for name in self.flights if name[:2] == one.key and name[2] in over]:
            del self.flights[name]
            self.count.settled += 1

    @invariant()
    def flights_agree(self) -> None:
        if self.is_up:
            assert self.sync.in_flight_bytes() == sum(flown.size for flown in self.flights.values())

    @invariant()
    def counters_agree(self) -> None:
        assert self.sync.counters == self.count

    @invariant()
    def the_clock_is_asked_for_only_what_lies_ahead(self) -> None:
        if self.is_up and self.sync.deadline(self.now_s) < math.inf:
            assert self.flights or self.paused_s

    @invariant()
    def nothing_open_is_forgotten(self) -> None:
        if self.is_up:
            assert self.sync.backlog() == sum(
                len(chain.open() - ({n for n in chain.gone if self.is_outside(key, n)}))
                for key, chain in self.chains.items()
            )

    def is_outside(self, key: Key, n: int) -> bool:
        """Tell whether the disk's list no longer names n: it lies before the first or behind the last batch there."""
        known = self.sync._chains.get(key)
        return known is None or not known.first <= n <= known.last

    def teardown(self) -> None:
        if not hasattr(self, "chains"):
            return
        if not self.is_up:
            self.connect()
        for _ in range(300):
            self.answer_hello()
            self.hear_all()
            self.send(loses=False, count=1000)
            self.broker_receives(1)
            self.answer_hello()
            self.hear_all()
            if not self.sync.backlog():
                break
            self.now_s += 121
        for chain in self.chains.values():
            whole = set(range(1, chain.last + 1))
            assert chain.settled | chain.refused | chain.gone == whole
            assert chain.refused <= chain.bad
        assert self.sync.in_flight_bytes() == 0


BadLink.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_every_batch_is_sent_and_settled_however_bad_the_link_is = BadLink.TestCase
