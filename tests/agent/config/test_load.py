from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.load import Parsed, parse
from agent.config.model import Center, Host, Seal, Spool
from drivers.io.catalog import registry

Check = Callable[..., Parsed]

NINE = """\
node = "Kiosk 1"
city = "bandung"

[center]
url = "mqtt://center.example:1883"
keepalve = "60 s"

[spool]
telemetry_cap = "1 MiB"

[sensor.air]
driver = "sds11"
port = "usb:1-1.2"

[sensor.river]
driver = "a02yyuw"
port = "usb:1-1.3"
mount_height = "4,20 m"

[sensor.river.channel.distance]
range = ["4 m", "0.1 m"]

[sensor.meter]
driver = "pzem004t"
port = "usb:1-1.4"

[sensor.meter2]
driver = "pzem004t"
port = "usb:1-1.4"

[alarm.flood]
watch = "river/levl"
levels = { a = "3 m" }
"""


def test_nine_mistakes_give_nine_findings_with_their_places_and_cures() -> None:
    parsed = parse([("agent.toml", NINE.encode())], registry())
    assert parsed.config is None
    assert [(one.line, one.column, one.cure) for one in parsed.problems] == [
        (1, 8, 'write "kiosk-1"'),
        (5, 7, "write mqtts://, or add insecure = true below [center] on a link that is safe by itself"),
        (6, 1, 'did you mean "keepalive"?'),
        (9, 17, 'write telemetry_cap = "2 MiB" or more, or a smaller segment'),
        (12, 10, 'did you mean "sds011", "sds198" or "sds021"?'),
        (18, 16, 'write a point: "4.20 m"'),
        (21, 9, 'write range = ["0.1 m", "4 m"]'),
        (28, 10, "set the unit to an address of its own and write it: unit = 2, or another that is free"),
        (32, 9, 'did you mean "river/level"?'),
    ]


def test_the_smallest_configuration_has_every_default(check: Check) -> None:
    config = check().config
    assert config is not None
    assert (config.node, config.city, config.site) == ("n1", "c1", None)
    assert config.center == Center(
        url="mqtts://center:8883",
        host="center",
        tcp_port=8883,
        tls=True,
        insecure=False,
        protocol="5",
        metered=False,
        window_bytes=262_144,
        resend_after_s=10,
        resend_at_most_s=120,
        backoff_base_s=4,
        backoff_cap_s=300,
        first_spread_s=60,
        progress_within_s=300,
        keepalive_s=60,
        quota_bytes=None,
        quota_reserve=0.1,
    )
    assert config.spool == Spool(
        folder="/var/lib/gardu/spool",
        durable_within_s=10,
        telemetry_cap_bytes=67_108_864,
        alarm_cap_bytes=16_777_216,
        free_disk_bytes=67_108_864,
        segment_bytes=1_048_576,
        memory_bytes=4_194_304,
    )
    assert config.seal == Seal(live_s=10, metered_s=60, offline_s=600, rows=500, plain_bytes=65_536, empty_after_s=60)
    assert config.host == Host(enabled=True, every_s=10, disks=("/",), interfaces=None)
    assert (config.keys_folder, config.run_folder, config.log_level) == ("/var/lib/gardu/keys", "/run/gardu", "info")
    assert (config.sensors, config.alarms) == ((), ())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ['the file lacks "node"', 'the file lacks "city"', "the section [center] is missing"]),
        ('node = "a"\ncity = 5\n[center]\n', ["city is no name", '[center] lacks "url"']),
        ('nod = "a"\ncity = "b"\n[center]\nurl = "mqtts://h"', ['unknown key "nod"']),
        ('node = "a"\ncity = "b"\ncenter = "h"', ['"center" is text']),
        ('node = "-a"\ncity = "b"\n[center]\nurl = "mqtts://h"', ["node is no name"]),
        ('node = "--"\ncity = "b"\n[center]\nurl = "mqtts://h"', ["node is no name"]),
        ("node = [\n", ["this is not TOML: invalid value"]),
    ],
)
def test_without_a_name_a_city_or_a_center_nothing_runs(check_alone: Check, text: str, told: list[str]) -> None:
    parsed = check_alone(text)
    assert parsed.config is None
    assert [problem.what for problem in parsed.problems] == told
    assert parsed.errors == len(told)


def test_no_files_at_all_lack_everything() -> None:
    assert parse([], registry()).errors == 3


@pytest.mark.parametrize(
    ("text", "what", "cure"),
    [
        ("[host]\nevery = 10", '"every": the unit is missing', 'write the unit: "10 s"'),
        ("[host]\nevery = true", '"every" is true or false', 'write it as text with a unit: "10 s"'),
        ('[host]\nevery = "1 ms"', '"every" is out of range', 'write "1 s" or more'),
        ('[host]\nevery = "2 h"', '"every" is out of range', 'write "1 h" or less'),
        ('[host]\nevery = "nan s"', '"every": not a finite number', "write a finite number and its unit"),
        ('[host]\ndisks = "/"', '"disks" is text', 'write disks = ["...", "..."]'),
        ("[host]\ndisks = [1]", '"0" is a number', 'put it in quotes: "1"'),
        ('[host]\ndisks = ["boot"]', "this is no mount point", 'write it in full: "/boot"'),
        ('[host]\nenabled = "yes"', '"enabled" is text', "write enabled = true or enabled = false, without quotes"),
        ("[seal]\nrows = 0", '"rows" is out of range', "write 1 or more"),
        ("[seal]\nrows = 99999", '"rows" is out of range', "write 10000 or less"),
        ('[seal]\nrows = "5"', '"rows" is text', "write rows = 500, or another whole number, without quotes"),
        ("[seal]\nrows = true", '"rows" is true or false', "write rows = 500, or another whole number, without quotes"),
        ('[seal]\nbytes = "2000.5 B"', '"bytes" is no whole number of bytes', "write whole bytes"),
        ('[log]\nlevel = "inof"', '"level" cannot be this', 'did you mean "info"?'),
        ('[log]\nlevel = "x"', '"level" cannot be this', 'write "debug", "info", "warning" or "error"'),
        ("[log]\nlevel = 3", '"level" is a number', 'put it in quotes: level = "3"'),
        ("[log]\nlevel = 2026-01-01", '"level" is a date or time', 'put it in quotes: level = "2026-01-01"'),
        ('[run]\nfolder = ""', '"folder" is empty or holds a control character', "write its text"),
        ('[run]\nfolder = "/a\\nb"', '"folder" is empty or holds a control character', "write its text"),
        ("[run]\nfolder = []", '"folder" is a list', 'put it in quotes: folder = "[]"'),
        ("run.folder.x = 1", '"folder" is a section', 'put it in quotes: folder = ""'),
        ('[run]\nfolder = "run"', "the folder is not written in full", "write the whole path, starting with /"),
        ('[log]\nsegment = "1 MiB"', 'unknown key "segment"', '"segment" belongs to [spool]: move it there'),
        (
            "[log]\nsite = 1",
            'unknown key "site"',
            '"site" stands at the top of the file: move it above the first [section]',
        ),
        ("[log]\nbanana = 1", 'unknown key "banana"', "remove it, or take one of the allowed keys"),
        ("[hots]\n", 'unknown key "hots"', 'did you mean "host"?'),
        ("sensor = 1", '"sensor" is a number', "write [sensor.NAME]"),
        ("[[sensor]]\n", '"sensor" is a list', "write [sensor.NAME]"),
    ],
)
def test_a_wrong_value_is_told_with_a_cure(check: Check, text: str, what: str, cure: str) -> None:
    (problem,) = check(text).problems
    assert (problem.what, problem.cure) == (what, cure)
    assert problem.line in {1, 2}


def test_a_number_of_many_digits_is_told_as_it_was_written(check: Check) -> None:
    (problem,) = check("[seal]\nlive = 1_0.5").problems
    assert (problem.given, problem.cure) == ("1_0.5", 'write the unit: "10.5 s"')


def test_a_wrong_sensor_costs_that_sensor_and_its_alarms_only(check: Check) -> None:
    parsed = check("""
[sensor.good]
driver = "dust"
port = "usb:1-1.1"
[sensor.bad]
driver = "dust"
port = "usb:1-1.2"
every = "1 ms"
[sensor.Bad]
driver = "dust"
port = "usb:1-1.3"
[alarm.one]
watch = "good/pm10"
levels = { a = "50 ug/m3" }
[alarm.two]
watch = "bad/pm10"
levels = { a = "50 ug/m3" }
[alarm.three]
watch = "Bad/pm10"
levels = { a = "50 ug/m3" }
""")
    assert parsed.config is not None
    assert [sensor.name for sensor in parsed.config.sensors] == ["good"]
    assert [alarm.name for alarm in parsed.config.alarms] == ["one"]
    assert [(one.line, one.what) for one in parsed.problems] == [
        (8, "Dust sensor cannot be read so often"),
        (9, "sensor.Bad is no name"),
    ]
    assert [one.sensor.name for one in parsed.fitted] == ["good"]


def test_a_broken_file_of_sensors_is_no_reason_to_call_its_sensors_unknown(check: Check) -> None:
    parsed = check("[sensor.air\n", '[alarm.dust]\nwatch = "air/pm10"\nlevels = { a = "50 ug/m3" }\n')
    assert [problem.file for problem in parsed.problems] == ["part1.toml"]
    assert parsed.config is None


def test_of_a_sensor_in_two_files_the_first_counts(check: Check) -> None:
    one = '[sensor.air]\ndriver = "dust"\nport = "usb:1-1"\n'
    parsed = check(one, one)
    (problem,) = parsed.problems
    assert (problem.file, problem.what) == ("part2.toml", "[sensor.air] stands in two files")
    assert parsed.config is not None
    assert [sensor.name for sensor in parsed.config.sensors] == ["air"]


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_is_a_configuration_or_has_findings(one: str, two: str) -> None:
    files = [("a.toml", one.encode(errors="replace")), ("b.toml", two.encode(errors="replace"))]
    parsed = parse(files, registry())
    assert parsed.config or parsed.errors


_WORDS = st.sampled_from(
    [
        "node",
        "center",
        "sensor.a",
        "sensor.a.channel.pm10",
        "alarm.x",
        "driver",
        "port",
        "every",
        "watch",
        "levels",
        "range",
    ]
)
_VALUES = st.sampled_from(
    [
        '"sds011"',
        '"usb:1-1"',
        '"1 s"',
        "1",
        "nan",
        "true",
        "[]",
        '["1 m", 2]',
        "{}",
        '{ a = "1 m" }',
        "07:32:00",
        '"a/pm10"',
    ]
)


@given(st.lists(st.tuples(_WORDS, st.lists(st.tuples(_WORDS, _VALUES), max_size=5)), max_size=5))
def test_any_value_in_any_place_is_told_and_never_a_crash(sections: list[tuple[str, list[tuple[str, str]]]]) -> None:
    text = ""
    for section, pairs in sections:
        text += f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in dict(pairs).items())
    assert parse([("a.toml", text.encode())], registry()).errors
