import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.belief import BUILT_UTC_MS, DAY_MS, Bounds, Sighting, Source, Told
from agent.clock import WallClock
from agent.clock_files import ClockFiles
from agent.timekeeper import Timekeeper, rtc_sighting
from agent.wire.batch import Clock, Kind, Stream
from agent.wire.bodies import Time, decode_time
from agent.wire.senml import Row
from drivers.host import sample

BOOT = b"b" * 16
NOW = BUILT_UTC_MS + 100 * DAY_MS


@dataclass
class Desk:
    """A timekeeper on hand-moved clocks; what it hands over stays here."""

    folder: Path
    boot_ms: int = 5000
    kept: bool = False
    rtc_s: int | None = None
    asked_rtc: int = 0
    kept_floors: int = 0
    rows: list[Row] = field(default_factory=list)
    records: list[Time] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "run").mkdir()
        self.files = ClockFiles(self.folder, self.folder / "run", BOOT)
        self.wall = WallClock(
            boot=BOOT,
            boot_ns=lambda: self.boot_ms * 1_000_000,
            utc_ms=lambda: NOW + self.boot_ms,
            kernel=lambda: sample.Clock(synchronised=self.kept, offset_s=0.0, error_s=0.04),
            last_ms=NOW + 50 * DAY_MS,
        )
        self.keeper = Timekeeper(self.wall, self.files, self, durably=self.durably, rtc_s=self.read_rtc)

    def take(self, row: Row, stream: Stream) -> None:
        assert stream is Stream.ALARM
        self.rows.append(row)

    def record(self, kind: Kind, body: bytes) -> None:
        assert kind is Kind.TIME
        self.records.append(decode_time(body))

    async def durably(self, work: Callable[[], None]) -> None:
        self.kept_floors += 1
        work()

    def read_rtc(self) -> int | None:
        self.asked_rtc += 1
        return None if self.rtc_s is None else self.rtc_s + self.boot_ms // 1000

    def looks(self, times: int = 1, *, every_ms: int = 10_000) -> None:
        for _ in range(times):
            asyncio.run(self.keeper.look())
            self.boot_ms += every_ms


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_day_of_a_kept_clock_costs_one_record(desk: Desk) -> None:
    desk.kept = True
    desk.looks(8640)
    (record,) = desk.records
    assert (record.boot, record.at_boot_ms, record.at_utc_ms) == (BOOT, 5000, NOW + 5000)
    assert (record.source, record.uncertainty_ms) == ("kernel", 40)


def test_every_run_of_a_process_records_its_own(desk: Desk) -> None:
    desk.kept = True
    for run, records in ((b"a", 1), (b"a", 1), (b"b", 2), (b"b", 2), (b"c", 3)):
        desk.keeper.writes(run)
        desk.looks(3)
        assert len(desk.records) == records


def test_the_clock_of_the_board_is_asked_at_the_start_and_hourly(desk: Desk) -> None:
    desk.rtc_s = NOW // 1000
    desk.looks(361)
    assert desk.asked_rtc == 2
    assert [record.source for record in desk.records] == ["rtc", "rtc"]
    assert desk.wall.moment().clock == Clock.HOLDOVER


def test_whole_seconds_of_the_board_are_taken_in_their_middle() -> None:
    assert rtc_sighting(None, 5) is None
    assert rtc_sighting(7, 5) == Sighting(source=Source.RTC, boot_ms=5, utc_ms=7500, uncertainty_ms=600_000)


def test_a_time_set_by_hand_is_taken_recorded_and_said_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    desk.looks()
    desk.files.set_hand(Sighting(source=Source.HAND, boot_ms=5000, utc_ms=NOW, uncertainty_ms=60_000))
    desk.looks(3)
    assert [record.source for record in desk.records] == ["hand"]
    assert desk.wall.moment().utc_ms == NOW + desk.boot_ms - 5000
    assert sum("by hand" in line for line in caplog.messages) == 1
    assert desk.files.shown()[0] == desk.wall.sightings


def test_the_floor_goes_to_the_card_seldom(desk: Desk) -> None:
    for _ in range(360):
        desk.wall.center_says(NOW + desk.boot_ms)
        desk.looks()
    assert desk.kept_floors == 1
    desk.wall.center_says(NOW + desk.boot_ms + 10_000)
    desk.looks()
    assert desk.kept_floors == 2
    assert desk.files.bounds().floor_ms == NOW + 5000 + 360 * 10_000 + 10_000


def test_a_card_that_refuses_the_floor_is_said_once_and_asked_hourly(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    (desk.folder / "time-floor").mkdir()
    desk.wall.center_says(NOW)
    desk.looks(720)
    assert desk.kept_floors == 2
    assert sum("time floor not kept" in line for line in caplog.messages) == 1
    (desk.folder / "time-floor").rmdir()
    desk.looks(361)
    assert desk.files.bounds().floor_ms == NOW


def test_a_reset_by_hand_lowers_the_floor_of_a_running_agent(desk: Desk) -> None:
    desk.wall.center_says(NOW + 40 * DAY_MS)
    desk.looks()
    desk.files.ask_reset()
    desk.files.forget()
    desk.looks(2)
    assert desk.wall.bounds == Bounds()
    assert desk.files.bounds() == Bounds()
    assert desk.files.shown()[1] == Bounds()
    desk.wall.center_says(NOW)
    desk.looks()
    assert desk.files.bounds() == Bounds(floor_ms=NOW, told=Told(boot_ms=desk.boot_ms - 10_000, utc_ms=NOW))


def test_a_center_beyond_the_end_of_our_certificates_is_an_alarm_and_no_floor(desk: Desk) -> None:
    desk.wall.center_says(NOW + 51 * DAY_MS)
    desk.looks(3)
    assert [(row.path, row.value) for row in desk.rows] == [("alarm/center-clock", "refused")]
    assert desk.files.bounds() == Bounds()
    desk.wall.center_says(NOW)
    desk.looks(3)
    assert [row.value for row in desk.rows] == ["refused", "clear"]


def test_it_looks_until_it_is_cancelled(desk: Desk) -> None:
    async def main() -> int:
        signs: list[None] = []
        alive = asyncio.Event()

        def sign() -> None:
            signs.append(None)
            alive.set()

        task = asyncio.create_task(desk.keeper.run(sign))
        await alive.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return len(signs)

    assert asyncio.run(main()) == 1
