"""What is doubted about a reading, and what is not."""

import math

import pytest

from drivers.driver import Channel
from drivers.reading import GOOD, Quality
from tests.agent.judging import LEVEL, SECOND, each_second, flags, judge_of, reading


def test_a_good_reading_comes_back_as_the_same_object() -> None:
    good = reading(1.0, 1)
    assert judge_of(LEVEL).judge(good) is good


def test_a_sensor_or_channel_without_rules_passes_unflagged() -> None:
    judge = judge_of(LEVEL, warmup_s=100)
    strange = reading(-999.0, 1, sensor="other")
    assert judge.judge(strange) is strange
    unknown = reading(-999.0, 1, channel="other")
    assert judge.judge(unknown) is unknown


def test_flags_of_the_driver_are_kept_beside_those_added() -> None:
    judged = judge_of(LEVEL).judge(reading(9.0, 1, Quality.END_OF_LIFE))
    assert judged.quality == {Quality.END_OF_LIFE, Quality.OUT_OF_RANGE}
    assert (judged.value, judged.unit, judged.boot_ns) == (9.0, "m", SECOND)


@pytest.mark.parametrize(("value", "flagged"), [(-0.1, True), (0.0, False), (5.0, False), (5.1, True)])
def test_values_beyond_the_range_are_flagged_and_its_ends_are_not(value: float, *, flagged: bool) -> None:
    assert (Quality.OUT_OF_RANGE in judge_of(LEVEL).judge(reading(value, 1)).quality) is flagged


def test_one_end_of_a_range_may_be_open() -> None:
    assert each_second(judge_of(Channel(name="c", unit="m", low=0.0)), [1e12, -1]) == ["", "out_of_range"]
    assert each_second(judge_of(Channel(name="c", unit="m", high=1.0)), [-1e12, 2]) == ["", "out_of_range"]


def test_zero_is_doubted_only_where_it_is_suspect() -> None:
    assert each_second(judge_of(Channel(name="c", unit="V", zero="suspect")), [0, 0.0, 230.1]) == [
        "suspect_zero",
        "suspect_zero",
        "",
    ]
    assert each_second(judge_of(Channel(name="c", unit="A")), [0, 0.0]) == ["", ""]


def test_false_and_text_are_neither_zero_nor_out_of_range() -> None:
    channel = Channel(name="c", unit="1", low=5.0, high=9.0, zero="suspect")
    assert each_second(judge_of(channel), [False, True, "out"]) == ["", "", ""]


# Warm-up


def test_values_are_warming_up_until_the_warm_up_since_the_start_is_over() -> None:
    judge = judge_of(Channel(name="c", unit="m"), warmup_s=30)
    judge.started("s", 100 * SECOND)
    assert flags(judge, (1, 100), (1, 129.9), (1, 130)) == [{Quality.WARMING_UP}, {Quality.WARMING_UP}, GOOD]


def test_a_restart_and_a_lost_port_warm_up_again() -> None:
    judge = judge_of(Channel(name="c", unit="m"), warmup_s=30)
    assert flags(judge, (1, 0), (1, 30)) == [{Quality.WARMING_UP}, GOOD]
    judge.started("s", 40 * SECOND)
    assert flags(judge, (1, 69), (1, 70)) == [{Quality.WARMING_UP}, GOOD]
    judge.lost("s", 80 * SECOND)
    assert flags(judge, (1, 200), (1, 229), (1, 230)) == [{Quality.WARMING_UP}, {Quality.WARMING_UP}, GOOD]


def test_the_value_after_the_warm_up_is_no_step_from_one_within() -> None:
    judge = judge_of(LEVEL, warmup_s=2)
    assert each_second(judge, [1, 4, 2, 2, 4]) == ["warming_up", "warming_up", "", "", "step"]


def test_news_of_unknown_sensors_is_ignored() -> None:
    judge = judge_of(LEVEL)
    judge.started("other", 0)
    judge.lost("other", 0)
    assert judge.deadline() is None


# Steps


def test_a_change_faster_than_believable_is_a_step_and_a_slow_one_is_not() -> None:
    judge = judge_of(Channel(name="c", unit="m", max_step_per_s=0.1))
    assert each_second(judge, [1.0, 1.1, 1.0, 1.11]) == ["", "", "", "step"]


def test_a_single_glitch_does_not_spoil_the_values_after_it() -> None:
    assert each_second(judge_of(LEVEL), [1.0, 4.0, 1.0, 1.0]) == ["", "step", "", ""]


@pytest.mark.parametrize(("confirm", "steps"), [(1, 1), (2, 1), (3, 2)])
def test_a_genuine_change_is_accepted_once_enough_readings_agree(confirm: int, steps: int) -> None:
    judge = judge_of(LEVEL, confirm=confirm, integrity="crc16")
    assert each_second(judge, [1.0, 4.0, 4.01, 4.0, 4.0]) == ["", *["step"] * steps, *[""] * (4 - steps)]


def test_after_a_change_was_accepted_the_old_level_is_the_step() -> None:
    assert each_second(judge_of(LEVEL), [1.0, 4.0, 4.0, 1.0]) == ["", "step", "", "step"]


def test_an_accepted_level_is_no_witness_for_the_next_step() -> None:
    channel = Channel(name="c", unit="m", low=0, high=1000, max_step_per_s=1)  # 2 % of it is 20
    assert each_second(judge_of(channel), [100, 500, 500, 510]) == ["", "step", "", "step"]


def test_values_that_never_agree_stay_steps() -> None:
    assert each_second(judge_of(LEVEL), [1.0, 4.0, 2.0, 5.0, 3.0]) == ["", "step", "step", "step", "step"]


def test_the_longer_the_silence_the_larger_a_believable_change() -> None:
    assert flags(judge_of(LEVEL), (1.0, 0), (2.0, 10), (4.0, 25)) == [GOOD, GOOD, {Quality.STEP}]


def test_frames_of_one_moment_may_differ_by_what_a_tenth_of_a_second_allows() -> None:
    channel = Channel(name="c", unit="m", max_step_per_s=0.1)
    assert flags(judge_of(channel), (1.0, 5), (1.01, 5), (1.03, 5)) == [GOOD, GOOD, {Quality.STEP}]


def test_an_out_of_range_value_never_becomes_the_level_others_are_compared_with() -> None:
    assert each_second(judge_of(LEVEL), [1.0, 9.0, 9.0, 9.0, 1.0]) == [
        "",
        "out_of_range step",
        "out_of_range",
        "out_of_range",
        "",
    ]


def test_witnesses_of_a_new_level_must_follow_each_other() -> None:
    assert each_second(judge_of(LEVEL), [4.99, 1.0, 5.02, 1.0]) == ["", "step", "out_of_range", "step"]


def test_a_stray_value_of_long_ago_is_no_witness() -> None:
    judge = judge_of(Channel(name="c", unit="V", low=0, high=500), confirm=2, integrity="none", stale_after_s=30)
    assert flags(judge, (6, 0), (9, 40), (8, 60)) == [{Quality.UNCONFIRMED}, {Quality.UNCONFIRMED}, GOOD]


def test_a_direction_that_passes_north_is_no_step() -> None:
    degrees = Channel(name="c", unit="deg", low=0, high=360, max_step_per_s=5, kind="angle")
    assert each_second(judge_of(degrees), [359, 1, 358, 180]) == ["", "", "", "step"]
    radians = Channel(name="c", unit="rad", max_step_per_s=0.1, kind="angle")
    assert each_second(judge_of(radians), [math.tau - 0.04, 0.04, 0.2]) == ["", "", "step"]


def test_states_and_texts_have_no_speed() -> None:
    state = Channel(name="c", unit="1", max_step_per_s=0.1, kind="state")
    assert each_second(judge_of(state), [1, 7, 1]) == ["", "", ""]
    assert each_second(judge_of(LEVEL), ["low", "high", 1.0, True]) == ["", "", "", ""]


def test_a_start_forgets_the_level() -> None:
    judge = judge_of(LEVEL)
    assert each_second(judge, [1.0]) == [""]
    judge.started("s", SECOND)
    assert each_second(judge, [4.0], 2) == [""]


# Stuck


def test_identical_values_are_stuck_after_their_time_until_they_change() -> None:
    judge = judge_of(Channel(name="c", unit="m", stuck_after_s=3))
    assert each_second(judge, [7, 7, 7, 7, 7, 8, 8, 8, 8]) == ["", "", "", "stuck", "stuck", "", "", "", "stuck"]


def test_a_text_can_be_stuck_where_the_config_says_so() -> None:
    assert each_second(judge_of(Channel(name="c", unit="1", stuck_after_s=1)), ["a", "a", "b"]) == ["", "stuck", ""]


def test_the_same_value_after_a_silence_is_not_stuck() -> None:
    judge = judge_of(Channel(name="c", unit="m", stuck_after_s=100), stale_after_s=60)
    assert flags(judge, (7, 0), (7, 60), (7, 121), (7, 180), (7, 221)) == [GOOD, GOOD, GOOD, GOOD, {Quality.STUCK}]


def test_a_lost_port_ends_being_stuck() -> None:
    judge = judge_of(Channel(name="c", unit="m", stuck_after_s=1))
    assert each_second(judge, [7, 7]) == ["", "stuck"]
    judge.lost("s", 2 * SECOND)
    assert each_second(judge, [7, 7], 2) == ["", "stuck"]


def test_a_unit_that_was_silent_for_long_warms_up_again() -> None:
    judge = judge_of(Channel(name="c", unit="m"), warmup_s=30, stale_after_s=60)
    judge.started("s", 0)
    assert flags(judge, (1, 29), (1, 30), (1, 90)) == [{Quality.WARMING_UP}, GOOD, GOOD]
    assert flags(judge, (1, 151), (1, 180), (1, 181)) == [{Quality.WARMING_UP}, {Quality.WARMING_UP}, GOOD]


def test_a_unit_that_is_plugged_in_long_after_the_start_warms_up_then() -> None:
    judge = judge_of(Channel(name="c", unit="m"), warmup_s=30, stale_after_s=60)
    judge.started("s", 0)
    assert judge.stale(100 * SECOND) == ["s"]
    assert flags(judge, (1, 200), (1, 230)) == [{Quality.WARMING_UP}, GOOD]
