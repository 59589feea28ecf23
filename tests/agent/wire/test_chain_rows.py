"""Rows that another batch, another run or nobody accounts for: restored centers, memory, batches sealed again."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire.batch import Kind, Stream
from agent.wire.bodies import ChainSpan, GapReason, Span
from agent.wire.chain import Fault, Ledger
from agent.wire.spans import Spans
from tests.agent.wire.craft import BOOT, OLD_BOOT, RUN_A, RUN_B, RUN_C, START, Chain, previous, rows
from tests.agent.wire.judged import faults, gap, ledger, life, report, span, successor


def restored(*names: int, last: int = 4) -> tuple[Ledger, list[bytes]]:
    """A chain of which only ``names`` are here, and a gap without rows over 3 to ``last``."""
    chain, messages = life()
    excuse = chain.record(Kind.GAP, gap(span(messages, 3, last), reason="center_restored"))
    return ledger(*(messages[n - 1] for n in names), excuse), messages


def test_rows_of_a_gap_without_rows_are_those_between_its_neighbours() -> None:
    found = report(restored(1, 2, 5, 6)[0])
    assert found.complete
    assert found.gap_rows == ((3, 6),)


def test_rows_of_a_gap_without_rows_at_the_end_reach_to_the_last_known() -> None:
    found = report(restored(1, 2, last=6)[0])
    assert found.complete
    assert found.gap_rows == ((3, 10),)


def test_nothing_is_excused_where_another_batch_is_missing_beside_the_gap() -> None:
    found = report(restored(1, 2, 6)[0])
    assert (found.gap_rows, found.missing, found.missing_rows) == ((), ((5, 5),), ((3, 8),))


def test_rows_taken_over_by_a_run_that_lost_its_batches_are_excused_with_them() -> None:
    chain, messages = life()
    heir, start = successor(chain, RUN_B, seq=12, taken_over=(Span(origin=RUN_A, first=11, last=12),))
    before = heir.end
    heir.taken_over(rows(2, first_ms=5000), origin=RUN_A, boot=OLD_BOOT, seq0=11)
    lost = ChainSpan(run=RUN_B, first=2, last=2, prev=before.hash, hash=heir.end.hash)
    found = ledger(*messages, start, heir.record(Kind.GAP, gap(lost, reason="center_restored")))
    assert report(found).gap_rows == ((11, 12),)
    assert report(found).complete


def test_rows_before_a_neighbour_that_is_no_reading_are_told_by_its_seq() -> None:
    chain, messages = life(batches=3)
    lost = span(messages, 3, 4)
    excuse = chain.record(Kind.GAP, gap(lost, reason="center_restored"))
    more = [chain.readings(rows(2, first_ms=80_000)), chain.readings(rows(2, first_ms=90_000))]
    found = report(ledger(*messages[:2], excuse, more[1]))
    assert (found.gap_rows, found.missing_rows) == (((3, 6),), ((7, 8),))


def test_rows_whose_sealing_run_lost_its_start_too_are_excused_with_it() -> None:
    chain, messages = life()
    heir, start = successor(chain, RUN_B, seq=12, taken_over=(Span(origin=RUN_A, first=11, last=12),))
    alarm = Chain(run=RUN_B, stream=Stream.ALARM)
    twin = alarm.start(replace(START, previous=previous(chain, clean=True, seq=12)))
    heir.taken_over(rows(2, first_ms=5000), origin=RUN_A, boot=OLD_BOOT, seq0=11)
    lost = ChainSpan(run=RUN_B, first=1, last=2, prev=bytes(32), hash=heir.end.hash)
    excuse = heir.record(Kind.GAP, gap(lost, reason="center_restored"))
    assert report(ledger(*messages, twin)).missing_rows == ((11, 12),)
    found = ledger(*messages, twin, excuse)
    assert report(found).gap_rows == ((11, 12),)
    other = Chain(run=RUN_C)
    other.start(replace(START, previous=previous(heir, clean=True, seq=0)))
    lost = ChainSpan(run=RUN_C, first=1, last=1, prev=bytes(32), hash=other.end.hash)
    excuse = other.record(Kind.GAP, gap(lost, reason="center_restored"))
    told = Chain(run=RUN_C, stream=Stream.ALARM).start(replace(START, previous=previous(heir, clean=True, seq=0)))
    assert report(ledger(*messages, twin, start, told, excuse)).missing_rows == ((11, 12),)


# -- batches that were sealed again ------------------------------------------------------------------------------------


def sealed_again(sealer: bytes = RUN_A, reason: str = GapReason.TOO_LARGE) -> tuple[list[bytes], list[bytes], bytes]:
    """What is here without n 3 of run A, the two batches that hold its rows, and the gap that names it."""
    chain, messages = life()
    here = [*messages[:2], *messages[3:]]
    if sealer != RUN_A:
        chain = Chain(run=sealer)
        here.append(chain.start(START))
    pieces = [
        chain.taken_over(rows(1, first_ms=at), origin=RUN_A, boot=BOOT, seq0=seq)
        for at, seq in ((10_000, 3), (11_000, 4))
    ]
    return here, pieces, chain.record(Kind.GAP, gap(span(messages, 3, 3), reason=reason))


@pytest.mark.parametrize("sealer", [RUN_A, RUN_B])
@pytest.mark.parametrize("reason", [GapReason.TOO_LARGE, GapReason.DAMAGED])
def test_rows_sealed_again_are_settled_and_their_old_batch_is_in_a_gap(sealer: bytes, reason: str) -> None:
    here, pieces, excuse = sealed_again(sealer, reason)
    found = report(ledger(*here, *pieces, excuse))
    assert (found.in_gaps, found.settled, found.taken, found.gap_rows) == (((3, 3),), ((1, 10),), 10, ())
    assert found.sound
    assert found.complete


@pytest.mark.parametrize("sealer", [RUN_A, RUN_B])
def test_rows_of_a_batch_in_a_gap_that_were_not_sealed_again_are_missing(sealer: bytes) -> None:
    here, pieces, excuse = sealed_again(sealer)
    found = report(ledger(*here, pieces[0], excuse))
    assert (found.in_gaps, found.gap_rows, found.lost_rows) == (((3, 3),), (), ((4, 4),))
    assert found.elsewhere == ((sealer, 3, 4),)


def test_the_batch_that_was_sealed_again_may_come_after_all() -> None:
    here, pieces, excuse = sealed_again()
    _, messages = life()
    found = report(ledger(*here, *pieces, excuse, messages[2]))
    assert (found.stored, found.in_gaps, found.settled) == (((1, 9),), (), ((1, 10),))
    assert found.sound


def test_rows_sealed_again_and_then_forgotten_by_the_center_are_in_gaps() -> None:
    chain, messages = life()
    first = chain.end
    chain.taken_over(rows(2, first_ms=10_000), origin=RUN_A, boot=BOOT, seq0=3)
    lost = ChainSpan(run=RUN_A, first=7, last=7, prev=first.hash, hash=chain.end.hash)
    excuses = [
        chain.record(Kind.GAP, gap(span(messages, 3, 3), reason=GapReason.TOO_LARGE)),
        chain.record(Kind.GAP, gap(lost, reason=GapReason.CENTER_RESTORED)),
    ]
    found = report(ledger(*messages[:2], *messages[3:], *excuses))
    assert (found.gap_rows, found.missing_rows) == (((3, 4),), ())


# -- runs in memory ----------------------------------------------------------------------------------------------------


def in_memory(chain: Chain, *, seq: int = 10) -> tuple[Chain, list[bytes]]:
    """A run in memory: a start that hands over rows 11 to 14 of run A, two batches of those and two of its own."""
    left = (Span(origin=RUN_A, first=11, last=14),)
    memory, start = successor(chain, RUN_B, seq=seq, clean=False, volatile=True, taken_over=left)
    handed = [
        memory.taken_over(rows(2, first_ms=50_000 + at), origin=RUN_A, boot=BOOT, seq0=seq0)
        for at, seq0 in ((0, 11), (2000, 13))
    ]
    own = [memory.readings(rows(2, first_ms=70_000 + at)) for at in (0, 2000)]
    return memory, [start, *handed, *own]


def test_rows_handed_over_to_memory_may_also_turn_up_on_the_card() -> None:
    chain, messages = life()
    _, volatile = in_memory(chain)
    late = [chain.readings(rows(2, first_ms=50_000)), chain.readings(rows(2, first_ms=52_000))]
    disk, start = successor(chain, RUN_C, seq=14, clean=False)
    found = ledger(*messages, *volatile, *late, start, disk.readings(rows(1)))
    assert all(one.sound and one.complete for one in found.report())
    assert (report(found).settled, report(found).taken) == (((1, 14),), 14)


def test_a_run_that_grows_beyond_the_end_that_another_one_on_disk_names_is_still_found() -> None:
    chain, messages = life()
    _, volatile = in_memory(chain)
    _, start = successor(chain, RUN_C)
    found = ledger(*messages, *volatile, start, chain.readings(rows(1, first_ms=90_000)))
    assert faults(report(found)) == [(7, Fault.GROWN)]


def test_rows_that_only_a_run_in_memory_had_are_no_lost_rows() -> None:
    chain, messages = life()
    _, volatile = in_memory(chain)
    found = ledger(*messages, volatile[0], volatile[2], volatile[4])
    disk, memory = report(found), report(found, RUN_B)
    assert (disk.missing_rows, disk.memory_rows, disk.lost_rows) == (((11, 12),), ((11, 12),), ())
    assert (memory.missing_rows, memory.memory_rows, memory.lost_rows) == (((1, 2),), ((1, 2),), ())
    assert (disk.synced, memory.synced) == (10, 0)


def test_what_a_run_in_memory_had_stays_apart_also_when_the_next_run_names_its_end() -> None:
    chain, messages = life()
    memory, volatile = in_memory(chain)
    _, start = successor(memory, RUN_C, seq=4, clean=True)
    found = report(ledger(*messages, *volatile[:4], start), RUN_B)
    assert (found.taken, found.memory_rows, found.lost_rows) == (4, ((3, 4),), ())


def test_the_order_in_which_memory_and_card_arrive_changes_nothing() -> None:
    chain, messages = life()
    _, volatile = in_memory(chain)
    late = chain.readings(rows(2, first_ms=50_000))
    told = [*messages, *volatile[:2], volatile[3], late]
    shuffled = list(told)
    random.Random(7).shuffle(shuffled)  # noqa: S311  # an order, no secret
    assert ledger(*shuffled).report() == ledger(*told).report()


def test_rows_that_were_on_disk_are_lost_also_when_a_run_in_memory_should_have_sealed_them() -> None:
    chain, messages = life()
    _, volatile = in_memory(chain, seq=13)
    found = report(ledger(*messages, volatile[0]))
    assert (found.lost_rows, found.memory_rows) == (((11, 13),), ((14, 14),))


def test_a_row_that_a_later_run_found_on_disk_was_on_disk() -> None:
    chain, messages = life()
    _, volatile = in_memory(chain)
    _, start = successor(chain, RUN_C, clean=False, taken_over=(Span(origin=RUN_A, first=11, last=11),))
    found = report(ledger(*messages, volatile[0], start))
    assert (found.lost_rows, found.memory_rows) == (((11, 11),), ((12, 14),))


# -- as a property -----------------------------------------------------------------------------------------------------


def everything() -> list[bytes]:
    """Run A with a batch sealed again and one forgotten, a run in memory after it, the card that had it all, run C."""
    chain, messages = life()
    pieces = [
        chain.taken_over(rows(1, first_ms=at), origin=RUN_A, boot=BOOT, seq0=seq)
        for at, seq in ((10_000, 3), (11_000, 4))
    ]
    pieces.append(chain.record(Kind.GAP, gap(span(messages, 3, 3), reason=GapReason.TOO_LARGE)))
    pieces.append(chain.record(Kind.GAP, gap(span(messages, 5, 6), reason=GapReason.CENTER_RESTORED)))
    _, volatile = in_memory(chain)
    late = chain.readings(rows(2, first_ms=50_000))
    disk, start = successor(chain, RUN_C, seq=12, clean=False, taken_over=(Span(origin=RUN_A, first=13, last=13),))
    handed = disk.taken_over(rows(1, first_ms=52_000), origin=RUN_A, boot=BOOT, seq0=13)
    return [*messages, *pieces, *volatile, late, start, handed, disk.readings(rows(3))]


EVERYTHING = everything()


def test_when_all_is_here_nothing_is_missing() -> None:
    found = ledger(*EVERYTHING)
    assert all(one.sound and one.complete and not one.gap_rows for one in found.report())


@given(st.sets(st.sampled_from(range(len(EVERYTHING)))))
def test_whatever_is_here_each_row_counts_once(here: set[int]) -> None:
    for one in ledger(*(EVERYTHING[at] for at in sorted(here))).report():
        parts = [one.settled, one.gap_rows, one.lost_rows, one.memory_rows]
        assert sum(len(Spans(part)) for part in parts) == one.taken == len(Spans(x for part in parts for x in part))
        assert one.sound
