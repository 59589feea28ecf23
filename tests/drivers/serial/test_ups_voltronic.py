import pytest

from drivers.bus import Bus
from drivers.driver import Event, OptionValue, Problem, Rejected, Send
from drivers.reading import Reading
from drivers.serial.ups_voltronic import crc, decode, make

S = 1_000_000_000
STATE = "(230.1 50.0 230.0 49.9 0161 0119 003 460 57.50 012 100 0069 0014 103.8 57.45 00007 00110110"


def _sealed(text: str) -> bytes:
    return text.encode() + crc(text.encode()) + b"\r"


def _decoded(line: bytes, options: dict[str, OptionValue] | None = None) -> dict[str, object]:
    return {one.channel: one.value for one in decode("voltronic_qpigs", options or {}, [line]).readings}


def _said(state: bytes, mode: bytes, polls: int = 3) -> list[Event]:
    bus = Bus([make("ups_voltronic", "ups", {}, 10.0)])
    coming = bus.start(0)
    events = list(coming)
    for step in range(1, polls * 20):
        now_ns = step * S // 2
        asked = coming[-1].data if coming and isinstance(coming[-1], Send) else b""
        reply = state if asked.startswith(b"QPIGS") else mode if asked.startswith(b"QMOD") else b""
        coming = (bus.receive(reply, now_ns) if reply else []) + bus.tick(now_ns)
        events += coming
    return events


# Captured replies: jblance/mpp-solar, mppsolar/protocols/pi30.py, pi30max.py and pi30revo.py, test_responses.
@pytest.mark.parametrize(
    ("state", "end", "values"),
    [
        (
            b"(221.0 49.9 221.0 49.9 0000 0707 012 401 00.10 012 000 0026 0000 000.0 00.10 00000 00010000 00 00 00000",
            b" 010\xe9}",
            {"grid_voltage": 221.0, "active_power": 707.0, "battery_voltage": 0.1, "pv_current": 0.0, "pv_power": 0.0},
        ),
        (
            b"(227.2 50.0 230.3 50.0 0829 0751 010 447 54.50 020 083 0054 02.7 323.6 00.00 00000 00010110 00 00 00879",
            b" 010\xf1\x8c",
            {"load": 10.0, "battery_capacity": 83.0, "pv_current": 2.7, "pv_voltage": 323.6, "pv_power": 879.0},
        ),
    ],
)
def test_captured_states_are_read(state: bytes, end: bytes, values: dict[str, float]) -> None:
    decoded = decode("voltronic_qpigs", {"more": True}, [state + end + b"\r"])
    found = {one.channel: one.value for one in decoded.readings}
    assert values.items() <= found.items()


@pytest.mark.parametrize(
    "reply",
    [
        b"(230.0 21.7 230.0 50.0 21.7 5000 4000 48.0 46.0 42.0 56.4 54.0 0 10 010 1 0 0 6 01 0 0 54.0 0 1\x6f\x7e\r",
        b"(230.0 13.0 230.0 50.0 13.0 3000 2400 24.0 23.0 21.0 28.2 27.0 0 30 50 0 2 1 - 01 1 0 26.0 0 0\xb9\xbd\r",
    ],
)
def test_a_rating_is_told_to_be_another_answer(reply: bytes) -> None:
    assert decode("voltronic_qpigs", {}, [reply]).reasons == ("answer to another question than QPIGS or QMOD",)


@pytest.mark.parametrize(
    ("command", "seal"),
    [(b"QPI", "beac"), (b"QMOD", "49c1"), (b"QPIGS", "b7a9"), (b"(NAK", "7373"), (b"(PI30", "9a0b")],
)
def test_the_checksum_is_the_published_one(command: bytes, seal: str) -> None:
    assert crc(command).hex() == seal


def test_no_checksum_byte_is_one_that_means_something_on_the_line() -> None:
    seals = {crc(number.to_bytes(3, "big")) for number in range(20_000)}
    assert not {byte for seal in seals for byte in seal} & set(b"(\r\n")
    assert {byte for seal in seals for byte in seal} >= set(b")\x0e\x0b")


@pytest.mark.parametrize("behind", ["", " 00 00 00856 010", " 00 00 00856 010 0 01 0000", " 05 06 x"])
def test_older_and_newer_units_say_more_or_less_behind_the_state_bits(behind: str) -> None:
    found = _decoded(_sealed(STATE + behind))
    assert (found["grid_voltage"], found["battery_voltage"], found["heatsink_temperature"]) == (230.1, 57.5, 69.0)
    more = _decoded(_sealed(STATE + behind), {"more": True})
    assert (more["pv_voltage"], more["pv_current"], more["discharge_current"]) == (103.8, 14.0, 7.0)
    assert more.get("pv_power") == (856.0 if "856" in behind else None)
    assert len(found) == 12


@pytest.mark.parametrize(
    ("letter", "mode", "on_battery"),
    [("L", "line", False), ("B", "battery", True), ("F", "fault", False), ("S", "standby", False), ("X", "x", False)],
)
def test_the_mode_says_whether_the_load_lives_on_the_battery(letter: str, mode: str, on_battery: object) -> None:
    assert _decoded(_sealed(f"({letter}")) == {"mode": mode, "on_battery": on_battery}


@pytest.mark.parametrize(
    "text",
    [
        "(NAK",
        "(PI30",
        "(ACK",
        "(230.0 21.7 230.0 50.0 21.7 5000 5000 48.0 47.0 46.5 57.6 57.6 5 30 080 0 2 1 2 1 01 0 0 52.0 0 1",
        STATE[:-3],
        STATE.replace("50.0", "5x.0"),
        STATE.replace(" 003", ""),
        "(LL",
    ],
)
def test_an_answer_to_another_question_is_no_reading(text: str) -> None:
    decoded = decode("voltronic_qpigs", {}, [_sealed(text)])
    assert decoded.readings == ()
    assert decoded.reasons


@pytest.mark.parametrize("line", [b"(\r", b"(L\r", b"(L\x00\x00\r", b"L\x49\xc1\r", b"\r\r"])
def test_a_line_without_its_checksum_is_refused(line: bytes) -> None:
    assert _decoded(line) == {}


def test_both_questions_are_asked_in_turn_and_nothing_else() -> None:
    events = _said(_sealed(STATE), _sealed("(B"))
    sent = [event.data for event in events if isinstance(event, Send)]
    assert set(sent) == {b"QPIGS\xb7\xa9\r", b"QMOD\x49\xc1\r"}
    assert sent[:2] == [b"QPIGS\xb7\xa9\r", b"QMOD\x49\xc1\r"]
    values = {event.channel: event.value for event in events if isinstance(event, Reading)}
    assert (values["output_voltage"], values["on_battery"]) == (230.0, True)
    assert len([event for event in events if isinstance(event, Reading)]) == 3 * 14


def test_the_answer_to_one_question_is_never_taken_for_that_to_the_other() -> None:
    events = _said(_sealed("(PI30") + _sealed(STATE), _sealed(STATE) + _sealed("(L"))
    assert len([event for event in events if isinstance(event, Reading)]) == 3 * 14


def test_a_refused_question_leaves_the_other_alone() -> None:
    events = _said(_sealed(STATE), _sealed("(NAK"))
    assert len([event for event in events if isinstance(event, Reading)]) == 3 * 12
    assert not any(isinstance(event, (Problem, Rejected)) for event in events)


def test_a_fault_is_told_until_it_ends() -> None:
    (problem,) = (event for event in _said(_sealed(STATE), _sealed("(F")) if isinstance(event, Problem))
    assert (problem.code, problem.ok) == ("device_error", False)
