from collections.abc import Sequence
from dataclasses import replace

import pytest

from agent.wire.batch import Stream
from agent.wire.senml import Row
from center.errors import StoreError
from center.store import ReadingRow
from tests.center.fake_node import UTC_MS, FakeNode
from tests.center.harness import Center


def readings(center: Center, *, after: int = 0, last: int | None = None, **wanted: str) -> list[ReadingRow]:
    return center.store.readings(
        node=wanted.get("node"), sensor=wanted.get("sensor"), channel=wanted.get("channel"), after=after, last=last
    )


def send(center: Center, node: FakeNode) -> None:
    center.take(*(node.up(made) for chain in node.made.values() for made in chain))


def one(path: str, boot_ms: int, value: float | str | bool, *, unit: str = "1", flags: Sequence[str] = ()) -> Row:  # noqa: FBT001
    return Row(path=path, unit=unit, boot_ms=boot_ms, value=value, flags=tuple(flags))


def test_every_kind_of_value_comes_out_as_it_went_in(center: Center, node: FakeNode) -> None:
    values: list[float | str | bool] = [0, 1, True, False, 21.5, -(2**53) + 1, "terbuka", ""]
    rows = [one(f"s{at}/value", 999_000, value) for at, value in enumerate(values)]
    node.readings([*rows, one("s9/value", 999_000, 7, flags=("step", "stuck"))])
    send(center, node)
    center.project()
    found = {row.path: row.value for row in readings(center)}
    for at, value in enumerate(values):
        assert found[f"s{at}/value"] == value
        assert type(found[f"s{at}/value"]) is type(value)
    assert readings(center, sensor="s9")[0].flags == ("step", "stuck")


def test_readings_parsed_from_stored_bytes_are_the_same_as_from_memory(center: Center, node: FakeNode) -> None:
    for _ in range(3):
        node.readings(300)
    send(center, node)
    center.project()
    live = readings(center)
    center.store.rebuild()
    assert readings(center) == []
    center.project(most=1)
    assert [replace(row, id=0) for row in readings(center)] == [replace(row, id=0) for row in live]
    assert len(live) == 900


def test_projection_goes_on_where_a_crash_left_it(center: Center, node: FakeNode) -> None:
    for _ in range(5):
        node.readings(10)
    send(center, node)
    assert center.receiver.project(center.now(), most=3).new == 20
    center.reopen()
    assert center.store.unprojected() == 3
    center.project()
    assert len(readings(center)) == 50
    assert center.store.unprojected() == 0


def test_a_projection_step_that_fails_is_undone_whole(center: Center, node: FakeNode) -> None:
    node.readings(10)
    send(center, node)
    center.values("CREATE TEMP TRIGGER full BEFORE UPDATE ON facts BEGIN SELECT raise(FAIL, 'disk full'); END")
    with pytest.raises(StoreError, match="disk full"):
        center.project()
    assert readings(center) == []
    center.values("DROP TRIGGER full")
    center.project()
    assert len(readings(center)) == 10


def test_rows_sealed_twice_stand_once(center: Center, node: FakeNode) -> None:
    rows = node.rows(6)
    node.readings(rows)
    origin, boot_ms = node.run, node.boot_ms
    node.start(previous=node.restart())
    node.boot_ms = boot_ms
    node.readings(rows, origin=origin, seq0=1)
    send(center, node)
    center.project()
    assert len(readings(center)) == 6
    assert {row.origin for row in readings(center)} == {origin}
    assert center.store.twice(node.box) == 0
    assert center.store.alarms(node.box) == []


def test_rows_that_differ_under_one_identity_raise_an_alarm(center: Center, node: FakeNode) -> None:
    node.readings([one("air/pm2_5", 990_000, 12)])
    node.readings([one("air/pm2_5", 990_000, 13)])
    send(center, node)
    center.project()
    assert [row.value for row in readings(center)] == [12]
    (alarm,) = center.store.alarms(node.box)
    assert alarm.what == "row_conflict"


def test_a_unit_that_changes_within_a_run_is_kept(center: Center, node: FakeNode) -> None:
    node.readings([one("air/t", 990_000, 12, unit="Cel")])
    node.readings([one("air/t", 991_000, 13, unit="K")])
    send(center, node)
    center.project()
    assert [(row.value, row.unit) for row in readings(center)] == [(12, "Cel"), (13, "K")]


def test_a_synchronised_batch_dates_its_own_rows(center: Center, node: FakeNode) -> None:
    node.readings([one("air/t", 999_000, 12)])
    send(center, node)
    center.project()
    (row,) = readings(center)
    assert (row.utc_ms, row.utc_source, row.low_utc_ms, row.high_utc_ms) == (UTC_MS + 999_000, "device", None, None)


def test_rows_of_a_boot_without_a_clock_have_bounds_until_a_time_record_comes(center: Center, node: FakeNode) -> None:
    node.readings()
    previous = node.restart()
    assert previous.at_utc_ms is not None
    node.boot, node.synchronised, node.boot_ms = bytes(16), False, 5_000
    node.start(previous=previous)
    node.readings([one("air/t", 4_000, 12)])
    center.seconds = 7777
    send(center, node)
    center.project()
    row = readings(center)[-1]
    assert (row.utc_ms, row.utc_source) == (None, "bounds")
    assert (row.low_utc_ms, row.high_utc_ms) == (previous.at_utc_ms + 4_000, UTC_MS + 7_777_000)
    center.take(node.up(node.time(6_000, UTC_MS + 3_000_000)))
    center.project()
    row = readings(center)[-1]
    assert (row.utc_ms, row.utc_source) == (UTC_MS + 2_998_000, "corrected")
    center.take(node.up(node.time(4_000, UTC_MS + 9_999_999)))
    center.project()
    assert center.values("SELECT utc_ms FROM readings WHERE boot_ms = 4000") == [(UTC_MS + 2_998_000,)]
    assert len(center.values("SELECT * FROM mappings")) == 4


def test_a_rebuild_dates_by_the_nearest_of_all_mappings(center: Center, node: FakeNode) -> None:
    node.synchronised = False
    node.readings([one("air/t", 100_000, 1), one("air/t", 900_000, 2)])
    node.time(50_000, UTC_MS)
    node.time(950_000, UTC_MS + 900_400)
    send(center, node)
    center.project()
    assert [row.utc_ms for row in readings(center)] == [UTC_MS + 50_000, UTC_MS + 850_400]


def test_readings_are_asked_for_by_node_sensor_channel_and_number(center: Center, node: FakeNode) -> None:
    node.readings([one("air/t", 990_000, 1), one("air/rh", 990_000, 2), one("air_2/t", 990_000, 3)])
    send(center, node)
    center.project()
    assert [row.value for row in readings(center, sensor="air")] == [1, 2]
    assert [row.value for row in readings(center, channel="t")] == [1, 3]
    assert readings(center, node="nobody") == []
    assert [row.value for row in readings(center, last=1)] == [3]
    assert [row.value for row in readings(center, after=readings(center)[0].id)] == [2, 3]
    assert {row.stream for row in readings(center)} == {Stream.TELEMETRY}
