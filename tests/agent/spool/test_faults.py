"""A disk that refuses: every call, once and for ever. Nothing is lost, nothing gets a second meaning."""

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import SpoolError
from agent.spool.shelf import Ref
from agent.wire.batch import Kind, Stream
from agent.wire.bodies import Time
from agent.wire.records import Note, Work
from tests.agent.spool.rig import ALARM, BOOT, SMALL, TELEMETRY, Rig, collect, read_disk, refusing, run_id

WRITES = ("create", "append", "sync", "folder sync")
TIME = Time(boot=BOOT, at_boot_ms=1, at_utc_ms=2, uncertainty_ms=3, source="kernel").encode()
NOTE = Note(work=Work.CLEAN, by="Sari", sensor=None, text="lens").encode()


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "spool")


def nth(what: str, number: int) -> Callable[[str], bool]:
    """Fail the nth call of a kind."""
    seen = [0]

    def fails(call: str) -> bool:
        seen[0] += call == what
        return call == what and seen[0] == number

    return fails


def always(*what: str) -> Callable[[str], bool]:
    return lambda call: call in what


def never(_: str) -> bool:
    return False


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("what", WRITES)
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_one_failure_anywhere_is_told_and_made_good_by_the_next_commit(
    rig: Rig, what: str, number: int, error: int
) -> None:
    rig.card.error = error
    rig.card.fails = nth(what, number)
    failed = [refusing(lambda: rig.commit(25, 2, seal=Stream)) for _ in range(6)]
    rig.commit()
    told = rig.card.calls[what] >= number
    assert failed.count(True) <= told if error == errno.ENOSPC else failed.count(True) == told  # space is reserved
    rig.crash()
    found = rig.audit()
    assert found.in_batches[rig.run, TELEMETRY].total() == 150


@pytest.mark.parametrize("what", WRITES)
def test_a_disk_that_refuses_for_long_and_recovers_has_everything(rig: Rig, what: str) -> None:
    rig.commit(25, 1)
    rig.card.fails = always(what)
    refused = [refusing(lambda: rig.commit(25, 1, seal=Stream)) for _ in range(20)]
    rig.card.fails = never
    done = rig.commit(1)
    rig.crash()
    rig.audit()
    if what in ("append", "sync"):
        assert all(refused)
        assert len(done) > 20


@pytest.mark.parametrize("what", WRITES)
def test_a_disk_that_refuses_from_the_start_piles_up_no_files(rig: Rig, what: str) -> None:
    rig.card.fails = always(what)
    for _ in range(30):
        with pytest.raises(SpoolError):
            rig.commit(3, 1)
    assert rig.segments() == []


def test_a_disk_that_refuses_to_write_and_to_remove_piles_up_few_files(rig: Rig) -> None:
    rig.card.fails = always("sync", "remove")
    for _ in range(36):
        with pytest.raises(SpoolError):
            rig.commit(3, 1)
    assert len(rig.segments()) <= 8
    rig.card.fails = never
    rig.commit(1)
    assert len(rig.segments()) == 2
    rig.audit()


def test_a_file_whose_sync_failed_is_never_written_again(rig: Rig) -> None:
    rig.commit(3)
    (old,) = rig.segments()
    rig.card.fails = nth("sync", 1)
    with pytest.raises(SpoolError):
        rig.commit(4)
    size = old.stat().st_size
    rig.commit(5)
    assert old.stat().st_size == size
    assert len(rig.segments()) == 2


@pytest.mark.parametrize("kept", [True, False])
def test_what_a_failed_sync_left_behind_is_not_sealed_twice(rig: Rig, *, kept: bool) -> None:
    rig.commit(3)
    rig.card.fails = nth("sync", 1)
    with pytest.raises(SpoolError):
        rig.commit(4)
    rig.commit(5)
    rig.crash(lambda most: most if kept else 0)
    rig.start()
    rig.commit(1)
    assert rig.audit().in_batches[run_id(1), TELEMETRY].total() == 12


def test_the_same_bytes_are_written_at_the_next_commit(rig: Rig) -> None:
    rig.commit(3)
    rig.card.fails = nth("sync", 1)
    with pytest.raises(SpoolError):
        rig.commit(4, seal=[TELEMETRY])
    before, _ = read_disk(rig.folder)  # the disk took them, and only the sync failed
    rig.commit()
    after, _ = read_disk(rig.folder)
    assert after.count(before[-1]) == 2


def test_batches_synced_before_the_other_stream_failed_can_leave_at_once(rig: Rig) -> None:
    rig.card.fails = nth("create", 2)
    with pytest.raises(SpoolError):
        rig.commit(3, 1, seal=[ALARM])
    run = rig.run
    assert rig.spool.ready() == [Ref(run=run, stream=ALARM, n=1), Ref(run=run, stream=ALARM, n=2)]
    assert [ref.stream for ref in rig.commit()] == [TELEMETRY]


def test_batches_of_a_failed_commit_come_with_the_next_one(rig: Rig) -> None:
    rig.card.fails = nth("sync", 2)
    with pytest.raises(SpoolError):
        rig.commit(45)
    assert [ref.n for ref in rig.commit()] == [1, 2, 3]


def test_a_stream_that_is_refused_does_not_hold_up_the_other(rig: Rig) -> None:
    rig.commit(1, 1)
    rig.card.fails = nth("append", 1)
    with pytest.raises(SpoolError):
        rig.commit(2, 2)
    found = collect(rig.folder)
    assert set(found.unsealed[rig.run, TELEMETRY]) == {1, 2, 3}


def test_a_record_that_was_refused_is_written_next_time(rig: Rig) -> None:
    rig.card.fails = nth("sync", 1)
    with pytest.raises(SpoolError):
        rig.record(Kind.NOTE, NOTE, ALARM)
    rig.commit()
    assert [batch.header.kind for batch in rig.audit().of((rig.run, ALARM))] == [Kind.START, Kind.NOTE]


def test_no_empty_batches_pile_up_while_the_disk_refuses(rig: Rig) -> None:
    rig.commit(1)
    rig.card.fails = always("sync")
    for _ in range(20):
        with pytest.raises(SpoolError):
            rig.commit(seal=[TELEMETRY])
    rig.card.fails = never
    assert len(rig.commit()) <= 1


def test_held_tells_of_durable_rows_only(rig: Rig) -> None:
    rig.commit(3)
    rig.card.fails = always("sync")
    with pytest.raises(SpoolError):
        rig.commit(30)
    (held,) = rig.spool.held()
    assert (held.last, held.last_seq) == (1, 3)


def test_a_close_that_is_refused_loses_nothing_and_is_unclean(rig: Rig) -> None:
    rig.commit(3, 3)
    rig.card.fails = always("sync")
    with pytest.raises(SpoolError):
        rig.close()
    rig.restart()
    rig.commit(1, 1)
    previous = rig.audit().starts[rig.run, TELEMETRY].previous
    assert previous is not None
    assert not previous.clean


@pytest.mark.parametrize("what", ["append", "sync", "create", "folder sync", "remove", "read_at", "free"])
@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_failure_while_room_is_made_loses_nothing_without_a_word(rig: Rig, what: str, number: int) -> None:
    for _ in range(12):
        rig.commit(400)
    rig.settings = replace(rig.settings, telemetry_cap=48 * 1024)
    rig.restart()
    rig.card.fails = nth(what, number)
    for _ in range(5):
        refusing(lambda: rig.commit(60))
    rig.card.fails = never
    rig.commit(1)
    rig.audit(lossless=False)
    rig.restart()
    rig.commit(1)
    rig.audit(lossless=False)


def test_a_record_that_a_failed_sync_left_in_two_files_is_kept_when_both_leave_at_once(rig: Rig) -> None:
    rig.commit(1)
    rig.card.fails = nth("sync", 1)
    with pytest.raises(SpoolError):
        rig.record(Kind.TIME, TIME, TELEMETRY)
    while len(rig.segments()) < 3:
        rig.commit(20)
    rig.crash(lambda most: most)
    rig.settings = replace(SMALL, telemetry_cap=4 * 1024)  # all but the newest segments leave
    rig.start()
    for _ in range(20):
        rig.commit(20)
    assert run_id(1).hex() not in "".join(path.name for path in rig.segments())
    found = rig.audit(lossless=False)
    assert [batch.header.kind for batch in found.of((run_id(1), TELEMETRY))] == [Kind.START, Kind.TIME]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_segment_that_reads_badly_once_is_read_again(rig: Rig, number: int, tmp_path: Path) -> None:
    for _ in range(4):
        rig.commit(300)
    rig.crash()
    other = rig.fork(tmp_path / "other")
    other.start_with(nth("read", number))
    other.commit(1)
    assert not other.audit().gaps


def test_a_segment_that_cannot_be_read_is_in_a_gap_and_stays(rig: Rig) -> None:
    for _ in range(4):
        rig.commit(300)
    before = rig.segments()
    rig.crash()
    reads = iter(range(10**6))
    rig.start_with(lambda call: call == "read" and 3 <= next(reads) < 6)
    rig.commit(1)
    assert set(before) <= set(rig.segments())
    found = rig.audit()
    assert any(gap.reason == "damaged" for _, gap in found.gaps)


def test_a_torn_tail_that_cannot_be_cut_does_not_stop_a_start(rig: Rig) -> None:
    rig.commit(5)
    with rig.segments()[0].open("ab") as file:
        file.write(b"torn")
    rig.start_with(always("cut"))
    rig.commit(1)
    assert rig.audit().starts[rig.run, TELEMETRY].torn_bytes == 4


def test_a_folder_that_cannot_be_used_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    rig = Rig(tmp_path / "spool")
    (tmp_path / "file").write_bytes(b"")
    rig.folder = tmp_path / "file"
    with pytest.raises(SpoolError, match="cannot be used"):
        rig.start()
