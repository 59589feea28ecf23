import pytest

from drivers.driver import DriverInfo, Line, Option, OptionValue
from drivers.errors import OptionError
from drivers.serial.options import Options, paced, parse_line, quantity

INFO = DriverInfo(
    name="thing",
    title="",
    family="thing",
    min_every_s=0.5,
    options=(
        Option(name="mode", kind="text", choices=("fast", "slow"), default="fast"),
        Option(name="unit", kind="integer", low=1, high=247),
        Option(name="height", kind="quantity", unit="m", low=0, high=10, example='"4.20 m"'),
        Option(name="on", kind="boolean"),
        Option(name="factor", kind="number", low=0),
        Option(name="top", kind="number", high=5),
        Option(name="names", kind="list"),
        Option(name="map", kind="table"),
    ),
)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [("4.20 m", "m", 4.2), ("420cm", "m", 4.2), ("4200 mm", "m", 4.2), ("300 ms", "s", 0.3), ("5 %RH", "%RH", 5.0)],
)
def test_quantities_are_converted(text: str, unit: str, value: float) -> None:
    assert quantity(text, unit) == value


@pytest.mark.parametrize("text", ["4.20", "m", "4 s", "4.2.1 m", "4 parsec", ""])
def test_what_is_no_such_quantity_is_none(text: str) -> None:
    assert quantity(text, "m") is None


def test_line_settings_are_read_as_people_write_them() -> None:
    assert parse_line("4800 8e1") == Line(baud=4800, parity="E")
    assert parse_line("1200 7O2") == Line(baud=1200, data_bits=7, parity="O", stop_bits=2)
    assert parse_line("2400 8N1 no RTS") == Line(baud=2400, rts=False)
    assert parse_line("2400 8n1, no dtr, no rts") == Line(baud=2400, dtr=False, rts=False)
    assert parse_line("9600") is None
    assert parse_line("9600 8N1 RTS") is None


@pytest.mark.parametrize("line", [Line(), Line(baud=300, data_bits=7, parity="E"), Line(dtr=False, rts=False)])
def test_line_settings_read_back_as_they_are_written(line: Line) -> None:
    assert parse_line(str(line)) == line


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"mod": "fast"}, "did you mean mode"),
        ({"zzz": 1}, "thing takes"),
        ({"mode": "quick"}, "fast, slow"),
        ({"mode": "sloww"}, "did you mean 'slow'"),
        ({"unit": 0}, "1 to 247"),
        ({"unit": True}, "not a integer"),
        ({"height": 4.2}, "a quantity in m, e.g."),
        ({"height": "11 m"}, "0 m to 10 m"),
        ({"on": 1}, "boolean"),
        ({"factor": -1}, "0 to inf"),
        ({"top": 6.5}, "-inf to 5"),
        ({"factor": float("inf")}, "number"),
        ({"names": "a"}, "list"),
        ({"map": ["a"]}, "table"),
    ],
)
def test_a_wrong_option_says_what_is_allowed(given: dict[str, OptionValue], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        Options(INFO, given)


def test_right_options_are_read_and_missing_ones_have_their_default() -> None:
    options = Options(INFO, {"height": "2 m", "names": ["a"], "map": {"a": 1}, "on": True, "unit": 3})
    assert (options.text("mode"), options.integer("unit"), options.quantity("height")) == ("fast", 3, 2.0)
    assert (options.flag("on"), options.items("names"), options.table("map")) == (True, ["a"], {"a": 1})
    bare = Options(INFO, {})
    assert (bare.integer("unit"), bare.quantity("height"), bare.flag("on")) == (None, None, False)
    assert (bare.items("names"), bare.table("map"), bare.given("unit")) == ((), {}, False)


def test_a_pace_changes_the_silence_that_counts_as_stale() -> None:
    assert paced(INFO, None) is INFO
    assert paced(INFO, 100).stale_after_s == 350
    with pytest.raises(OptionError, match="too fast"):
        paced(INFO, 0.1)
