"""What raises an alarm besides a threshold: a state, the rise of a counter, an hour of the day."""

from dataclasses import replace

import pytest

from agent.alarms import Alarms
from agent.rule import Hours, Rule
from drivers.reading import Quality, Reading
from tests.agent.alarm_rig import SECOND, feed, pass_time, reading, state_rule, told


def rising(*, within_s: float = 300.0, at: float = 1.0, falling: bool = False, for_s: float = 0.0) -> Rule:
    return Rule(
        name="drops",
        sensor="wan",
        channel="drops",
        unit="count",
        levels=(("warning", at),),
        falling=falling,
        rise_within_s=within_s,
        for_s=for_s,
        unknown_after_s=400.0,
    )


def counts(*values_at: tuple[float, float]) -> list[Reading]:
    return [reading("wan/drops", value, at_s, unit="count") for value, at_s in values_at]


# States


def test_a_text_that_is_listed_raises_and_any_other_clears() -> None:
    alarms = Alarms([state_rule("wan", "wan/state", bad=("down", "captive"))])
    words = ["online", "down", "captive", "online"]
    changes = feed(alarms, *(reading("wan/state", word, at) for at, word in enumerate(words)))
    assert told(changes) == [("wan", "clear", 0), ("wan", "alarm", 1), ("wan", "clear", 3)]
    assert [change.why for change in changes] == ["online: for 0 s", "down: for 0 s", "online: for 0 s"]


def test_a_truth_raises_where_it_is_the_bad_one() -> None:
    alarms = Alarms([state_rule("ap", "ap/up", bad=(False,), for_s=60.0)])
    ups = [reading("ap/up", at < 100, at) for at in range(0, 300, 20)]
    changes = feed(alarms, *ups)
    assert told(changes) == [("ap", "clear", 60), ("ap", "alarm", 160)]
    assert changes[-1].why == "false: for 60 s"


@pytest.mark.parametrize("value", [0, 0.0, 1])
def test_a_number_is_no_state_though_it_equals_a_truth(value: float) -> None:
    alarms = Alarms([state_rule("ap", "ap/up", bad=(False,))])
    assert feed(alarms, reading("ap/up", value, 1)) == []
    (change,) = pass_time(alarms, 1000)
    assert (change.state, change.why) == (
        "unknown",
        "no usable reading of ap/up for 60 s; the last one was refused: no state",
    )


def test_a_doubted_state_decides_nothing_unless_its_flag_is_accepted() -> None:
    alarms = Alarms([state_rule("ap", "ap/up"), state_rule("any", "ap/up", accept=frozenset({Quality.WARMING_UP}))])
    changes = feed(alarms, reading("ap/up", False, 1, Quality.WARMING_UP))
    assert told(changes) == [("any", "alarm", 1)]


def test_of_a_number_that_may_not_be_told_the_reason_says_only_what_is_shown() -> None:
    def veiled(given: Reading) -> Reading:
        return replace(given, value="<5")

    rule = Rule(
        name="few",
        sensor="clients",
        channel="auth",
        unit="count",
        levels=(("a", 1.0),),
        falling=True,
        for_s=0,
        show=veiled,
    )
    (change,) = feed(Alarms([rule]), reading("clients/auth", 1, 0, unit="count"))
    assert change.why == "<5 count: at or below a 1 for 0 s"
    assert change.cause == reading("clients/auth", 1, 0, unit="count")


# Counters


def test_a_rise_within_the_window_raises_and_leaves_with_the_window() -> None:
    alarms = Alarms([rising()])
    changes = feed(alarms, *counts((7, 0), (7, 60), (9, 120), (9, 180), (9, 360), (9, 420), (9, 480)))
    assert told(changes) == [("drops", "clear", 0), ("drops", "warning", 120), ("drops", "clear", 420)]
    assert changes[1].why == "rose by 2 count within 300 s: at or above warning 1 for 0 s"


def test_a_counter_that_begins_anew_is_counted_from_its_new_value() -> None:
    alarms = Alarms([rising(at=5)])
    assert told(feed(alarms, *counts((100, 0), (3, 60), (6, 120)))) == [("drops", "clear", 0)]
    assert told(feed(alarms, *counts((8, 180)))) == [("drops", "warning", 180)]


def test_what_rose_in_a_silence_is_not_counted() -> None:
    alarms = Alarms([rising()])
    changes = feed(alarms, *counts((1, 0), (900, 1000), (900, 1060)))
    assert told(changes) == [("drops", "clear", 0), ("drops", "unknown", 400), ("drops", "clear", 1000)]


def test_the_memory_of_a_rise_does_not_grow_with_readings() -> None:
    alarms = Alarms([rising(within_s=3600, at=1e9)])
    feed(alarms, *counts(*((at, at) for at in range(20_000))))
    (alarm,) = alarms._alarms.values()
    rise = alarm._ladder._evidence._rise
    assert rise is not None
    assert len(rise._steps) <= 61
    assert rise.take(20_000, 20_000 * SECOND) == pytest.approx(3600, rel=0.02)


def test_too_small_a_rise_is_complained_about_only_after_a_whole_window() -> None:
    alarms = Alarms([rising(at=0, falling=True)])
    changes = feed(alarms, *counts((5, 0), (5, 100), (5, 299), (5, 300), (9, 360)))
    assert told(changes) == [("drops", "clear", 0), ("drops", "warning", 300), ("drops", "clear", 360)]
    assert changes[0].why == "rise not known yet within 300 s: usable readings for 0 s"
    assert changes[1].why == "rose by 0 count within 300 s: at or below warning 0 for 0 s"


# Hours


@pytest.mark.parametrize(
    ("hours", "minute", "holds", "left"),
    [
        ((480, 1260), 479, False, 1),
        ((480, 1260), 480, True, 780),
        ((480, 1260), 1259, True, 1),
        ((480, 1260), 1260, False, 660),
        ((1320, 360), 1400, True, 400),
        ((1320, 360), 300, True, 60),
        ((1320, 360), 361, False, 959),
        ((0, 0), 700, True, 740),
    ],
)
def test_hours_hold_and_end(*, hours: tuple[int, int], minute: int, holds: bool, left: int) -> None:
    found = Hours(from_min=hours[0], to_min=hours[1])
    assert (found.hold(minute), found.left_min(minute)) == (holds, left)


def test_hours_are_written_as_a_person_writes_them() -> None:
    assert str(Hours(from_min=485, to_min=1260)) == "08:05-21:00"


class Day:
    """A clock whose day began at second 0, once it is believed."""

    def __init__(self) -> None:
        self.is_believed = True

    def minute(self, now_ns: int) -> int | None:
        return now_ns // (60 * SECOND) % 1440 if self.is_believed else None


def guests(day: Day) -> Alarms:
    rule = state_rule("none", "clients/any", for_s=600.0, hours=Hours(from_min=60, to_min=120))
    return Alarms([rule], None, day.minute)


def empty(from_s: int, to_s: int) -> list[Reading]:
    return [reading("clients/any", False, at_s) for at_s in range(from_s, to_s, 60)]


def test_an_alarm_is_raised_only_in_its_hours_and_clear_outside_though_nothing_changed() -> None:
    alarms = guests(Day())
    changes = feed(alarms, *empty(0, 6 * 3600))
    assert told(changes) == [("none", "alarm", 4200), ("none", "clear", 7200)]
    assert changes[-1].why == "outside its hours 01:00-02:00"
    assert alarms.states()["none"].asleep


def test_the_next_day_it_needs_its_whole_time_again() -> None:
    alarms = guests(Day())
    feed(alarms, *empty(0, 24 * 3600))
    assert told(feed(alarms, *empty(24 * 3600, 26 * 3600))) == [("none", "alarm", 24 * 3600 + 4200)]


def test_outside_its_hours_nothing_becomes_unknown() -> None:
    alarms = guests(Day())
    alarms.tick(0)
    assert alarms.source_lost("clients", 100 * SECOND, "gone") == []
    assert pass_time(alarms, 3500) == []
    assert told(pass_time(alarms, 7000)) == [("none", "unknown", 3600 + 1860)]
    assert told(pass_time(alarms, 7300)) == [("none", "clear", 7200)]


def test_without_a_believed_clock_it_sleeps_and_looks_each_minute() -> None:
    day = Day()
    day.is_believed = False
    alarms = guests(day)
    assert feed(alarms, *empty(0, 3600 + 1800)) == []
    assert alarms.states()["none"].asleep
    day.is_believed = True
    assert told(feed(alarms, *empty(5400, 7000))) == [("none", "alarm", 6000)]


def test_clear_in_its_hours_is_not_told_again_when_they_end() -> None:
    alarms = guests(Day())
    full = [reading("clients/any", True, at_s) for at_s in range(3600, 9000, 60)]
    assert told(feed(alarms, *full)) == [("none", "clear", 4260)]
