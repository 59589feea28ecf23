from collections.abc import Callable

import pytest

from agent.config.load import Parsed
from agent.config.model import Alarm, Level
from drivers.reading import Quality

Check = Callable[..., Parsed]

RIVER = '[sensor.river]\ndriver = "sonar"\nport = "usb:1-1.2"\nmount_height = "4 m"\n'
HEAD = '[alarm.flood]\nwatch = "river/level"\n'
LEVELS = 'levels = { mild = "2.5 m", bad = "300 cm" }\n'


def alarms(parsed: Parsed) -> tuple[Alarm, ...]:
    assert parsed.config is not None
    return parsed.config.alarms


def test_an_alarm_is_read_in_the_unit_of_its_channel(check: Check) -> None:
    parsed = check(
        RIVER,
        HEAD
        + LEVELS
        + 'for = "20 s"\nhysteresis = "5 cm"\nhold_off = "1 min"\nunknown_is = "mild"\nunknown_after = "90 s"\n'
        + 'accept = ["step", "no_target"]\n',
    )
    assert parsed.problems == ()
    assert alarms(parsed) == (
        Alarm(
            name="flood",
            sensor="river",
            channel="level",
            unit="m",
            levels=(Level(name="mild", threshold=2.5), Level(name="bad", threshold=3.0)),
            for_s=20,
            hysteresis=0.05,
            hold_off_s=60,
            unknown_is="mild",
            unknown_after_s=90,
            accept=frozenset({Quality.STEP, Quality.NO_TARGET}),
        ),
    )


def test_an_alarm_has_defaults(check: Check) -> None:
    (alarm,) = alarms(check(RIVER, HEAD + LEVELS))
    assert (alarm.falling, alarm.for_s, alarm.hysteresis, alarm.hold_off_s) == (False, 10, 0, 0)
    assert (alarm.unknown_is, alarm.unknown_after_s, alarm.accept) == (None, None, frozenset())


def test_a_falling_alarm_has_falling_levels(check: Check) -> None:
    (alarm,) = alarms(check(RIVER, HEAD + 'falling = true\nlevels = { low = "1 m", dry = "0 m" }\n'))
    assert alarm.falling
    assert [level.threshold for level in alarm.levels] == [1, 0]


def test_a_state_is_compared_with_plain_numbers_and_a_humidity_with_percent(check: Check) -> None:
    state = '[alarm.a]\nwatch = "river/state"\nlevels = { on = 1 }\n'
    parsed = check(RIVER, state, '[alarm.b]\nwatch = "river/air"\nlevels = { wet = "90 %" }\n')
    assert parsed.problems == ()
    assert [alarm.levels[0].threshold for alarm in alarms(parsed)] == [1, 90]


def test_the_health_of_the_box_can_be_watched(check: Check) -> None:
    text = '[alarm.hot]\nwatch = "host/temp"\nlevels = { hot = "80 °C" }\nhysteresis = "2 K"\n'
    (alarm,) = alarms(check('[host]\ninterfaces = ["eth0"]\n', text))
    assert (alarm.sensor, alarm.hysteresis) == ("host", 2)


@pytest.mark.parametrize(
    ("text", "line", "column", "what", "cure"),
    [
        (f'watch = "rivr/level"\n{LEVELS}', 2, 9, 'no sensor is called "rivr"', 'did you mean "river/level"?'),
        (
            f'watch = "sea/level"\n{LEVELS}',
            2,
            9,
            'no sensor is called "sea"',
            "add [sensor.sea], or watch one of the allowed sensors",
        ),
        (
            f'watch = "host/temp"\n{LEVELS}',
            2,
            9,
            'no sensor is called "host"',
            "write enabled = true below [host], or remove this alarm",
        ),
        (
            f'watch = "river/levl"\n{LEVELS}',
            2,
            9,
            'sensor "river" has no channel "levl"',
            'did you mean "river/level"?',
        ),
        (
            f'watch = "river/sound"\n{LEVELS}',
            2,
            9,
            'sensor "river" has no channel "sound"',
            "watch one of its channels, such as river/level",
        ),
        (
            f'watch = "river/note"\n{LEVELS}',
            3,
            10,
            '"note" is text: no level can be passed',
            'write is = ["..."] and level = "warning" instead of levels',
        ),
        (f'watch = "river"\n{LEVELS}', 2, 9, "this names no channel", None),
        (f'watch = "river/level/x"\n{LEVELS}', 2, 9, "this names no channel", None),
        (f"watch = 3\n{LEVELS}", 2, 9, '"watch" is a number', None),
        (LEVELS, 1, 8, '[alarm.x] lacks "watch"', "add watch = ...: sensor/channel"),
        ('watch = "river/level"', 1, 8, '[alarm.x] lacks "levels"', None),
        (
            'watch = "river/level"\nlevels = "3 m"',
            3,
            10,
            '"levels" is text',
            'write levels = { warning = "4.20 m" }',
        ),
        ('watch = "river/level"\nlevels = {}', 3, 10, '"levels" is a section', 'write levels = { warning = "4.20 m" }'),
        ('watch = "river/level"\nlevels = { a = 3 }', 3, 16, '"a": the unit is missing', 'write the unit: "3 m"'),
        (
            'watch = "river/level"\nlevels = { a = "3 V" }',
            3,
            16,
            '"a": "V" is not a unit of length',
            'write it in one of mm, cm, dm, m, km, such as "4.20 m"',
        ),
        ('watch = "river/level"\nlevels = { A = "3 m" }', 3, 12, "alarm.x.levels.A is no name", 'write "a"'),
        (
            'watch = "river/level"\nlevels = { clear = "3 m" }',
            3,
            12,
            'a level cannot be called "clear"',
            "give the level another name; every alarm has this state by itself",
        ),
        (
            'watch = "river/level"\nlevels = { a = "3 m", b = "3 m" }',
            3,
            27,
            'level "b" is not beyond "a"',
            "order the levels from mild to severe; where low values are bad add falling = true",
        ),
        (
            'watch = "river/level"\nfalling = true\nlevels = { a = "1 m", b = "3 m" }',
            4,
            27,
            'level "b" is not beyond "a"',
            "order the levels from mild to severe",
        ),
        (
            'watch = "rver/level"\nlevels = { x = 1, a = "V V", b = "3 m", c = "2 m" }',
            3,
            45,
            'level "c" is not beyond "b"',
            None,
        ),
        ('watch = "rver/level"\nlevels = { b = 3, c = 2 }', 3, 23, 'level "c" is not beyond "b"', None),
        (
            f'watch = "river/level"\n{LEVELS}unknown_is = "bd"',
            4,
            14,
            "unknown_is names no level",
            'did you mean "bad"?',
        ),
        (
            f'watch = "river/level"\n{LEVELS}unknown_is = "danger"',
            4,
            14,
            "unknown_is names no level",
            "write the name of one of the levels",
        ),
        (
            f'watch = "river/level"\n{LEVELS}hysteresis = "-1 m"',
            4,
            14,
            "hysteresis is below 0",
            "write it without the minus",
        ),
        (f'watch = "river/level"\n{LEVELS}hysteresis = 1', 4, 14, '"hysteresis": the unit is missing', None),
        (f'watch = "river/level"\n{LEVELS}accept = ["stpe"]', 4, 11, "no flag has this name", 'did you mean "step"?'),
        (
            f'watch = "river/level"\n{LEVELS}accept = ["banana"]',
            4,
            11,
            "no flag has this name",
            "take one of the allowed flags",
        ),
        (f'watch = "river/level"\n{LEVELS}accept = [1]', 4, 11, '"0" is a number', None),
        (f'watch = "river/level"\n{LEVELS}accept = 1', 4, 10, '"accept" is a number', None),
        (f'watch = "river/level"\n{LEVELS}for = "2 d"', 4, 7, '"for" is out of range', 'write "24 h" or less'),
    ],
)
def test_a_wrong_alarm_is_told(*, check: Check, text: str, line: int, column: int, what: str, cure: str | None) -> None:
    parsed = check(RIVER + "[host]\nenabled = false\n", f"[alarm.x]\n{text}\n")
    assert {problem.file for problem in parsed.problems} == {"part2.toml"}
    problem = next(problem for problem in parsed.problems if problem.what == what)
    assert (problem.line, problem.column) == (line, column)
    assert cure in {None, problem.cure}
    assert alarms(parsed) == ()


@pytest.mark.parametrize(("level", "allowed"), [("11 m", "from -1 to 10 m"), ("-2 m", "from -1 to 10 m")])
def test_a_level_that_no_believed_value_reaches_is_warned_about(check: Check, level: str, allowed: str) -> None:
    parsed = check(RIVER, f'{HEAD}levels = {{ a = "{level}" }}\n')
    (problem,) = parsed.problems
    assert (problem.severity, problem.allowed) == ("warning", allowed)
    assert alarms(parsed)


def test_an_open_end_is_not_told(check: Check) -> None:
    (problem,) = check(RIVER, '[alarm.a]\nwatch = "river/depth"\nlevels = { a = "-1 m" }\n').problems
    assert problem.allowed == "from 0 m"


def test_an_alarm_on_a_channel_of_a_wrong_sensor_is_still_checked(check: Check) -> None:
    parsed = check(RIVER + 'every = "1 ms"\n', '[alarm.a]\nwatch = "river/levle"\nlevels = { a = "3 m" }\n')
    assert [problem.what for problem in parsed.problems] == [
        "Water level cannot be read so often",
        'sensor "river" has no channel "levle"',
    ]
