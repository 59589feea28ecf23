"""A river, an ultrasonic sensor above it, and the alarm at the end: what raises it and what does not."""

import random

import pytest

from agent.alarms import Alarms
from agent.quality import Judge, SensorRules
from agent.rule import Rule
from drivers.driver import Driver, OptionValue
from drivers.framing import sum8
from drivers.io.catalog import registry
from drivers.reading import GOOD, Quality, Reading

SECOND = 1_000_000_000
LEVELS = (("siaga3", 2.5), ("siaga2", 3.0), ("siaga1", 3.5))
FLOOD = frozenset({Quality.STEP, Quality.NO_TARGET})
HEIGHT: dict[str, OptionValue] = {"mount_height": "4.20 m"}


def dyp(mm: int) -> bytes:
    body = b"\xff" + mm.to_bytes(2, "big")
    return body + bytes((sum8(body),))


def maxbotix(mm: int) -> bytes:
    return b"R%04d\r" % mm


SPEAKS = {"a02yyuw": dyp, "mb7389": maxbotix}
NEAREST = {"a02yyuw": 20, "mb7389": 300}
NOTHING = {"a02yyuw": 0, "mb7389": 5000}
both = pytest.mark.parametrize("name", SPEAKS)


class River:
    """One mounted sensor, its judge and its alarm; a frame a second."""

    def __init__(self, name: str, *, accept: frozenset[Quality] = FLOOD, for_s: float = 10.0) -> None:
        self.name = name
        self.driver: Driver = registry().make(name, "sungai", HEIGHT)
        info = self.driver.info
        channels = {each.name: each for each in info.channels}
        rules = SensorRules(
            channels=channels, stale_after_s=info.stale_after_s, confirm=info.confirm, integrity=info.integrity
        )
        self.judge = Judge({"sungai": rules})
        self.alarms = Alarms(
            [
                Rule(
                    name="banjir",
                    sensor="sungai",
                    channel="level",
                    unit="m",
                    levels=LEVELS,
                    for_s=for_s,
                    hysteresis=0.05,
                    unknown_is="siaga2",
                    accept=accept,
                )
            ]
        )
        self.now_s = 0
        self.judge.started("sungai", 0)
        self.alarms.tick(0)
        self.driver.start(0)
        self.judged: list[Reading] = []

    def sends(self, mm: int, seconds: int = 1) -> None:
        """Let the unit say so each second."""
        for _ in range(seconds):
            self.now_s += 1
            self._passes()
            for event in self.driver.receive(SPEAKS[self.name](mm), self.now_s * SECOND):
                if isinstance(event, Reading):
                    self.judged.append(self.judge.judge(event))
                    self.alarms.take(self.judged[-1])

    def _passes(self) -> None:
        self.alarms.tick(self.now_s * SECOND)
        for sensor in self.judge.stale(self.now_s * SECOND):
            self.alarms.source_lost(sensor, self.now_s * SECOND, "silent")

    def state(self) -> tuple[str, str | None]:
        found = self.alarms.states()["banjir"]
        return found.state, found.severity


@both
def test_a_wave_that_jumps_to_the_top_level_raises_it_within_seconds(name: str) -> None:
    river = River(name)
    river.sends(3200, 30)
    assert river.state() == ("clear", None)
    river.sends(600, 13)  # 3.60 m
    assert river.state() == ("siaga1", "siaga1")
    assert any(Quality.STEP in reading.quality for reading in river.judged)


@both
def test_a_rule_that_waits_for_nothing_waits_for_the_second_frame(name: str) -> None:
    river = River(name, for_s=0.0)
    river.sends(3200, 30)
    river.sends(600)
    assert river.state() == ("clear", None)
    river.sends(600)
    assert river.state() == ("siaga1", "siaga1")


@both
def test_water_at_the_face_keeps_the_alarm_up_where_the_rule_accepts_it(name: str) -> None:
    river = River(name)
    river.sends(3200, 30)
    river.sends(NEAREST[name], 600)
    assert river.state() == ("siaga1", "siaga1")
    flags = {flag for reading in river.judged[-100:] for flag in reading.quality}
    assert flags == {Quality.NO_TARGET}


@both
def test_water_at_the_face_is_unknown_and_as_grave_as_the_rule_says_where_it_does_not(name: str) -> None:
    river = River(name, accept=GOOD)
    river.sends(3200, 30)
    river.sends(NEAREST[name], 100)
    assert river.state() == ("unknown", "siaga2")


@both
def test_no_echo_neither_raises_nor_clears_and_becomes_unknown(name: str) -> None:
    river = River(name)
    river.sends(1500, 30)  # 2.70 m
    assert river.state() == ("siaga3", "siaga3")
    river.sends(NOTHING[name], 9)
    assert river.state() == ("siaga3", "siaga3")
    river.sends(NOTHING[name], 100)
    assert river.state() == ("unknown", "siaga2")
    values = {reading.value for reading in river.judged if Quality.NO_TARGET in reading.quality}
    assert not values & {0, 1.5, 2.7}


@both
def test_no_echo_from_the_beginning_is_never_clear(name: str) -> None:
    river = River(name)
    river.sends(NOTHING[name], 200)
    assert river.state() == ("unknown", "siaga2")


@both
@pytest.mark.parametrize("for_s", [0.0, 10.0])
def test_single_false_frames_among_true_ones_never_raise_it(name: str, for_s: float) -> None:
    river = River(name, for_s=for_s)
    chance = random.Random(7)  # noqa: S311 - the same on each run
    river.sends(3200, 30)
    for _ in range(300):
        river.sends(chance.choice([NEAREST[name], 400, 550, 900]))
        river.sends(3200, chance.randint(1, 4))
        assert river.state() == ("clear", None)


@both
def test_a_falling_river_clears_only_by_measurements(name: str) -> None:
    river = River(name)
    river.sends(3200, 30)
    river.sends(NEAREST[name], 60)
    river.sends(NOTHING[name], 5)
    assert river.state()[0] == "siaga1"
    river.sends(3200, 15)
    assert river.state() == ("clear", None)


@both
def test_a_web_before_the_face_is_stuck_after_a_day_and_no_evidence_any_more(name: str) -> None:
    river = River(name)
    river.sends(900, 30)
    assert river.state() == ("siaga2", "siaga2")
    for _ in range(24 * 360):
        river.now_s += 9
        river.sends(900)
    assert Quality.STUCK in river.judged[-1].quality
    river.sends(900, 120)
    assert river.state() == ("unknown", "siaga2")
