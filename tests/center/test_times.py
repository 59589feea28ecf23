"""What is told of a reading's time when the clock of its boot was wrong, told by hand, or never known."""

import pytest

from agent.wire.batch import Clock, Kind, Stream
from agent.wire.bodies import Time
from agent.wire.senml import Row, pack
from center.cli.main import main
from center.store import ReadingRow
from tests.center.fake_node import UTC_MS, FakeNode, Made
from tests.center.harness import Center

MINUTE, HOUR = 60_000, 3_600_000


def row(boot_ms: int) -> Row:
    return Row(path="air/t", unit="Cel", boot_ms=boot_ms, value=boot_ms, flags=())


def sealed(node: FakeNode, boot_ms: int, lie_ms: int | None) -> Made:
    """A batch with one row, sealed at its moment; ``lie_ms`` None: the node knows no time."""
    node.boot_ms, node.synchronised = boot_ms, False
    if not node.made.get((node.run, Stream.TELEMETRY)):
        node.start()
    utc_ms = None if lie_ms is None else UTC_MS + boot_ms + lie_ms
    body = pack([row(boot_ms)], node=f"{node.city}/{node.name}", at_boot_ms=boot_ms, at_utc_ms=utc_ms)
    clock = Clock.UNKNOWN if lie_ms is None else Clock.SYNCHRONISED
    return node.seal(Kind.READINGS, body, stream=Stream.TELEMETRY, count=1, at_utc_ms=utc_ms, clock=clock)


def record(node: FakeNode, boot_ms: int, utc_ms: int, source: str, uncertainty_ms: int) -> Made:
    node.boot_ms = boot_ms
    body = Time(
        boot=node.boot, at_boot_ms=boot_ms, at_utc_ms=utc_ms, uncertainty_ms=uncertainty_ms, source=source
    ).encode()
    return node.seal(Kind.TIME, body, stream=Stream.TELEMETRY, at_utc_ms=None, clock=Clock.UNKNOWN)


def deliver(center: Center, node: FakeNode, at_ms: int) -> dict[int, ReadingRow]:
    center.seconds = at_ms / 1000
    center.take(*(node.up(made) for chain in node.made.values() for made in chain))
    center.project()
    found = center.store.readings(node=None, sensor=None, channel=None, after=0, last=None)
    return {one.boot_ms: one for one in found}


def times(one: ReadingRow) -> tuple[int | None, int | None, int | None]:
    """UTC, low and high as ms of the true boot."""
    low, high = one.low_utc_ms, one.high_utc_ms
    return tuple(None if ms is None else ms - UTC_MS for ms in (one.utc_ms, low, high))  # type: ignore[return-value]  # three


def test_rows_of_a_boot_that_contradicts_itself_show_all_it_could_be(center: Center, node: FakeNode) -> None:
    for boot_ms, lie_ms in ((HOUR, 0), (2 * HOUR, 42 * MINUTE), (3 * HOUR, 42 * MINUTE)):
        sealed(node, boot_ms, lie_ms)
    found = deliver(center, node, 30 * HOUR)
    assert times(found[HOUR]) == (HOUR, HOUR, HOUR + 42 * MINUTE)
    assert times(found[2 * HOUR]) == (2 * HOUR + 42 * MINUTE, 2 * HOUR, 2 * HOUR + 42 * MINUTE)
    assert {one.utc_source for one in found.values()} == {"device"}


def test_a_time_that_had_not_come_when_it_was_received_loses(center: Center, node: FakeNode) -> None:
    sealed(node, HOUR, 0)
    deliver(center, node, HOUR)
    sealed(node, 2 * HOUR, 42 * MINUTE)
    found = deliver(center, node, 2 * HOUR)
    assert times(found[2 * HOUR]) == (2 * HOUR, None, None)
    assert found[2 * HOUR].utc_source == "corrected"
    stored = center.values("SELECT utc_ms FROM readings WHERE boot_ms = ?", (2 * HOUR,))
    assert stored == [(UTC_MS + 2 * HOUR + 42 * MINUTE,)]  # what came first is not overwritten


def test_a_time_that_has_not_come_and_no_other_leaves_bounds(center: Center, node: FakeNode) -> None:
    sealed(node, HOUR, 42 * MINUTE)
    found = deliver(center, node, HOUR)
    assert times(found[HOUR]) == (None, None, HOUR)
    assert found[HOUR].utc_source == "bounds"


def test_a_center_whose_clock_is_a_little_late_doubts_nobody(center: Center, node: FakeNode) -> None:
    sealed(node, HOUR, 0)
    assert times(deliver(center, node, HOUR - 29 * MINUTE)[HOUR]) == (HOUR, None, None)


def test_contradictions_are_seen_in_any_order_of_arrival(center: Center, node: FakeNode) -> None:
    made = [sealed(node, boot_ms, lie_ms) for boot_ms, lie_ms in ((HOUR, 0), (2 * HOUR, -HOUR), (3 * HOUR, 0))]
    center.seconds = 30 * HOUR / 1000
    for one in reversed(made):
        center.take(node.up(one))
    found = deliver(center, node, 30 * HOUR)
    assert times(found[3 * HOUR]) == (3 * HOUR, 2 * HOUR, 3 * HOUR)


@pytest.mark.parametrize(("source", "off_ms"), [("hand", 60_000), ("rtc", 600_000)])
def test_a_clock_that_was_set_once_gives_a_time_with_its_doubt(
    center: Center, node: FakeNode, source: str, off_ms: int
) -> None:
    sealed(node, HOUR, None)
    record(node, 2 * HOUR, UTC_MS + 2 * HOUR, source, off_ms)
    found = deliver(center, node, 30 * HOUR)
    drift_ms = HOUR * 100 // 1_000_000
    assert times(found[HOUR]) == (HOUR, HOUR - off_ms - drift_ms, HOUR + off_ms + drift_ms)
    assert found[HOUR].utc_source == "told"
    sealed(node, 3 * HOUR, 5000)
    found = deliver(center, node, 30 * HOUR)
    assert times(found[HOUR]) == (HOUR + 5000, None, None)
    assert found[HOUR].utc_source == "corrected"


def test_a_clock_that_was_set_wrong_cannot_leave_the_bounds(center: Center, node: FakeNode) -> None:
    sealed(node, HOUR, None)
    record(node, 2 * HOUR, UTC_MS + 90 * HOUR, "hand", 60_000)
    assert times(deliver(center, node, 30 * HOUR)[HOUR]) == (None, None, 30 * HOUR)


def test_satellites_date_like_a_time_service_within_their_doubt(center: Center, node: FakeNode) -> None:
    sealed(node, HOUR, None)
    record(node, 2 * HOUR, UTC_MS + 2 * HOUR - 900, "gnss", 1000)
    sealed(node, 3 * HOUR, 900)
    found = deliver(center, node, 30 * HOUR)
    assert times(found[HOUR]) == (HOUR - 900, None, None)


def test_the_source_of_a_record_is_kept_beside_its_header(center: Center, node: FakeNode) -> None:
    node.start()
    node.boot_ms = HOUR
    node.time(HOUR, UTC_MS + HOUR)
    deliver(center, node, 30 * HOUR)
    kept = center.values("SELECT source, uncertainty_ms FROM mappings WHERE at_boot_ms = ?", (HOUR,))
    assert kept == [("kernel", 5)]


def test_undated_rows_on_both_sides_of_a_step_keep_their_side(center: Center, node: FakeNode) -> None:
    for boot_ms in (HOUR, 3 * HOUR, 5 * HOUR):
        sealed(node, boot_ms, None)
    deliver(center, node, 30 * HOUR)
    record(node, 2 * HOUR, UTC_MS + 2 * HOUR, "kernel", 5)
    record(node, 4 * HOUR, UTC_MS + 4 * HOUR + 42 * MINUTE, "kernel", 5)
    found = deliver(center, node, 30 * HOUR)
    assert [one.utc_ms for one in found.values()] == [
        UTC_MS + HOUR,
        UTC_MS + 3 * HOUR,
        UTC_MS + 5 * HOUR + 42 * MINUTE,
    ]


def test_bounds_that_contradict_fall_back_to_the_centers_own_clock(center: Center, node: FakeNode) -> None:
    sealed(node, HOUR, 90 * HOUR)
    previous = node.restart()
    node.boot, node.boot_ms = bytes(16), 5000
    node.start(previous=previous)
    sealed(node, 9000, None)
    assert times(deliver(center, node, 30 * HOUR)[9000]) == (None, None, 30 * HOUR)


def test_a_boot_without_a_clock_ends_before_the_next_one_begins(center: Center, node: FakeNode) -> None:
    sealed(node, HOUR, None)
    previous = node.restart()
    node.boot, node.boot_ms = bytes(16), 5000
    node.start(previous=previous)
    sealed(node, 9000, 10 * HOUR)
    found = deliver(center, node, 30 * HOUR)
    assert times(found[HOUR]) == (None, None, 10 * HOUR)


def test_a_first_date_that_is_refuted_leaves_what_the_others_say(center: Center, node: FakeNode) -> None:
    sealed(node, 2 * HOUR, 0)
    sealed(node, 3 * HOUR, -HOUR)
    sealed(node, 4 * HOUR, 42 * MINUTE)
    found = deliver(center, node, 4 * HOUR)
    assert times(found[4 * HOUR]) == (None, 3 * HOUR, 4 * HOUR)
    assert found[4 * HOUR].utc_source == "bounds"


def test_a_boot_that_contradicts_itself_bounds_the_next_one_by_its_far_end(center: Center, node: FakeNode) -> None:
    sealed(node, HOUR, 0)
    sealed(node, 2 * HOUR, 42 * MINUTE)
    previous = node.restart()
    node.boot, node.boot_ms = bytes(16), 5000
    node.start(previous=previous)
    sealed(node, 9000, None)
    assert times(deliver(center, node, 30 * HOUR)[9000]) == (None, 2 * HOUR + 9000, 30 * HOUR)


def test_people_see_what_a_time_lies_between(
    center: Center, node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed(node, HOUR, None)
    store = f"sqlite:{center.path}"
    deliver(center, node, 30 * HOUR)
    assert main(["readings", "--store", store]) == 0
    assert capsys.readouterr().out.startswith("? .. 2026-01-02T06:00:00.000Z  dago-01/air/t  3600000 Cel")
    record(node, HOUR, UTC_MS + HOUR, "hand", MINUTE)
    deliver(center, node, 30 * HOUR)
    assert main(["readings", "--store", store]) == 0
    told = "2026-01-01T01:00:00.000Z (2026-01-01T00:59:00.000Z .. 2026-01-01T01:01:00.000Z)  dago-01/air/t"
    assert capsys.readouterr().out.startswith(told)
