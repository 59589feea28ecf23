"""What holds of every alarm, whatever is said, lost or late."""

from hypothesis import given
from hypothesis import strategies as st

from agent.alarm import Change
from agent.alarms import Alarms
from agent.rule import Rule
from drivers.reading import GOOD, Quality, Reading
from tests.agent.flood_rules import SECOND, SIAGA, feed, flood, pass_time, reading

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
