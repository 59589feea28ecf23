"""Rules of states and counters, hours, what explains what, what silence means, and what comes with a section."""

from collections.abc import Callable

import pytest

from agent.config.defaults import slug
from agent.config.load import Parsed
from agent.config.model import Alarm, Level
from agent.rule import Hours

Check = Callable[..., Parsed]

RIVER = '[sensor.river]\ndriver = "sonar"\nport = "usb:1-1.2"\nmount_height = "4 m"\n'
METER = '[sensor.meter]\ndriver = "meter"\nport = "usb:1-1.3"\n'
MEANS = METER + 'silent_means = "Mains lost"\n'
HOTSPOT = "[host]\nenabled = false\n[hotspot]\n"


def alarms(parsed: Parsed) -> dict[str, Alarm]:
    assert parsed.config is not None
    return {alarm.name: alarm for alarm in parsed.config.alarms}


def defaults(parsed: Parsed) -> dict[str, Alarm]:
    assert parsed.config is not None
    return {alarm.name: alarm for alarm in parsed.config.defaults}


def well(parsed: Parsed) -> Parsed:
    assert parsed.problems == ()
    return parsed


# States and counters


def test_a_state_has_one_level_that_can_be_named(check: Check) -> None:
    text = '[alarm.a]\nwatch = "river/note"\nis = ["down", "captive"]\nlevel = "warning"\n'
    other = '[alarm.b]\nwatch = "river/state"\nis = false\nunknown_is = "alarm"\n'
    found = alarms(well(check(RIVER, text, other)))
    assert (found["a"].states, found["a"].levels) == (("down", "captive"), (Level(name="warning", threshold=0.5),))
    assert (found["b"].states, found["b"].levels[0].name) == ((False,), "alarm")


def test_a_rise_is_in_the_unit_of_its_counter_and_may_leave_the_believable_range(check: Check) -> None:
    text = '[alarm.a]\nwatch = "wan/conntrack-drops"\nrise_within = "5 min"\nlevels = { warning = "1 count" }\n'
    found = alarms(well(check(HOTSPOT, text)))["a"]
    assert (found.rise_within_s, found.unit, found.levels) == (300, "count", (Level(name="warning", threshold=1),))


def test_hours_may_pass_midnight(check: Check) -> None:
    text = '[alarm.a]\nwatch = "river/state"\nis = true\nhours = "{}"\n'
    found = alarms(well(check(RIVER, text.format("22:00-06:30"))))["a"]
    assert found.hours == Hours(from_min=1320, to_min=390)
    assert alarms(well(check(RIVER, text.format("0:00-24:00"))))["a"].hours == Hours(from_min=0, to_min=0)


@pytest.mark.parametrize(
    ("text", "line", "what", "cure"),
    [
        ('watch = "river/level"\nis = ["down"]', 3, '"level" is a number, not a state', None),
        ('watch = "river/state"\nis = 3', 3, '"is" is a number', 'write is = ["down"], or is = false'),
        ('watch = "river/state"\nis = []', 3, '"is" is a list', None),
        ('watch = "river/state"\nis = [""]', 3, '"is" is a list', None),
        ('watch = "river/state"\nis = [true, false]', 3, '"is" is a list', None),
        ('watch = "river/note"\nis = true', 3, '"note" is text, never true or false', None),
        ('watch = "river/state"\nis = true\nlevels = { a = 1 }', 4, '"levels" means nothing beside "is"', None),
        ('watch = "river/state"\nis = true\nhysteresis = 1', 4, '"hysteresis" means nothing beside "is"', None),
        ('watch = "river/state"\nis = true\nlevel = "clear"', 4, 'a level cannot be called "clear"', None),
        ('watch = "river/state"\nis = true\nlevel = "closed"', 4, 'a level cannot be called "closed"', None),
        ('watch = "river/state"\nis = true\nlevel = "A"', 4, "alarm.x.level is no name", 'write "a"'),
        ('watch = "river/state"\nis = true\nunknown_is = "alrm"', 4, "unknown_is names no level", None),
        ('watch = "river/note"', 2, '"note" is text: no level can be passed', None),
        (
            'watch = "river/level"\nlevels = { a = "1 m" }\nrise_within = "5 min"',
            4,
            '"level" is no counter',
            None,
        ),
        ('watch = "river/state"\nis = true\nhours = "8-21"', 4, '"hours" is no part of a day', None),
        ('watch = "river/state"\nis = true\nhours = "08:00-24:01"', 4, '"hours" is no part of a day', None),
        ('watch = "river/state"\nis = true\nhours = 8', 4, '"hours" is no part of a day', None),
        ('watch = "river/state"\nis = true\nmute_when = ["x"]', 4, "an alarm cannot explain itself", None),
        (
            'watch = "river/state"\nis = true\nmute_when = ["flod"]',
            4,
            'no alarm is called "flod"',
            'did you mean "flood"?',
        ),
        (
            'watch = "river/state"\nis = true\nmute_when = ["banana"]',
            4,
            'no alarm is called "banana"',
            "take one of the alarms that there are",
        ),
        ('watch = "river/state"\nis = true\nmute_when = [3]', 4, '"0" is a number', None),
    ],
)
def test_a_wrong_key_is_told_with_its_cure(*, check: Check, text: str, line: int, what: str, cure: str | None) -> None:
    flood = '[alarm.flood]\nwatch = "river/level"\nlevels = { a = "2 m" }\n'
    parsed = check(RIVER + flood, f"[alarm.x]\n{text}\n")
    problem = next(problem for problem in parsed.problems if problem.what == what)
    assert (problem.file, problem.line, problem.severity) == ("part2.toml", line, "error")
    assert cure in {None, problem.cure}


# What explains what


def test_alarms_may_name_what_explains_them_whatever_it_comes_from(check: Check) -> None:
    text = '[alarm.a]\nwatch = "river/state"\nis = true\nmute_when = ["mains-lost", "connections-full", "b"]\n'
    other = '[alarm.b]\nwatch = "river/level"\nlevels = { a = "1 m" }\n'
    assert alarms(well(check(RIVER, MEANS, HOTSPOT, text, other)))["a"].mute_when == (
        "mains-lost",
        "connections-full",
        "b",
    )


def test_a_default_alarm_that_this_node_does_not_have_explains_nothing_and_is_warned_about(check: Check) -> None:
    text = '[alarm.a]\nwatch = "river/state"\nis = true\nmute_when = ["wan-down", "usb-scanner"]\n'
    parsed = check(RIVER, text)
    assert [(problem.severity, problem.what) for problem in parsed.problems] == [
        ("warning", '"wan-down" comes with probes that this node does not have'),
        ("warning", '"usb-scanner" comes with probes that this node does not have'),
    ]
    assert alarms(parsed)["a"].mute_when == ()


def test_a_circle_is_told_with_its_way_and_costs_those_on_it(check: Check) -> None:
    text = "".join(
        f'[alarm.{name}]\nwatch = "river/state"\nis = true\nmute_when = ["{cause}"]\n'
        for name, cause in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"))
    )
    parsed = check(RIVER, text)
    assert [problem.given for problem in parsed.problems] == [
        "a -> b -> c -> a",
        "b -> c -> a -> b",
        "c -> a -> b -> c",
    ]
    assert set(alarms(parsed)) == {"d"}


def test_a_circle_through_a_default_alarm_is_that_of_the_file(check: Check) -> None:
    text = '[alarm.wan-down]\nwatch = "wan/state"\nis = ["down"]\nmute_when = ["dns-dead"]\n'
    parsed = check(HOTSPOT, text)
    (problem,) = parsed.problems
    assert problem.given == "wan-down -> dns-dead -> wan-down"
    assert alarms(parsed) == {}
    assert defaults(parsed)["dns-dead"].mute_when == ()


# Silence


def test_what_silence_means_is_an_alarm_and_explains_that_sensor_and_those_that_say_so(check: Check) -> None:
    river = RIVER + 'silent_when = "mains-lost"\n'
    text = '[alarm.high]\nwatch = "meter/voltage"\nlevels = { a = "250 V" }\n'
    flood = '[alarm.flood]\nwatch = "river/level"\nlevels = { a = "1 m" }\n'
    found = alarms(well(check(river, MEANS, text, flood)))
    mains = found["mains-lost"]
    assert (mains.silence_of, mains.levels[0].name, mains.for_s, mains.mute_when) == (("meter",), "alarm", 0, ())
    assert found["high"].mute_when == ("mains-lost",)
    assert found["flood"].mute_when == ("mains-lost",)


def test_sensors_that_mean_the_same_make_one_alarm(check: Check) -> None:
    other = MEANS.replace("[sensor.meter]", "[sensor.second]").replace("1-1.3", "1-1.4")
    assert alarms(well(check(MEANS, other)))["mains-lost"].silence_of == ("meter", "second")


def test_default_alarms_of_what_lives_on_mains_are_explained_by_it_too(check: Check) -> None:
    assert "mains-lost" in defaults(well(check(MEANS, HOTSPOT)))["wan-down"].mute_when
    assert "mains-lost" not in defaults(well(check(METER, HOTSPOT)))["wan-down"].mute_when


@pytest.mark.parametrize(
    ("text", "what", "cure"),
    [
        (METER + 'silent_means = "---"\n', "no name of an alarm can be made of this", None),
        (
            RIVER + 'silent_when = "mains list"\n' + MEANS,
            'no alarm is called "mains-list"',
            'did you mean "mains-lost"?',
        ),
        (
            RIVER + 'silent_when = "mains lost"\n',
            'no alarm is called "mains-lost"',
            'write silent_means = "mains lost" at the sensor whose silence says so',
        ),
        (
            MEANS + RIVER + '[alarm.mains-lost]\nwatch = "river/state"\nis = true\n',
            'silent_means of meter makes an alarm "mains-lost" too',
            'keep one: remove [alarm.mains-lost], or write silent_when = "mains-lost" there instead of silent_means',
        ),
    ],
)
def test_words_about_silence_that_name_nothing_are_told(check: Check, text: str, what: str, cure: str | None) -> None:
    parsed = check("[host]\nenabled = false\n", text)
    assert [problem.what for problem in parsed.problems] == [what]
    assert cure in {None, parsed.problems[0].cure}


@pytest.mark.parametrize(
    ("text", "name"),
    [("Mains lost", "mains-lost"), ("listrik  padam!", "listrik-padam"), ("---", ""), ("x" * 40, "")],
)
def test_words_become_a_name(text: str, name: str) -> None:
    assert slug(text) == name


# What comes with a section


def test_a_node_without_any_section_has_the_alarms_of_its_box(check: Check) -> None:
    found = defaults(well(check(RIVER)))
    assert {"disk-full", "root-read-only", "host-hot"} <= set(found)
    assert not {"wan-down", "page-down", "sim-expires"} & set(found)


def test_a_box_that_is_not_watched_has_none(check: Check) -> None:
    assert defaults(well(check("[host]\nenabled = false\n"))) == {}


def test_an_alarm_of_the_same_name_replaces_the_default(check: Check) -> None:
    text = '[alarm.disk-full]\nwatch = "storage/root-used"\nlevels = { full = "0.5" }\n'
    parsed = well(check(text))
    assert "disk-full" not in defaults(parsed)
    assert alarms(parsed)["disk-full"].levels == (Level(name="full", threshold=0.5),)


def test_a_wrong_alarm_of_the_same_name_leaves_the_default(check: Check) -> None:
    parsed = check('[alarm.disk-full]\nwatch = "storage/root-used"\n')
    assert "disk-full" in defaults(parsed)


def test_a_section_takes_alarms_out_by_name(check: Check) -> None:
    parsed = check(
        '[host]\nwithout = ["disk-writes", "host-hot"]\n[kiosk]\nusb = ["a=1a86:7523"]\nwithout = ["usb-a"]\n'
    )
    assert parsed.problems == ()
    assert not {"disk-writes", "host-hot", "usb-a"} & set(defaults(parsed))


@pytest.mark.parametrize(
    ("written", "what", "cure"),
    [
        ('["disk-ful"]', "no alarm that comes with [host] has this name", 'did you mean "disk-full"?'),
        ('["wan-down"]', "no alarm that comes with [host] has this name", "take one of the allowed names"),
        ("[3]", '"0" is a number', None),
        ('"disk-full"', '"without" is text', None),
    ],
)
def test_a_name_that_a_section_does_not_bring_is_told(check: Check, written: str, what: str, cure: str | None) -> None:
    (problem,) = check(f"[host]\nwithout = {written}\n").problems
    assert problem.what == what
    assert cure in {None, problem.cure}


def test_nobody_is_missed_where_no_hours_are_known(check: Check) -> None:
    assert "clients-none" not in defaults(well(check("[hotspot]\n")))
    found = defaults(well(check('[hotspot]\nopen_hours = "08:00-21:00"\n')))["clients-none"]
    assert found.hours == Hours(from_min=480, to_min=1260)
    (problem,) = check('[hotspot]\nopen_hours = "always"\n').problems
    assert problem.what == '"open_hours" is no part of a day'


def test_default_alarms_are_part_of_the_version_and_not_of_the_hash(check: Check) -> None:
    parsed = well(check("[hotspot]\n"))
    assert parsed.config is not None
    assert parsed.config.defaults
    assert "wan-down" not in parsed.config.redacted


def test_the_sim_and_the_quota_have_alarms_where_center_names_them(check_alone: Check) -> None:
    center = '[center]\nurl = "mqtts://c:8883"\nsim_expires = "2027-01-31"\nmonthly_quota = "1 GB"\n'
    text = f'node = "n1"\ncity = "c1"\n{center}'
    assert {"sim-expires", "quota-low", "quota-spent", "quota-pace"} <= set(defaults(well(check_alone(text))))
