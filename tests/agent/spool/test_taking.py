from dataclasses import replace
from pathlib import Path

import pytest

from agent.seal import Limits
from agent.spool.spool import Facts, Settings
from agent.wire.batch import NO_HASH, Kind, Stream
from agent.wire.bodies import End, Time, decode_start
from agent.wire.records import Note, Work
from tests.agent.spool.rig import ALARM, BOOT, TELEMETRY, Rig, run_id

TIME = Time(boot=BOOT, at_boot_ms=1, at_utc_ms=2, uncertainty_ms=3, source="kernel").encode()
NOTE = Note(work=Work.CLEAN, by="Sari", sensor=None, text="lens").encode()


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "spool")


def test_rows_are_numbered_in_order_and_durable_when_commit_returns(rig: Rig) -> None:
    for count in (3, 1, 30, 7):
        rig.commit(count)
    rig.crash()
    found = rig.audit()
    key = (rig.run, TELEMETRY)
    assert sorted({*found.in_batches[key], *found.unsealed[key]}) == list(range(1, 42))


def test_the_start_record_is_synced_before_the_first_row_is_written(rig: Rig) -> None:
    order: list[str] = []

    def note(what: str) -> bool:
        order.append(what)
        return False

    rig.card.fails = note
    rig.commit(1)
    assert [what for what in order if what in ("append", "sync")] == ["append", "append", "sync", "append", "sync"]


def test_a_run_without_rows_leaves_nothing_on_disk(rig: Rig) -> None:
    for _ in range(5):
        assert rig.commit() == []
        rig.restart()
    assert rig.segments() == []


def test_a_crash_loop_behind_rows_that_wait_leaves_one_start_and_no_more(rig: Rig) -> None:
    rig.commit(3)
    for _ in range(5):
        rig.restart()
    rig.commit()
    before = rig.segments()
    for _ in range(5):
        rig.restart()
        rig.commit()
    assert rig.segments() == before
    assert rig.audit().starts.keys() == {(run_id(1), TELEMETRY), (run_id(6), TELEMETRY)}


def test_each_stream_begins_with_its_own_start_that_tells_the_same_predecessor(rig: Rig) -> None:
    rig.commit(2, 1)
    rig.restart()
    rig.commit(1, 1)
    found = rig.audit()
    alarm, telemetry = found.starts[rig.run, ALARM], found.starts[rig.run, TELEMETRY]
    assert alarm.previous == telemetry.previous
    assert alarm.previous is not None
    assert alarm.previous.run == run_id(1)


def test_a_full_batch_is_sealed_without_being_told(rig: Rig) -> None:
    done = rig.commit(45)
    assert [ref.n for ref in done] == [1, 2, 3]
    counts = [batch.header.count for batch in rig.audit().of((rig.run, TELEMETRY))]
    assert counts == [0, 20, 20]


def test_sealing_takes_what_waits_and_an_empty_batch_where_nothing_does(rig: Rig) -> None:
    rig.commit(5)
    rig.commit(2, seal=[TELEMETRY])
    rig.commit(seal=[TELEMETRY])
    counts = [(batch.header.seq0, batch.header.count) for batch in rig.audit().of((rig.run, TELEMETRY))]
    assert counts == [(1, 0), (1, 7), (8, 0)]


def test_rows_that_just_fill_their_batches_make_no_empty_one_behind_them(rig: Rig) -> None:
    rig.commit(40, seal=[TELEMETRY])
    assert [batch.header.count for batch in rig.audit().of((rig.run, TELEMETRY))] == [0, 20, 20]


def test_a_batch_never_holds_more_than_500_rows_or_64_kib(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "spool", settings=Settings(free_disk=0, limits=Limits()))
    rig.commit(1800, seal=[TELEMETRY])
    long = [replace(row, value="\x01" * 200) for row in rig.rows(900)]
    rig.commit(long, seal=[TELEMETRY])
    batches = rig.audit().of((rig.run, TELEMETRY))
    assert max(batch.header.count for batch in batches) == 500
    assert max(len(batch.plain) for batch in batches) <= 64 * 1024
    assert sum(batch.header.count for batch in batches) == 2700


def test_the_chain_is_unbroken_across_segments(rig: Rig) -> None:
    for _ in range(60):
        rig.commit(20, 3, seal=Stream)
    assert len(rig.segments(TELEMETRY)) > 3
    for stream in Stream:
        prev = NO_HASH
        for n, batch in enumerate(rig.audit().of((rig.run, stream)), 1):
            assert (batch.header.n, batch.header.prev) == (n, prev)
            prev = batch.hash


def test_no_segment_grows_beyond_its_size(rig: Rig) -> None:
    for _ in range(60):
        rig.commit(20, seal=[TELEMETRY])
    rig.commit(2000, seal=[TELEMETRY])
    assert max(path.stat().st_size for path in rig.segments()) <= rig.settings.segment


def test_the_name_of_a_segment_tells_the_first_row_that_was_not_on_disk_before_it(rig: Rig) -> None:
    for _ in range(50):
        rig.commit(9)
    for path in rig.segments():
        seq0 = int(path.name.split("-")[3].removesuffix(".seg"))
        assert seq0 % 9 == 1


def test_a_record_stands_behind_the_rows_that_wait(rig: Rig) -> None:
    rig.commit(4, 1)
    rig.record(Kind.TIME, TIME, TELEMETRY)
    rig.record(Kind.NOTE, NOTE, ALARM)
    found = rig.audit()
    kinds = [(batch.header.kind, batch.header.count) for batch in found.of((rig.run, TELEMETRY))]
    assert kinds == [(Kind.START, 0), (Kind.READINGS, 4), (Kind.TIME, 0)]
    assert [batch.header.kind for batch in found.of((rig.run, ALARM))] == [Kind.START, Kind.READINGS, Kind.NOTE]


def test_commit_returns_the_batches_that_may_leave_and_each_can_be_read(rig: Rig) -> None:
    done = rig.commit(45, 2, seal=[ALARM])
    assert [(ref.stream, ref.n) for ref in done] == [(ALARM, 1), (ALARM, 2), *((TELEMETRY, n) for n in (1, 2, 3))]
    for ref in done:
        stored = rig.spool.read(ref)
        assert stored is not None
        assert rig.audit().batches[ref.run, ref.stream, ref.n].message == stored.message


# -- how the run before ended ------------------------------------------------------------------------------------------


def test_a_start_names_the_ends_of_the_run_before_it(rig: Rig) -> None:
    rig.commit(25, 2, seal=[ALARM])
    rig.restart()
    rig.commit(1)
    found = rig.audit()
    previous = found.starts[rig.run, TELEMETRY].previous
    assert previous is not None
    alarm, telemetry = found.of((run_id(1), ALARM))[-1], found.of((run_id(1), TELEMETRY))[-1]
    assert previous.alarm == End(n=alarm.header.n, hash=alarm.hash, seq=2)
    assert previous.telemetry == End(n=telemetry.header.n, hash=telemetry.hash, seq=25)
    assert not previous.clean


@pytest.mark.parametrize("streams", [(1, 0), (0, 1), (1, 1)])
def test_a_run_that_was_closed_is_told_as_clean(rig: Rig, streams: tuple[int, int]) -> None:
    rig.commit(*streams)
    rig.close()
    rig.start()
    rig.commit(1)
    previous = rig.audit().starts[rig.run, TELEMETRY].previous
    assert previous is not None
    assert previous.clean
    assert rig.audit().starts[rig.run, TELEMETRY].taken_over == ()


def test_closing_seals_what_waits(rig: Rig) -> None:
    rig.commit(5, 2)
    rig.close()
    assert rig.audit().in_batches[rig.run, TELEMETRY].total() == 5
    assert rig.audit().in_batches[rig.run, ALARM].total() == 2


def test_a_run_that_left_nothing_is_not_a_predecessor(rig: Rig) -> None:
    rig.commit(5)
    for _ in range(3):
        rig.restart()
    rig.commit(1)
    previous = rig.audit().starts[rig.run, TELEMETRY].previous
    assert previous is not None
    assert previous.run == run_id(1)


def test_the_config_travels_once_for_each_hash(rig: Rig) -> None:
    told: list[str | None] = []
    for config in ("one", "one", "two", "two", "one"):
        rig.facts = Facts(config_hash=f"hash of {config}", config=config)
        rig.restart()
        rig.commit(1, 1)
        starts = [decode_start(rig.audit().of((rig.run, stream))[0].plain) for stream in Stream]
        assert {start.config_hash for start in starts} == {f"hash of {config}"}
        told += [start.config for start in starts]
    assert told == ["one", None, None, None, "two", None, None, None, "one", None]


def test_a_batch_never_spans_runs(rig: Rig) -> None:
    for _ in range(4):
        rig.commit(3)
        rig.restart()
    rig.commit(3, seal=[TELEMETRY])
    for batch in rig.audit().of((rig.run, TELEMETRY)):
        if batch.header.count:
            assert batch.header.count == 3
