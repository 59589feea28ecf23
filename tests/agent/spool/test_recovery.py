"""Power cuts: at every byte of what was written last, once and twice in a row."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import SpoolError
from agent.spool import frames
from agent.spool.frames import FrameKind, parse_name
from agent.wire.batch import Kind, Stream
from agent.wire.bodies import Span
from tests.agent.spool.rig import ALARM, TELEMETRY, Rig, run_id, scan


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "spool")


def cut(rig: Rig, path: Path, size: int) -> int:
    """Cut a segment and lower the truth to what was synced before; return the torn bytes."""
    os.truncate(path, size)
    name = parse_name(path.name)
    assert name is not None
    found = scan(path)
    last = name.seq0 - 1
    for frame in found.frames:
        if frame.kind == FrameKind.ROWS:
            seq0, count = frames.rows_span(frame.body)
            last = max(last, seq0 + count - 1)
        elif frame.kind == FrameKind.BATCH:
            facts = frames.batch_facts(frame.body)
            if facts.kind is Kind.READINGS and facts.origin is None:
                last = max(last, facts.seq0 + facts.count - 1)
    rig.durable[name.run, name.stream] = last
    return found.torn_bytes


def edges(path: Path, last: int) -> list[int]:
    """Return where the last frames of a segment begin, and its end."""
    found = scan(path)
    return [*(frame.offset for frame in found.frames[-last:]), found.end]


def forks(rig: Rig, tmp_path: Path, sizes: range, path: Path) -> Iterator[tuple[Rig, int, int]]:
    """Yield a copy of the node for each size to which its newest segment is cut, with the torn bytes."""
    for size in sizes:
        other = rig.fork(tmp_path / f"cut{size}")
        torn = cut(other, other.folder / path.name, size)
        yield other, size, torn


def test_rows_without_a_batch_are_sealed_by_the_next_run_under_their_origin(rig: Rig) -> None:
    rig.commit(26)
    rig.restart()
    rig.commit(1)
    found = rig.audit()
    (taken,) = [batch for batch in found.of((rig.run, TELEMETRY)) if batch.header.origin]
    header = taken.header
    assert (header.origin, header.seq0, header.count) == (run_id(1), 21, 6)
    assert (header.clock, header.at_utc_ms, header.at_boot_ms) == (2, None, max(row.boot_ms for row in taken.rows))
    assert found.starts[rig.run, TELEMETRY].taken_over == (Span(origin=run_id(1), first=21, last=26),)


def test_rows_of_several_runs_are_taken_over_one_origin_a_batch(rig: Rig) -> None:
    rig.commit(3, 2)
    rig.restart()
    rig.commit(0, 4)  # telemetry is left alone: its stream does not begin
    rig.restart()
    rig.commit(5, 1)
    found = rig.audit()
    for stream in Stream:
        origins = [batch.header.origin for batch in found.of((rig.run, stream)) if batch.header.origin]
        assert len(origins) == len(set(origins))


def test_every_cut_in_the_last_frames_of_a_run_loses_nothing_that_stands_before_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "spool")
    rig.commit(5)
    rig.commit(4, seal=[TELEMETRY])
    rig.commit(3)
    rig.commit(2)
    (path,) = rig.segments()
    starts = edges(path, 3)
    for other, size, torn in forks(rig, tmp_path, range(starts[0], starts[-1] + 1), path):
        other.start()
        other.commit(1)
        found = other.audit()
        assert found.starts[other.run, TELEMETRY].torn_bytes == torn == size - max(at for at in starts if at <= size)
        assert {batch.header.origin for batch in found.batches.values()} <= {None, run_id(1)}


@pytest.mark.campaign
def test_two_cuts_in_a_row_never_make_the_run_between_an_origin_of_rows_that_are_not_its_own(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "spool")
    rig.commit(7)
    rig.restart()
    rig.commit(2)  # start, seven rows taken over, two of its own
    path = rig.segments()[-1]
    for other, size, _ in forks(rig, tmp_path, range(path.stat().st_size + 1), path):
        other.start()
        other.commit(1)
        other.audit()
        third = other.segments()[-1]
        for second_size in (
            {0, third.stat().st_size // 2, third.stat().st_size - 1, *edges(third, 2)} if size % 16 == 0 else ()
        ):
            last = other.fork(tmp_path / f"cut{size}-{second_size}")
            cut(last, last.folder / third.name, second_size)
            last.start()
            last.commit(1, seal=[TELEMETRY])
            found = last.audit()
            sealed = found.in_batches[run_id(1), TELEMETRY]
            assert sealed.total() == 7
        for seq, times in other.audit().in_batches[run_id(1), TELEMETRY].items():
            assert times == 1, seq


def test_a_cut_in_the_alarm_stream_leaves_telemetry_alone(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "spool")
    rig.commit(3, 3)
    rig.commit(2, 2)
    path = rig.segments(ALARM)[-1]
    starts = edges(path, 1)
    for other, _, torn in forks(rig, tmp_path, range(starts[0], starts[-1] + 1, 5), path):
        other.start()
        other.commit(1, 1)
        assert other.audit().starts[other.run, TELEMETRY].torn_bytes == torn


def test_a_cut_in_a_segment_that_was_just_begun_loses_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "spool")
    while len(rig.segments()) < 3:
        rig.commit(13)
    path = rig.segments()[-1]
    for other, _, _ in forks(rig, tmp_path, range(0, path.stat().st_size + 1, 11), path):
        other.start()
        other.commit(1)
        other.audit()


def test_a_segment_that_was_made_but_never_synced_does_not_stay(rig: Rig) -> None:
    rig.commit(3)
    for _ in range(3):
        rig.restart()
        rig.card.fails = lambda what: what == "sync"
        rig.card.calls.clear()
        with pytest.raises(SpoolError):
            rig.commit(1)
        rig.given.pop((rig.run, TELEMETRY))
        rig.crash(lambda most: most)  # all of it is on the card, although nothing was synced
    rig.start()
    assert len(rig.segments()) == 1


def test_a_run_whose_start_was_never_synced_is_no_predecessor_even_when_its_file_stays(rig: Rig) -> None:
    rig.commit(3)
    rig.restart()
    rig.card.fails = lambda what: what == "sync"
    with pytest.raises(SpoolError):
        rig.commit(1)
    rig.given.pop((rig.run, TELEMETRY))
    rig.card.lose_power(lambda _: 0)
    (rig.folder / f"{9:010d}-{rig.run.hex()}-telemetry-{1:016d}.seg").write_bytes(b"")
    rig.start_with(lambda what: what == "remove")
    rig.commit(1)
    previous = rig.audit().starts[rig.run, TELEMETRY].previous
    assert previous is not None
    assert previous.run == run_id(1)


def test_the_newest_moment_of_the_run_before_is_told(rig: Rig) -> None:
    rig.commit(3, seal=[TELEMETRY])
    at_ms = rig.now_ms
    rig.restart()
    rig.commit(1)
    previous = rig.audit().starts[rig.run, TELEMETRY].previous
    assert previous is not None
    assert (previous.at_boot_ms, previous.at_utc_ms) == (at_ms, 1_795_000_000_000 + at_ms)


def test_marks_survive_and_losing_them_costs_a_resend_only(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "spool")
    rig.commit(100)
    rig.settle((rig.run, TELEMETRY), 3)
    without = rig.fork(tmp_path / "without")
    rig.commit(1)
    for other, settled in ((rig.fork(tmp_path / "with"), 3), (without, 0)):
        other.durable[run_id(1), TELEMETRY] = 100
        other.start()
        (held,) = other.spool.held()
        assert (held.first, held.settled) == (1, settled)
        other.commit(1)
        found = other.audit()
        assert not found.gaps


def test_a_mark_of_a_run_that_ended_is_kept_by_the_run_that_hears_it(rig: Rig) -> None:
    rig.commit(60, 2, seal=[ALARM])
    rig.restart()
    rig.settle((run_id(1), TELEMETRY))
    rig.settle((run_id(1), ALARM))
    rig.commit(1)
    rig.commit(0, 1)
    rig.restart()
    settled = {(held.run, held.stream): (held.settled, held.last) for held in rig.spool.held()}
    assert settled[run_id(1), TELEMETRY] == (4, 4)
    assert settled[run_id(1), ALARM] == (2, 2)
