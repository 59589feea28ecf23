"""A disk that refuses writes: rows go to a run in memory, leave over a working link, and come home."""

import errno
import logging
from pathlib import Path

import pytest

from agent.seal import Limits
from agent.spool.spool import Settings
from agent.wire.batch import Kind, Stream
from agent.wire.bodies import Time
from agent.wire.records import Note, Work
from tests.agent.spool.keeper_rig import KeeperRig
from tests.agent.spool.rig import ALARM, BOOT, TELEMETRY, open_message, run_id
from tests.agent.spool.test_faults import always, never, nth

TIME = Time(boot=BOOT, at_boot_ms=1, at_utc_ms=2, uncertainty_ms=3, source="kernel").encode()
TINY = Settings(
    telemetry_cap=24 * 1024,
    alarm_cap=24 * 1024,
    free_disk=0,
    segment=2 * 1024,
    memory=32 * 1024,
    limits=Limits(rows=8, plain_bytes=2048),
)
NOTE = Note(work=Work.CLEAN, by="Sari", sensor=None, text="lens").encode()


@pytest.fixture
def rig(tmp_path: Path) -> KeeperRig:
    return KeeperRig(tmp_path / "spool")


def come_back(rig: KeeperRig) -> None:
    rig.card.fails = never
    rig.wait(1200)
    rig.commit(1)
    assert not rig.volatile


@pytest.mark.parametrize("error", [errno.EIO, errno.EROFS])
@pytest.mark.parametrize("what", ["append", "sync"])
def test_a_disk_that_refuses_costs_no_row_and_the_alarm_can_leave_at_once(
    rig: KeeperRig, what: str, error: int
) -> None:
    rig.commit(5)
    rig.card.error = error
    rig.card.fails = always(what)
    refs = rig.commit(3, 1, seal=[ALARM])
    assert rig.receipt.volatile
    messages = [rig.keeper.read(ref) for ref in refs]
    rows = [row.path for stored in messages if stored for row in open_message(stored.message).rows]
    assert len(rows) == 9
    rig.audit()


def test_one_failure_is_made_good_at_once_on_disk(rig: KeeperRig) -> None:
    rig.commit(5)
    for what in ("append", "sync"):
        rig.card.fails = nth(what, 1)
        rig.commit(5, 1, seal=[ALARM])
        assert not rig.receipt.volatile
    rig.crash()
    rig.start()
    assert rig.audit().unsealed[run_id(1), TELEMETRY].keys() == set(range(1, 16))


def test_the_run_in_memory_says_what_it_is_and_names_the_run_on_disk(rig: KeeperRig) -> None:
    rig.commit(25, 2, seal=[ALARM])
    rig.card.fails = always("append")
    rig.commit(3)
    starts = rig.audit().starts
    start = starts[run_id(2), TELEMETRY]
    assert start.volatile
    assert start.previous is not None
    assert start.previous.run == run_id(1)
    assert (start.previous.telemetry.n, start.previous.telemetry.seq) == (2, 25)
    assert (start.previous.alarm.n, start.previous.alarm.seq) == (2, 2)
    assert [(span.origin, span.first, span.last) for span in start.taken_over] == [(run_id(1), 21, 28)]


def test_a_run_of_which_nothing_was_synced_is_no_predecessor(rig: KeeperRig) -> None:
    rig.commit(3)
    rig.restart()
    rig.card.fails = always("sync")
    rig.commit(1)
    start = rig.audit().starts[rig.receipt.run, TELEMETRY]
    assert start.previous is not None
    assert start.previous.run == run_id(1)
    assert {(span.origin, span.first, span.last) for span in start.taken_over} == {
        (run_id(1), 1, 3),
        (run_id(2), 1, 1),
    }


def test_records_in_line_are_told_again_in_memory(rig: KeeperRig) -> None:
    rig.commit(3)
    rig.card.fails = always("sync")
    rig.record(Kind.TIME, TIME, TELEMETRY)
    rig.record(Kind.NOTE, NOTE, ALARM)
    kinds = [batch.header.kind for batch in rig.audit().of((run_id(2), TELEMETRY))]
    assert kinds == [Kind.START, Kind.READINGS, Kind.TIME]
    assert [batch.header.kind for batch in rig.audit().of((run_id(2), ALARM))] == [Kind.START, Kind.NOTE]


def test_what_the_disk_holds_is_offered_and_settled_while_it_refuses_writes(rig: KeeperRig) -> None:
    rig.commit(45)
    rig.card.fails = always("sync", "probe")
    rig.commit(3)
    assert {held.run for held in rig.keeper.held()} == {run_id(1), run_id(2)}
    rig.settle_all()
    assert all(held.settled == held.last for held in rig.keeper.held())
    assert {name[:2] for name in rig.delivered} == {(run_id(1), TELEMETRY), (run_id(2), TELEMETRY)}
    rig.audit()


def test_coming_back_copies_what_the_center_does_not_have(rig: KeeperRig) -> None:
    rig.commit(5)
    rig.card.fails = always("sync", "probe")
    rig.commit(30, 1, seal=[ALARM, TELEMETRY])
    rig.settle((rig.receipt.run, ALARM))
    rig.commit(7)
    rig.record(Kind.TIME, TIME, TELEMETRY)
    come_back(rig)
    rig.crash()
    rig.start()
    found = rig.audit()
    assert (run_id(2), TELEMETRY, 1) in found.on_disk
    assert (run_id(2), ALARM, 1) not in found.on_disk
    rig.settle_all()
    rig.audit()


def test_rows_on_disk_that_memory_sealed_and_the_center_has_are_never_sealed_again(rig: KeeperRig) -> None:
    rig.commit(5, seal=[TELEMETRY])
    rig.commit(4)
    rig.card.fails = always("sync", "probe")
    rig.commit(3)
    rig.settle_all()
    come_back(rig)
    for _ in range(2):
        rig.restart()
        rig.commit(1)
    assert set(rig.audit().in_batches[run_id(1), TELEMETRY].values()) == {1}


def test_what_the_center_settled_while_the_disk_refused_is_known_after_coming_back(rig: KeeperRig) -> None:
    rig.commit(45, 2, seal=Stream)
    rig.card.fails = always("sync", "probe")
    rig.commit(3)
    rig.settle_all()
    come_back(rig)
    rig.commit(1)
    rig.restart()
    settled = {(held.run, held.stream): held.settled == held.last for held in rig.keeper.held()}
    assert settled[run_id(1), TELEMETRY]
    assert settled[run_id(1), ALARM]


def test_the_disk_is_tried_after_10_s_and_ever_more_rarely_up_to_10_min(rig: KeeperRig) -> None:
    rig.commit(1)
    rig.card.fails = always("sync", "probe")
    rig.commit(1)
    began_ms, tried_s, seen = rig.now_ms, [], 0
    for _ in range(4000):
        rig.commit(0, 0)
        if rig.card.calls["probe"] > seen:
            seen = rig.card.calls["probe"]
            tried_s.append((rig.now_ms - began_ms) // 1000)
    assert tried_s == [10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030, 3630]


def test_a_disk_that_refuses_the_copies_is_left_again_and_the_next_try_goes_on(rig: KeeperRig) -> None:
    rig.commit(5)
    rig.card.fails = always("sync", "probe")
    for _ in range(40):
        rig.commit(20)
    rig.card.fails = nth("append", 12)
    rig.wait(1200)
    rig.commit(1)
    assert rig.volatile
    rig.audit()
    rig.commit(20)
    come_back(rig)
    rig.crash()
    rig.start()
    rig.commit(1)
    rig.audit()


def test_coming_and_going_loses_nothing_and_each_time_is_said_once(
    rig: KeeperRig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(5):
        rig.commit(15, 1, seal=[ALARM])
        rig.card.fails = always("append", "probe")
        for _ in range(5):
            rig.commit(15, 1, seal=[ALARM])
        come_back(rig)
        rig.audit()
    assert sum("rows go to memory" in record.message for record in caplog.records) == 5
    assert sum("disk takes rows again" in record.message for record in caplog.records) == 5


def test_a_process_that_dies_while_volatile_loses_nothing_that_was_on_disk(rig: KeeperRig) -> None:
    rig.commit(15)
    rig.card.fails = always("append", "probe")
    rig.commit(15)
    for ref in rig.receipt.refs:
        rig.deliver((ref.run, ref.stream), ref.n)
    rig.crash()
    rig.start()
    rig.commit(1)
    rig.audit()


def test_a_close_brings_home_what_memory_holds(rig: KeeperRig) -> None:
    rig.commit(15)
    rig.card.fails = always("append", "probe")
    rig.commit(15)
    rig.card.fails = never
    rig.close()
    rig.start()
    rig.commit(1)
    found = rig.audit()
    previous = found.starts[rig.receipt.run, TELEMETRY].previous
    assert previous is not None
    assert previous.clean


def test_a_close_that_the_disk_refuses_says_what_is_lost(rig: KeeperRig, caplog: pytest.LogCaptureFixture) -> None:
    rig.commit(15)
    rig.card.fails = always("append", "probe")
    rig.commit(15, 2, seal=[ALARM])
    rig.settle((rig.receipt.run, ALARM))
    rig.close()
    assert any("rows that only memory held are lost: rows=30" in record.message for record in caplog.records)


def test_a_close_that_the_disk_refuses_once_is_clean(rig: KeeperRig) -> None:
    rig.commit(15)
    rig.card.fails = nth("sync", 1)
    rig.close()
    rig.start()
    rig.commit(1)
    previous = rig.audit().starts[rig.receipt.run, TELEMETRY].previous
    assert previous is not None
    assert previous.clean


def test_a_folder_that_cannot_be_used_at_the_start_is_tried_again(tmp_path: Path) -> None:
    rig = KeeperRig(tmp_path / "spool")
    rig.commit(15)
    rig.crash()
    rig.start_with(always("prepare", "probe", "create"))
    assert rig.volatile
    assert rig.keeper.held() == []
    rig.commit(15, 1, seal=[ALARM])
    assert rig.receipt.run == run_id(2)
    come_back(rig)
    rig.audit()
    assert {held.run for held in rig.keeper.held()} >= {run_id(1), run_id(2)}


def test_a_card_that_is_read_only_from_the_start_still_gives_what_it_holds(tmp_path: Path) -> None:
    rig = KeeperRig(tmp_path / "spool")
    rig.commit(55)
    rig.crash()
    rig.start_with(always("create", "append", "sync", "remove", "cut", "probe"))
    rig.commit(15, 1, seal=[ALARM])
    assert rig.receipt.volatile
    rig.settle_all()
    assert sum(len(open_message(message).rows) for message in rig.delivered.values()) == 55 + 16
    rig.audit()


def test_memory_is_bounded_however_long_the_disk_refuses(tmp_path: Path) -> None:
    rig = KeeperRig(tmp_path / "spool")
    rig.tightened(memory=64 * 1024)
    rig.restart()
    rig.card.fails = always("append", "probe")
    for turn in range(200):
        rig.commit(40, 1, seal=[ALARM, TELEMETRY])
        if turn % 8 == 0:
            rig.audit(lossless=False)
        assert rig.memory.index.bytes_of(ALARM) <= 16 * 1024
        assert rig.memory.index.bytes_of(TELEMETRY) <= 48 * 1024
        assert not rig.keeper._disk._open
    come_back(rig)
    found = rig.audit(lossless=False)
    assert any(gap.reason == "full" for _, gap in found.gaps)


# -- every call, in every phase ---------------------------------------------------------------------------------------

CALLS = ("prepare", "read", "read_at", "cut", "create", "append", "sync", "folder sync", "remove", "free", "probe")


def _life(rig: KeeperRig, *, sound: bool) -> None:
    """Live through every phase: start with rows left over, batches, rotation, room, gaps, marks, memory and back."""
    for turn in range(14):
        rig.commit(18, 2 if turn % 3 == 0 else 0, seal=[ALARM] if turn % 3 == 0 else [])
        if turn % 4 == 1:
            rig.settle((rig.receipt.run, TELEMETRY))
        if turn % 5 == 2:
            rig.record(Kind.TIME, TIME, TELEMETRY)
        rig.wait(6)
        if turn % 4 == 3:
            rig.audit(lossless=False, sound=sound, once=sound)
    rig.audit(lossless=False, sound=sound, once=sound)


@pytest.mark.campaign
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("what", CALLS)
def test_a_failure_at_any_call_once_a_few_times_or_for_ever_loses_nothing(
    tmp_path: Path, what: str, error: int
) -> None:
    sound = what != "read"  # a segment that a start could not read comes back: its run looks grown, rows stand twice
    for number, times in ((1, 1), (2, 3), (9, 30), (5, 10**6)):
        rig = KeeperRig(tmp_path / f"{number}-{times}", settings=TINY)
        for _ in range(4):
            rig.commit(15, 1)
        rig.audit()  # from now on it is known which row a number means
        rig.crash(lambda most: most // 2)
        left = [number - 1, times]

        def fails(call: str, left: list[int] = left) -> bool:
            if call != what:
                return False
            if left[0]:
                left[0] -= 1
                return False
            left[1] -= 1
            return left[1] >= 0

        rig.start_with(fails)
        rig.card.error = error
        _life(rig, sound=sound)
        rig.close()
        rig.audit(lossless=False, sound=sound, once=sound)
        rig.restart()
        _life(rig, sound=sound)
        rig.settle_all()
        rig.audit(lossless=False, sound=sound, once=sound)
