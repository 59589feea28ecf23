"""Which value needs a witness, and who is one."""

import tracemalloc
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.quality import Judge, SensorRules
from drivers.driver import Channel
from drivers.reading import GOOD, Quality
from tests.agent.judging import (
    CHANNELS,
    FLAGS,
    LEVEL,
    SECOND,
    VALUES,
    Book,
    Value,
    each_second,
    flags,
    judge_of,
    reading,
)


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


@pytest.mark.parametrize("flag", [Quality.NO_TARGET, Quality.SATURATED, Quality.DEVICE_ERROR])
def test_what_was_not_measured_is_neither_out_of_range_nor_zero_nor_stuck(flag: Quality) -> None:
    channel = Channel(name="c", unit="m", low=1, high=5, zero="suspect", stuck_after_s=1, max_step_per_s=0.1)
    judge = judge_of(channel, integrity="crc16")
    judged = [judge.judge(reading(0.0, at_s, flag)).quality for at_s in range(5)]
    assert judged == [{flag}] * 5


def test_nothing_in_reach_is_no_witness_for_a_target_too_near() -> None:
    judge = judge_of(LEVEL, confirm=2, integrity="sum8")
    ends = [
        Quality.UNCONFIRMED in judge.judge(reading(value, at_s, Quality.NO_TARGET)).quality
        for at_s, value in enumerate([9.0, 9.0, 0.02, 9.0, 0.02, 0.02])
    ]
    assert ends == [True, False, True, True, True, False]


def test_where_a_pace_is_known_two_per_cent_of_the_range_are_no_agreement() -> None:
    channel = Channel(name="c", unit="lat", low=-90, high=90, max_step_per_s=0.0018)
    assert each_second(judge_of(channel, confirm=2), [-6.9, -6.9, -7.9, -6.9]) == [
        "unconfirmed",
        "",
        "step unconfirmed",
        "",
    ]


def test_a_counter_may_run_on_for_an_hour_between_two_frames() -> None:
    channel = Channel(name="c", unit="Wh", low=0, high=1e12, max_step_per_s=10, kind="counter")
    judge = judge_of(channel, confirm=2, integrity="xor", stale_after_s=9e9)
    assert flags(judge, (0, 0), (9_000, 900), (30_000, 4500)) == [{Quality.UNCONFIRMED}, GOOD, GOOD]
    doubted = judge_of(channel, confirm=2, integrity="xor", stale_after_s=9e9)
    assert flags(doubted, (0, 0), (0, 1), (40_000, 7201))[-1] == {Quality.UNCONFIRMED}
    gauge = Channel(name="c", unit="W", max_step_per_s=10)
    assert flags(judge_of(gauge, confirm=2), (0, 0), (9_000, 900))[-1] == {Quality.UNCONFIRMED}


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("reading"), VALUES, st.integers(-(10**12), 10**12), FLAGS),
        st.tuples(st.sampled_from(["started", "lost", "stale"]), st.just(0), st.integers(-(10**12), 10**12), FLAGS),
    ),
    max_size=60,
)
RULES = st.builds(
    SensorRules,
    channels=CHANNELS.map(lambda channel: {channel.name: channel}),
    warmup_s=st.sampled_from([0.0, 30.0]),
    stale_after_s=st.sampled_from([0.0, 10.0, 3600.0]),
    confirm=st.integers(1, 4),
    integrity=st.sampled_from(["crc16", "sum8", "sum16", "xor", "none"]),
    lifetime_h=st.sampled_from([None, 0.01]),
)


@given(rules=RULES, moves=MOVES)
def test_under_any_clock_judging_never_fails_and_judging_again_adds_nothing(
    rules: SensorRules, moves: list[tuple[str, Value, int, frozenset[Quality]]]
) -> None:
    judge, twice = Judge({"s": rules}, Book()), Judge({"s": rules}, Book())
    for what, value, at_ns, given_flags in moves:
        match what:
            case "started":
                judge.started("s", at_ns)
                twice.started("s", at_ns)
            case "lost":
                judge.lost("s", at_ns)
                twice.lost("s", at_ns)
            case "stale":
                assert judge.stale(at_ns) == twice.stale(at_ns)
            case _:
                once = judge.judge(reading(value, at_ns / SECOND, *given_flags))
                first = twice.judge(reading(value, at_ns / SECOND, *given_flags))
                assert first.quality >= given_flags
                assert twice.judge(first).quality == first.quality
                assert once.quality >= given_flags


def test_a_judge_remembers_no_more_after_many_readings() -> None:
    judge = judge_of(Channel(name="c", unit="m", low=0, high=5, stuck_after_s=9), confirm=3, integrity="sum8")
    values = [1.0, 4.0, 4.0, 4.05, 9.0, 0.0]

    def feed(start_s: int, count: int) -> None:
        for at_s in range(start_s, start_s + count):
            judge.judge(reading(values[at_s % len(values)], at_s))
            judge.stale(at_s * SECOND)

    feed(0, 2000)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        feed(2000, 20_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 4096
