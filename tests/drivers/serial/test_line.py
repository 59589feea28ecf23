import random

import pytest

from drivers.driver import Event, OptionValue, Problem, Rejected
from drivers.errors import OptionError
from drivers.framing import sum8, xor8
from drivers.reading import Reading
from drivers.serial.line import decode, make
from drivers.serial.rtu import crc16

S = 1_000_000_000
Given = dict[str, OptionValue]
CSV: Given = {"format": "csv", "columns": ["t", "", "h"], "units": {"t": "Cel"}}


def _values(given: Given, line: str | bytes) -> dict[str, object]:
    raw = line if isinstance(line, bytes) else line.encode()
    return {one.channel: one.value for one in decode("line", given, [raw]).readings}


def _json(**fields: str) -> Given:
    return {"format": "json", "fields": dict(fields)}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('{"t": 23.5}', 23.5),
        ('{"t": 23}', 23),
        ('{"t": "23.5"}', 23.5),
        ('{"t": true}', True),
        ('{"t": -1.5e1}', -15),
    ],
)
def test_a_json_value_is_read(line: str, value: object) -> None:
    found = _values(_json(x="t"), line)["x"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "line",
    [
        '{"t": null}',
        '{"t": NaN}',
        '{"t": Infinity}',
        '{"t": ""}',
        '{"t": "wet"}',
        '{"t": {}}',
        '{"t": 99999999999999999}',
        '{"t": [1]}',
    ],
)
def test_what_is_no_value_is_missing_and_never_nothing(line: str) -> None:
    decoded = decode("line", _json(x="t"), [line.encode()])
    assert decoded.readings == ()
    assert decoded.reasons


@pytest.mark.parametrize("line", ["[1", "12", "{", '{"t":1}x', "[" * 250, b"\xff\xfe", '"' + "x" * 20 + '"'])
def test_a_line_that_is_no_json_object_is_said_to_be_none(line: str | bytes) -> None:
    assert _values(_json(x="t"), line) == {}


def test_inner_objects_and_lists_are_reached_by_a_path() -> None:
    assert _values(_json(x="env.t", y="list.1"), '{"env":{"t":5},"list":[1,2]}') == {"x": 5, "y": 2}


def test_objects_nested_too_deep_are_left_alone() -> None:
    assert _values(_json(x="a.a.a.a.a.a.a.a.a.a"), '{"a":' * 10 + "1" + "}" * 10) == {}
    assert _values({**_json(x="t"), "text": ["x"]}, '{"t": true}') == {}


def test_csv_columns_by_order_and_by_number() -> None:
    assert _values(CSV, "23.5, 9 ,70") == {"t": 23.5, "h": 70}
    assert _values({"format": "csv", "fields": {"h": 3}, "delimiter": ";"}, "1;2;3") == {"h": 3}
    assert _values(CSV, "23.5,9") == {}
    assert _values(CSV, "23.5,9,") == {"t": 23.5}


@pytest.mark.parametrize("line", ["t=23.5 h=70", "t = 23.5, h = 70", "t:23.5;h:70", "t=23.5C&h=70%", "x=1 t=23.5 h=70"])
def test_pairs_are_read_as_people_print_them(line: str) -> None:
    assert _values({"format": "keyvalue", "fields": {"t": "t", "h": "h"}}, line) == {"t": 23.5, "h": 70}


def test_pairs_with_their_own_delimiter_and_none_at_all() -> None:
    given: Given = {"format": "keyvalue", "fields": {"t": "air temp"}, "delimiter": "|"}
    assert _values(given, "air temp=23.5|x=1") == {"t": 23.5}
    assert _values(given, "hello") == {}


def test_a_pattern_gives_its_groups() -> None:
    given: Given = {"format": "regex", "pattern": r"T=(?P<t>[\d.]+) H=(\d+).*", "fields": {"t": "t", "h": "2"}}
    assert _values(given, "T=23.5 H=70 end") == {"t": 23.5, "h": 70}
    assert _values(given, "boot v1.2") == {}


def test_scale_and_text_channels() -> None:
    given: Given = {**_json(t="t", s="s"), "scale": {"t": "0.1"}, "text": ["s"]}
    assert _values(given, '{"t": 2393, "s": "open"}') == {"t": 239.3, "s": "open"}
    assert _values(given, '{"t": 1, "s": "' + "x" * 220 + '"}').keys() == {"t", "s"}


def test_a_wind_sensor_with_marks_and_xor_decodes() -> None:
    """Gill WindSonic, polar mode; the sum stands behind ETX."""
    given: Given = {
        "format": "csv",
        "start": "\x02",
        "checksum": "xor",
        "checksum_mark": "\x03",
        "fields": {"direction": 2, "speed": 3},
    }
    assert _values(given, b"\x02Q,229,002.74,M,00,\x0316\r\n") == {"direction": 229, "speed": 2.74}
    assert _values(given, b"\x02Q,228,002.74,M,00,\x0316\r\n") == {}


@pytest.mark.parametrize("method", ["xor", "sum8", "crc16"])
def test_no_single_flipped_bit_passes_a_checksum(method: str) -> None:
    body = b"23.5,9,70"
    total = {"xor": xor8, "sum8": sum8, "crc16": crc16}[method](body)
    line = body + b"*" + (f"{total:04X}" if method == "crc16" else f"{total:02X}").encode()
    given: Given = {**CSV, "checksum": method}
    assert _values(given, line) == {"t": 23.5, "h": 70}
    for bit in range(len(line) * 8):
        damaged = bytearray(line)
        damaged[bit // 8] ^= 1 << bit % 8
        assert _values(given, bytes(damaged)) in ({}, {"t": 23.5, "h": 70})
    assert make("line", "x", given, None).info.integrity in (method, "none")
    assert "checksum: no" in decode("line", given, [body]).reasons[0]


def test_the_first_line_may_be_a_tail_and_is_not_believed() -> None:
    driver = make("line", "x", CSV, None)
    assert not [event for event in driver.receive(b"3.5,9,70\n", S) if isinstance(event, Reading)]
    assert [event.value for event in driver.receive(b"23.5,9,70\n", S) if isinstance(event, Reading)] == [23.5, 70]


def test_a_line_longer_than_allowed_is_dropped() -> None:
    given: Given = {**CSV, "max_length": 16}
    driver = make("line", "x", given, None)
    driver.receive(b"\n1\n", S)
    events = driver.receive(b"9" * 40 + b",9,70\n", S)
    assert {event.reason for event in events if isinstance(event, Rejected)} == {"noise", "too long"}
    assert driver.held <= 128


def test_lines_not_understood_are_one_problem_until_one_is() -> None:
    driver = make("line", "x", _json(t="t"), None)
    events: list[Event] = []
    for step, line in enumerate([b"boot\n", b"boot\n", b'{"t":1}\n']):
        events += driver.receive(line, S * step)
    assert [(one.code, one.ok) for one in events if isinstance(one, Problem)] == [
        ("not_understood", False),
        ("not_understood", True),
    ]


def test_noise_that_ends_like_lines_is_no_frame_and_told_once() -> None:
    driver = make("line", "x", _json(t="t"), None)
    events: list[Event] = []
    for step in range(20):
        events += driver.receive(b"\xff" * 600 + b"\n\xff\n", S * step)
    events += driver.receive(b'{"t":1}\n', S * 20)
    assert [(one.code, one.ok) for one in events if isinstance(one, Problem)] == [
        ("no_frames", False),
        ("not_understood", False),
        ("no_frames", True),
        ("not_understood", True),
    ]


def test_the_channels_are_what_the_options_name() -> None:
    assert [(one.name, one.unit) for one in make("line", "x", CSV, None).info.channels] == [("t", "Cel"), ("h", "1")]


def test_babble_raises_nothing_and_stays_bounded() -> None:
    chance = random.Random(8)  # noqa: S311 - noise, no secret
    for given in (_json(t="t"), CSV):
        driver = make("line", "x", given, None)
        for _ in range(100):
            driver.receive(bytes(chance.choices(b'{}[]":,0123456789.te\n', k=2000)), S)
            assert driver.held <= 512


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "format: missing"),
        ({"format": "xml"}, "json, csv"),
        ({"format": "json"}, "give either fields"),
        ({"format": "json", "columns": ["t"]}, "belong to csv"),
        ({"format": "csv", "columns": ["", "-"]}, "name no channel"),
        ({"format": "csv", "fields": {"t": "a"}}, "column number"),
        ({"format": "json", "fields": {"T": "a"}}, "no channel name"),
        ({**CSV, "units": {"x": "m"}}, "no channel of fields"),
        ({**CSV, "scale": {"t": "big"}}, "in quotes"),
        ({"format": "regex", "fields": {"t": "t"}}, "pattern: missing"),
        ({"format": "regex", "fields": {"t": "t"}, "pattern": "("}, "no regular expression"),
        ({"format": "regex", "fields": {"t": "t"}, "pattern": "(x)"}, "no group"),
        ({**CSV, "end": ""}, "must end somewhere"),
        ({**CSV, "max_length": 4}, "8 to 1024"),
    ],
)
def test_a_wrong_option_says_what_is_wrong(given: Given, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        make("line", "x", given, None)
