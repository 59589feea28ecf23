"""When a sensor counts as silent."""

from hypothesis import given
from hypothesis import strategies as st

from agent.quality import Judge, SensorRules
from tests.agent.judging import LEVEL, SECOND, judge_of, reading


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
