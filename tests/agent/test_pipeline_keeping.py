"""What leaves the pipeline: readings worth a row, counts behind the veil, and everything to the alarms."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import pytest

from agent.alarms import Alarms
from agent.by_exception import ByException, Keep
from agent.pipeline import Pipeline
from agent.privacy import Veil
from agent.quality import Judge, SensorRules
from agent.rule import Rule
from agent.wire.batch import Stream
from agent.wire.senml import Row, pack
from drivers.driver import Channel
from drivers.hotspot.settings import HotspotSettings
from drivers.reading import Reading

SECOND = 1_000_000_000
SHOW = Veil(HotspotSettings(privacy="strict")).show
NONE = Rule(
    name="clients-none",
    sensor="clients",
    channel="auth",
    unit="count",
    levels=(("warning", 1.0), ("alarm", 0.0)),
    falling=True,
    for_s=0,
    show=SHOW,
)
JOINED = Rule(
    name="rush",
    sensor="clients",
    channel="joins",
    unit="count",
    levels=(("warning", 3.0),),
    rise_within_s=600,
    for_s=0,
    show=SHOW,
)


@dataclass
class Rig:
    """A pipeline whose guests are counted every 10 s."""

    kept: list[tuple[Row, Stream]] = field(default_factory=list)
    told: list[Reading] = field(default_factory=list)
    now_ns: int = 1000 * SECOND

    def __post_init__(self) -> None:
        channels = {"auth": Channel(name="auth", unit="count"), "joins": Channel(name="joins", unit="count")}
        keep = Keep(at_least_every_s=600, change=1)
        self.judge = Judge({"clients": SensorRules(channels=channels, stale_after_s=60, integrity="crc16")})
        self.pipeline = Pipeline(
            self.judge,
            Alarms([NONE, JOINED]),
            keep=lambda row, stream: self.kept.append((row, stream)),
            publish=self.told.append,
            boot_ns=lambda: self.now_ns,
            show=SHOW,
            kept=ByException({("clients", channel): keep for channel in ("auth", "joins", "assoc")}),
        )

    def count(self, *values: int, channel: str = "auth") -> None:
        for value in values:
            self.now_ns += 10 * SECOND
            reading = Reading(sensor="clients", channel=channel, value=value, unit="count", boot_ns=self.now_ns)
            self.pipeline.take(reading)

    def values(self, stream: Stream, path: str = "clients/auth") -> list[object]:
        return [row.value for row, at in self.kept if at is stream and row.path == path]


def in_loop(work: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(work())


def test_few_guests_are_one_row_however_they_come_and_go() -> None:
    async def work() -> None:
        rig = Rig()
        rig.count(2, 3, 4, 3, 2, 7, 7, 8, 4, 3)
        assert rig.values(Stream.TELEMETRY) == ["<5", 7, 8, "<5"]

    in_loop(work)


def test_the_socket_sees_every_reading_behind_the_veil() -> None:
    async def work() -> None:
        rig = Rig()
        rig.count(2, 3, 7, 7, channel="assoc")
        assert [each.value for each in rig.told if each.sensor == "clients"] == ["<5", "<5", 7, 7]

    in_loop(work)


def test_an_alarm_decides_on_the_number_and_tells_the_bucket(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def work() -> None:
        rig = Rig()
        rig.count(7, 3, 1, 0)
        rig.count(12, 14, 19, channel="joins")
        assert rig.values(Stream.ALARM, "alarm/clients-none") == ["clear", "warning", "alarm"]
        assert rig.values(Stream.ALARM) == [7, "<5", "<5"]
        assert rig.values(Stream.ALARM, "alarm/rush")[-1] == "warning"
        assert rig.values(Stream.ALARM, "clients/joins")[-1] == 15
        assert [row.value for row, _ in rig.kept if row.path.startswith("clients/")].count(0) == 0

    in_loop(work)
    said = [record.getMessage() for record in caplog.records if "alarm:" in record.getMessage()]
    assert "why=<5 count: at or below alarm 0 for 0 s" in said[2]
    assert "why=15 count: " in said[-1]


def test_what_raised_an_alarm_is_kept_though_it_differs_by_nothing() -> None:
    async def work() -> None:
        rig = Rig()
        rig.count(4, 3, 1, 0, 0)
        assert rig.values(Stream.TELEMETRY) == ["<5", "<5", "<5"]  # clear, warning and alarm came of these three

    in_loop(work)


def test_after_a_silence_the_same_value_is_told_anew() -> None:
    async def work() -> None:
        rig = Rig()
        rig.count(7, 7, 7, channel="assoc")
        rig.now_ns += 70 * SECOND
        rig.pipeline._tick()
        rig.count(7, 7, channel="assoc")
        assert rig.values(Stream.TELEMETRY, "clients/assoc") == [7, 7]

    in_loop(work)


def test_a_channel_may_be_number_and_bucket_in_one_pack() -> None:
    async def work() -> None:
        rig = Rig()
        rig.count(7, 2)
        rows = [row for row, at in rig.kept if at is Stream.TELEMETRY]
        text = pack(rows, node="bandung/dago-01", at_boot_ms=rows[-1].boot_ms, at_utc_ms=None)
        assert b'"v":7' in text
        assert b'"vs":"<5"' in text

    in_loop(work)
