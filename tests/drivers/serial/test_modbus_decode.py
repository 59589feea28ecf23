"""What a Modbus reply means when the question is known only from an echo, an option or what can be."""

import pytest

from drivers.driver import OptionValue
from drivers.errors import OptionError
from drivers.io.catalog import registry
from drivers.serial.rtu import Request, sealed

DRIVERS = registry()
# "RX:" lines of one poll of a DFRobot SEN0658 by the tool sen0658_poll (README, sample output), echo and reply.
ECHO = bytes.fromhex("010301fb000375c6")
AIR = bytes.fromhex("0103060005000f03fb9c05")
CLIMATE = bytes.fromhex("01030601c300f6020605e5")


def _values(name: str, *frames: bytes, **options: OptionValue) -> dict[str, object]:
    return {one.channel: one.value for one in DRIVERS.decode(name, options, list(frames)).readings}


def _reply(function: int, *words: int) -> bytes:
    data = b"".join((word & 0xFFFF).to_bytes(2, "big") for word in words)
    return sealed(bytes((1, function, len(data))) + data)


def test_the_echo_before_a_reply_says_which_registers_it_holds() -> None:
    assert _values("sen0658", ECHO + AIR) == {"pm2_5": 5, "pm10": 15, "pressure": 101900}
    assert _values("sen0658", ECHO, CLIMATE) == {"pm2_5": 451, "pm10": 246, "pressure": 51800}


def test_an_echo_to_another_unit_or_of_another_function_says_nothing() -> None:
    other = Request(unit=2, function=3, register=507, count=3).encode()
    inputs = Request(unit=1, function=4, register=507, count=3).encode()
    for echo in (other, inputs):
        assert set(_values("sen0658", echo + CLIMATE)) == {"humidity", "temperature", "noise"}


def test_of_two_possible_questions_the_one_whose_values_can_be_was_asked() -> None:
    assert _values("sen0658", AIR) == {"pm2_5": 5, "pm10": 15, "pressure": 101900}
    assert _values("sen0658", CLIMATE) == {"humidity": 45.1, "temperature": 24.6, "noise": 51.8}
    assert "register=507" in DRIVERS.decode("sen0658", {}, [AIR]).notes[0]


def test_when_no_question_or_each_fits_all_are_answered() -> None:
    assert len(_values("sen0658", _reply(3, 65000, 1, 65000))) == 6
    assert set(_values("senseair_s8", _reply(4, 375))) == {"co2", "type_id_low"}


@pytest.mark.parametrize(
    ("register", "words", "expected"),
    [
        (500, (14,), {"wind_speed": 0.14}),
        (503, (110,), {"wind_direction": 110}),
        ("0x1FD", (1019, 0, 50), {"pressure": 101900, "illuminance": 50}),
        (503, (110, 451, 246), {"wind_direction": 110, "humidity": 45.1, "temperature": 24.6}),
        (510, (0,), {}),  # half a value
    ],
)
def test_part_of_a_block_or_more_than_one_is_read_when_its_register_is_told(
    register: int | str, words: tuple[int, ...], expected: dict[str, object]
) -> None:
    assert _values("sen0658", _reply(3, *words), register=register) == expected


def test_part_of_a_block_is_read_when_its_request_is_told_or_echoed() -> None:
    request = Request(unit=1, function=3, register=508, count=1).encode()
    assert _values("sen0658", _reply(3, 31), request=request.hex()) == {"pm10": 31}
    assert _values("sen0658", request + _reply(3, 31)) == {"pm10": 31}


def test_an_echo_of_registers_that_nobody_declared_leaves_nothing_to_read() -> None:
    request = Request(unit=1, function=3, register=0x7D0, count=1).encode()
    decoded = DRIVERS.decode("sen0658", {}, [request + _reply(3, 1)])
    assert decoded.readings == ()
    assert "answers no request" in decoded.reasons[-1]


def test_a_register_or_request_with_no_declared_channel_is_refused() -> None:
    request = Request(unit=1, function=3, register=0x7D0, count=1).encode().hex()
    wrong: list[dict[str, OptionValue]] = [{"register": 0x7D0}, {"request": request}]
    for options in wrong:
        with pytest.raises(OptionError):
            DRIVERS.decode("sen0658", options, [AIR])
