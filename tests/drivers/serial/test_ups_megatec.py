import pytest

from drivers.bus import Bus
from drivers.driver import Event, OptionValue, Problem, Rejected, Send
from drivers.errors import OptionError
from drivers.reading import Reading
from drivers.serial.ups_megatec import decode, make

S = 1_000_000_000
GOOD = b"(226.0 195.0 226.0 014 49.0 27.5 30.0 00001000\r"


def _said(*answers: bytes, name: str = "megatec_q1", options: dict[str, OptionValue] | None = None) -> list[Event]:
    bus = Bus([make(name, "ups", options or {}, 5.0)])
    events = bus.start(0)
    for step, answer in enumerate(answers):
        now_ns = step * 5 * S
        events += bus.tick(now_ns)
        events += bus.receive(answer, now_ns + S // 5)
    return events


def _decoded(answer: bytes) -> dict[str, object]:
    return {one.channel: one.value for one in decode("megatec_q1", {}, [answer]).readings}


@pytest.mark.parametrize(
    ("text", "channel", "value"),
    [
        ("2.02", "cell_voltage", 2.02),
        ("0.00", "cell_voltage", 0.0),
        ("2.2", "cell_voltage", 2.2),
        ("02.27", "cell_voltage", 2.27),
        ("6.80", "battery_voltage", 6.8),
        ("13.6", "battery_voltage", 13.6),
        ("00.0", "battery_voltage", 0.0),
        ("27.50", "battery_voltage", 27.5),
        ("192.0", "battery_voltage", 192.0),
    ],
)
def test_the_battery_is_told_per_cell_or_as_a_whole(text: str, channel: str, value: float) -> None:
    found = _decoded(f"(226.0 195.0 226.0 014 49.0 {text} 30.0 00000000\r".encode())
    assert found[channel] == value
    assert ("cell_voltage" in found) + ("battery_voltage" in found) == 1


@pytest.mark.parametrize(
    ("bits", "on_battery", "low"),
    [("00001000", False, False), ("10001000", True, False), ("11001000", True, True), ("01111101", False, True)],
)
def test_the_first_two_bits_say_mains_failed_and_battery_low(bits: str, on_battery: object, low: object) -> None:
    found = _decoded(f"(000.0 195.0 226.0 014 00.0 27.5 30.0 {bits}\r".encode())
    assert (found["on_battery"], found["battery_low"]) == (on_battery, low)
    assert (found["input_voltage"], found["frequency"]) == (0.0, 0.0)


# Captured replies: networkupstools/nut, docs/nutdrv_qx-subdrivers.txt (armac log) and drivers/nutdrv_qx_omron.c.
@pytest.mark.parametrize(
    ("reply", "values"),
    [
        (b"(241.5 000.0 230.3 000 49.9 2.25 48.0 00000001\r", {"cell_voltage": 2.25, "load": 0.0, "on_battery": False}),
        (b"(102.5 000.0 102.4 000 49.9 54.5 22.7 00101000\r", {"battery_voltage": 54.5, "input_voltage": 102.5}),
        (b"(209.7 209.7 219.7 020 50.0 41.8 23.3 00000001\r", {"fault_voltage": 209.7, "temperature": 23.3}),
    ],
)
def test_captured_states_are_read(reply: bytes, values: dict[str, object]) -> None:
    assert values.items() <= _decoded(reply).items()


def test_null_bytes_and_noise_do_no_harm() -> None:
    assert _decoded(GOOD[:9] + b"\0\0" + GOOD[9:-1] + b"\0\r") == _decoded(GOOD)
    assert _decoded(b"\xff\x00(22" + GOOD) == _decoded(GOOD)
    assert _decoded(GOOD.replace(b" 000", b"  000")) == _decoded(GOOD)


def test_a_value_of_dashes_is_missing() -> None:
    for fault, heat in (b"---.-", b"--.-"), (b"@@@.@", b"@@.@"), (b"___._", b"__._"):
        found = _decoded(b"(226.0 " + fault + b" 226.0 014 49.0 27.5 " + heat + b" 00001000\r")
        assert "fault_voltage" not in found
        assert "temperature" not in found
        assert found["load"] == 14.0


def test_a_ups_in_the_cold_is_below_zero() -> None:
    assert _decoded(GOOD.replace(b" 30.0", b" -3.5"))["temperature"] == -3.5


@pytest.mark.parametrize(
    "answer",
    [
        GOOD[:-3] + b"\r",
        GOOD[:-2] + b"2\r",
        GOOD[1:],
        GOOD.replace(b"226.0", b"22x.0"),
        GOOD.replace(b" 014", b""),
        GOOD.replace(b"\r", b" 17\r"),
        b"#220.0 000 024.0 50.0\r",
        b"Q1\r",
        b"ACK\r",
    ],
)
def test_an_answer_of_another_form_is_no_reading(answer: bytes) -> None:
    decoded = decode("megatec_q1", {}, [answer])
    assert decoded.readings == ()
    assert decoded.reasons


@pytest.mark.parametrize("refusal", [b"NAK\r", b"(NAK\r", b"\0NAK\0\r"])
def test_a_refusal_is_told_until_an_answer_comes(refusal: bytes) -> None:
    problems = [event for event in _said(refusal, refusal, GOOD) if isinstance(event, Problem)]
    assert [(event.code, event.ok) for event in problems] == [("refused", False), ("refused", True)]
    assert "QS" in problems[0].detail


def test_an_echo_of_the_question_is_no_answer() -> None:
    events = _said(b"Q1\r" + GOOD, b"Q1\r")
    assert len({event.boot_ns for event in events if isinstance(event, Reading)}) == 1
    assert not any(isinstance(event, Rejected) for event in events)


def test_a_failed_ups_and_one_that_is_about_to_switch_off_are_told() -> None:
    events = _said(GOOD, GOOD.replace(b"00001000", b"00011000"), GOOD.replace(b"00001000", b"00001010"), GOOD)
    problems = [(event.code, event.ok) for event in events if isinstance(event, Problem)]
    assert problems == [
        ("device_error", False),
        ("device_error", True),
        ("shutting_down", False),
        ("shutting_down", True),
    ]


@pytest.mark.parametrize(
    ("name", "options", "asked"),
    [
        ("ups_megatec", {}, b"Q1\r"),
        ("megatec_q1", {}, b"Q1\r"),
        ("megatec_qs", {}, b"QS\r"),
        ("ups_megatec", {"command": "QS"}, b"QS\r"),
    ],
)
def test_the_state_is_all_it_ever_asks_for(name: str, options: dict[str, OptionValue], asked: bytes) -> None:
    events = _said(GOOD, b"", b"NAK\r", b"", b"", b"", GOOD, name=name, options=options)
    assert {event.data for event in events if isinstance(event, Send)} == {asked}


def test_it_is_asked_at_most_every_two_seconds_and_by_no_other_command() -> None:
    make("megatec_q1", "ups", {}, 2.0)
    with pytest.raises(OptionError, match="too fast"):
        make("megatec_q1", "ups", {}, 1.9)
    with pytest.raises(OptionError, match="Q1, QS"):
        make("megatec_q1", "ups", {"command": "S01"}, None)
