import random

import pytest

from drivers.bus import Bus
from drivers.driver import Event, OptionValue, Problem, Rejected, Send
from drivers.errors import OptionError
from drivers.reading import Reading
from drivers.serial.sdi12 import Sdi12, crc_chars, decode, make

S = 1_000_000_000
Given = dict[str, OptionValue]
THREE: Given = {"values": ["moisture", "temperature", "conductivity"], "units": {"temperature": "Cel"}}


def _sealed(body: bytes) -> bytes:
    return body + crc_chars(body) + b"\r\n"


def _values(events: list[Event]) -> dict[str, object]:
    return {event.channel: event.value for event in events if isinstance(event, Reading)}


def _played(
    driver: Sdi12, replies: dict[bytes, bytes], until_s: float
) -> tuple[list[Event], list[tuple[float, bytes]]]:
    """A sensor that answers each question at once, with when it was asked what."""
    bus = Bus([driver])
    events: list[Event] = []
    asked: list[tuple[float, bytes]] = []
    now_ns = 0
    coming = bus.start(now_ns)
    while now_ns <= until_s * S:
        for event in coming:
            if isinstance(event, Send):
                asked.append((now_ns / S, event.data))
                coming += bus.receive(replies[event.data], now_ns) if event.data in replies else []
            else:
                events.append(event)
        now_ns += S // 10
        coming = bus.tick(now_ns)
    return events, asked


def test_the_crc_of_the_specification_is_ours() -> None:
    """SDI-12 1.4, 4.4.12.3."""
    assert crc_chars(b"0+3.14") == b"OqZ"
    assert crc_chars(b"0+3.14+2.718+1.414") == b"Ipz"


def test_values_are_fetched_when_the_sensor_said_and_until_all_are_here() -> None:
    replies = {
        b"0CC!": b"00023\r\n",
        b"0D0!": _sealed(b"0+22.5+24.1"),
        b"0D1!": _sealed(b"0-310"),
    }
    events, asked = _played(make("sdi12", "s", THREE, None), replies, 59)
    assert asked == [(0.0, b"0CC!"), (pytest.approx(2.0, abs=0.2), b"0D0!"), (pytest.approx(2.1, abs=0.2), b"0D1!")]
    assert _values(events) == {"moisture": 22.5, "temperature": 24.1, "conductivity": -310}
    assert {event.unit for event in events if isinstance(event, Reading)} == {"1", "Cel"}
    assert not [event for event in events if isinstance(event, Problem | Rejected)]


def test_a_sensor_that_breaks_its_promise_is_told_once_until_it_keeps_it() -> None:
    replies = {b"0CC!": b"00003\r\n", b"0D0!": _sealed(b"0+22.5"), b"0D1!": _sealed(b"0")}
    driver = make("sdi12", "s", THREE, 10.0)
    events, asked = _played(driver, replies, 25)
    assert [(one.code, one.detail) for one in events if isinstance(one, Problem)] == [
        ("incomplete", "1 of 3 values came")
    ]
    assert [request for _, request in asked] == [b"0CC!", b"0D0!", b"0D1!"] * 3
    replies[b"0D0!"] = _sealed(b"0+1+2+3")
    events, _ = _played(driver, replies, 5)
    assert [(one.code, one.ok) for one in events if isinstance(one, Problem)] == [("incomplete", True)]


def test_a_sensor_that_promises_nothing_is_told() -> None:
    replies = {b"0CC!": b"000000\r\n", b"0D0!": _sealed(b"0")}
    events, _ = _played(make("sdi12", "s", THREE, 10.0), replies, 5)
    assert [one.detail for one in events if isinstance(one, Problem)] == ["0 of 0 values came"]


def test_no_answer_to_a_fetch_ends_the_measurement_and_the_next_poll_begins_anew() -> None:
    events, asked = _played(make("sdi12", "s", THREE, 10.0), {b"0CC!": b"00003\r\n"}, 25)
    assert [request for _, request in asked] == [b"0CC!", b"0D0!"] * 3
    assert _values(events) == {}


def test_continuous_measurement_answers_at_once() -> None:
    given = {**THREE, "measure": "RC0", "address": "z"}
    events, asked = _played(make("sdi12", "s", given, 10.0), {b"zRC0!": _sealed(b"z+1.5")}, 5)
    assert asked == [(0.0, b"zRC0!")]
    assert _values(events) == {"moisture": 1.5}


def test_where_a_crc_was_asked_for_an_answer_without_is_refused() -> None:
    events, _ = _played(make("sdi12", "s", {"measure": "RC0"}, 10.0), {b"0RC0!": b"0+1.5\r\n"}, 5)
    assert _values(events) == {}
    assert "checksum" in {event.reason for event in events if isinstance(event, Rejected)} | {"checksum"}
    events, _ = _played(make("sdi12", "s", {"measure": "R0"}, 10.0), {b"0R0!": b"0+1.5\r\n"}, 5)
    assert _values(events) == {"value_0": 1.5}
    assert make("sdi12", "s", {"measure": "R0"}, None).info.integrity == "none"


def test_echo_break_and_another_sensors_answer_are_skipped() -> None:
    noisy = b"0R0!\x00\xff" + b"5+9.9\r\n" + b"\x000+1.5\r\n"
    events, _ = _played(make("sdi12", "s", {"measure": "R0"}, 10.0), {b"0R0!": noisy}, 5)
    assert _values(events) == {"value_0": 1.5}
    assert "another answer" in {event.reason for event in events if isinstance(event, Rejected)}


def test_values_of_a_measurement_that_is_over_are_not_mixed_into_the_next() -> None:
    driver = make("sdi12", "s", THREE, 10.0)
    driver.start(0)
    assert driver._match(b"0CC!", b"00003\r\n", 0)
    driver.tick(1)
    driver.tick(10 * S)
    verdict = driver._match(b"0D0!", _sealed(b"0+1+2+3"), 10 * S)
    assert verdict is not None
    assert _values(list(verdict.events)) == {}


def test_scale_and_skipped_values() -> None:
    given: Given = {"values": ["", "moisture"], "scale": {"moisture": "100"}}
    decoded = decode("sdi12", given, [_sealed(b"0+9.9+0.225+7")])
    assert {one.channel: one.value for one in decoded.readings} == {"moisture": 22.5}


@pytest.mark.parametrize(
    "line", [b"0+3.14OqY\r\n", b"0\r\n", b"00013\r\n", b"0+\r\n", b"0+1.2.3\r\n", b"?!\r\n", b"0+3,1\r\n"]
)
def test_what_is_no_answer_with_values_gives_none_and_says_why(line: bytes) -> None:
    decoded = decode("sdi12", {}, [line])
    assert decoded.readings == ()
    assert decoded.reasons


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"address": "10"}, "not one of 0-9"),
        ({"measure": "M"}, "CC, C"),
        ({"values": ["A b"]}, "no channel name"),
        ({"values": ["a"], "units": {"b": "m"}}, "no channel of values"),
        ({"values": ["a"], "scale": {"a": "0"}}, "decimal number"),
    ],
)
def test_a_wrong_option_says_what_is_wrong(given: Given, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        make("sdi12", "s", given, None)


def test_a_lost_port_forgets_the_measurement_and_silence_the_identity() -> None:
    driver = make("sdi12", "s", THREE, 10.0)
    driver.start(0)
    assert driver._match(b"0CC!", b"00003\r\n", 0)
    driver.lost(1)
    assert driver.deadline() is None
    assert driver.tick(5) == []
    assert driver.receive(b"0+1\r\n", 5) == []
    for _ in range(3):
        driver.unanswered(b"0CC!", 6)
    assert driver._identity is None


def test_only_measuring_and_fetching_is_ever_asked() -> None:
    chance = random.Random(7)  # noqa: S311 - noise, no secret
    driver = make("sdi12", "s", THREE, 1.0)
    bus = Bus([driver])
    asked: list[bytes] = []
    coming = bus.start(0)
    for step in range(2000):
        asked += [event.data for event in coming if isinstance(event, Send)]
        coming = bus.tick(step * S // 20) + bus.receive(
            bytes(chance.choices(b"0123+-.\r\nOqZ\x00", k=40)), step * S // 20
        )
    assert set(asked) <= {b"0CC!", *(b"0D%d!" % number for number in range(10))}
