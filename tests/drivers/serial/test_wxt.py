import random

import pytest

from drivers.driver import Send
from drivers.errors import OptionError
from drivers.io.simulators import simulator
from drivers.serial.wxt import decode, make


def _values(line: str) -> dict[str, object]:
    return {one.channel: one.value for one in decode("w", {}, [line.encode()]).readings}


# WXT520 user guide M210906EN, chapter 7, automatic mode with CRC.
WITH_CRC = {
    "0r1,Sn=0.1M,Sm=0.1M,Sx=0.1MGOG": {"wind_min": 0.1, "wind_avg": 0.1, "wind_max": 0.1},
    "0r2,Ta=22.7C,Ua=55.5P,Pa=1004.7H@Fn": {"temperature": 22.7, "humidity": 55.5, "pressure": 100470.0},
    "0r3,Rc=0.00M,Rd=0s,Ri=0.0MIlm": {"rain_total": 0.0, "rain_duration": 0.0, "rain_rate": 0.0},
    "0r5,Th=25.0C,Vh=10.6#,Vs=10.8V,Vr=3.369VO]T": {
        "heater_temperature": 25.0,
        "supply_voltage": 10.8,
        "reference_voltage": 3.369,
    },
}


@pytest.mark.parametrize(("line", "expected"), WITH_CRC.items())
def test_messages_of_the_guide_pass_their_crc_and_no_damaged_one_does(line: str, expected: dict[str, object]) -> None:
    assert _values(line) == expected
    for bit in range(8 * 3, len(line) * 8):
        damaged = bytearray(line.encode())
        damaged[bit // 8] ^= 1 << bit % 8
        assert decode("w", {}, [bytes(damaged)]).readings == (), bit


def test_a_hash_means_no_value_and_is_told() -> None:
    decoded = decode("w", {}, [b"0R1,Dm=###D,Sm=2.0#,Sx=3.0M\r\n"])
    assert [(one.channel, one.value) for one in decoded.readings] == [("wind_max", 3.0)]
    assert "wind_avg: no valid value" in decoded.reasons[0]
    assert "wind_dir_avg: Dm=###D is no value" in decoded.reasons[0]


def test_other_units_are_converted() -> None:
    assert _values("0R2,Ta=74.6F,Ua=14.7P,Pa=29.92I") == {
        "temperature": 23.667,
        "humidity": 14.7,
        "pressure": 101320.789,
    }
    assert _values("0R1,Sm=10.0K,Sx=10.0N,Sn=10.0S") == {"wind_avg": 2.778, "wind_max": 5.144, "wind_min": 4.47}
    assert _values("0R3,Rc=0.10I,Hc=6.5I") == {"rain_total": 2.54, "hail_total": 1.008}
    assert _values("0R3,Rc=0.10M,Hc=6H,Hi=2H") == {"rain_total": 0.1}  # bare hits are of no area
    assert _values("0R2,Pa=1.0050B") == {"pressure": 100500.0}


def test_unknown_fields_and_names_are_passed_over() -> None:
    assert _values("0R5,Th=76.1F,Vh=11.5N,Id=HEL___") == {"heater_temperature": 24.5, "heater_voltage": 11.5}


@pytest.mark.parametrize("line", ["R1,Sm=1.0M", "0R9,Sm=1.0M", "0R1", "0R1,Sm=1.0M,", "0XU,A=0", "Sm=1.0M"])
def test_a_line_of_another_form_is_none(line: str) -> None:
    assert decode("w", {}, [line.encode()]).readings == ()


def test_a_polled_unit_is_asked_for_its_composite_message_and_nothing_else() -> None:
    driver = make("w", "w", {"ask": "0"}, 10.0)
    asked = [event for step in range(30) for event in driver.tick(step * 1_000_000_000)]
    assert driver.start(0) == [Send(data=b"0R0\r\n")]
    assert asked == []
    assert driver.tick(10_000_000_000) == [Send(data=b"0R0\r\n")]
    with pytest.raises(OptionError, match="not one of"):
        make("w", "w", {"ask": "\r"}, None)


def test_the_simulated_unit_answers_when_it_is_polled() -> None:
    (answer,) = simulator("wxt").receive(b"0R0\r\n", 0)
    assert {"wind_avg", "pressure", "rain_rate"} < {one.channel for one in decode("w", {}, [answer]).readings}


def test_babble_raises_nothing_and_stays_bounded() -> None:
    chance = random.Random(4)  # noqa: S311 - noise, no secret
    driver = make("w", "w", {}, None)
    for _ in range(100):
        driver.receive(bytes(chance.choices(b"0Rr1,SmTa=.#M\r\n\x00\xff", k=1000)), 1)
        assert driver.held <= 1024
