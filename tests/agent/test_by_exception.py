"""Which readings are worth a row: others than the last one kept, odd ones, and one each so often."""

import itertools

import pytest

from agent.by_exception import ANY, ByException, Keep, keep_of
from drivers.driver import Channel
from drivers.reading import GOOD, Quality, Reading

SECOND = 1_000_000_000
Value = float | str


def at(second: float, value: Value, *, flags: frozenset[Quality] = GOOD, channel: str = "level") -> Reading:
    boot_ns = round(second * SECOND)
    return Reading(sensor="river", channel=channel, value=value, unit="m", boot_ns=boot_ns, quality=flags)


def kept(keep: Keep, *values: Value, every_s: float = 10) -> list[Value]:
    judge = ByException({("river", "level"): keep})
    return [value for turn, value in enumerate(values) if judge.keeps(at(turn * every_s, value))]


METRES = Keep(at_least_every_s=300, change=0.02)


def test_a_number_is_kept_when_it_differs_from_the_last_one_kept() -> None:
    assert kept(METRES, 2.0, 2.01, 2.019, 2.02, 2.01, 1.99) == [2.0, 2.02, 1.99]


def test_a_slow_drift_is_told() -> None:
    assert kept(METRES, *(2 + step / 100 for step in range(7))) == [2.0, 2.02, 2.04, 2.06]


def test_a_difference_is_not_missed_by_a_rounding() -> None:
    assert kept(Keep(at_least_every_s=300, change=0.1), 0.2, 0.3) == [0.2, 0.3]


def test_the_same_value_is_kept_again_after_the_bound_and_never_later() -> None:
    judge = ByException({("river", "level"): METRES})
    told = [second for second in range(0, 1000, 7) if judge.keeps(at(second, 2.0))]
    assert told[0] == 0
    gaps = {after - before for before, after in itertools.pairwise(told)}
    assert gaps == {301}  # the first turn at or after the bound


def test_a_turn_a_moment_early_is_the_turn_of_its_time() -> None:
    judge = ByException({("river", "level"): Keep(at_least_every_s=60)})
    assert [judge.keeps(at(second, 2.0)) for second in (0, 59.9, 119.5, 178.4)] == [True, True, True, False]


def test_a_short_bound_is_hardly_early() -> None:
    judge = ByException({("river", "level"): Keep(at_least_every_s=2)})
    assert [judge.keeps(at(second, 2.0)) for second in (0, 1, 1.91)] == [True, False, True]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((True, True, False, False), [True, False]),
        (("online", "online", "captive", "online"), ["online", "captive", "online"]),
        ((4.0, "<5", "<5", 5.0), [4.0, "<5", 5.0]),
        ((1, True, 1), [1, True, 1]),
    ],
)
def test_another_state_is_always_kept(values: tuple[Value, ...], told: list[Value]) -> None:
    found = kept(Keep(at_least_every_s=3600, change=100), *values)
    assert [(type(value), value) for value in found] == [(type(value), value) for value in told]


def test_without_a_change_numbers_wait_for_the_time() -> None:
    assert kept(Keep(at_least_every_s=30), 1.0, 2.0, 3.0, 4.0, 5.0) == [1.0, 4.0]


def test_a_change_of_nothing_keeps_whatever_differs() -> None:
    assert kept(Keep(at_least_every_s=3600, change=0.0), 1.0, 1.0, 1.5, 1.5) == [1.0, 1.5]


def test_north_is_no_jump() -> None:
    assert kept(Keep(at_least_every_s=3600, change=10, period=360), 355.0, 2.0, 6.0, 350.0) == [355.0, 6.0, 350.0]


def test_other_flags_are_kept_both_ways() -> None:
    judge = ByException({("river", "level"): METRES})
    step = frozenset({Quality.STEP})
    turns = [GOOD, GOOD, step, step, GOOD]
    assert [judge.keeps(at(turn, 2.0, flags=flags)) for turn, flags in enumerate(turns)] == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_what_matters_is_kept_and_counts_as_the_last_one_kept() -> None:
    judge = ByException({("river", "level"): METRES})
    judge.keeps(at(0, 2.0))
    assert judge.keeps(at(1, 2.01), matters=True)
    assert not judge.keeps(at(2, 2.025))


def test_after_a_silence_the_value_is_told_anew() -> None:
    judge = ByException({("river", "level"): METRES, ("river", "depth"): METRES})
    judge.keeps(at(0, 2.0))
    judge.keeps(at(0, 2.0, channel="depth"))
    judge.forget("lake")
    assert not judge.keeps(at(1, 2.0))
    judge.forget("river")
    assert judge.keeps(at(2, 2.0))
    assert judge.keeps(at(2, 2.0, channel="depth"))


def test_a_channel_without_a_rule_keeps_everything() -> None:
    judge = ByException({("river", "other"): METRES, ("lake", ANY): METRES})
    assert all(judge.keeps(at(turn, 2.0)) for turn in range(5))


def test_a_rule_for_any_channel_holds_where_there_is_no_other() -> None:
    judge = ByException({("river", ANY): Keep(at_least_every_s=30), ("river", "level"): Keep(at_least_every_s=10)})
    assert [judge.keeps(at(second, 1.0)) for second in (0, 10, 20)] == [True, True, True]
    assert [judge.keeps(at(second, 1.0, channel="eth0-rx")) for second in (0, 10, 20, 30)] == [True, False, False, True]


@pytest.mark.parametrize(
    ("channel", "is_probe", "keep"),
    [
        (Channel(name="level", unit="m"), False, None),
        (Channel(name="level", unit="m", at_least_every_s=60, change=1), False, Keep(at_least_every_s=60, change=1)),
        (Channel(name="state", unit="1", kind="state"), True, Keep(at_least_every_s=3600)),
        (Channel(name="allows", unit="1", kind="text"), True, Keep(at_least_every_s=3600)),
        (Channel(name="rx", unit="B", kind="counter"), True, Keep(at_least_every_s=3600)),
        (Channel(name="starts", unit="count", kind="counter"), True, Keep(at_least_every_s=3600, change=1)),
        (Channel(name="temp", unit="Cel"), True, Keep(at_least_every_s=900, change=0.5)),
        (Channel(name="used", unit="/"), True, Keep(at_least_every_s=900, change=0.02)),
        (Channel(name="odd", unit="cd"), True, Keep(at_least_every_s=900, change=0)),
        (Channel(name="cpu", unit="%", change=10.0), True, Keep(at_least_every_s=900, change=10)),
        (Channel(name="cpu", unit="%", at_least_every_s=1.0), True, Keep(at_least_every_s=1)),
        (Channel(name="a", unit="deg", kind="angle", at_least_every_s=9), False, Keep(at_least_every_s=9, period=360)),
    ],
    ids=lambda given: given.name + given.unit if isinstance(given, Channel) else "",
)  # fmt: skip
def test_probes_have_a_rule_by_kind_and_unit_and_sensors_only_what_is_said(
    channel: Channel, is_probe: bool, keep: Keep | None  # noqa: FBT001
) -> None:  # fmt: skip
    assert keep_of(channel, is_probe=is_probe) == keep


def test_a_full_turn_in_radians_is_no_jump() -> None:
    keep = keep_of(Channel(name="wind", unit="rad", kind="angle", at_least_every_s=60.0, change=0.2), is_probe=False)
    assert keep is not None
    assert kept(keep, 0.05, 6.25) == [0.05]
