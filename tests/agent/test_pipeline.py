"""From a driver's event to a row: flags, alarms, silence, noise, texts."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import pytest

from agent.alarms import Alarms
from agent.pipeline import Pipeline, Watched
from agent.quality import Judge, SensorRules
from agent.rule import Rule
from agent.wear import Hours
from agent.wire.batch import Stream
from agent.wire.senml import TEXT_BYTES, Row, pack
from drivers.driver import Channel, Event, Identified, Problem, Rejected, Send, TimeSeen
from drivers.reading import Quality, Reading

SECOND = 1_000_000_000


class Book:
    """The book of one sensor."""

    def __init__(self, hours: float) -> None:
        self.kept = hours

    def hours(self, sensor: str) -> float:
        assert sensor == "air"
        return self.kept

    def add_hours(self, sensor: str, hours: float) -> None:
        assert sensor == "air"
        self.kept += hours


RULE = Rule(name="debu", sensor="air", channel="pm2_5", unit="ug/m3", levels=(("high", 50.0),), for_s=0)


@dataclass
class Rig:
    kept: list[tuple[Row, Stream]] = field(default_factory=list)
    told: list[Reading] = field(default_factory=list)
    times: list[TimeSeen] = field(default_factory=list)
    now_ns: int = 1000 * SECOND
    stale_after_s: float = 60.0
    book: Hours | None = None

    def __post_init__(self) -> None:
        channels = {"pm2_5": Channel(name="pm2_5", unit="ug/m3", low=0, high=1000)}
        rules = SensorRules(
            channels=channels,
            stale_after_s=self.stale_after_s,
            integrity="crc16",
            lifetime_h=1.0 if self.book else None,
        )
        self.judge = Judge({"air": rules}, self.book)
        self.pipeline = Pipeline(
            self.judge,
            Alarms([RULE]),
            keep=lambda row, stream: self.kept.append((row, stream)),
            publish=self.told.append,
            boot_ns=lambda: self.now_ns,
            hears_time=self.times.append,
        )

    def take(self, value: float | str, *, channel: str = "pm2_5", unit: str = "ug/m3") -> None:
        self.now_ns += SECOND
        self.pipeline.take(Reading(sensor="air", channel=channel, value=value, unit=unit, boot_ns=self.now_ns))

    def rows(self, stream: Stream) -> list[Row]:
        return [row for row, at in self.kept if at is stream]


def in_loop(work: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(work())


def test_a_reading_becomes_a_row_of_telemetry_and_is_published() -> None:
    async def work() -> None:
        rig = Rig()
        rig.take(12.5)
        rig.take(7, channel="other")
        assert rig.rows(Stream.TELEMETRY) == [
            Row(path="air/pm2_5", unit="ug/m3", boot_ms=1_001_000, value=12.5, flags=()),
            Row(path="air/other", unit="ug/m3", boot_ms=1_002_000, value=7, flags=()),
        ]
        assert [reading.value for reading in rig.told if reading.sensor == "air"][0::2] == [12.5, 7]

    in_loop(work)


def test_the_time_that_a_unit_tells_goes_to_the_clock_and_is_no_row() -> None:
    async def work() -> None:
        rig = Rig()
        seen = TimeSeen(sensor="pos", boot_ns=5, utc_ms=7, uncertainty_ms=1)
        rig.pipeline.take(seen)
        assert (rig.times, rig.kept) == ([seen], [])

    in_loop(work)


def test_flags_of_the_driver_and_of_the_judge_travel_in_the_row() -> None:
    async def work() -> None:
        rig = Rig()
        flagged = frozenset({Quality.DEVICE_ERROR})
        rig.pipeline.take(
            Reading(sensor="air", channel="pm2_5", value=5000.0, unit="ug/m3", boot_ns=rig.now_ns, quality=flagged)
        )
        rig.take(5000.0)
        first, second = rig.rows(Stream.TELEMETRY)
        assert Quality.DEVICE_ERROR in first.flags
        assert Quality.OUT_OF_RANGE in second.flags
        assert rig.told[0].quality == set(first.flags)

    in_loop(work)


def test_an_alarm_stands_in_the_alarm_stream_with_the_reading_that_raised_it() -> None:
    async def work() -> None:
        rig = Rig()
        rig.take(10.0)
        rig.take(80.0)
        rig.take(81.0)  # the jump has a witness
        alarms = rig.rows(Stream.ALARM)
        assert [(row.path, row.value) for row in alarms if row.path == "alarm/debu"][-1] == ("alarm/debu", "high")
        cause = [row for row in alarms if row.path == "air/pm2_5"][-1]
        assert cause.value in {80.0, 81.0}
        assert [row.value for row in rig.rows(Stream.TELEMETRY)] == [10.0, 80.0, 81.0]
        assert "high" in [reading.value for reading in rig.told]

    in_loop(work)


def test_a_silent_sensor_makes_its_alarm_unknown(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        rig = Rig(stale_after_s=0.05)
        task = asyncio.ensure_future(rig.pipeline.run())
        await asyncio.sleep(0)
        rig.take(10.0)
        rig.take(11.0)
        rig.now_ns += SECOND
        for _ in range(200):
            await asyncio.sleep(0.005)
            if rig.rows(Stream.ALARM) and rig.rows(Stream.ALARM)[-1].value == "unknown":
                break
        task.cancel()
        assert rig.rows(Stream.ALARM)[-1].value == "unknown"

    in_loop(work)
    assert sum("sensor silent: sensor=air" in record.message for record in caplog.records) == 1


def silent(rig: Rig) -> Row:
    """Let the sensor of a rig fall silent; return the last row of its alarm."""
    rig.judge.started("air", rig.now_ns)
    rig.now_ns += round(rig.stale_after_s) * SECOND
    rig.pipeline._tick()
    return rig.rows(Stream.ALARM)[-1]


def test_a_unit_that_speaks_and_sees_nothing_is_not_called_silent(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        rig = Rig()
        rig.pipeline.take(Problem(sensor="air", code="no_target", detail="nothing in reach"))
        rig.pipeline.take(Problem(sensor="air", code="ignores-55", detail=""))
        rig.pipeline.take(Problem(sensor="air", code="old", detail="over"))
        rig.pipeline.take(Problem(sensor="air", code="old", ok=True))
        rig.pipeline.take(Problem(sensor="other", code="no_fix", detail="elsewhere"))
        assert silent(rig).value == "unknown"

    in_loop(work)
    why = "no reading: no_target: nothing in reach; ignores-55"
    assert f"sensor silent: sensor=air why={why}" in [record.message for record in caplog.records]
    assert f"alarm: name=debu state=unknown before=unknown why={why}" in [record.message for record in caplog.records]


def test_a_unit_without_trouble_is_just_silent(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        silent(Rig())

    in_loop(work)
    assert "sensor silent: sensor=air why=the sensor is silent" in [record.message for record in caplog.records]


def test_a_trouble_that_comes_and_goes_is_told_ten_times_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def work() -> None:
        rig = Rig()
        for turn in range(1000):
            rig.now_ns += SECOND
            rig.pipeline.take(Problem(sensor="air", code="too_near", detail="web", ok=turn % 2 == 1))
        rig.pipeline.take(Problem(sensor="air", code="other", detail="news"))
        rig.now_ns += 3601 * SECOND
        rig.pipeline.take(Problem(sensor="air", code="too_near", detail="web"))

    in_loop(work)
    told = [record.message for record in caplog.records]
    assert len(told) == 10 + 1 + 1 + 1
    assert told[10:] == [
        "sensor trouble comes and goes: sensor=air code=too_near",
        "sensor trouble: sensor=air code=other detail=news",
        "sensor trouble: sensor=air code=too_near detail=web",
    ]


def test_a_worn_out_unit_is_told_once_and_its_readings_say_so(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        rig = Rig(book=Book(1.0))
        rig.take(10.0)
        rig.take(7, channel="other")
        rig.take(11.0)
        assert [row.flags for row in rig.rows(Stream.TELEMETRY)] == [(Quality.END_OF_LIFE,), (), (Quality.END_OF_LIFE,)]

    in_loop(work)
    (told,) = [record.message for record in caplog.records if "worn" in record.message]
    assert "sensor=air" in told
    assert "gardu swap air" in told


def test_a_bug_in_the_watch_for_silence_ends_its_task() -> None:
    async def work() -> None:
        rig = Rig(stale_after_s=0.01)
        task = asyncio.ensure_future(rig.pipeline.run())
        await asyncio.sleep(0)
        rig.take(10.0)
        rig.judge.stale = lambda _: [1 // 0]  # type: ignore[method-assign,list-item,assignment]  # a bug
        rig.now_ns += SECOND
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(task, 2)

    in_loop(work)


def test_readings_that_only_move_the_silence_away_set_no_new_timer() -> None:
    async def work() -> None:
        rig = Rig()
        task = asyncio.ensure_future(rig.pipeline.run())
        await asyncio.sleep(0)
        rig.take(10.0)
        timer = rig.pipeline._timer
        for _ in range(5):
            rig.take(10.0)
        assert rig.pipeline._timer is timer
        task.cancel()

    in_loop(work)


def test_garbage_is_counted_and_told_once_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        rig = Rig()
        for reason in ("checksum", "checksum", "noise", "checksum"):
            rig.pipeline.take(Rejected(sensor="air", reason=reason, raw=b"\xaa\xab"))
        assert rig.pipeline.noise["air"].rejected == {"checksum": 3, "noise": 1}
        assert rig.kept == []

    in_loop(work)
    assert [record.message for record in caplog.records] == [
        "bytes dropped: sensor=air reason=checksum bytes=aa ab",
        "bytes dropped: sensor=air reason=noise bytes=aa ab",
    ]


def test_trouble_and_identity_are_told_and_requests_are_nobodys_business(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    events: list[Event] = [
        Problem(sensor="air", code="timeout", detail="no answer"),
        Problem(sensor="air", code="timeout", ok=True),
        Identified(sensor="air", identity="id 7"),
        Send(data=b"x"),
    ]

    async def work() -> None:
        rig = Rig()
        for event in events:
            rig.pipeline.take(event)
        assert rig.kept == []

    in_loop(work)
    assert len(caplog.records) == 3


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("ok", "ok"),
        ("x" * 300, "x" * 256),
        ("é" * 200, "é" * 128),
        ("x" + "é" * 200, "x" + "é" * 127),
        ("a\ud800b", "a?b"),
        ("\udfff" * 300, "?" * 256),
    ],
)
def test_a_text_is_made_fit_for_the_wire(text: str, kept: str) -> None:
    async def work() -> None:
        rig = Rig()
        rig.take(text, channel="state", unit="1")
        (row,) = rig.rows(Stream.TELEMETRY)
        assert row.value == rig.told[0].value == kept
        assert isinstance(row.value, str)
        assert len(row.value.encode()) <= TEXT_BYTES
        pack([row], node="bandung/dago-01", at_boot_ms=row.boot_ms, at_utc_ms=None)

    in_loop(work)


class _Bus:
    """Says which of its calls was made."""

    def start(self, now_ns: int) -> list[Event]:  # noqa: ARG002 - the shape of a bus
        return [Send(data=b"start")]

    def receive(self, data: bytes, now_ns: int) -> list[Event]:  # noqa: ARG002 - the shape of a bus
        return [Send(data=data)]

    def tick(self, now_ns: int) -> list[Event]:  # noqa: ARG002 - the shape of a bus
        return [Send(data=b"tick")]

    def deadline(self) -> int | None:
        return 7

    def lost(self, now_ns: int) -> list[Event]:  # noqa: ARG002 - the shape of a bus
        return [Problem(sensor="air", code="lost")]


def test_a_watched_bus_tells_quality_of_starts_and_losses_and_is_the_same_bus_otherwise() -> None:
    judge = Judge({"air": SensorRules(channels={}, warmup_s=30)})
    bus = Watched(_Bus(), judge, ["air"])
    assert bus.start(0) == [Send(data=b"start")]
    warm = judge.judge(Reading(sensor="air", channel="x", value=1, unit="1", boot_ns=SECOND))
    assert warm.quality <= {Quality.WARMING_UP}
    assert bus.receive(b"x", 1) == [Send(data=b"x")]
    assert bus.tick(2) == [Send(data=b"tick")]
    assert bus.deadline() == 7
    assert bus.lost(3) == [Problem(sensor="air", code="lost")]
    assert judge.deadline() == 60 * SECOND
