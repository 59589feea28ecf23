"""A row of the budgets says how it stands, and shows what varied."""

from benchmarks.table import Row, found


def verdict(value: float, *, must: float, goal: float, least: bool = False) -> str:
    return Row(what="x", unit="MB", found=found(value), must=must, goal=goal, least=least).verdict()


def test_a_value_at_its_bound_still_reaches_it() -> None:
    assert verdict(41, must=46, goal=41) == "goal"
    assert verdict(46, must=46, goal=41) == "must"
    assert verdict(46.01, must=46, goal=41) == "**over**"


def test_where_more_is_better_the_bounds_are_the_least() -> None:
    assert verdict(150, must=100, goal=150, least=True) == "goal"
    assert verdict(149, must=100, goal=150, least=True) == "must"
    assert verdict(99, must=100, goal=150, least=True) == "**over**"


def test_what_was_not_measured_is_a_dash_and_claims_nothing() -> None:
    line = Row(what="disk a day", unit="MB", found=None, must=40, goal=36, note=2).line()
    assert line == "| disk a day, MB [2] | - | 40 | 36 | - | - |"


def test_several_measurements_show_median_least_and_most() -> None:
    assert str(found(3.0, 1.0, 2.0)) == "2 (1..3)"
    assert str(found(2.0)) == "2"
    assert str(found(137_512.4, 137_000.0, 140_000.0)) == "137,512 (137,000..140,000)"
