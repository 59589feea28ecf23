import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.driver import Event, Identified, OptionValue, Problem, Rejected
from drivers.reading import Reading
from drivers.serial.stream import Stream
from drivers.serial.vedirect import INFO, decode, make

S = 1_000_000_000
HEX = b":A0202000200000045\n"
MPPT = {"PID": "0xA042", "SER#": "HQ1411MYIKN", "V": "12530", "I": "590", "PPV": "7", "CS": "3", "ERR": "0"}


def _block(fields: dict[str, str]) -> bytes:
    """Derived from the protocol: lines of label, tab, value; a checksum that makes the sum 0."""
    body = "".join(f"\r\n{label}\t{value}" for label, value in fields.items()).encode() + b"\r\nChecksum\t"
    return body + bytes((-sum(body) & 0xFF,))


def _volts(millivolts: int, extra: str = "") -> bytes:
    return _block({"PID": "0xA042", "V": str(millivolts), "FW": extra or "123"})


def _solar() -> Stream:
    return make("vedirect", "sun", {}, 1.0)


def _values(events: list[Event]) -> list[object]:
    return [event.value for event in events if isinstance(event, Reading)]


def _decoded(fields: dict[str, str], options: dict[str, OptionValue] | None = None) -> dict[str, object]:
    return {one.channel: (one.value, one.unit) for one in decode("vedirect", options or {}, [_block(fields)]).readings}


@pytest.mark.parametrize(
    ("label", "text", "channel", "value", "unit"),
    [
        ("V", "26201", "battery_voltage", 26.201, "V"),
        ("I", "-10", "battery_current", -0.01, "A"),
        ("VPV", "10", "panel_voltage", 0.01, "V"),
        ("PPV", "320", "panel_power", 320, "W"),
        ("P", "-92", "power", -92, "W"),
        ("IL", "1200", "load_current", 1.2, "A"),
        ("H19", "8272", "yield_total", 82720, "Wh"),
        ("H20", "7", "yield_today", 70, "Wh"),
        ("SOC", "839", "state_of_charge", 83.9, "%"),
        ("TTG", "942", "time_to_go", 56520, "s"),
        ("CE", "-65473", "consumed_charge", -65.473, "Ah"),
        ("H17", "415", "energy_out", 4150, "Wh"),
        ("H18", "489", "energy_in", 4890, "Wh"),
        ("VS", "12801", "starter_voltage", 12.801, "V"),
        ("T", "-3", "battery_temperature", -3, "Cel"),
        ("CS", "252", "charge_state", 252, "1"),
        ("ERR", "17", "error", 17, "1"),
        ("AC_OUT_V", "23012", "output_voltage", 230.12, "V"),
        ("AC_OUT_I", "-3", "output_current", -0.3, "A"),
        ("DC_IN_V", "1262", "input_voltage", 12.62, "V"),
        ("DC_IN_I", "25", "input_current", 2.5, "A"),
        ("DC_IN_P", "31", "input_power", 31, "W"),
        ("V3", "13220", "battery_voltage_3", 13.22, "V"),
        ("I2", "-40", "battery_current_2", -0.04, "A"),
    ],
)
def test_a_label_is_a_channel_in_its_unit(label: str, text: str, channel: str, value: float, unit: str) -> None:
    assert _decoded({label: text}) == {channel: (value, unit)}


# The labels of a whole history: syssi/esphome-victron-vedirect, components/victron/victron.cpp, handle_value_.
@pytest.mark.parametrize(
    ("label", "text", "channel", "value", "unit"),
    [
        ("H1", "-95221", "deepest_discharge", -95.221, "Ah"),
        ("H4", "22", "cycles", 22, "1"),
        ("H6", "-5781000", "charge_drawn", -5781.0, "Ah"),
        ("H7", "17453", "battery_voltage_min", 17.453, "V"),
        ("H9", "49382", "since_full", 49382, "s"),
        ("H12", "3", "high_voltage_alarms", 3, "1"),
        ("H16", "12930", "starter_voltage_max", 12.93, "V"),
        ("DM", "-13", "mid_deviation", -1.3, "%"),
        ("OR", "0x00000009", "off_reason", 9, "1"),
        ("WARN", "256", "warning", 256, "1"),
        ("MODE", "5", "mode", 5, "1"),
        ("MON", "-9", "monitor_mode", -9, "1"),
        ("LOAD", "On", "load_on", True, "1"),
    ],
)
def test_states_and_history_are_asked_for(label: str, text: str, channel: str, value: float, unit: str) -> None:
    assert _decoded({label: text}) == {}
    assert _decoded({label: text}, {"more": True}) == {channel: (value, unit)}


def test_a_converter_whose_checksum_is_a_line_end_is_read() -> None:
    block = (
        b"\r\nPID\t0xA3F0\r\nFWE\t112FF\r\nSER#\tHQ2433EWGZZ\r\nV\t13220\r\nI\t0\r\nP\t0\r\nDC_IN_V\t1262\r\n"
        b"DC_IN_I\t0\r\nDC_IN_P\t0\r\nCS\t0\r\nOR\t0x00000009\r\nERR\t0\r\nChecksum\t\r"
    )  # an Orion XS: syssi/esphome-victron-vedirect, tests/fake-orion-xs-0xa3f0.yaml
    found = {one.channel: one.value for one in decode("vedirect", {}, [block]).readings}
    assert (found["battery_voltage"], found["input_voltage"], found["input_power"]) == (13.22, 12.62, 0)


@pytest.mark.parametrize(("label", "text"), [("SOC", "---"), ("T", "---"), ("TTG", "-1"), ("V", ""), ("V", "12.5")])
def test_what_a_unit_does_not_know_is_missing(label: str, text: str) -> None:
    assert _decoded({label: text}) == {}


def test_states_and_yesterday_are_delivered_on_demand() -> None:
    fields = {"LOAD": "ON", "Relay": "OFF", "MPPT": "2", "H22": "25", "H23": "119"}
    assert _decoded(fields) == {}
    assert _decoded(fields, {"more": True}) == {
        "load_on": (True, "1"),
        "relay": (False, "1"),
        "tracker": (2, "1"),
        "yield_yesterday": (250, "Wh"),
        "power_max_yesterday": (119, "W"),
    }


@given(at=st.integers(0, 200), cut=st.integers(0, 200))
def test_a_hex_message_anywhere_in_a_block_is_taken_out_and_checked_on_its_own(at: int, cut: int) -> None:
    block = _volts(12530)
    at = min(at, len(block) - 1)  # between the label of the checksum and its byte it cannot be told apart
    stream = block[:at] + HEX + block[at:] if at < len(block) - 1 else HEX + block
    sun = _solar()
    events = sun.receive(stream[:cut], S) + sun.receive(stream[cut:], S)
    assert _values(events) == [12.53]
    assert not any(isinstance(event, Rejected) for event in events)


@pytest.mark.parametrize(
    "message",
    [
        b":A0202000200000046\n",
        b":A020200020000045\n",
        b":A0202000200000045\xfe",
        b":\n",
        b":A02020",
        b":A02:A0202000200000045\n",
    ],
)
def test_a_damaged_hex_message_does_not_touch_the_block_around_it(message: bytes) -> None:
    block = _volts(12530)
    at = block.index(b"\r\nFW")
    events = _solar().receive(block[:at] + message + block[at:], S)
    assert _values(events) == [12.53]
    assert any(isinstance(event, Rejected) for event in events) == (message != HEX[:-1] + b"\xfe")


def _ending(special: int) -> bytes:
    """A block whose checksum is a certain byte."""
    extras = (str(number) + "~" * tail for number in range(1000) for tail in range(12))
    return next(block for extra in extras if (block := _volts(12001, extra))[-1] == special)


@pytest.mark.parametrize("special", list(b"\r\n:\t\x00\xff"))
def test_the_checksum_may_be_any_byte(special: int) -> None:
    stream = _ending(special) + _volts(12002)
    sun = make("vedirect", "sun", {}, None)
    events = [event for step, byte in enumerate(stream) for event in sun.receive(bytes((byte,)), step * S)]
    assert _values(events) == [12.001, 12.002]


def test_a_start_inside_a_block_costs_that_block_and_without_its_last_label_the_next() -> None:
    block = _volts(11111)
    label = block.index(b"\r\nChecksum")
    for cut in range(1, len(block)):
        sun = _solar()
        events = sun.receive(block[cut:] + _volts(12001), S) + sun.receive(_volts(12002), 2 * S)
        assert _values(events) == ([12.001, 12.002] if cut <= label else [12.002])


def test_what_is_no_line_end_behind_a_checksum_is_noise() -> None:
    sun = _solar()
    sun.receive(_volts(11111), S)
    for step, junk in enumerate([b"\x00" * 50, b"\xff" * 9, b"boot v1.2 OK\r\n", b"\r", b"\n\r\r\n", b"$GPGGA,1"]):
        assert _values(sun.receive(junk + _volts(12530), (2 * step + 3) * S)) == [12.53]


def test_a_stray_byte_before_the_first_block_makes_it_unbelievable() -> None:
    assert decode("vedirect", {}, [b"\xb4" + _volts(12530)]).readings == ()


def test_damage_costs_the_block_or_the_two_it_glues_together() -> None:
    blocks = [_volts(12000 + number) for number in range(5)]
    whole = b"".join(blocks)
    begin = len(blocks[0]) * 2
    for at in range(begin, begin + len(blocks[2])):
        for damaged in (whole[:at] + whole[at + 1 :], whole[:at] + whole[at : at + 1] + whole[at:]):
            sun = make("vedirect", "sun", {}, None)
            events = [event for step, byte in enumerate(damaged) for event in sun.receive(bytes((byte,)), step * S)]
            values = _values(events)
            assert set(values) <= {12.0, 12.001, 12.002, 12.003, 12.004}
            assert len(values) >= 3


def test_a_right_sum_over_something_else_is_no_block() -> None:
    body = b"\r\nV\t12530\r\nno tab here\r\nChecksum\t"
    decoded = decode("vedirect", {}, [body + bytes((-sum(body) & 0xFF,))])
    assert decoded.readings == ()
    assert decoded.reasons[0].startswith("block: not lines")


def test_an_error_and_an_alarm_are_told_in_words_until_they_end() -> None:
    sun = _solar()
    stream = [{"ERR": "0"}, {"ERR": "33"}, {"V": "12000"}, {"ERR": "33"}, {"ERR": "0"}, {"Alarm": "ON", "AR": "5"}]
    events = [event for fields in stream for event in sun.receive(_block(fields), S)]
    problems = [(event.code, event.ok, event.detail) for event in events if isinstance(event, Problem)]
    assert problems == [
        ("device_error", False, "error 33: panel voltage too high"),
        ("device_error", True, ""),
        ("device_alarm", False, "low voltage, low charge"),
    ]
    assert decode("vedirect", {}, [_block({"ERR": "200"})]).reasons == ("error 200: see Victron's list",)
    assert decode("vedirect", {}, [_block({"ERR": "x"})]).reasons == ("error x: ?",)
    assert decode("vedirect", {}, [_block({"AR": "256"})]).reasons == ("overload",)
    assert decode("vedirect", {}, [_block({"Alarm": "ON"})]).reasons == ("the unit does not say why",)


def test_the_unit_says_who_it_is_and_a_second_block_without_that_does_not_change_it() -> None:
    sun = _solar()
    events = sun.receive(_block(MPPT) + _block({"H1": "-65473"}) + _block(MPPT), S)
    assert [event.identity for event in events if isinstance(event, Identified)] == ["vedirect 0xA042 HQ1411MYIKN"]
    assert decode("vedirect", {}, [_block({"H1": "-65473"})]).reasons == ("a block without a channel of this driver",)


def test_a_line_that_never_ends_a_block_stays_within_bounds_and_is_counted() -> None:
    sun = _solar()
    sun.receive(_volts(12530), S)
    for stream in (b"\r\nV\t1" * 4000, b":" + b"A" * 9000, b"\x81" * 9000):
        events = sun.receive(stream, 2 * S)
        assert any(isinstance(event, Rejected) for event in events)
        assert sun.held <= 2048
    sun.receive(b"\r\nV\t12", 3 * S)
    sun.receive(b":A02", 3 * S)
    lost = [event.reason for event in sun.lost(4 * S) if isinstance(event, Rejected)]
    assert lost[-2:] == ["incomplete", "incomplete"]
    assert sun.held == 0


def test_every_channel_has_a_name_of_its_own() -> None:
    names = [channel.name for channel in make("vedirect", "sun", {"more": True}, None).info.channels]
    assert len(set(names)) == len(names) > len(INFO.channels)
