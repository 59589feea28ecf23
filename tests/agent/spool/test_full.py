"""Caps: what leaves, what stays, and that the record says so."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from agent.seal import Limits
from agent.spool.spool import Settings
from agent.wire.ack import Range
from agent.wire.batch import Kind, Stream
from agent.wire.bodies import Time
from agent.wire.records import Note, Work
from agent.wire.senml import Row
from tests.agent.spool.rig import ALARM, BOOT, SMALL, TELEMETRY, Rig, run_id

TIME = Time(boot=BOOT, at_boot_ms=1, at_utc_ms=2, uncertainty_ms=3, source="kernel").encode()
NOTE = Note(work=Work.CLEAN, by="Sari", sensor=None, text="lens").encode()
TIGHT = replace(SMALL, telemetry_cap=64 * 1024, alarm_cap=64 * 1024)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "spool", settings=TIGHT)


def fill(rig: Rig, commits: int, stream: Stream = TELEMETRY) -> None:
    """Feed rows and watch the cap at each step."""
    for _ in range(commits):
        rig.commit(**{stream.name.lower(): 20}, seal=[stream])
        assert rig.size_bytes(stream) <= rig.settings.cap(stream)


@pytest.mark.slow
def test_a_cap_of_2_mib_holds_while_10_mib_come_in_and_every_row_is_held_or_in_a_gap(tmp_path: Path) -> None:
    settings = Settings(telemetry_cap=2 * 2**20, free_disk=0, limits=Limits())
    rig = Rig(tmp_path / "spool", settings=settings)
    rig.commit(0, 5, seal=[ALARM])
    alarms = rig.audit().of((rig.run, ALARM))
    written = 0
    while written < 10 * 2**20:
        rows = [replace(row, value=_noise(row.boot_ms)) for row in rig.rows(200)]
        rig.commit(rows, seal=[TELEMETRY])
        written += len(rows) * 128
        assert rig.size_bytes(TELEMETRY) <= 2 * 2**20
    found = rig.audit(lossless=False)
    report = found.reports[rig.run, TELEMETRY]
    taken = len(rig.given[rig.run, TELEMETRY])
    gap, held = found.gap_rows((rig.run, TELEMETRY)), found.in_batches[rig.run, TELEMETRY]
    assert report.taken == taken == len(gap) + held.total()
    assert len(gap) > taken // 2
    assert rig.size_bytes(TELEMETRY) > 2**20
    assert found.of((rig.run, ALARM)) == alarms


def test_the_cap_holds_while_the_disk_is_being_written_too(rig: Rig) -> None:
    sizes: list[int] = []

    def note(_: str) -> bool:
        sizes.append(rig.size_bytes(TELEMETRY))
        return False

    rig.card.fails = note
    for turn in range(150):
        rig.commit(20, seal=[TELEMETRY])
        if turn % 2:
            rig.settle((rig.run, TELEMETRY), turn)
    rig.commit(4000)
    assert max(sizes) <= rig.settings.telemetry_cap


def test_records_that_are_no_readings_are_copied_forward_unchanged_over_generations_and_runs(rig: Rig) -> None:
    rig.commit(1)
    rig.record(Kind.TIME, TIME, TELEMETRY)
    fill(rig, 200)
    first = run_id(1)
    for _ in range(3):
        rig.restart()
        held = {(held.run, held.stream): (held.first, held.last) for held in rig.spool.held()}
        assert held[first, TELEMETRY][0] == 1
        fill(rig, 120)
    found = rig.audit(lossless=False)
    kinds = [batch.header.kind for batch in found.of((first, TELEMETRY))]
    assert kinds == [Kind.START, Kind.TIME]
    rig.settle_all()
    assert {(first, TELEMETRY, 1), (first, TELEMETRY, 3)} <= rig.delivered.keys()


def test_a_gap_repeats_those_before_it_so_that_gaps_never_fill_the_spool(rig: Rig) -> None:
    for _ in range(4):
        fill(rig, 200)
        rig.restart()
    rig.commit(1)
    found = rig.audit(lossless=False)
    assert len(found.gaps) < 12
    assert max(len(gap.chains) for _, gap in found.gaps) < 20


def test_the_oldest_readings_leave_first(rig: Rig) -> None:
    fill(rig, 150)
    found = rig.audit(lossless=False)
    gap = list(found.gap_rows((rig.run, TELEMETRY)))
    assert len(gap) == 1
    assert gap[0][0] == 1
    assert min(found.in_batches[rig.run, TELEMETRY]) == gap[0][1] + 1


def test_what_the_center_has_leaves_first_and_without_a_gap(rig: Rig) -> None:
    for _ in range(20):
        fill(rig, 12)
        rig.settle((rig.run, TELEMETRY))
    assert not rig.audit().gaps


def test_no_ack_removes_anything_by_itself(rig: Rig) -> None:
    fill(rig, 40)
    before = {path: path.read_bytes() for path in rig.segments()}
    rig.settle_all()
    assert {path: path.read_bytes() for path in rig.segments()} == before


def test_acked_segments_behind_unacked_ones_go_before_unacked_readings(rig: Rig) -> None:
    fill(rig, 4)
    rig.settle((rig.run, TELEMETRY), 2)
    key = (rig.run, TELEMETRY)
    for _ in range(120):
        fill(rig, 1)
        last = rig.spool.held()[-1].last
        rig.deliver(key, last)
        rig.ack(key, ranges=[_range(rig, last)])
    fill(rig, 10)
    assert not rig.audit().gaps


def _noise(seed: int) -> str:
    """Return a text that 128 bytes are needed to hold, however well it is packed."""
    return hashlib.shake_256(seed.to_bytes(8, "big")).hexdigest(128)[:256]


def _range(rig: Rig, n: int) -> Range:
    stored = rig.deliver((rig.run, TELEMETRY), n)
    assert stored is not None
    return Range(first=n, last=n, hash=stored)


def test_telemetry_never_makes_alarms_leave(rig: Rig) -> None:
    fill(rig, 10, ALARM)
    alarms = rig.audit().of((rig.run, ALARM))
    fill(rig, 200)
    assert rig.audit(lossless=False).of((rig.run, ALARM)) == alarms


def test_a_disk_below_its_floor_makes_telemetry_leave_and_no_alarm(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "spool", settings=replace(SMALL, free_disk=2**60))
    for _ in range(40):
        rig.commit(20, 5, seal=Stream)
    found = rig.audit(lossless=False)
    assert len(rig.segments(TELEMETRY)) <= 2
    assert found.in_batches[rig.run, ALARM].total() == 200
    assert len(found.gap_rows((rig.run, TELEMETRY))) > 600


def test_rows_without_a_batch_never_leave(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "spool", settings=replace(SMALL, free_disk=2**60, segment=1024, limits=Limits(rows=200)))
    for _ in range(19):
        rig.commit(10)
    assert len(rig.segments(TELEMETRY)) > 5
    assert len(rig.audit().unsealed[rig.run, TELEMETRY]) == 190


def test_a_disk_that_does_not_tell_its_free_bytes_is_written_on(rig: Rig) -> None:
    rig.card.fails = lambda what: what == "free"
    rig.commit(20)
    rig.audit()


def test_the_newest_state_of_each_alarm_stays(rig: Rig) -> None:
    rows = rig.rows(1)
    rig.commit(0, [Row(path="gate/open", unit="1", boot_ms=rows[0].boot_ms, value=True)], seal=[ALARM])
    fill(rig, 200, ALARM)
    found = rig.audit(lossless=False)
    kept = {row.path for batch in found.batches.values() for row in batch.rows}
    assert "gate/open" in kept
    assert found.gap_rows((rig.run, ALARM))


def test_segments_of_runs_that_lost_power_leave_as_well(rig: Rig) -> None:
    for _ in range(25):
        rig.commit(25)
        rig.restart()
        assert rig.size_bytes(TELEMETRY) <= rig.settings.telemetry_cap
    fill(rig, 150)
    found = rig.audit(lossless=False)
    assert not [batch for batch in found.of((run_id(1), TELEMETRY)) if batch.header.kind is Kind.READINGS]


def test_segments_of_runs_that_were_closed_leave_after_a_restart(rig: Rig) -> None:
    fill(rig, 50)
    rig.close()
    rig.start()
    fill(rig, 150)
    found = rig.audit(lossless=False)
    assert not [batch for batch in found.of((run_id(1), TELEMETRY)) if batch.header.kind is Kind.READINGS]


def test_a_batch_that_has_gone_bad_meanwhile_is_in_the_gap_when_its_segment_leaves(rig: Rig) -> None:
    fill(rig, 30)
    path = rig.segments(TELEMETRY)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    fill(rig, 100)
    rig.audit(lossless=False)


def test_a_batch_that_was_found_bad_while_reading_is_in_the_gap_when_its_segment_leaves(rig: Rig) -> None:
    fill(rig, 30)
    path = rig.segments(TELEMETRY)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (held,) = rig.spool.held()
    read = [rig.deliver((rig.run, TELEMETRY), n) for n in range(1, held.last + 1)]
    assert read.count(None) == 1
    rig.delivered.clear()
    fill(rig, 100)
    rig.audit(lossless=False)


def test_a_card_that_cannot_be_read_while_room_is_made_costs_a_gap_and_not_the_record(rig: Rig) -> None:
    fill(rig, 20)
    rig.card.fails = lambda what: what == "read_at"
    fill(rig, 60)
    rig.card.fails = lambda _: False
    rig.audit(lossless=False)


def test_what_cannot_be_removed_is_tried_again_and_told_once(rig: Rig) -> None:
    fill(rig, 20)
    rig.card.fails = lambda what: what == "remove"
    for _ in range(40):
        rig.commit(20, seal=[TELEMETRY])
    rig.card.fails = lambda _: False
    fill_after = [rig.commit(20, seal=[TELEMETRY]) for _ in range(3)]
    assert all(fill_after)
    assert rig.size_bytes(TELEMETRY) <= rig.settings.telemetry_cap
    found = rig.audit(lossless=False)
    named = [span for _, gap in found.gaps for span in gap.rows]
    assert len(named) == len({(span.first, span.last) for span in named})
