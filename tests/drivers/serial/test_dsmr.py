import json
import random
from pathlib import Path

import pytest

from drivers.driver import Event, Identified, Problem, Rejected
from drivers.reading import Reading
from drivers.serial.dsmr import decode, make
from drivers.serial.rtu import crc16

S = 1_000_000_000
_FILE = Path(__file__).parents[2] / "vectors" / "serial-frames.json"
V4, V5, IRISH, V3 = (
    bytes.fromhex(one["bytes_hex"]) for one in json.loads(_FILE.read_text()) if one["device"] == "dsmr_p1"
)


def _sealed(*lines: str) -> bytes:
    telegram = "\r\n".join(("/XMX5LGBBFG1009", "", "1-3:0.2.8(50)", *lines, "!")).encode()
    return telegram + f"{crc16(telegram, 0):04X}\r\n".encode()


def _values(telegram: bytes, *, more: bool = False) -> dict[str, object]:
    return {one.channel: one.value for one in decode("m", {"more": more}, [telegram]).readings}


def _read(events: list[Event]) -> dict[str, object]:
    return {event.channel: event.value for event in events if isinstance(event, Reading)}


def test_phases_other_tariffs_and_gas_come_when_more_is_asked_for() -> None:
    assert _values(V5, more=True) | _values(V5) == _values(V5, more=True)
    assert {"voltage_l3": 229.0, "power_import_l2": 32.0, "energy_export_t2": 0.0, "gas_total": 0.107}.items() <= (
        _values(V5, more=True).items()
    )


def test_gas_of_version_3_stands_in_the_next_line() -> None:
    assert _values(V3, more=True)["gas_total"] == 1.001


def test_meters_behind_are_told_apart_by_their_kind_not_by_their_place() -> None:
    telegram = _sealed(
        "0-1:24.1.0(007)",
        "0-1:24.2.1(261122120000W)(00012.345*m3)",
        "0-2:24.1.0(003)",
        "0-2:24.2.3(261122120000W)(00500.001*m3)",
        "0-3:24.1.0(012)",
        "0-3:24.2.1(261122120000W)(12.3*GJ)",
        "0-4:24.2.1(261122120000W)",
    )
    assert _values(telegram, more=True) == {"water_total": 12.345, "gas_total": 500.001}


def test_sums_of_all_tariffs_are_read_and_power_in_watts_too() -> None:
    telegram = _sealed(
        "1-0:1.8.0(000123.456*kWh)", "1-0:2.8.0(7*Wh)", "1-0:1.7.0(0450*W)", "1-0:2.7.0(01.5*MW)", "1-0:32.7.0(--*V)"
    )
    assert _values(telegram) == {"energy_import": 123456.0, "energy_export": 7.0, "power_import": 450.0}


def test_a_value_of_another_medium_or_period_is_not_the_electricity_of_now() -> None:
    telegram = _sealed("8-0:1.8.1(000001.000*kWh)", "1-0:1.8.1*01(000002.000*kWh)", "1-0:1.8.1(000003.000*kWh)")
    assert _values(telegram) == {"energy_import_t1": 3000.0}


def test_a_missing_crc_is_refused_when_the_version_has_one() -> None:
    bare = V5[: V5.rindex(b"!")] + b"!\r\n"
    decoded = decode("m", {}, [bare])
    assert decoded.readings == ()
    assert "though the telegram says a version" in decoded.reasons[0]
    assert len(_values(V3)) == 5


def test_a_telegram_without_checksum_is_refused_for_one_damaged_line() -> None:
    assert _values(V3.replace(b"12345.678*kWh)\r\n1-0:1.8.2", b"12345.678*kW\xa9\r\n1-0:1.8.2")) == {}
    assert "not a code" in decode("m", {}, [V3.replace(b"1-0:1.7.0", b"1-0:1,7.0")]).reasons[0]


def test_a_crc_without_leading_zero_is_the_same_crc() -> None:
    gateway = (
        b"/NWA-WARMTELINK\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(260215200523W)\r\n0-0:96.1.1(ADC3100000158491)\r\n"
        b"0-0:96.13.1()\r\n0-0:96.13.0()\r\n0-1:24.1.0(004)\r\n0-1:96.1.0(621848012D2C0B0C)\r\n"
        b"0-1:24.2.1(260215200523W)(240.860*GJ)\r\n!B9F\r\n"
    )
    assert decode("m", {}, [gateway]).reasons == ("a telegram without a value that is known",)
    assert "checksum" in decode("m", {}, [gateway.replace(b"!B9F", b"!B90")]).reasons[0]


def test_codes_with_a_storage_number_are_read_too() -> None:
    q3d = (
        b"/ESY5Q3DA1004 V3.04\r\n\r\n1-0:0.0.0*255(1336001560)\r\n1-0:1.8.0*255(00032549.5061662*kWh)\r\n"
        b"1-0:21.7.0*255(000557.29*W)\r\n1-0:1.7.0*255(001688.21*W)\r\n0-0:96.1.255*255(1ESY1336001560)\r\n!\r\n"
    )
    assert _values(q3d) == {"energy_import": 32549506.1662, "power_import": 1688.21}


def test_a_value_without_checksum_is_doubted_until_another_telegram_bears_it_out() -> None:
    lone = V3.replace(b"(001.19*kW)", b"(091.19*kW)").replace(b"1-0:1.8.1(12345.678", b"1-0:1.8.1(92345.678")
    driver = make("m", "m", {}, 1.0)
    doubted = [
        {event.channel for event in driver.receive(telegram, step * S) if isinstance(event, Reading) and event.quality}
        for step, telegram in enumerate((V3, V3, lone, V3, lone, lone))
    ]
    changed = {"power_import", "energy_import_t1"}
    assert doubted == [set(), set(), changed, set(), set(), set()]


def test_a_telegram_with_a_checksum_needs_no_witness() -> None:
    driver = make("m", "m", {}, 1.0)
    events = [event for step, one in enumerate((V5, V4, V5)) for event in driver.receive(one, step * S)]
    assert not any(event.quality for event in events if isinstance(event, Reading))


def test_a_value_that_the_telegrams_before_did_not_have_is_doubted() -> None:
    driver = make("m", "m", {}, 1.0)
    driver.receive(V3.replace(b"1-0:1.7.0(001.19*kW)\r\n", b""), 0)
    found = {event.channel: str(*event.quality) for event in driver.receive(V3, S) if isinstance(event, Reading)}
    assert found.pop("power_import") == "unconfirmed"
    assert set(found.values()) == {""}


def test_the_line_ends_belong_to_the_crc() -> None:
    assert _values(V5.replace(b"\r\n", b"\n")) == {}


@pytest.mark.parametrize("step", [1, 7, 64])
def test_any_cut_and_noise_before_between_and_behind_give_the_same(step: int) -> None:
    stream = b"\x00/half\r\n" + V5[400:] + V4 + b"/ISk5\\2MT382-1000\r\n\r\n1-3:0.2" + V5 + b"\xff!0000\r\n" + V3
    driver = make("m", "m", {}, 1.0)
    events: list[Event] = []
    for at in range(0, len(stream), step):
        events += driver.receive(stream[at : at + step], at * S)
    seen = [event.value for event in events if isinstance(event, Reading) and event.channel == "power_import"]
    assert seen == [2027.0, 244.0, 1190.0]


def test_the_meter_says_who_it_is_without_unprintable_letters() -> None:
    events = make("m", "m", {}, None).receive(IRISH, S)
    assert events[0] == Identified(sensor="m", identity="ISk5MIE5T-200")


def test_a_telegram_of_nothing_known_says_so() -> None:
    assert "without a value" in decode("m", {}, [_sealed("0-0:96.14.0(0002)")]).reasons[0]


def test_a_telegram_without_end_is_given_up_and_the_next_one_read() -> None:
    driver = make("m", "m", {}, None)
    events = driver.receive(V5[:-8] + b"x" * 5000 + V4, S)
    assert _read(events)["power_import"] == 2027.0
    assert "too long" in {event.reason for event in events if isinstance(event, Rejected)}


def test_half_a_telegram_is_forgotten_with_the_port() -> None:
    driver = make("m", "m", {}, None)
    driver.receive(V5[:300], S)
    assert [event.reason for event in driver.lost(S) if isinstance(event, Rejected)] == ["incomplete"]
    assert driver.held == 0
    assert _read(driver.receive(V4, 2 * S))["power_import"] == 2027.0


def test_babble_is_a_hint_at_the_line_and_stays_bounded() -> None:
    chance = random.Random(5)  # noqa: S311 - noise, no secret
    driver = make("m", "m", {}, None)
    events: list[Event] = []
    for _ in range(300):
        events += driver.receive(bytes(chance.choices(b"/!\r\n01aZ(*)\xaf", k=500)), S)
        assert driver.held <= 4096 + 564
    assert [event.code for event in events if isinstance(event, Problem)] == ["no_frames"]
    assert _read(events) == {}
