"""The rules of sending, and a model of a center behind a bad link that must get everything in the end."""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.sync import WINDOW_FLOOR, Held, Key, Lane, Name, Next, Sync, Timing, hello_chains
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
    assert sync.deadline() == math.inf


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


# -- window -----------------------------------------------------------------------------------------------------------


def test_the_window_bounds_the_bytes_in_flight() -> None:
    sync = fresh(held(PAST, 500), timing=Timing(window_bytes=20_000))
    assert len(drain(sync)) == 20
    ack(sync, PAST, 5, 1)
    assert sync.in_flight_bytes() == 15_000


@pytest.mark.parametrize(("center", "count"), [(0, 9), (WINDOW_FLOOR, 9), (12_000, 12), (10**9, 64)])
def test_the_center_sets_the_window_between_the_floor_and_ours(center: int, count: int) -> None:
    sync = fresh(held(PAST, 500))
    answer(sync, window=center)
    assert len(drain(sync)) == count


def test_a_batch_larger_than_the_window_still_leaves() -> None:
    sync = fresh(held(PAST, 2), timing=Timing(window_bytes=WINDOW_FLOOR))
    assert drain(sync, size=200_000) == [("history", 1)]


def test_many_small_batches_do_not_flood_the_client() -> None:
    sync = fresh(held(PAST, 500))
    assert len(drain(sync, size=1)) == 64


def test_history_in_flight_is_at_most_a_second_of_what_the_center_acks() -> None:
    sync = fresh(held(PAST, 5000))
    drain(sync)
    ack(sync, PAST, 20, 2)  # 20 kB in 2 s
    drain(sync, 2)
    assert sync.in_flight_bytes() == 44_000  # what was already in flight stays
    ack(sync, PAST, 60, 6)
    assert drain(sync, 6) == [("history", n) for n in range(65, 71)]  # 10 kB
    assert sync.in_flight_bytes() == 10_000


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
    answer(sync, rate=0)
    n = len(drain(sync))
    ack(sync, PAST, n, 20)
    slow = len(drain(sync, 20))
    for step in range(1, 12):
        now_s = 20 + step * 0.1
        n += len(drain(sync, now_s)) or slow
        ack(sync, PAST, n, now_s)
    assert len(drain(sync, 30)) > 3 * slow


# -- sending again ----------------------------------------------------------------------------------------------------


def test_the_same_batch_leaves_again_after_10_s_doubling_to_120_s() -> None:
    sync = fresh()
    store(sync, LIVE, 1)
    send(sync)
    sent_s, waits = 0.0, []
    for _ in range(6):
        due_s = sync.deadline()
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
    assert sync.deadline() == math.inf
    sync.received(item.name, 500)
    assert sync.deadline() == 510


def test_a_late_receipt_of_a_settled_batch_changes_nothing() -> None:
    sync = fresh()
    store(sync, LIVE, 1)
    drain(sync)
    ack(sync, LIVE, 1, 1)
    sync.received((*LIVE, 1), 2)
    assert sync.deadline() == math.inf


def test_a_resend_takes_no_new_place_in_the_window() -> None:
    sync = fresh(held(PAST, 500))
    drain(sync)
    before = sync.in_flight_bytes()
    assert send(sync, 10) is not None
    assert sync.in_flight_bytes() == before


def test_the_deadline_lies_ahead_whenever_nothing_may_leave() -> None:
    sync = fresh(held(PAST, 100), timing=Timing(window_bytes=WINDOW_FLOOR))
    now_s = 0.0
    for _ in range(200):
        drain(sync, now_s)
        due_s = sync.deadline()
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
    assert sync.deadline() == math.inf


def test_all_that_is_not_settled_leaves_again_on_a_new_connection() -> None:
    sync = fresh(held(PAST, 4))
    drain(sync)
    ack(sync, PAST, 2, 1)
    sync.disconnected()
    sync.connected(2)
    answer(sync)
    assert drain(sync, 2) == [("history", 3), ("history", 4)]


# -- what the center says ---------------------------------------------------------------------------------------------


def test_ranges_and_refused_batches_are_passed_over() -> None:
    sync = fresh(held(PAST, 10, settled=2, ranges=[(4, 5)]))
    ack(sync, PAST, 2, 1, (4, 5), (8, 8), refused=[7])
    assert sync.backlog() == 4
    assert drain(sync) == [("history", 3), ("history", 6), ("history", 9), ("history", 10)]


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

KEYS = (PAST, (OLD, Stream.ALARM), LIVE, ALARM)


@dataclass(frozen=True)
class _Ack:
    key: Key
    has: frozenset[int]
    answers: bool = False


@dataclass
class _Chain:
    last: int = 0
    at_center: set[int] = field(default_factory=set)
    settled: set[int] = field(default_factory=set)  # what the spool believes, as `agent.spool.settle` keeps it


class BadLink(RuleBasedStateMachine):
    """Batches and acks are lost, reordered, doubled; connections break; the center may be restored."""

    @initialize(past=st.integers(0, 150), alarms=st.integers(0, 3), seed=st.integers(0, 2**32))
    def begin(self, past: int, alarms: int, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a game of chance, seeded
        self.now_s = 0.0
        self.chains = {key: _Chain() for key in KEYS}
        self.sync = Sync(RUN, TIMING)
        self.chains[PAST].last, self.chains[OLD, Stream.ALARM].last = past, alarms
        self.sync.load(held(key, chain.last) for key, chain in self.chains.items() if chain.last)
        self.is_up = False
        self.acks: list[_Ack] = []
        self.flights: dict[Name, tuple[Lane, int]] = {}

    @rule(stream=st.sampled_from(Stream), count=st.integers(1, 5))
    def take(self, stream: Stream, count: int) -> None:
        chain = self.chains[RUN, stream]
        for _ in range(count):
            chain.last += 1
            self.sync.stored(RUN, stream, chain.last)

    @precondition(lambda self: not self.is_up)
    @rule()
    def connect(self) -> None:
        self.is_up = True
        self.acks.clear()
        self.flights.clear()
        self.sync.connected(self.now_s)

    @precondition(lambda self: self.is_up)
    @rule()
    def disconnect(self) -> None:
        self.is_up = False
        self.sync.disconnected()

    @precondition(lambda self: self.is_up)
    @rule()
    def answer_hello(self) -> None:
        self.acks += [_Ack(key, frozenset(chain.at_center), answers=True) for key, chain in self.chains.items()]

    @precondition(lambda self: self.is_up)
    @rule(share=st.integers(0, 2**16))
    def restore_center(self, share: int) -> None:
        for chain in self.chains.values():
            chain.at_center = {n for n in chain.at_center if (n * 2_654_435_761 ^ share) & 3}
        self.acks.clear()
        self.answer_hello()
        self.hear_all()

    @rule(loses=st.booleans(), count=st.integers(1, 80))
    def send(self, loses: bool, count: int) -> None:  # noqa: FBT001 - drawn by Hypothesis
        for _ in range(count):
            item = self.sync.next(self.now_s)
            if item is None:
                return
            assert self.is_up
            self.check(item)
            size = self.random.randrange(100, 4000)
            self.sync.sent(item.name, item.lane, size, self.now_s)
            self.sync.received(item.name, self.now_s)
            _, size = self.flights.setdefault(item.name, (item.lane, size))
            if not (loses and self.random.random() < 0.5):
                self.chains[item.run, item.stream].at_center.add(item.n)

    def check(self, item: Next) -> None:
        chain = self.chains[item.run, item.stream]
        assert 1 <= item.n <= chain.last
        assert item.n not in chain.settled
        if item.name in self.flights:
            return
        lanes = [lane for lane, _ in self.flights.values()]
        reserved = item.lane != "history" and item.lane not in lanes
        assert reserved or sum(size for _, size in self.flights.values()) < TIMING.window_bytes
        assert reserved or len(lanes) < 64
        if item.lane == "live":
            assert item.n == chain.last

    @rule(wait_s=st.floats(0, 40))
    def wait(self, wait_s: float) -> None:
        self.now_s += wait_s

    @precondition(lambda self: self.is_up)
    @rule(key=st.sampled_from(KEYS))
    def ack_later(self, key: Key) -> None:
        self.acks.append(_Ack(key, frozenset(self.chains[key].at_center)))

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
        chain.settled = set(one.has) if one.answers else chain.settled | one.has
        n = 0
        while n + 1 in chain.settled:
            n += 1
        self.sync.allow(window_bytes=TIMING.window_bytes, rate_bytes_per_s=0, answers_hello=one.answers)
        above = Spans((m, m) for m in chain.settled if m > n)
        self.sync.settled(one.key, n, above, (), self.now_s)
        for name in [name for name in self.flights if name[:2] == one.key and name[2] in chain.settled]:
            del self.flights[name]

    @invariant()
    def flights_agree(self) -> None:
        if self.is_up:
            assert self.sync.in_flight_bytes() == sum(size for _, size in self.flights.values())
            due_s = self.sync.deadline()
            assert self.flights or due_s == math.inf

    def teardown(self) -> None:
        if not hasattr(self, "chains"):
            return
        if not self.is_up:
            self.connect()
        for _ in range(60):
            self.send(loses=False, count=1000)
            self.acks.clear()
            self.answer_hello()
            self.hear_all()
            if not self.sync.backlog():
                break
            self.now_s += 121
        for chain in self.chains.values():
            assert chain.at_center == set(range(1, chain.last + 1))
            assert chain.settled == chain.at_center
        assert self.sync.in_flight_bytes() == 0


BadLink.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_every_batch_is_sent_and_settled_however_bad_the_link_is = BadLink.TestCase
