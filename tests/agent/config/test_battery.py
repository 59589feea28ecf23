import pytest

from agent.config.load import Parsed, parse
from agent.reserve import Limit
from drivers.io.catalog import registry

START = """node = "n-1"
city = "bandung"
[center]
url = "mqtts://c.example:8883"
[sensor.ups]
driver = "ups_voltronic"
port = "usb:1-1.2"
"""
POWER = """[power]
watch = "ups/battery_capacity"
shutdown_below = "15 %"
and_on = "ups/on_battery"
"""


def read(text: str) -> Parsed:
    return parse([("agent.toml", (START + text).encode())], registry())


def test_without_the_section_the_box_is_never_powered_off() -> None:
    config = read("").config
    assert config is not None
    assert config.battery is None


def test_the_section_names_what_runs_out_and_when_it_is_enough() -> None:
    found = read(POWER)
    assert found.problems == ()
    assert found.config is not None
    assert found.config.battery == Limit(
        watch="ups/battery_capacity",
        below=15.0,
        unit="%",
        for_s=60.0,
        and_on="ups/on_battery",
        not_before_s=600.0,
    )


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('watch = "ups/battery_capacity"\n', "", 'lacks "watch"'),
        ('shutdown_below = "15 %"\n', "", 'lacks "shutdown_below"'),
        ('"ups/battery_capacity"', '"ups/batery"', "this names no channel of this box"),
        ('"ups/battery_capacity"', '"usp/battery_capacity"', "this names no channel of this box"),
        ('"ups/battery_capacity"', '"ups/mode"', "this is no number"),
        ('"ups/on_battery"', '"ups/load"', "this is never true or false"),
        ('"15 %"', '"15 V"', "shutdown_below"),
        ('"15 %"', "true", "shutdown_below"),
        ("and_on", "and_when", "and_when"),
    ],
)
def test_a_mistake_is_told_and_costs_only_this_section(before: str, after: str, told: str) -> None:
    found = read(POWER.replace(before, after))
    errors = [problem for problem in found.problems if problem.severity == "error"]
    assert len(errors) >= 1
    assert told in str(errors[0])
    assert all(error.cure for error in errors)
    assert found.config is not None
    assert found.config.battery is None


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ('[kiosk]\nusb = ["scanner"]\n', "scanner=1a86:7523"),
        ('[kiosk]\ndoor = "17"\n', "gpiochip0:17"),
        ('[kiosk]\nunits = ["two words"]\n', "cups.service"),
        ('[hotspot]\nunits = ["a/b"]\n', "cups.service"),
    ],
)
def test_a_setting_that_its_probe_cannot_take_is_a_mistake_with_its_place(section: str, told: str) -> None:
    (problem,) = read(section).problems
    assert told in str(problem)
    assert problem.line == 9
