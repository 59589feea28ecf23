"""What is doubted about a reading, and what is not."""

import math
from collections.abc import Sequence
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.quality import Judge, SensorRules
from drivers.driver import Channel
from drivers.reading import GOOD, Quality, Reading

SECOND = 1_000_000_000
Value = int | float | bool | str


def reading(
    value: Value, at_s: float, *flags: Quality, sensor: str = "s", channel: str = "c", unit: str = "m"
) -> Reading:
    return Reading(
        sensor=sensor, channel=channel, value=value, unit=unit, boot_ns=round(at_s * SECOND), quality=frozenset(flags)
    )


def judge_of(
    channel: Channel,
    *,
    warmup_s: float = 0.0,
    stale_after_s: float = 60.0,
    confirm: int = 1,
    integrity: Literal["crc16", "sum8", "sum16", "xor", "none"] = "none",
) -> Judge:
    return Judge(
        {
            "s": SensorRules(
                channels={channel.name: channel},
                warmup_s=warmup_s,
                stale_after_s=stale_after_s,
                confirm=confirm,
                integrity=integrity,
            )
        }
    )


def flags(judge: Judge, *values: tuple[Value, float]) -> list[frozenset[Quality]]:
    return [judge.judge(reading(value, at_s)).quality for value, at_s in values]


def each_second(judge: Judge, values: Sequence[Value], start_s: float = 0.0) -> list[str]:
    """The flags of one value a second, as text."""
    return [
        " ".join(sorted(judge.judge(reading(value, start_s + index)).quality)) for index, value in enumerate(values)
    ]


LEVEL = Channel(name="c", unit="m", low=0.0, high=5.0, max_step_per_s=0.1)


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


# Confirmation


@pytest.mark.parametrize("integrity", ["sum8", "sum16", "xor", "none"])
def test_a_weakly_checked_value_is_unconfirmed_until_enough_frames_agree(
    integrity: Literal["sum8", "sum16", "xor", "none"],
) -> None:
    judge = judge_of(Channel(name="c", unit="m", low=0, high=5), confirm=3, integrity=integrity)
    assert each_second(judge, [1.0, 1.0, 1.0, 1.0]) == ["unconfirmed", "unconfirmed", "", ""]


def test_a_crc_or_one_frame_needs_no_confirmation() -> None:
    plain = Channel(name="c", unit="m")
    assert each_second(judge_of(plain, confirm=3, integrity="crc16"), [1.0, 5.0]) == ["", ""]
    assert each_second(judge_of(plain, confirm=1, integrity="sum8"), [1.0, 5.0]) == ["", ""]


def test_a_single_false_frame_is_unconfirmed_and_the_true_ones_around_it_are_not() -> None:
    judge = judge_of(Channel(name="c", unit="m", low=0, high=5), confirm=2, integrity="sum8")
    assert each_second(judge, [1.0, 1.0, 4.0, 1.0, 4.0, 1.0]) == [
        "unconfirmed",
        "",
        "unconfirmed",
        "",
        "unconfirmed",
        "",
    ]


def test_false_frames_that_do_not_agree_with_each_other_are_never_confirmed() -> None:
    judge = judge_of(Channel(name="c", unit="m", low=0, high=5), confirm=2, integrity="sum8")
    assert set(each_second(judge, [1.0, 4.0, 2.0, 0.5, 3.0, 5.0])) == {"unconfirmed"}


def test_frames_agree_within_two_percent_of_the_range() -> None:
    channel = Channel(name="c", unit="m", low=0, high=5)
    assert each_second(judge_of(channel, confirm=2), [1.0, 1.1]) == ["unconfirmed", ""]
    assert each_second(judge_of(channel, confirm=2), [1.0, 1.11]) == ["unconfirmed", "unconfirmed"]


def test_frames_agree_within_the_believable_speed_counted_for_ten_seconds_at_most() -> None:
    channel = Channel(name="c", unit="m", max_step_per_s=0.1)
    assert flags(judge_of(channel, confirm=2), (1.0, 0), (1.5, 5)) == [{Quality.UNCONFIRMED}, GOOD]
    assert flags(judge_of(channel, confirm=2), (1.0, 0), (2.0, 60)) == [{Quality.UNCONFIRMED}, GOOD]
    assert flags(judge_of(channel, confirm=2), (1.0, 0), (2.1, 60)) == [{Quality.UNCONFIRMED}, {Quality.UNCONFIRMED}]


def test_without_range_or_speed_only_equal_frames_agree() -> None:
    judge = judge_of(Channel(name="c", unit="1"), confirm=2)
    assert each_second(judge, ["a", "b", "b", 7, 7.5, 7.5, True]) == [
        "unconfirmed",
        "unconfirmed",
        "",
        "unconfirmed",
        "unconfirmed",
        "",
        "unconfirmed",
    ]


def test_a_jump_of_a_weakly_checked_value_carries_both_doubts_once() -> None:
    judge = judge_of(LEVEL, confirm=2, integrity="sum8")
    assert each_second(judge, [1.0, 1.0, 4.0, 4.0, 4.0]) == ["unconfirmed", "", "step unconfirmed", "", ""]


def test_a_frame_without_measurement_needs_its_confirmation_too_and_is_compared_with_nothing() -> None:
    judge = judge_of(LEVEL, confirm=2, integrity="sum8")
    assert each_second(judge, [1.0, 1.0]) == ["unconfirmed", ""]
    blind = [judge.judge(reading(4.5, 2 + index, Quality.NO_TARGET)).quality for index in range(3)]
    assert blind == [
        {Quality.NO_TARGET, Quality.UNCONFIRMED},
        {Quality.NO_TARGET},
        {Quality.NO_TARGET},
    ]
    assert each_second(judge, [1.0], 5) == [""]
    assert Quality.UNCONFIRMED in judge.judge(reading(4.5, 6, Quality.NO_TARGET)).quality


# Silence


def test_a_sensor_is_stale_once_when_nothing_came_for_its_time() -> None:
    judge = judge_of(LEVEL, stale_after_s=60)
    judge.judge(reading(1.0, 10))
    assert judge.deadline() == 70 * SECOND
    assert judge.stale(70 * SECOND - 1) == []
    assert judge.stale(70 * SECOND) == ["s"]
    assert judge.silent() == ("s",)
    assert judge.stale(999 * SECOND) == []
    assert judge.deadline() is None


def test_a_stale_sensor_that_speaks_can_become_stale_again() -> None:
    judge = judge_of(LEVEL, stale_after_s=60)
    judge.judge(reading(1.0, 10))
    assert judge.stale(70 * SECOND) == ["s"]
    judge.judge(reading(1.0, 100))
    assert judge.silent() == ()
    assert judge.stale(160 * SECOND) == ["s"]


def test_readings_put_staleness_off_without_touching_the_timer() -> None:
    judge = judge_of(LEVEL, stale_after_s=60)
    judge.judge(reading(1.0, 10))
    judge.judge(reading(1.0, 50))
    assert judge.deadline() == 70 * SECOND
    assert judge.stale(70 * SECOND) == []
    assert judge.deadline() == 110 * SECOND


def test_a_sensor_that_never_spoke_is_stale_its_time_after_the_start() -> None:
    judge = judge_of(LEVEL, stale_after_s=60)
    assert judge.deadline() is None
    assert judge.stale(5 * SECOND) == []
    judge.started("s", 10 * SECOND)
    assert judge.stale(70 * SECOND) == ["s"]


def test_a_flapping_port_does_not_put_staleness_off() -> None:
    judge = judge_of(LEVEL, stale_after_s=60)
    judge.lost("s", 0)
    judge.started("s", 20 * SECOND)
    judge.lost("s", 40 * SECOND)
    judge.started("s", 59 * SECOND)
    assert judge.stale(60 * SECOND) == ["s"]


def test_each_silent_sensor_is_named_at_its_own_time() -> None:
    judge = Judge({name: SensorRules(channels={}, stale_after_s=after) for name, after in [("a", 30), ("b", 20)]})
    judge.started("a", 0)
    judge.started("b", 0)
    assert judge.deadline() == 20 * SECOND
    assert judge.stale(20 * SECOND) == ["b"]
    assert judge.deadline() == 30 * SECOND
    assert judge.stale(30 * SECOND) == ["a"]


FLAGS = st.frozensets(st.sampled_from(Quality), max_size=3)
VALUES = st.one_of(
    st.integers(-10, 10), st.floats(-1e6, 1e6), st.booleans(), st.sampled_from(["a", "b"]), st.sampled_from([0, 1.0])
)
CHANNELS = st.builds(
    Channel,
    name=st.just("c"),
    unit=st.sampled_from(["m", "deg", "rad"]),
    low=st.none() | st.floats(-10, 0),
    high=st.none() | st.floats(1, 10),
    max_step_per_s=st.none() | st.floats(0.001, 100),
    zero=st.sampled_from(["ok", "suspect"]),
    stuck_after_s=st.none() | st.floats(0, 100),
    kind=st.sampled_from(["gauge", "counter", "state", "angle", "text"]),
)


@given(
    channel=CHANNELS,
    confirm=st.integers(1, 4),
    steps=st.lists(st.tuples(VALUES, st.integers(0, 200), FLAGS), max_size=40),
)
def test_judging_only_ever_adds_flags(
    channel: Channel, confirm: int, steps: list[tuple[Value, int, frozenset[Quality]]]
) -> None:
    judge = judge_of(channel, confirm=confirm, warmup_s=5)
    at_s = 0
    for value, wait_s, given_flags in steps:
        at_s += wait_s
        before = reading(value, at_s, *given_flags)
        after = judge.judge(before)
        assert after.quality >= before.quality
        assert (after.value, after.unit, after.boot_ns) == (before.value, before.unit, before.boot_ns)


@given(channel=CHANNELS, confirm=st.integers(1, 5), value=st.floats(-1e6, 1e6), past=st.lists(VALUES, max_size=20))
def test_any_past_ends_in_no_step_and_nothing_unconfirmed_once_the_value_rests(
    channel: Channel, confirm: int, value: float, past: list[Value]
) -> None:
    judge = judge_of(channel, confirm=confirm, integrity="sum8")
    each_second(judge, past)
    last = each_second(judge, [value] * (max(confirm, 2)), len(past))[-1]
    assert "step" not in last
    assert "unconfirmed" not in last


@given(
    moves=st.lists(
        st.tuples(st.sampled_from(["started", "lost", "reading", "stale"]), st.sampled_from("ab"), st.integers(0, 200))
    )
)
def test_the_deadline_is_never_in_the_past_and_no_silence_is_missed(moves: list[tuple[str, str, int]]) -> None:
    judge = Judge({"a": SensorRules(channels={}, stale_after_s=7), "b": SensorRules(channels={}, stale_after_s=90)})
    awaited: dict[str, int] = {}
    checked_s = 0
    for what, sensor, at_s in moves:
        now_ns = at_s * SECOND
        match what:
            case "started":
                judge.started(sensor, now_ns)
                awaited.setdefault(sensor, max(at_s, checked_s))
            case "lost":
                judge.lost(sensor, now_ns)
                awaited.setdefault(sensor, max(at_s, checked_s))
            case "reading":
                judge.judge(reading(1.0, at_s, sensor=sensor))
                awaited[sensor] = max(at_s, checked_s, awaited.get(sensor, 0))
            case _:
                judge.stale(now_ns)
                checked_s = max(checked_s, at_s)
        due = judge.deadline()
        assert due is None or due > checked_s * SECOND
        silent = {name for name, heard in awaited.items() if heard + {"a": 7, "b": 90}[name] <= checked_s}
        assert set(judge.silent()) == silent
