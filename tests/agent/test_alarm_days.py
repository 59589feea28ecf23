"""Whole days from driver to alarm row: mains cuts, a river that rises too far, a port that is pulled out."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from agent import settings
from agent.alarms import Alarms
from agent.config.load import parse
from agent.pipeline import Pipeline
from agent.quality import Judge
from agent.wire.batch import Stream
from agent.wire.senml import Row
from drivers.driver import Send
from drivers.framing import sum8
from drivers.io.catalog import registry
from tests.agent.alarm_rig import SECOND, Value, reading
from tests.agent.quick_loop import QuickLoop, run

BASE = """
node = "n1"
city = "c1"
[center]
url = "mqtts://center:8883"
"""
STREET = """
[hotspot]
[sensor.listrik]
driver = "pzem004t"
port = "usb:1-1.3"
every = "10 s"
silent_means = "mains lost"
[sensor.udara]
driver = "pzem004t"
port = "usb:1-1.4"
every = "10 s"
silent_when = "mains lost"
[alarm.tegangan]
watch = "udara/voltage"
levels = { high = "250 V" }
"""
HOUR = 3600


@dataclass
class Street:
    """A node of a configuration, with everything but ports, probes and disk."""

    loop: QuickLoop
    text: str
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        parsed = parse([("agent.toml", (BASE + self.text).encode())], registry())
        assert [str(problem) for problem in parsed.problems if problem.severity == "error"] == []
        assert parsed.config is not None
        pace = settings.paces(parsed.fitted, parsed.equipped, parsed.config.host)
        rules = [
            settings.rule(alarm, pace, lambda shown: shown)
            for alarm in (*parsed.config.alarms, *parsed.config.defaults)
        ]
        known = {one.sensor.name: settings.rules(one) for one in parsed.fitted}
        self.fitted = {one.sensor.name: one for one in parsed.fitted}
        self.judge = Judge(known | settings.probe_rules(parsed.config, parsed.equipped))
        self.alarms = Alarms(rules)
        self.pipeline = Pipeline(
            self.judge, self.alarms, keep=self._keep, publish=lambda _: None, boot_ns=self._boot_ns
        )
        self.opens(self.fitted)

    def opens(self, sensors: Iterable[str]) -> None:
        """Let ports open."""
        names = tuple(sensors)
        for name in names:
            self.judge.started(name, self._boot_ns())
        self.pipeline.port_is(names, True, self._boot_ns())

    def loses(self, sensor: str) -> None:
        """Let a port be pulled out."""
        self.judge.lost(sensor, self._boot_ns())
        self.pipeline.port_is((sensor,), False, self._boot_ns())

    def says(self, path: str, value: Value, unit: str = "1") -> None:
        """Let a sensor say something now."""
        self.pipeline.take(reading(path, value, self.loop.now_s, unit=unit))

    def told(self) -> list[tuple[str, str]]:
        """Alarm and state of each row."""
        return [(row.path.removeprefix("alarm/"), str(row.value)) for row in self.rows if row.path.startswith("alarm/")]

    def _keep(self, row: Row, stream: Stream) -> None:
        if stream is Stream.ALARM:
            self.rows.append(row)

    def _boot_ns(self) -> int:
        return round(self.loop.now_s * SECOND)


async def live(street: Street, until_s: int, *, mains: bool, wan: bool = True, lost: Sequence[str] = ()) -> None:
    """Let ten seconds pass again and again; what lives on mains is silent without it."""
    while street.loop.now_s < until_s:
        await asyncio.sleep(10)
        for sensor in ("listrik", "udara"):
            if mains and sensor not in lost:
                street.says(f"{sensor}/voltage", 230.0, "V")
        street.says("host/cpu", 12.0, "%")
        if street.loop.now_s % 60 < 10:
            street.says("wan/state", "online" if wan else "down")


def test_five_mains_cuts_a_day_are_five_alarms_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async def day(loop: QuickLoop) -> None:
        street = Street(loop, STREET)
        task = asyncio.ensure_future(street.pipeline.run())
        for cut_h in (3, 7, 11, 15, 19):
            await live(street, cut_h * HOUR, mains=True)
            await live(street, cut_h * HOUR + 1500, mains=False, wan=False)
            await live(street, cut_h * HOUR + 1680, mains=True, wan=False)  # the router starts more slowly
        await live(street, 24 * HOUR, mains=True)
        task.cancel()
        told = street.told()
        assert [state for name, state in told if name == "mains-lost"] == ["clear", *["alarm", "clear"] * 5]
        assert [each for each in told if each[0] != "mains-lost"] == [("tegangan", "clear")]

    with caplog.at_level(logging.INFO):
        run(day)
    silent = [record for record in caplog.records if record.message.startswith("sensor silent: sensor=udara")]
    assert len(silent) == 5
    assert all("explained_by=mains-lost" in record.message for record in silent)


def test_the_children_are_hidden_in_a_cut_and_known_to_be() -> None:
    async def cut(loop: QuickLoop) -> None:
        street = Street(loop, STREET)
        task = asyncio.ensure_future(street.pipeline.run())
        await live(street, HOUR, mains=True)
        await live(street, 2 * HOUR, mains=False, wan=False)
        states = street.alarms.states()
        assert states["mains-lost"].state == "alarm"
        assert states["mains-lost"].why == "listrik silent: for 0 s"
        assert (states["wan-down"].state, states["wan-down"].hidden_by) == ("clear", "mains-lost")
        assert (states["tegangan"].beneath, states["tegangan"].hidden_by) == ("unknown", "mains-lost")
        task.cancel()

    run(cut)


def test_a_sensor_alone_that_falls_silent_is_no_mains_cut() -> None:
    async def work(loop: QuickLoop) -> None:
        street = Street(loop, STREET)
        task = asyncio.ensure_future(street.pipeline.run())
        await live(street, HOUR, mains=True)
        await live(street, 2 * HOUR, mains=True, lost=["udara"])
        task.cancel()
        assert street.told()[2:] == [("tegangan", "unknown")]

    run(work)


def test_a_meter_that_is_pulled_out_says_nothing_of_the_mains() -> None:
    async def work(loop: QuickLoop) -> None:
        street = Street(loop, STREET)
        task = asyncio.ensure_future(street.pipeline.run())
        await live(street, HOUR, mains=True)
        street.loses("listrik")
        await live(street, 2 * HOUR, mains=True, lost=["listrik"])
        assert street.told()[2:] == [("mains-lost", "unknown")]
        assert street.alarms.states()["mains-lost"].why == "listrik silent, and the port is gone"
        street.opens(["listrik"])
        await live(street, 3 * HOUR, mains=True)
        task.cancel()
        assert street.told()[3:] == [("mains-lost", "clear")]

    run(work)


def test_a_plug_pulled_during_a_cut_makes_it_unknown_at_once() -> None:
    async def work(loop: QuickLoop) -> None:
        street = Street(loop, STREET)
        task = asyncio.ensure_future(street.pipeline.run())
        await live(street, HOUR, mains=True)
        await live(street, HOUR + 600, mains=False)
        street.loses("listrik")
        task.cancel()
        assert [state for name, state in street.told() if name == "mains-lost"] == ["clear", "alarm", "unknown"]

    run(work)


def test_when_everything_falls_silent_together_it_is_not_the_mains() -> None:
    async def work(loop: QuickLoop) -> None:
        street = Street(loop, STREET)
        task = asyncio.ensure_future(street.pipeline.run())
        await live(street, HOUR, mains=True)
        await asyncio.sleep(HOUR)  # the box itself stood still
        task.cancel()
        assert ("mains-lost", "alarm") not in street.told()
        assert street.alarms.states()["mains-lost"].why == "listrik silent, and so is everything else"

    run(work)


def test_two_meters_mean_a_cut_only_together() -> None:
    both = STREET.replace('silent_when = "mains lost"', 'silent_means = "mains lost"')

    async def work(loop: QuickLoop) -> None:
        street = Street(loop, both)
        task = asyncio.ensure_future(street.pipeline.run())
        await live(street, HOUR, mains=True)
        await live(street, 2 * HOUR, mains=True, lost=["udara"])
        assert ("mains-lost", "alarm") not in street.told()
        await live(street, 3 * HOUR, mains=False)
        task.cancel()
        assert street.told()[-1] == ("mains-lost", "alarm")

    run(work)


# A river


def dyp(mm: int) -> bytes:
    body = b"\xff" + mm.to_bytes(2, "big")
    return body + bytes((sum8(body),))


def maxbotix(mm: int) -> bytes:
    return b"R%04d\r" % mm


SPEAKS: dict[str, Callable[[int], bytes]] = {"a02yyuw": dyp, "mb7389": maxbotix}
NEAREST = {"a02yyuw": 20, "mb7389": 300}
RIVER = """
[sensor.sungai]
driver = "{name}"
port = "usb:1-1.2"
mount_height = "4.20 m"
[alarm.banjir]
watch = "sungai/level"
levels = {{ siaga3 = "2.5 m", siaga2 = "3.0 m", siaga1 = "3.5 m" }}
for = "10 s"
hysteresis = "0.05 m"
unknown_is = "siaga2"
accept = ["step"]
"""


@pytest.mark.parametrize("name", SPEAKS)
def test_a_river_that_rises_into_the_blind_zone_is_siaga_then_unknown_and_never_clear(name: str) -> None:
    async def flood(loop: QuickLoop) -> None:
        street = Street(loop, RIVER.format(name=name))
        driver = street.fitted["sungai"].driver
        assert driver is not None
        driver.start(0)
        task = asyncio.ensure_future(street.pipeline.run())
        rise = [max(3200 - 5 * second, NEAREST[name]) for second in range(1400)]
        for mm in [3200] * 60 + rise:
            await asyncio.sleep(1)
            for event in driver.receive(SPEAKS[name](mm), round(loop.now_s * SECOND)):
                if not isinstance(event, Send):
                    street.pipeline.take(event)
        task.cancel()
        assert [state for _, state in street.told()] == ["clear", "siaga3", "siaga2", "siaga1", "unknown"]
        state = street.alarms.states()["banjir"]
        assert (state.state, state.severity) == ("unknown", "siaga2")
        assert "no_target" in state.why

    run(flood)
