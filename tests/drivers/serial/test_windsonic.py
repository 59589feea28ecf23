import pytest

from drivers.driver import Problem, Rejected
from drivers.framing import xor8
from drivers.reading import Quality, Reading
from drivers.serial.windsonic import decode, make

S = 1_000_000_000


def _line(body: str) -> bytes:
    raw = body.encode()
    return b"\x02" + raw + b"\x03" + f"{xor8(raw):02X}\r\n".encode()


def _values(body: str) -> dict[str, object]:
    return {one.channel: one.value for one in decode("w", {}, [_line(body)]).readings}


@pytest.mark.parametrize(("unit", "speed"), [("M", 10.0), ("N", 5.144), ("P", 4.47), ("K", 2.778), ("F", 0.051)])
def test_each_unit_becomes_metres_per_second(unit: str, speed: float) -> None:
    assert _values(f"Q,090,010.00,{unit},00,") == {"wind_direction": 90, "wind_speed": speed, "status": 0}


def test_in_calm_air_there_is_no_direction_and_it_is_not_zero() -> None:
    assert _values("Q,,000.04,M,00,") == {"wind_speed": 0.04, "status": 0}


def test_blanks_of_the_fixed_form_and_north_as_360_are_understood() -> None:
    assert _values("Q, 360, 002.74, M, 00,") == {"wind_direction": 0, "wind_speed": 2.74, "status": 0}


def test_a_blocked_path_is_a_problem_and_doubts_the_values_until_it_is_gone() -> None:
    driver = make("w", "w", {}, None)
    events = driver.receive(_line("Q,229,002.74,M,04,"), S) + driver.receive(_line("Q,229,002.74,M,00,"), 3 * S)
    assert [(one.code, one.ok) for one in events if isinstance(one, Problem)] == [
        ("device_error", False),
        ("device_error", True),
    ]
    flags = [one.quality for one in events if isinstance(one, Reading) and one.channel == "wind_speed"]
    assert flags == [frozenset({Quality.DEVICE_ERROR}), frozenset()]
    assert decode("w", {}, [_line("Q,,,M,01,")]).readings[0].value == 1
    assert "status 3C" in decode("w", {}, [_line("Q,,,M,3C,")]).reasons[0]


# The line of the manual, 9.2; its printed check bytes are of another line.
@pytest.mark.parametrize(("unit", "u", "v", "speed"), [("M", 1.59, -2.74, 3.168), ("N", 0.818, -1.41, 1.63)])
def test_speeds_along_two_axes_are_read(unit: str, u: float, v: float, speed: float) -> None:
    found = {"wind_speed": speed, "wind_u": u, "wind_v": v, "status": 0}
    assert _values(f"Q,+001.59,-002.74,{unit},00,") == found
    assert _values(f"Q, +001.59, -002.74, {unit}, 00,") == found


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ("IIMWV,120,R,002.10,M,00", {"wind_direction": 120, "wind_speed": 2.1, "status": 0}),
        ("WIMWV,120,R,002.10,M,A", {"wind_direction": 120, "wind_speed": 2.1, "status": 0}),
        ("IIMWV,360.0,R,000.2,N,A", {"wind_direction": 0, "wind_speed": 0.103, "status": 0}),
        ("IIMWV,,R,000.04,M,A", {"wind_speed": 0.04, "status": 0}),
        ("IIMWV,120,R,002.10,M,01", {"wind_direction": 120, "wind_speed": 2.1, "status": 1}),
        ("IIMWV,,R,,M,V", {"status": 4}),
    ],
)
def test_the_sentence_of_nmea_says_the_same(body: str, values: dict[str, object]) -> None:
    sentence = f"${body}*{xor8(body.encode()):02X}\r\n".encode()
    assert {one.channel: one.value for one in decode("w", {}, [sentence]).readings} == values


def test_another_format_is_said_to_be_one() -> None:
    decoded = decode("w", {}, [_line("Q,001.59,1,00,M,")])
    assert decoded.readings == ()
    assert "polar" in decoded.reasons[0]


def test_damage_is_refused_and_the_next_line_read() -> None:
    good = _line("Q,229,002.74,M,00,")
    driver = make("w", "w", {}, None)
    events = driver.receive(b"\xffnoise" + good[:9] + good + good.replace(b"229", b"228"), S)
    assert [one.value for one in events if isinstance(one, Reading)] == [229, 2.74, 0]
    assert {one.reason for one in events if isinstance(one, Rejected)} == {"noise", "line", "checksum"}
