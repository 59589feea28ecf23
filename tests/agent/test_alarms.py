"""When an alarm rises, falls and becomes unknown, and what is written of it."""

import pytest

from agent.alarm import Change, State, rows
from agent.alarms import Alarms
from agent.rule import Rule, unknown_after
from drivers.reading import Quality, Reading
from tests.agent.flood_rules import SECOND, feed, flood, held, pass_time, reading, told

# Deciding


def test_an_alarm_is_unknown_until_the_first_decision_and_the_first_clear_is_told() -> None:
    alarms = Alarms([flood()])
    assert alarms.states() == {"banjir": State(state="unknown", severity=None, since_ns=None, why="", flapping=False)}
    (change,) = feed(alarms, *held(1.0, 0, 60))
    assert change == Change(
        alarm="banjir",
        state="clear",
        severity=None,
        before="unknown",
        boot_ns=10 * SECOND,
        cause=reading(1.0, 10),
        why="1 m: usable readings for 10 s",
    )
    assert alarms.states()["banjir"].state == "clear"


def test_a_level_is_raised_when_the_value_stayed_at_its_threshold_for_the_whole_time() -> None:
    alarms = Alarms([flood()])
    feed(alarms, *held(1.0, 0, 20))
    (change,) = feed(alarms, *held(2.5, 21, 60))
    assert (change.state, change.severity, change.before) == ("siaga3", "siaga3", "clear")
    assert change.cause == reading(2.5, 31)
    assert change.why == "2.5 m: at or above siaga3 2.5 for 10 s"


def test_a_value_that_dips_below_begins_its_time_anew() -> None:
    alarms = Alarms([flood()])
    feed(alarms, *held(1.0, 0, 20))
    assert feed(alarms, *held(2.6, 21, 30), reading(2.4, 31), *held(2.6, 32, 41)) == []
    assert told(feed(alarms, reading(2.6, 42))) == [("siaga3", 42)]


def test_one_reading_decides_where_no_time_is_asked() -> None:
    alarms = Alarms([flood(for_s=0)])
    assert told(feed(alarms, reading(1.0, 1), reading(2.6, 2), reading(1.0, 3))) == [
        ("clear", 1),
        ("siaga3", 2),
        ("clear", 3),
    ]


def test_a_level_falls_only_beyond_the_hysteresis_and_after_the_whole_time() -> None:
    alarms = Alarms([flood()])
    feed(alarms, *held(2.6, 0, 20))
    assert feed(alarms, *held(2.46, 21, 60), *held(2.45, 61, 100)) == []
    assert feed(alarms, *held(2.4, 101, 110), *held(2.46, 111, 111)) == []
    (change,) = feed(alarms, *held(2.4, 112, 140))
    assert (change.state, change.severity, change.before, change.boot_ns) == ("clear", None, "siaga3", 122 * SECOND)
    assert change.why == "2.4 m: back below siaga3 2.5 by 0.05 for 10 s"


def test_a_severe_value_is_raised_to_its_level_at_once_and_falls_to_where_it_is_held() -> None:
    alarms = Alarms([flood()])
    assert told(feed(alarms, *held(3.6, 0, 20))) == [("siaga1", 10)]
    assert told(feed(alarms, *held(2.98, 21, 40))) == [("siaga2", 31)]


def test_a_rise_through_the_levels_tells_each_that_lasted() -> None:
    alarms = Alarms([flood()])
    changes = feed(alarms, *held(2.6, 0, 3), *held(3.1, 4, 6), *held(3.6, 7, 30))
    assert told(changes) == [("siaga3", 10), ("siaga2", 14), ("siaga1", 17)]


def test_low_values_are_bad_in_a_falling_rule() -> None:
    rule = Rule(
        name="baterai",
        sensor="ups",
        channel="volt",
        unit="V",
        levels=(("rendah", 11.5), ("habis", 11.0)),
        falling=True,
        for_s=0,
        hysteresis=0.2,
    )
    alarms = Alarms([rule])
    values = [12.0, 11.5, 10.9, 11.1, 11.3, 11.7, 11.8]
    changes = feed(alarms, *(reading(v, i, sensor="ups", channel="volt", unit="V") for i, v in enumerate(values)))
    assert told(changes) == [("clear", 0), ("rendah", 1), ("habis", 2), ("rendah", 4), ("clear", 6)]
    assert changes[1].why == "11.5 V: at or below rendah 11.5 for 0 s"
    assert changes[4].why == "11.8 V: back above rendah 11.5 by 0.2 for 0 s"


def test_without_hysteresis_a_level_falls_below_its_threshold() -> None:
    alarms = Alarms([flood(for_s=0, hysteresis=0)])
    changes = feed(alarms, reading(2.5, 0), reading(2.49, 1))
    assert told(changes) == [("siaga3", 0), ("clear", 1)]
    assert changes[1].why == "2.49 m: back below siaga3 2.5 for 0 s"


def test_a_value_exactly_at_the_end_of_the_hysteresis_still_holds_its_level() -> None:
    alarms = Alarms([flood(for_s=0, hysteresis=0.35, levels=(("siaga3", 0.5),))])
    assert told(feed(alarms, reading(0.5, 0), reading(0.15, 1), reading(0.1499, 2))) == [("siaga3", 0), ("clear", 2)]


def test_a_true_state_counts_as_one() -> None:
    rule = Rule(name="listrik", sensor="ups", channel="on_battery", unit="1", levels=(("mati", 1.0),), for_s=0)
    alarms = Alarms([rule])
    states = [reading(on, at, sensor="ups", channel="on_battery", unit="1") for at, on in enumerate([False, True])]
    assert told(feed(alarms, *states)) == [("clear", 0), ("mati", 1)]


def test_two_rules_may_watch_one_channel_and_others_are_left_alone() -> None:
    second = Rule(name="surut", sensor="sungai", channel="level", unit="m", levels=(("a", 2.0),), for_s=0)
    other = Rule(name="angin", sensor="angin", channel="v", unit="m/s", levels=(("a", 9.0),), for_s=0)
    alarms = Alarms([flood(for_s=0), second, other])
    assert [(c.alarm, c.state) for c in alarms.take(reading(2.2, 0))] == [("banjir", "clear"), ("surut", "a")]
    assert alarms.take(reading(2.2, 1, channel="distance")) == []


# What is no evidence


@pytest.mark.parametrize("flag", sorted(set(Quality) - {Quality.END_OF_LIFE}))
def test_a_flagged_value_neither_raises_nor_clears_unless_the_rule_accepts_its_flag(flag: Quality) -> None:
    alarms = Alarms([flood(unknown_after_s=1000)])
    feed(alarms, *held(1.0, 0, 20))
    assert feed(alarms, *held(3.6, 21, 60, flag)) == []
    feed(alarms, *held(2.6, 61, 80))
    assert feed(alarms, *held(1.0, 81, 120, flag)) == []
    accepting = Alarms([flood(accept=frozenset({flag}))])
    raised = told(feed(accepting, *held(3.6, 0, 20, flag)))
    assert raised == ([] if flag is Quality.UNCONFIRMED else [("siaga1", 10)])


def test_a_worn_out_sensor_raises_and_clears_as_ever() -> None:
    alarms = Alarms([flood()])
    moves = [*held(1.0, 0, 20, Quality.END_OF_LIFE), *held(3.6, 21, 60, Quality.END_OF_LIFE)]
    assert told(feed(alarms, *moves)) == [("clear", 10), ("siaga1", 31)]
    assert feed(alarms, *held(1.0, 61, 80, Quality.END_OF_LIFE, Quality.STUCK)) == []


def test_one_flag_that_is_not_accepted_spoils_the_others() -> None:
    alarms = Alarms([flood(for_s=0, accept=frozenset({Quality.STEP, Quality.UNCONFIRMED}))])
    assert feed(alarms, reading(3.6, 0, Quality.STEP, Quality.UNCONFIRMED)) == []
    assert told(feed(alarms, reading(3.6, 1, Quality.STEP))) == [("siaga1", 1)]


def test_a_text_or_another_unit_is_no_evidence_and_the_unknown_says_so() -> None:
    alarms = Alarms([flood(for_s=0)])
    assert feed(alarms, reading("high", 0), reading(350.0, 1, unit="cm")) == []
    (change,) = pass_time(alarms, 100)
    assert change.why.endswith("for 60 s; the last one was refused: unit cm instead of m")
    silent = Alarms([flood(for_s=0)])
    (change,) = feed(silent, reading("high", 0)) + pass_time(silent, 100)
    assert change.why.endswith("the last one was refused: no number")


def test_readings_within_the_hold_off_are_not_looked_at() -> None:
    alarms = Alarms([flood(hold_off_s=300)])
    assert alarms.tick(0) == []
    assert alarms.source_lost("sungai", 100 * SECOND, "unplugged") == []
    assert told(feed(alarms, *held(3.6, 101, 330))) == [("siaga1", 310)]


# Unknown


def test_a_river_in_the_blind_zone_is_siaga_then_unknown_and_never_clear() -> None:
    alarms = Alarms([flood(unknown_is="siaga2")])
    changes = feed(alarms, *held(1.0, 0, 20), *held(2.6, 21, 40), *held(4.9, 41, 400, Quality.NO_TARGET))
    assert told(changes) == [("clear", 10), ("siaga3", 31), ("unknown", 130)]
    unknown = changes[-1]
    assert (unknown.severity, unknown.before) == ("siaga2", "siaga3")
    assert unknown.cause == reading(4.9, 129, Quality.NO_TARGET)
    assert unknown.why == "no usable reading of sungai/level for 90 s; the last one was refused: no_target"
    assert feed(alarms, *held(0.0, 401, 600, Quality.NO_TARGET)) == []


def test_an_accepted_blind_value_may_raise_and_never_lowers() -> None:
    alarms = Alarms([flood(accept=frozenset({Quality.NO_TARGET}))])
    assert told(feed(alarms, *held(3.1, 0, 60, Quality.NO_TARGET))) == [("siaga2", 10)]
    assert told(feed(alarms, *held(0.0, 61, 300, Quality.NO_TARGET))) == [("unknown", 150)]
    untouched = Alarms([flood(accept=frozenset({Quality.NO_TARGET}))])
    assert told(feed(untouched, *held(0.0, 0, 300, Quality.NO_TARGET))) == [("unknown", 90)]


def test_silence_makes_every_state_unknown_and_evidence_makes_it_known_again() -> None:
    alarms = Alarms([flood()])
    feed(alarms, *held(1.0, 0, 20))
    (unknown,) = pass_time(alarms, 500)
    assert (unknown.state, unknown.severity, unknown.cause, unknown.boot_ns) == ("unknown", None, None, 110 * SECOND)
    assert alarms.deadline() is None
    assert told(feed(alarms, *held(1.0, 501, 530))) == [("clear", 511)]


def test_the_level_is_remembered_through_an_unknown_time() -> None:
    alarms = Alarms([flood()])
    feed(alarms, *held(2.6, 0, 20))
    alarms.source_lost("sungai", 21 * SECOND, "unplugged")
    assert told(feed(alarms, *held(2.47, 40, 60))) == [("siaga3", 50)]
    alarms.source_lost("sungai", 61 * SECOND, "unplugged")
    assert told(feed(alarms, *held(1.0, 70, 90))) == [("clear", 80)]


def test_out_of_the_unknown_the_old_level_is_not_told_again_by_a_value_below_it() -> None:
    alarms = Alarms([flood()])
    feed(alarms, *held(2.6, 0, 20))
    alarms.source_lost("sungai", 21 * SECOND, "unplugged")
    assert told(feed(alarms, *held(2.6, 40, 45), *held(1.0, 46, 70))) == [("clear", 56)]


def test_a_refused_reading_does_not_explain_a_silence_that_began_after_a_good_one() -> None:
    alarms = Alarms([flood()])
    feed(alarms, *held(1.0, 0, 20), reading(1.0, 21, Quality.STEP), reading(1.0, 22))
    (change,) = pass_time(alarms, 500)
    assert change.cause is None
    assert change.why == "no usable reading of sungai/level for 90 s"


def test_a_rise_out_of_the_unknown_is_told_after_its_time() -> None:
    alarms = Alarms([flood(unknown_is="siaga1")])
    feed(alarms, *held(1.0, 0, 20))
    alarms.source_lost("sungai", 21 * SECOND, "unplugged")
    assert told(feed(alarms, *held(2.6, 22, 60))) == [("siaga3", 32)]


def test_out_of_the_unknown_no_state_is_told_that_the_newest_reading_contradicts() -> None:
    alarms = Alarms([flood()])
    assert feed(alarms, *held(1.0, 0, 8), *held(2.6, 9, 12)) == []
    assert told(feed(alarms, reading(1.0, 13))) == [("clear", 13)]


def test_two_readings_with_a_silence_between_them_decide_nothing() -> None:
    alarms = Alarms([flood()])
    feed(alarms, reading(1.0, 0))
    assert told(feed(alarms, reading(3.6, 50), reading(3.6, 1000))) == [("unknown", 140)]
    assert told(feed(alarms, *held(3.6, 1001, 1010))) == [("siaga1", 1010)]


def test_a_lost_source_is_unknown_at_once_and_told_once() -> None:
    alarms = Alarms([flood(unknown_is="siaga2")])
    feed(alarms, *held(2.6, 0, 20))
    (change,) = alarms.source_lost("sungai", 25 * SECOND, "unplugged")
    assert (change.state, change.severity, change.before, change.why) == ("unknown", "siaga2", "siaga3", "unplugged")
    assert change.cause is None
    assert alarms.source_lost("sungai", 30 * SECOND, "still unplugged") == []
    assert alarms.source_lost("other", 31 * SECOND, "unplugged") == []
    assert alarms.states()["banjir"] == State(
        state="unknown", severity="siaga2", since_ns=25 * SECOND, why="unplugged", flapping=False
    )


def test_a_source_that_never_speaks_is_told_as_unknown_once() -> None:
    alarms = Alarms([flood(hold_off_s=100, unknown_is="siaga2")])
    assert alarms.deadline() is None
    alarms.tick(0)
    assert alarms.deadline() == 190 * SECOND
    (change,) = pass_time(alarms, 1000)
    assert (change.state, change.before, change.severity, change.boot_ns) == (
        "unknown",
        "unknown",
        "siaga2",
        190 * SECOND,
    )
    lost = Alarms([flood()])
    assert told(lost.source_lost("sungai", 5 * SECOND, "no such port")) == [("unknown", 5)]
    assert lost.source_lost("sungai", 6 * SECOND, "no such port") == []


def test_a_late_tick_does_not_lose_a_silence() -> None:
    alarms = Alarms([flood()])
    feed(alarms, *held(1.0, 0, 20))
    assert told(alarms.take(reading(1.0, 500))) == [("unknown", 500)]


def test_silence_until_unknown_is_three_decisions_and_a_minute() -> None:
    assert unknown_after(10) == 90
    assert unknown_after(10, every_s=300) == 960


# Rows


def test_the_reading_that_raised_an_alarm_travels_behind_its_row() -> None:
    alarms = Alarms([flood(for_s=0)])
    (change,) = alarms.take(reading(2.6, 1))
    assert rows(change) == [
        Reading(sensor="alarm", channel="banjir", value="siaga3", unit="1", boot_ns=SECOND),
        reading(2.6, 1),
    ]


def test_a_change_without_a_cause_is_one_row() -> None:
    (change,) = Alarms([flood()]).source_lost("sungai", SECOND, "unplugged")
    assert [(row.sensor, row.channel, row.value) for row in rows(change)] == [("alarm", "banjir", "unknown")]


def test_a_reading_that_caused_two_changes_travels_once() -> None:
    second = Rule(name="surut", sensor="sungai", channel="level", unit="m", levels=(("a", 2.0),), for_s=0)
    changes = Alarms([flood(for_s=0), second]).take(reading(2.6, 1))
    assert [row.channel for row in rows(*changes)] == ["banjir", "surut", "level"]
