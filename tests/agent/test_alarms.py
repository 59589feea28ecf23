"""When an alarm rises, falls, becomes unknown, and how often it may say so."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alarms import Alarms, Change, Rule, State, rows, unknown_after
from drivers.reading import GOOD, Quality, Reading

SECOND = 1_000_000_000
Value = int | float | bool | str
SIAGA = (("siaga3", 2.5), ("siaga2", 3.0), ("siaga1", 3.5))


def reading(
    value: Value,
    at_s: float,
    *flags: Quality,
    sensor: str = "sungai",
    channel: str = "level",
    unit: str = "m",
) -> Reading:
    return Reading(
        sensor=sensor, channel=channel, value=value, unit=unit, boot_ns=round(at_s * SECOND), quality=frozenset(flags)
    )


def flood(
    *,
    for_s: float = 10.0,
    hysteresis: float = 0.05,
    hold_off_s: float = 0.0,
    unknown_is: str | None = None,
    accept: frozenset[Quality] = GOOD,
    unknown_after_s: float | None = None,
    levels: tuple[tuple[str, float], ...] = SIAGA,
) -> Rule:
    return Rule(
        name="banjir",
        sensor="sungai",
        channel="level",
        unit="m",
        levels=levels,
        for_s=for_s,
        hysteresis=hysteresis,
        hold_off_s=hold_off_s,
        unknown_is=unknown_is,
        accept=accept,
        unknown_after_s=unknown_after_s,
    )


def feed(alarms: Alarms, *given_readings: Reading) -> list[Change]:
    """Let time pass as the agent does: tick at every deadline, then take the reading."""
    changes: list[Change] = []
    for each in given_readings:
        changes += pass_time(alarms, each.boot_ns / SECOND)
        changes += alarms.take(each)
    return changes


def pass_time(alarms: Alarms, until_s: float) -> list[Change]:
    changes: list[Change] = []
    while (due := alarms.deadline()) is not None and due <= until_s * SECOND:
        changes += alarms.tick(due)
    return changes


def held(value: Value, from_s: int, to_s: int, *flags: Quality) -> list[Reading]:
    """The value once a second, both ends included."""
    return [reading(value, at_s, *flags) for at_s in range(from_s, to_s + 1)]


def told(changes: Iterable[Change]) -> list[tuple[str, float]]:
    return [(change.state, change.boot_ns / SECOND) for change in changes]


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


@pytest.mark.parametrize("flag", sorted(Quality))
def test_a_flagged_value_neither_raises_nor_clears_unless_the_rule_accepts_its_flag(flag: Quality) -> None:
    alarms = Alarms([flood(unknown_after_s=1000)])
    feed(alarms, *held(1.0, 0, 20))
    assert feed(alarms, *held(3.6, 21, 60, flag)) == []
    feed(alarms, *held(2.6, 61, 80))
    assert feed(alarms, *held(1.0, 81, 120, flag)) == []
    accepting = Alarms([flood(accept=frozenset({flag}))])
    raised = told(feed(accepting, *held(3.6, 0, 20, flag)))
    assert raised == ([] if flag is Quality.UNCONFIRMED else [("siaga1", 10)])


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


# How often


def swing(from_s: int, to_s: int, period_s: int = 2) -> list[Reading]:
    """Above and below the mildest level in turn, once a second."""
    return [reading(2.6 if at_s % period_s == 0 else 1.0, at_s) for at_s in range(from_s, to_s + 1)]


def test_an_alarm_that_changes_more_than_six_times_in_ten_minutes_is_slowed_to_one_all_clear_a_minute() -> None:
    alarms = Alarms([flood(for_s=0)])
    changes = feed(alarms, *swing(0, 300))
    marked = [change for change in changes if "flapping" in change.why]
    assert marked == [changes[6]]
    assert alarms.states()["banjir"].flapping
    later = changes[7:]
    clears = [change.boot_ns for change in later if change.state == "clear"]
    assert len(clears) >= 3
    assert all(b - a >= 60 * SECOND for a, b in pairwise(clears))


def test_a_flapping_alarm_still_tells_at_once_when_it_gets_worse() -> None:
    alarms = Alarms([flood(for_s=0)])
    feed(alarms, *swing(0, 8))
    assert alarms.states()["banjir"].flapping
    assert told(feed(alarms, reading(3.1, 9), reading(3.6, 9.5))) == [("siaga2", 9), ("siaga1", 9.5)]
    assert told(feed(alarms, *held(3.1, 10, 80))) == [("siaga2", 69.5)]


def test_a_flapping_alarm_that_goes_blind_and_returns_raised_is_not_delayed() -> None:
    alarms = Alarms([flood(for_s=0)])
    feed(alarms, *swing(0, 8))
    assert alarms.source_lost("sungai", 9 * SECOND, "unplugged") == []
    assert told(pass_time(alarms, 100)) == [("unknown", 66)]
    assert told(feed(alarms, reading(2.6, 67))) == [("siaga3", 67)]


def test_a_flapping_alarm_that_is_found_raised_is_told_at_once_even_when_its_unknown_weighed_more() -> None:
    alarms = Alarms([flood(for_s=0, unknown_is="siaga1")])
    feed(alarms, *swing(0, 8))
    assert told(alarms.source_lost("sungai", 9 * SECOND, "unplugged")) == [("unknown", 9)]
    assert told(feed(alarms, reading(2.6, 10))) == [("siaga3", 10)]


def test_calm_ends_the_flapping_and_it_can_be_marked_again() -> None:
    alarms = Alarms([flood(for_s=0)])
    feed(alarms, *swing(0, 8), *held(1.0, 9, 800))
    assert not alarms.states()["banjir"].flapping
    again = feed(alarms, *swing(1000, 1008))
    assert sum("flapping" in change.why for change in again) == 1


def test_an_all_clear_that_waits_is_dropped_when_the_alarm_returns() -> None:
    alarms = Alarms([flood(for_s=0)])
    feed(alarms, *swing(0, 8))
    assert alarms.states()["banjir"].state == "siaga3"
    assert feed(alarms, reading(1.0, 9), *held(2.6, 10, 200)) == []


def test_an_all_clear_that_waits_is_not_told_while_the_newest_reading_is_high() -> None:
    alarms = Alarms([flood()])
    feed(alarms, *held(2.6, 0, 10))
    alarms.source_lost("sungai", 15 * SECOND, "unplugged")
    feed(alarms, *held(2.6, 16, 26))  # siaga3 again at 26
    alarms.source_lost("sungai", 27 * SECOND, "unplugged")  # waits until 36
    assert alarms.states()["banjir"].state == "siaga3"
    assert told(feed(alarms, *held(1.0, 28, 60))) == [("unknown", 36), ("clear", 46)]
    feed(alarms, *held(2.6, 61, 71), reading(1.0, 72))
    assert alarms.states()["banjir"].state == "siaga3"


def test_a_change_waits_until_the_time_of_the_rule_has_passed_since_the_last() -> None:
    alarms = Alarms([flood()])
    feed(alarms, *held(2.6, 0, 10))
    assert alarms.source_lost("sungai", 12 * SECOND, "unplugged") == []
    assert alarms.deadline() == 20 * SECOND
    assert told(pass_time(alarms, 50)) == [("unknown", 20)]


def test_a_waiting_all_clear_gives_way_to_a_rise_that_is_being_weighed() -> None:
    rule = flood(for_s=1, levels=(("siaga3", 2.5),))
    alarms = Alarms([rule])
    feed(alarms, *[reading(2.6 if at_s // 2 % 2 else 1.0, at_s) for at_s in range(28)])
    assert alarms.states()["banjir"].flapping
    assert alarms.states()["banjir"].state == "siaga3"
    since_ns = alarms.states()["banjir"].since_ns
    assert since_ns is not None
    due_s = since_ns // SECOND + 60
    assert feed(alarms, *held(1.0, 28, due_s - 2)) == []
    late = feed(alarms, *[reading(2.6, due_s - 1.5)], *held(1.0, due_s + 5, due_s + 5))
    assert told(late) == [("clear", due_s + 5)]


def test_two_changes_never_share_a_millisecond() -> None:
    alarms = Alarms([flood(for_s=0)])
    feed(alarms, reading(1.0, 1))
    assert alarms.take(reading(3.6, 1)) == []
    assert alarms.deadline() == SECOND + 1_000_000
    assert told(pass_time(alarms, 2)) == [("siaga1", 1.001)]


def test_a_reading_older_than_the_newest_moment_counts_as_of_then() -> None:
    alarms = Alarms([flood(for_s=0)])
    alarms.tick(100 * SECOND)
    (change,) = alarms.take(reading(1.0, 99))
    assert change.boot_ns == 100 * SECOND
    assert change.cause == reading(1.0, 99)


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


# Whatever happens

MOVES = st.lists(
    st.one_of(
        st.tuples(
            st.just("take"),
            st.sampled_from([1.0, 2.44, 2.47, 2.5, 2.6, 2.98, 3.0, 3.4, 3.5, 4.0]),
            st.sampled_from([0, 0.0005, 1, 1, 2, 5, 12, 100]),
            st.sampled_from([(), (), (), (Quality.STEP,), (Quality.NO_TARGET,), (Quality.UNCONFIRMED,)]),
        ),
        st.tuples(st.just("tick"), st.just(0.0), st.sampled_from([0, 1, 10, 100, 700]), st.just(())),
        st.tuples(st.just("lose"), st.just(0.0), st.sampled_from([0, 1, 10]), st.just(())),
        st.tuples(st.just("old"), st.sampled_from([1.0, 3.6]), st.sampled_from([0, 1, 10]), st.just(())),
    ),
    max_size=60,
)
RULES = st.builds(
    flood,
    for_s=st.sampled_from([0.0, 1.0, 10.0]),
    hysteresis=st.sampled_from([0.0, 0.05, 0.6]),
    hold_off_s=st.sampled_from([0.0, 20.0]),
    unknown_is=st.sampled_from([None, "siaga3", "siaga1"]),
    accept=st.sampled_from([GOOD, frozenset({Quality.STEP}), frozenset({Quality.NO_TARGET, Quality.UNCONFIRMED})]),
    unknown_after_s=st.sampled_from([None, 5.0]),
)
Move = tuple[str, float, float, tuple[Quality, ...]]


def play(alarms: Alarms, moves: list[Move]) -> list[tuple[Change, Reading | None, int]]:
    """Play the moves; return each change with the newest reading before it and the newest moment."""
    now_ns = 0
    newest: Reading | None = None
    out: list[tuple[Change, Reading | None, int]] = []
    for what, value, wait_s, given_flags in moves:
        now_ns += round(wait_s * SECOND)
        match what:
            case "take":
                newest = reading(value, now_ns / SECOND, *given_flags)
                found = alarms.take(newest)
            case "old":
                newest = reading(value, max(0, now_ns / SECOND - 30), *given_flags)
                found = [*alarms.tick(now_ns), *alarms.take(newest)]
            case "lose":
                found = alarms.source_lost("sungai", now_ns, "unplugged")
            case _:
                found = alarms.tick(now_ns)
                due = alarms.deadline()
                assert due is None or due > now_ns
        out += [(change, newest, now_ns) for change in found]
    return out


@given(rule=RULES, moves=MOVES)
def test_every_decision_rests_on_an_accepted_reading_and_clear_on_one_below_all_levels(
    rule: Rule, moves: list[Move]
) -> None:
    for change, _, _ in play(Alarms([rule]), moves):
        if change.state == "unknown":
            continue
        cause = change.cause
        assert cause is not None
        assert isinstance(cause.value, float)
        assert cause.quality <= rule.accept - {Quality.UNCONFIRMED}
        if change.state == "clear":
            assert cause.value < rule.levels[0][1]
            assert Quality.NO_TARGET not in cause.quality


@given(rule=RULES, moves=MOVES)
def test_a_change_that_is_worse_is_raised_by_a_value_at_its_threshold(rule: Rule, moves: list[Move]) -> None:
    thresholds = dict(rule.levels)
    ladder = 0
    names = ["clear", "siaga3", "siaga2", "siaga1"]
    for change, _, _ in play(Alarms([rule]), moves):
        if change.state == "unknown":
            continue
        rank = names.index(change.state)
        if rank > ladder:
            assert change.cause is not None
            assert isinstance(change.cause.value, float)
            assert change.cause.value >= thresholds[change.state] - rule.hysteresis - 1e-9
        ladder = rank


@given(rule=RULES, moves=MOVES)
def test_changes_of_an_alarm_never_share_a_millisecond_and_form_a_chain(rule: Rule, moves: list[Move]) -> None:
    before, at_ns, seen = "unknown", -1_000_000, False
    for change, _, now_ns in play(Alarms([rule]), moves):
        assert change.before == before
        assert change.state != before or (change.state == "unknown" and not seen)
        assert change.boot_ns >= at_ns + 1_000_000
        assert change.boot_ns == now_ns
        before, at_ns, seen = change.state, change.boot_ns, True


@given(rule=RULES, moves=MOVES)
def test_only_getting_worse_may_follow_within_the_time_of_the_rule(rule: Rule, moves: list[Move]) -> None:
    names = ["clear", "siaga3", "siaga2", "siaga1"]
    last: Change | None = None
    for change, _, _ in play(Alarms([rule]), moves):
        if last is not None and change.boot_ns - last.boot_ns < rule.for_s * SECOND:
            old = names.index(last.severity or "clear")
            new = names.index(change.severity or "clear")
            assert new > old or (last.state == "unknown" and new > 0)
        last = change


@given(rule=RULES, moves=MOVES)
def test_the_states_agree_with_the_last_change(rule: Rule, moves: list[Move]) -> None:
    alarms = Alarms([rule])
    changes = play(alarms, moves)
    state = alarms.states()["banjir"]
    if changes:
        last = changes[-1][0]
        assert (state.state, state.severity, state.since_ns, state.why) == (
            last.state,
            last.severity,
            last.boot_ns,
            last.why,
        )
    else:
        assert (state.state, state.since_ns) == ("unknown", None)


@given(moves=MOVES)
def test_falling_rules_mirror_rising_ones(moves: list[Move]) -> None:
    rising = flood()
    mirrored = Rule(
        name="banjir",
        sensor="sungai",
        channel="level",
        unit="m",
        levels=tuple((name, -threshold) for name, threshold in SIAGA),
        falling=True,
        hysteresis=0.05,
    )
    mirror_moves = [(what, -value, wait_s, given_flags) for what, value, wait_s, given_flags in moves]
    up = [change.state for change, _, _ in play(Alarms([rising]), moves)]
    down = [change.state for change, _, _ in play(Alarms([mirrored]), mirror_moves)]
    assert up == down


def after(moves: list[Move]) -> float:
    """A moment later than all moves."""
    return sum(wait_s for _, _, wait_s, _ in moves) + 1


@given(rule=RULES, moves=MOVES)
def test_whatever_went_before_a_severe_value_is_told_as_soon_as_it_lasted(rule: Rule, moves: list[Move]) -> None:
    alarms = Alarms([rule])
    play(alarms, moves)
    from_s = after(moves) + 20
    readings = [reading(3.6, from_s + index) for index in range(int(rule.for_s) + 1)]
    feed(alarms, *readings)
    pass_time(alarms, from_s + rule.for_s + 0.001)
    if rule.hold_off_s == 0 or moves:
        assert alarms.states()["banjir"].state == "siaga1"


@given(rule=RULES, moves=MOVES)
def test_whatever_went_before_a_low_value_ends_in_clear_and_silence_in_unknown(rule: Rule, moves: list[Move]) -> None:
    alarms = Alarms([rule])
    play(alarms, moves)
    from_s = after(moves) + 20
    feed(alarms, *[reading(1.0, from_s + index) for index in range(int(rule.for_s) + 62)])
    if rule.hold_off_s == 0 or moves:
        assert alarms.states()["banjir"].state == "clear"
    pass_time(alarms, from_s + 10_000)
    assert alarms.states()["banjir"].state == "unknown"
    assert alarms.deadline() is None
