import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire.batch import Header, Kind, Stream
from agent.wire.bodies import ChainSpan, End, Span, decode_gap, decode_start, decode_time
from agent.wire.chain import Fault, Ledger
from agent.wire.errors import WireError
from agent.wire.spans import Spans
from tests.agent.wire.craft import (
    NEW_KEY,
    OLD_BOOT,
    RUN_A,
    RUN_B,
    RUN_C,
    START,
    Chain,
    message,
    previous,
    rows,
)
from tests.agent.wire.judged import faults, gap, ledger, life, opened, report, span, successor


def test_a_whole_chain_is_sound_and_complete() -> None:
    _, messages = life()
    found = report(ledger(*messages))
    assert found.sound
    assert found.complete
    assert (found.stored, found.settled, found.taken, found.started) == (((1, 6),), ((1, 10),), 10, True)
    assert (found.predecessor, found.clean, found.volatile) == (None, None, False)


def test_the_order_of_arrival_and_doubles_change_nothing() -> None:
    _, messages = life()
    shuffled = [*messages, *messages]
    random.Random(7).shuffle(shuffled)  # noqa: S311  # an order, no secret
    assert ledger(*shuffled).report() == ledger(*messages).report()


def test_a_batch_that_is_not_here_is_missing_with_its_rows() -> None:
    _, messages = life()
    found = report(ledger(*messages[:2], *messages[3:]))
    assert found.sound
    assert not found.complete
    assert (found.missing, found.missing_rows) == (((3, 3),), ((3, 4),))


def test_a_gap_excuses_its_batches_and_rows() -> None:
    chain, messages = life()
    kept = [*messages[:2], *messages[4:]]
    excuse = chain.record(Kind.GAP, gap(span(messages, 3, 4), lost=(Span(origin=RUN_A, first=3, last=6),)))
    found = report(ledger(*kept, excuse))
    assert found.sound
    assert found.complete
    assert (found.in_gaps, found.gap_rows, found.settled) == (((3, 4),), ((3, 6),), ((1, 2), (7, 10)))


def test_what_is_here_counts_as_settled_although_a_gap_names_it_too() -> None:
    chain, messages = life()
    excuse = chain.record(Kind.GAP, gap(span(messages, 3, 4), lost=(Span(origin=RUN_A, first=3, last=6),)))
    found = report(ledger(*messages, excuse))
    assert found.complete
    assert (found.in_gaps, found.gap_rows, found.settled) == ((), (), ((1, 10),))


@pytest.mark.parametrize(
    ("changed", "where"),
    [({"prev": b"\x01" * 32}, 2), ({"hash": b"\x01" * 32}, 5), ({"hash": b"\x01" * 32, "last": 5}, 5)],
)
def test_a_gap_that_does_not_fit_its_neighbours_is_a_broken_link(changed: dict[str, bytes], where: int) -> None:
    chain, messages = life()
    wrong = replace(span(messages, 3, 4), **changed)  # type: ignore[arg-type]  # the fields differ in type
    found = report(ledger(*messages[:2], *messages[4:], chain.record(Kind.GAP, gap(wrong))))
    assert [fault for _, fault in faults(found)] == [Fault.LINK]
    assert abs(faults(found)[0][0] - where) <= 1


def test_two_gaps_that_name_one_missing_batch_differently_contradict() -> None:
    chain, messages = life()
    first = chain.record(Kind.GAP, gap(span(messages, 3, 4)))
    second = chain.record(Kind.GAP, gap(replace(span(messages, 3, 4), hash=b"\x01" * 32)))
    found = report(ledger(messages[0], messages[5], first, second))
    assert Fault.LINK in [fault for _, fault in faults(found)]


def test_a_batch_that_continues_another_one_is_a_broken_link() -> None:
    _, messages = life()
    other, _ = life(batches=0)
    other.at_boot_ms += 1
    found = report(ledger(messages[0], other.readings(rows(2)), messages[2]))
    assert faults(found) == [(3, Fault.LINK)]


def test_two_batches_at_one_n_are_a_conflict_and_both_are_kept() -> None:
    _, messages = life()
    other, _ = life(batches=1)
    other.end = End(n=1, hash=opened(messages[0]).hash)
    found = report(ledger(*messages, other.readings(rows(7))))
    assert faults(found) == [(2, Fault.CONFLICT)]
    assert found.stored == ((1, 6),)


def test_a_chain_under_two_keys_is_a_fault() -> None:
    chain, messages = life()
    chain.key = NEW_KEY
    found = report(ledger(*messages, chain.readings(rows(1))))
    assert faults(found) == [(7, Fault.KEY)]


def test_a_start_names_the_end_of_its_predecessor() -> None:
    chain, messages = life()
    _, start = successor(chain, RUN_B, clean=False)
    found = ledger(*messages, start)
    assert report(found).clean is False
    assert report(found).sound
    assert report(found, RUN_B).predecessor == RUN_A
    assert report(found, RUN_A, Stream.ALARM).last_n == 0


def test_a_removed_run_shows_because_the_next_one_names_it() -> None:
    chain, _ = life()
    _, start = successor(chain, RUN_B)
    found = report(ledger(start))
    assert not found.complete
    assert (found.started, found.missing, found.missing_rows, found.clean) == (False, ((1, 6),), ((1, 10),), True)


def test_a_tail_cut_off_shows_because_the_next_start_names_the_end() -> None:
    chain, messages = life()
    _, start = successor(chain, RUN_B)
    found = report(ledger(*messages[:-1], start))
    assert (found.missing, found.missing_rows) == (((6, 6),), ((9, 10),))


def test_another_end_than_the_named_one_is_a_broken_link() -> None:
    chain, messages = life()
    chain.end = replace(chain.end, hash=b"\x01" * 32)
    _, start = successor(chain, RUN_B)
    assert faults(report(ledger(*messages, start))) == [(6, Fault.LINK)]


def test_a_run_that_grows_beyond_its_named_end_was_copied_or_rolled_back() -> None:
    chain, messages = life()
    _, start = successor(chain, RUN_B)
    more = [chain.readings(rows(1, first_ms=90_000)), chain.readings(rows(1, first_ms=95_000))]
    assert faults(report(ledger(*messages, start, *more))) == [(7, Fault.GROWN)]


def test_two_runs_with_one_predecessor_were_copied_or_rolled_back() -> None:
    chain, messages = life()
    starts = [successor(chain, run)[1] for run in (RUN_B, RUN_C)]
    found = ledger(*messages, *starts)
    assert faults(report(found, RUN_B)) == faults(report(found, RUN_C)) == [(1, Fault.FORK)]


def test_a_run_in_memory_and_the_one_after_it_may_name_one_predecessor() -> None:
    chain, messages = life()
    found = ledger(*messages, successor(chain, RUN_B, volatile=True)[1], successor(chain, RUN_C)[1])
    assert all(one.sound for one in found.report())
    assert report(found, RUN_B).volatile


def test_the_two_starts_of_a_run_must_tell_the_same() -> None:
    chain, messages = life()
    start = replace(START, previous=previous(chain, clean=True, seq=10))
    telemetry, alarm = Chain(run=RUN_B), Chain(run=RUN_B, stream=Stream.ALARM)
    agree = ledger(*messages, telemetry.start(start), alarm.start(start))
    assert all(one.sound for one in agree.report())
    alarm = Chain(run=RUN_B, stream=Stream.ALARM)
    differ = ledger(*messages, Chain(run=RUN_B).start(start), alarm.start(START))
    assert faults(report(differ, RUN_B)) == [(1, Fault.RETOLD)]


def test_rows_sealed_by_the_next_run_count_for_the_run_that_took_them() -> None:
    chain, messages = life()
    heir, start = successor(chain, RUN_B, seq=12, taken_over=(Span(origin=RUN_A, first=11, last=12),))
    before = report(ledger(*messages, start))
    assert (before.taken, before.missing_rows) == (12, ((11, 12),))
    batch = heir.taken_over(rows(2, first_ms=5000), origin=RUN_A, boot=OLD_BOOT, seq0=11)
    found = ledger(*messages, start, batch)
    assert report(found).settled == ((1, 12),)
    assert report(found, RUN_B).taken == 0


def test_a_record_that_is_no_reading_names_the_rows_before_it() -> None:
    chain, messages = life()
    time = chain.record(Kind.NOTE, b"{}") if chain.stream is Stream.ALARM else chain.readings([])
    found = report(ledger(messages[0], time))
    assert (found.taken, found.missing_rows) == (10, ((1, 10),))


# -- as a property ---------------------------------------------------------------------------------------------------


@given(st.sets(st.integers(1, 6)), st.sets(st.integers(2, 6)))
def test_taken_is_always_settled_and_in_gaps_and_missing(here: set[int], excused: set[int]) -> None:
    chain, messages = life()
    excuses = [
        chain.record(Kind.GAP, gap(span(messages, n, n), lost=(Span(origin=RUN_A, first=2 * n - 3, last=2 * n - 2),)))
        for n in sorted(excused)
    ]
    found = ledger(*(messages[n - 1] for n in sorted(here)), *excuses)
    for one in found.report():
        parts = [one.settled, one.gap_rows, one.missing_rows]
        assert sum(len(Spans(part)) for part in parts) == one.taken == len(Spans(x for part in parts for x in part))
        assert one.sound
        batches = [one.stored, one.in_gaps, one.missing]
        assert sum(len(Spans(part)) for part in batches) == one.last_n


# -- spans and bodies --------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40))))
def test_spans_are_the_sets_they_stand_for(some: list[tuple[int, int]]) -> None:
    spans = Spans(some)
    numbers = {number for first, last in some for number in range(first, last + 1)}
    assert {number for number in range(42) if number in spans} == numbers
    assert len(spans) == len(numbers)
    assert bool(spans) is bool(numbers)
    assert all(one[1] + 1 < other[0] for one, other in zip(list(spans), list(spans)[1:], strict=False))
    assert {n for first, last in spans.missing(5, 30) for n in range(first, last + 1)} == set(range(5, 31)) - numbers
    end = spans.run_from(7)
    assert set(range(7, end + 1)) <= numbers
    assert end + 1 not in numbers


@pytest.mark.parametrize(
    "body",
    [
        b'{"taken_over":[],"torn_bytes":-1}',
        b'{"taken_over":[],"torn_bytes":true}',
        b'{"taken_over":[],"version":1}',
        b'{"taken_over":[["zz",1,2]]}',
        b'{"taken_over":[["AA",1,2]]}',
        b'{"taken_over":[["aa",1]]}',
        b'{"taken_over":[],"previous":1}',
        b'{"taken_over":[],"previous":{}}',
    ],
)
def test_a_start_that_lacks_something_is_refused(body: bytes) -> None:
    with pytest.raises(WireError, match="body"):
        decode_start(body)


def test_a_gap_over_batches_upside_down_is_refused() -> None:
    with pytest.raises(WireError, match="batches 5 to 4"):
        decode_gap(gap(ChainSpan(run=RUN_A, first=5, last=4, prev=b"\x01" * 32, hash=b"\x02" * 32)))


def test_a_time_of_another_length_of_boot_is_refused() -> None:
    with pytest.raises(WireError, match="16 bytes"):
        decode_time(b'{"boot":"aa"}')


def test_a_record_with_a_wrong_body_is_not_added() -> None:
    found = Ledger()
    with pytest.raises(WireError):
        found.add_batch(opened(message(b"{}", changes={"kind": 2})))
    assert found.report() == ()


def test_headers_may_be_added_without_the_batch() -> None:
    _, messages = life()
    found = Ledger()
    for data in messages:
        batch = opened(data)
        header: Header = batch.header
        found.add(header, batch.hash, decode_start(batch.plain) if header.n == 1 else None)
    assert found.report() == ledger(*messages).report()
