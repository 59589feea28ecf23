"""An alarm that another one explains tells nothing worse, and is not forgotten."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from agent.alarm import Change
from agent.alarms import Alarms
from agent.rule import Rule
from drivers.reading import Reading
from tests.agent.alarm_rig import SECOND, feed, pass_time, reading, state_rule, told

WAN, DNS = "wan/up", "dns/up"


def layers(*, wan_for_s: float = 120.0, dns_for_s: float = 60.0, unknown_after_s: float | None = None) -> Alarms:
    return Alarms(
        [
            state_rule("wan-down", WAN, for_s=wan_for_s),
            state_rule(
                "dns-dead",
                DNS,
                for_s=dns_for_s,
                mute_when=("wan-down", "no-such-alarm"),
                unknown_after_s=unknown_after_s,
            ),
        ]
    )


def both(from_s: int, to_s: int, *, wan: bool, dns: bool, every_s: int = 20) -> Iterator[Reading]:
    """Both layers, the upper one a second later."""
    for at_s in range(from_s, to_s, every_s):
        yield reading(WAN, wan, at_s)
        yield reading(DNS, dns, at_s + 1)


def settled(**more: float) -> Alarms:
    alarms = layers(**more)
    feed(alarms, *both(0, 300, wan=True, dns=True))
    return alarms


def test_a_fault_below_is_told_once_and_its_end_once() -> None:
    alarms = settled()
    assert told(feed(alarms, *both(300, 1000, wan=False, dns=False))) == [("wan-down", "alarm", 420)]
    state = alarms.states()["dns-dead"]
    assert (state.state, state.beneath, state.hidden_by) == ("clear", "alarm", "wan-down")
    assert told(feed(alarms, *both(1000, 2000, wan=True, dns=True))) == [("wan-down", "clear", 1120)]
    assert alarms.states()["dns-dead"].hidden_by == ""


def test_a_child_that_is_faster_than_its_parent_waits_while_the_parent_may_be_rising() -> None:
    alarms = settled(wan_for_s=600.0, dns_for_s=0.0)
    assert told(feed(alarms, *both(300, 800, wan=False, dns=False))) == []
    assert alarms.states()["dns-dead"].hidden_by == "wan-down"
    assert told(feed(alarms, *both(800, 1000, wan=False, dns=False))) == [("wan-down", "alarm", 900)]


def test_a_child_whose_parent_was_not_asked_since_waits_for_its_word() -> None:
    alarms = settled(dns_for_s=0.0)
    assert feed(alarms, reading(DNS, False, 300), reading(DNS, False, 310)) == []
    assert told(feed(alarms, reading(WAN, True, 320))) == [("dns-dead", "alarm", 320)]


def test_a_fault_of_the_child_alone_is_told_when_its_parent_says_that_it_is_well() -> None:
    alarms = settled()
    assert told(feed(alarms, *both(300, 600, wan=True, dns=False))) == [("dns-dead", "alarm", 380)]


def test_a_parent_that_falls_silent_holds_nothing_back() -> None:
    alarms = settled(dns_for_s=0.0)
    changes = feed(alarms, *(reading(DNS, False, at_s) for at_s in range(300, 1200, 20)))
    assert told(changes) == [("wan-down", "unknown", 700), ("dns-dead", "alarm", 700)]


def test_what_still_stands_when_the_parent_is_clear_is_told_after_its_own_time() -> None:
    alarms = settled()
    feed(alarms, *both(300, 1000, wan=False, dns=False))
    changes = feed(alarms, *both(1000, 1400, wan=True, dns=False))
    assert told(changes) == [("wan-down", "clear", 1120), ("dns-dead", "alarm", 1180)]


def test_a_parent_that_only_seemed_to_rise_gives_the_child_its_own_time_too() -> None:
    alarms = settled(wan_for_s=200.0)
    feed(alarms, *both(300, 480, wan=False, dns=False))
    assert told(feed(alarms, *both(480, 700, wan=True, dns=False))) == [("dns-dead", "alarm", 540)]


def test_a_recovery_that_lags_behind_its_parents_is_not_told() -> None:
    alarms = settled()
    feed(alarms, *both(300, 1000, wan=False, dns=False))
    changes = feed(alarms, *both(1000, 1140, wan=True, dns=False), *both(1140, 2000, wan=True, dns=True))
    assert told(changes) == [("wan-down", "clear", 1120)]


def test_what_the_child_knew_before_its_parent_cleared_is_not_told_without_a_new_word() -> None:
    alarms = settled(dns_for_s=0.0, unknown_after_s=1000.0)
    feed(alarms, *both(300, 1000, wan=False, dns=False))
    wan_only = [reading(WAN, True, at_s) for at_s in range(1000, 1200, 20)]
    assert told(feed(alarms, *wan_only)) == [("wan-down", "clear", 1120)]
    assert told(feed(alarms, reading(DNS, False, 1210), reading(WAN, True, 1220))) == [("dns-dead", "alarm", 1210)]


def test_the_clearing_of_a_child_is_told_while_its_parent_stands() -> None:
    alarms = settled()
    feed(alarms, *both(300, 500, wan=True, dns=False), *both(500, 700, wan=False, dns=False))
    changes = feed(alarms, *both(700, 900, wan=False, dns=True))
    assert told(changes) == [("dns-dead", "clear", 761)]


def test_a_child_that_gets_worse_under_its_parent_is_told_of_after_it() -> None:
    levels = (("warning", 100.0), ("alarm", 500.0))
    slow = Rule(name="slow", sensor="net", channel="ms", unit="ms", levels=levels, for_s=0.0, mute_when=("wan-down",))
    alarms = Alarms([state_rule("wan-down", WAN), slow])
    feed(alarms, reading(WAN, True, 0), reading("net/ms", 200, 1, unit="ms"), reading(WAN, True, 2))
    assert alarms.states()["slow"].state == "warning"
    feed(alarms, reading(WAN, False, 10), reading("net/ms", 900, 11, unit="ms"))
    assert alarms.states()["slow"].beneath == "alarm"
    assert told(feed(alarms, reading(WAN, True, 20), reading("net/ms", 900, 21, unit="ms"))) == [
        ("wan-down", "clear", 20),
        ("slow", "alarm", 21),
    ]


def test_a_source_that_is_lost_under_its_parent_is_not_told_before_the_parent_is_clear() -> None:
    alarms = settled()
    feed(alarms, *both(300, 600, wan=False, dns=True))
    assert alarms.source_lost("dns", 600 * SECOND, "silent") == []
    changes = feed(alarms, *(reading(WAN, True, at_s) for at_s in range(600, 900, 20)))
    assert told(changes) == [("wan-down", "clear", 720), ("dns-dead", "unknown", 780)]


def test_a_parent_that_flaps_lets_nothing_through_and_then_its_child_is_told_once() -> None:
    alarms = settled(wan_for_s=0.0, dns_for_s=120.0)
    changes: list[Change] = []
    for round_s in range(300, 3900, 120):
        changes += feed(alarms, *both(round_s, round_s + 60, wan=False, dns=False))
        changes += feed(alarms, *both(round_s + 60, round_s + 100, wan=True, dns=False))
    assert {change.alarm for change in changes} == {"wan-down"}
    calm = feed(alarms, *both(3900, 6000, wan=True, dns=False))
    assert [name for name, state, _ in told(calm) if state == "alarm"] == ["dns-dead"]


def test_what_explains_the_parent_explains_the_child() -> None:
    rules = [
        state_rule("mains", "meter/on"),
        state_rule("wan-down", WAN, for_s=120.0, mute_when=("mains",)),
        state_rule("dns-dead", DNS, mute_when=("wan-down",)),
    ]
    alarms = Alarms(rules)
    ok = [reading(path, True, at_s) for at_s in range(0, 200, 20) for path in ("meter/on", WAN, DNS)]
    feed(alarms, *ok)
    bad = [reading(path, False, at_s) for at_s in range(200, 600, 20) for path in (DNS, "meter/on", WAN)]
    assert told(feed(alarms, *bad)) == [("mains", "alarm", 200)]
    assert alarms.states()["dns-dead"].hidden_by in {"wan-down", "mains"}
    assert alarms.states()["wan-down"].hidden_by == "mains"


def test_a_standing_parent_with_a_name_of_nobody_is_no_parent() -> None:
    alarms = Alarms([state_rule("dns-dead", DNS, mute_when=("no-such-alarm",))])
    assert told(feed(alarms, reading(DNS, False, 0))) == [("dns-dead", "alarm", 0)]


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "tick", "lose-a", "lose-b", "lose-c", "port", "old"]),
        st.booleans(),
        st.sampled_from([0, 0.0005, 1, 5, 20, 61, 400, 4000]),
    ),
    max_size=80,
)
TIMES = st.sampled_from([0.0, 10.0, 60.0])


def family(a_for_s: float, b_for_s: float, c_for_s: float) -> Alarms:
    rules = [
        state_rule("a", "a/up", for_s=a_for_s),
        state_rule("b", "b/up", for_s=b_for_s, mute_when=("a",), unknown_is="alarm"),
        state_rule("c", "c/up", for_s=c_for_s, mute_when=("b", "lost"), optional=True),
        Rule(name="lost", sensor="m", channel="", unit="1", levels=(("alarm", 1.0),), silence_of=("a", "b"), for_s=0.0),
    ]
    return Alarms(rules)


def play(alarms: Alarms, moves: list[tuple[str, bool, float]]) -> tuple[list[Change], float]:
    now_s = 0.0
    changes: list[Change] = []
    for what, is_up, wait_s in moves:
        now_s += wait_s
        match what:
            case "a" | "b" | "c":
                changes += feed(alarms, reading(f"{what}/up", is_up, now_s))
            case "tick":
                changes += alarms.tick(round(now_s * SECOND))
            case "port":
                changes += alarms.port_is("a", round(now_s * SECOND), is_open=is_up)
            case "old":
                changes += alarms.take(reading("b/up", is_up, max(0.0, now_s - 50)))
            case _:
                changes += alarms.source_lost(what[-1], round(now_s * SECOND), "gone")
        due = alarms.deadline()
        changes += alarms.tick(round(now_s * SECOND))
        assert due is None or due > now_s * SECOND or alarms.deadline() != due
    return changes, now_s


@given(times=st.tuples(TIMES, TIMES, TIMES), moves=MOVES)
def test_in_any_order_of_things_the_changes_of_an_alarm_form_a_chain(
    times: tuple[float, float, float], moves: list[tuple[str, bool, float]]
) -> None:
    alarms = family(*times)
    last = dict.fromkeys(alarms.states(), ("unknown", -1))
    changes, _ = play(alarms, moves)
    for change in changes:
        state, at_ns = last[change.alarm]
        assert change.before == state or (change.alarm == "c" and at_ns == -1 and change.before == "clear")
        assert change.boot_ns > at_ns
        last[change.alarm] = (change.state, change.boot_ns)


@given(times=st.tuples(TIMES, TIMES, TIMES), moves=MOVES)
def test_whatever_went_before_a_worsening_is_told_once_what_explains_it_stays_well(
    times: tuple[float, float, float], moves: list[tuple[str, bool, float]]
) -> None:
    alarms = family(*times)
    _, now_s = play(alarms, moves)
    for at_s in range(1, 800, 5):
        feed(
            alarms,
            reading("a/up", True, now_s + at_s),
            reading("b/up", True, now_s + at_s + 1),
            reading("c/up", False, now_s + at_s + 2),
        )
    states = alarms.states()
    assert (states["a"].state, states["b"].state, states["c"].state) == ("clear", "clear", "alarm")
    assert states["c"].hidden_by == ""


@given(times=st.tuples(TIMES, TIMES, TIMES), moves=MOVES)
def test_while_the_root_stands_nothing_below_it_gets_worse_aloud(
    times: tuple[float, float, float], moves: list[tuple[str, bool, float]]
) -> None:
    alarms = family(*times)
    _, now_s = play(alarms, moves)
    for at_s in range(1, 400, 5):
        feed(alarms, reading("a/up", False, now_s + at_s))
    assert alarms.states()["a"].state == "alarm"
    changes: list[Change] = []
    for at_s in range(400, 800, 5):
        changes += feed(
            alarms,
            reading("a/up", False, now_s + at_s),
            reading("b/up", at_s % 3 == 0, now_s + at_s + 1),
            reading("c/up", False, now_s + at_s + 2),
        )
    assert all(change.state == "clear" for change in changes)
    changes = pass_time(alarms, now_s + 800)
    assert all(change.state == "clear" for change in changes)
