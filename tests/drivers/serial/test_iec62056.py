import random

import pytest

from drivers.driver import Event, Identified, Rejected, Send
from drivers.errors import OptionError
from drivers.framing import xor8
from drivers.reading import Reading
from drivers.serial.iec62056 import decode, make

S = 1_000_000_000
SIGN_ON = b"/ISk5ME162-0033\r\n"


def _block(*lines: str, end: bytes = b"\x03") -> bytes:
    body = "".join(f"{line}\r\n" for line in lines).encode() + end
    return b"\x02" + body + bytes((xor8(body),))


READ_OUT = _block(
    "F.F(00)",
    "0.0.0(12345678)",
    "1.8.0*01(00100.000*kWh)",
    "1.8.0(00123.456*kWh)",
    "1-0:1.8.1*255(00023.456*kWh)",
    "16.7.0(-01.234*kW)",
    "32.7.0(230.1*V)",
    "31.7.0(005.20*A)",
    "14.7.0(49.98*Hz)",
    "C.7.0(0012)",
    "!",
)
VALUES = {
    "energy_import": 123456.0,
    "energy_import_t1": 23456.0,
    "power": -1234.0,
    "voltage_l1": 230.1,
    "current_l1": 5.2,
    "frequency": 49.98,
}


def _values(events: list[Event]) -> dict[str, object]:
    return {event.channel: event.value for event in events if isinstance(event, Reading)}


def test_a_read_out_is_read_and_earlier_periods_are_not() -> None:
    assert {one.channel: one.value for one in decode("m", {}, [READ_OUT]).readings} == VALUES


def test_signing_on_asks_a_mode_c_meter_to_stay_at_its_speed() -> None:
    driver = make("m", "m", {}, None)
    assert driver.start(0) == [Send(data=b"/?!\r\n")]
    assert driver.receive(b"/?!\r\n" + SIGN_ON, S)[-1] == Send(data=b"\x06000\r\n")
    events = driver.receive(READ_OUT, 60 * S)
    assert _values(events) == VALUES
    assert not [event for event in events if isinstance(event, Send)]


@pytest.mark.parametrize("sign_on", [b"/ISkAME162\r\n", b"/ISkaME162\r\n"])
def test_a_meter_of_mode_a_or_b_is_not_answered(sign_on: bytes) -> None:
    driver = make("m", "m", {}, None)
    driver.start(0)
    assert not [event for event in driver.receive(sign_on, S) if isinstance(event, Send)]


def test_a_meter_that_talks_by_itself_is_never_written_to() -> None:
    driver = make("m", "m", {"ask": False}, None)
    events = driver.start(0) + driver.receive(SIGN_ON + READ_OUT, S) + driver.tick(3600 * S)
    assert not [event for event in events if isinstance(event, Send)]
    assert _values(events) == VALUES


def test_an_address_goes_into_the_sign_on_and_nothing_else_does() -> None:
    assert make("m", "m", {"address": "12345678"}, None).start(0) == [Send(data=b"/?12345678!\r\n")]
    with pytest.raises(OptionError, match="32 digits"):
        make("m", "m", {"address": "1!\r\n"}, None)
    with pytest.raises(OptionError, match="too fast"):
        make("m", "m", {}, 10.0)


def test_identity_is_kind_and_serial_number_and_does_not_flap() -> None:
    driver = make("m", "m", {"ask": False}, None)
    seen: list[str] = []
    for step in range(3):
        events = driver.receive(SIGN_ON + READ_OUT, step * 1000 * S)
        seen += [event.identity for event in events if isinstance(event, Identified)]
    assert seen == ["ISk ME162-0033", "ISk ME162-0033 12345678"]


PUSHED = (
    b"/ESY5Q3DA1004 V3.04\r\n\r\n1-0:0.0.0*255(1336001560)\r\n1-0:1.8.0*255(00032549.5061662*kWh)\r\n"
    b"1-0:1.7.0*255(001688.21*W)\r\n0-0:96.1.255*255(1ESY1336001560)\r\n!\r\n"
)  # ndokter/dsmr_parser, test/example_telegrams.py


def test_a_telegram_of_mode_d_has_no_check_and_wants_a_witness() -> None:
    driver = make("m", "m", {"ask": False}, None)
    events = driver.receive(PUSHED, S)
    assert _values(events) == {"energy_import": 32549506.1662, "power_import": 1688.21}
    assert [event.identity for event in events if isinstance(event, Identified)] == ["ESY Q3DA1004 V3.04 1336001560"]
    far = driver.receive(PUSHED.replace(b"(001688.21", b"(9991688.21"), 2000 * S)
    assert [event.channel for event in far if isinstance(event, Reading) and event.quality] == ["power_import"]


@pytest.mark.parametrize("damage", [(b"!\r\n", b""), (b"*kWh)", b"*kWh"), (b"1-0:1.7", b"1_0:1.7")])
def test_a_damaged_telegram_of_mode_d_is_no_reading(damage: tuple[bytes, bytes]) -> None:
    decoded = decode("m", {}, [PUSHED.replace(*damage)])
    assert decoded.readings == ()
    assert len(decode("m", {}, [PUSHED]).readings) == 2


@pytest.mark.parametrize("step", [1, 5, 50])
def test_any_cut_and_noise_give_the_same(step: int) -> None:
    bad = READ_OUT[:-1] + bytes((READ_OUT[-1] ^ 1,))
    stream = b"\xff\x7f/" + SIGN_ON + b"\x00" + bad + SIGN_ON + READ_OUT
    driver = make("m", "m", {"ask": False}, None)
    events: list[Event] = []
    for at in range(0, len(stream), step):
        events += driver.receive(stream[at : at + step], S)
    assert _values(events) == VALUES
    assert "checksum" in {event.reason for event in events if isinstance(event, Rejected)}


def test_a_line_may_hold_several_values() -> None:
    line = "1.8.0(00123.456*kWh)2.8.0(00000.100*kWh)0.9.2(261122)1.6.0(00.5*kW)(261101)"
    found = {one.channel: one.value for one in decode("m", {}, [_block(line, "!")]).readings}
    assert found == {"energy_import": 123456.0, "energy_export": 100.0}


def test_a_read_out_recorded_with_its_parity_bits_is_read() -> None:
    recorded = bytes(byte | (byte.bit_count() & 1) << 7 for byte in READ_OUT)
    assert recorded != READ_OUT
    assert {one.channel: one.value for one in decode("m", {}, [recorded]).readings} == VALUES
    wrong = recorded[:40] + bytes((recorded[40] ^ 0x80,)) + recorded[41:]
    assert decode("m", {}, [wrong]).readings == ()


def test_a_part_that_ends_in_eot_is_read_too() -> None:
    part = _block("1.8.0(1*kWh)", end=b"\x04")
    assert [one.value for one in decode("m", {}, [part]).readings] == [1000.0]


def test_what_brings_no_reading_says_why() -> None:
    assert "without a value" in decode("m", {}, [_block("F.F(00)", "1.8.0(12)", "!")]).reasons[0]
    assert "identification" in decode("m", {}, [SIGN_ON]).reasons[0]
    assert "incomplete" in decode("m", {}, [READ_OUT[:-1]]).reasons[0]


@pytest.mark.parametrize("between", [b"", b"y" * 100])
def test_a_block_behind_one_that_was_given_up_is_found_by_its_last_bytes(between: bytes) -> None:
    driver = make("m", "m", {"ask": False}, None)
    body = b"x" * (8191 - len(between))
    driver.receive(b"\x02" + between + b"\x02" + body, S)
    assert driver.frames == 0
    driver.receive(b"\x03" + bytes((xor8(body + b"\x03"),)), S)
    assert driver.frames == 1


def test_a_block_without_end_is_given_up_and_memory_stays_bounded() -> None:
    driver = make("m", "m", {"ask": False}, None)
    events = driver.receive(b"\x02" + b"x" * 9000 + READ_OUT, S)
    assert _values(events) == VALUES
    driver.receive(b"\x02", S)
    for _ in range(100):
        driver.receive(b"x" * 500, S)
        assert driver.held <= 8192 + 564
    chance = random.Random(6)  # noqa: S311 - noise, no secret
    for _ in range(200):
        driver.receive(bytes(chance.choices(b"/\x01\x02\x03\r\n01.(*)kWh", k=500)), S)
        assert driver.held <= 8192 + 564
    driver.lost(S)
    assert driver.held == 0
