"""The maps that are shipped, by replies that none of their own vectors holds."""

from collections.abc import Sequence

import pytest

from drivers.driver import Ask, OptionValue
from drivers.errors import ProfileError
from drivers.io.catalog import registry
from drivers.reading import Quality
from drivers.serial.modbus import Modbus, make
from drivers.serial.modbus_decode import decode
from drivers.serial.profile import load
from drivers.serial.rtu import sealed

DRIVERS = registry()
PROFILES = [name for name in DRIVERS.names() if DRIVERS.info(name).family != name]
MODELS = {
    "dfrobot_sen0658": "sen0658",
    "lambrecht_rain": "lambrecht_rain",
    "modbus_float_meter": "float_meter",
    "modbus_weather": "modbus_weather",
    "modbus_wind": "sonbest_wind",
    "renke_soil": "renke_soil",
    "renke_temp_humidity": "renke_temp_humidity",
    "sdm120": "sdm120",
    "sdm230": "sdm230",
}


def _words(*values: int) -> bytes:
    return b"".join((value & 0xFFFF).to_bytes(2, "big") for value in values)


def _decoded(name: str, data: bytes, *, unit: int = 1, function: int = 3, **options: OptionValue) -> dict[str, object]:
    reply = sealed(bytes((unit, function, len(data))) + data)
    return {one.channel: one.value for one in DRIVERS.decode(name, options, [reply]).readings}


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_loads_names_its_source_and_bounds_every_number(name: str) -> None:
    info = DRIVERS.info(name)
    assert info.name == name
    assert info.source
    assert info.title
    assert info.stale_after_s >= 3 * info.every_s
    for channel in info.channels:
        assert channel.kind == "state" or name == "modbus_weather" or channel.high is not None, channel.name


@pytest.mark.parametrize(("model", "name"), MODELS.items())
def test_every_published_name_finds_its_profile(model: str, name: str) -> None:
    assert DRIVERS.info(model).name == name


def test_no_model_is_claimed_twice() -> None:
    claimed = [model for name in PROFILES for model in (name, *DRIVERS.info(name).models)]
    assert len(claimed) == len(set(claimed))


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_only_reads_and_its_polls_do_not_hide_each_other(name: str) -> None:
    driver = DRIVERS.make(name, "s", {})
    assert isinstance(driver, Modbus)
    asked = [one for one in driver.questions if one.when != "decode"]
    assert {one.request.function for one in asked} <= {1, 2, 3, 4}
    assert all(one.request.encode()[1] in (1, 2, 3, 4) for one in asked)


@pytest.mark.parametrize(
    ("words", "level"),
    [
        ((16, 3, 2653), 2.653),
        ((17, 1, 1234), 1.234),
        ((17, 0, 150), 1.5),
        ((18, 0, 4200), 4.2),
        ((18, 4, 12345), 0.0012345),
        ((17, 2, -150), -0.015),
    ],
)
def test_a_level_carries_its_own_unit_and_decimals(words: Sequence[int], level: float) -> None:
    assert _decoded("qdy30a", _words(*words))["depth"] == level


@pytest.mark.parametrize("words", [(1, 1, 98), (9, 1, 98), (17, 5, 98)])
def test_a_level_in_a_pressure_or_unknown_decimals_is_no_level(words: Sequence[int]) -> None:
    assert "depth" not in _decoded("qdy30a", _words(*words))
    assert _decoded("qdy30a", _words(*words))["unit_code"] in ("kPa", "9", "cm")


def test_older_firmware_counts_other_codes() -> None:
    assert _decoded("qdy30a_v1", _words(1, 1, 1234)) == {"unit_code": "cm", "depth": 1.234}
    assert "depth" not in _decoded("qdy30a_v1", _words(17, 1, 1234))


def test_a_register_may_name_the_scale_of_another_in_a_plain_list_too() -> None:
    registers: list[OptionValue] = [
        {
            "channel": "level",
            "register": 4,
            "type": "s16",
            "scale_by": [{"register": 3, "factors": {"0": "1", "1": "0.1"}}],
            "unit": "cm",
        }
    ]
    driver = make("modbus", "s", {"registers": registers}, None)
    assert driver.questions[0].request.encode()[:6].hex() == "010300030002"
    reply = sealed(b"\x01\x03\x04" + _words(1, 125))
    assert [one.value for one in decode("modbus", {"registers": registers}, [reply]).readings] == [12.5]


def test_a_float_may_have_its_scale_named_too() -> None:
    registers: list[OptionValue] = [
        {"channel": "flow", "register": 1, "type": "f32", "scale_by": [{"register": 0, "factors": {"2": "0.01"}}]}
    ]
    reply = sealed(b"\x01\x03\x06" + _words(2) + bytes.fromhex("43480000"))
    assert [one.value for one in decode("modbus", {"registers": registers}, [reply]).readings] == [2.0]


def test_a_wrong_factor_in_the_map_is_refused_by_its_own_vector() -> None:
    text = DRIVERS._texts["qdy30a"]().replace('17 = "0.01"', '17 = "0.1"')
    with pytest.raises(ProfileError, match=r"register depth: expected 1\.234 got 12\.34"):
        load(text, "qdy30a")


@pytest.mark.parametrize(
    ("raw", "rain"), [(b"\x00\x7b", {"rain_total": 12.3}), (b"\xd8\xf1", {}), (b"\x7f\xff", {"rain_total": 3276.7})]
)
def test_rain_fault_codes_are_no_rain(raw: bytes, rain: dict[str, object]) -> None:
    assert _decoded("lambrecht_rain", raw, unit=3, function=4) == rain


def test_the_fine_rain_total_has_its_own_fault_code() -> None:
    assert _decoded("lambrecht_rain", bytes.fromhex("ff676981"), unit=3, function=4) == {}
    assert _decoded("lambrecht_rain", bytes.fromhex("00000001"), unit=3, function=4) == {"rain_total_fine": 0.001}


def test_two_vendors_two_scales_of_wind() -> None:
    assert _decoded("modbus_wind", _words(121)) == {"wind_speed": 1.21}
    assert _decoded("renke_wind_speed", _words(86)) == {"wind_speed": 8.6}
    assert _decoded("sen0657", _words(14, 0, 2, 110))["wind_speed"] == 1.4
    assert _decoded("sen0658", _words(14, 1, 2, 110))["wind_speed"] == 0.14


def test_an_impossible_value_is_kept_with_a_flag() -> None:
    reply = sealed(b"\x01\x03\x04" + _words(1200, 246))
    flags = {one.channel: one.quality for one in DRIVERS.decode("renke_temp_humidity", {}, [reply]).readings}
    assert flags == {"humidity": frozenset({Quality.OUT_OF_RANGE}), "temperature": frozenset()}


def test_the_two_replies_of_equal_length_of_a_meter_are_told_apart_by_the_register() -> None:
    raw = bytes.fromhex("458e3c35")
    assert _decoded("sdm230", raw, function=4, register=12) == {"power": 4551.526}
    assert _decoded("sdm230", raw, function=4, register=72) == {"energy_import": 4551525.9}


def test_what_is_only_decoded_is_neither_asked_nor_promised() -> None:
    info = DRIVERS.info("sdm230")
    assert "reg0" not in {channel.name for channel in info.channels}
    assert [channel.name for channel in DRIVERS.info("float_meter").channels] == ["voltage", "current", "frequency"]


def test_senseair_units_answer_a_read_of_their_memory_too() -> None:
    """Frames of a K30: README with code index id 56232266993 (97 ppm)."""
    reply, request = bytes.fromhex("fe44020061790c"), bytes.fromhex("fe440008029f25")
    (reading,) = DRIVERS.decode("senseair_k30", {}, [request + reply]).readings
    assert (reading.channel, reading.value, [str(flag) for flag in reading.quality]) == ("co2", 97, ["out_of_range"])
    assert DRIVERS.decode("senseair_s8", {}, [request]).readings == ()
    assert DRIVERS.decode("modbus", {}, [reply]).readings[0].value == 97
    driver = DRIVERS.make("senseair_s8", "s", {})
    asked = [event.transaction.request for event in driver.start(0) if isinstance(event, Ask)]
    assert asked
    assert all(one[1] == 4 for one in asked)


def test_a_profile_may_ask_for_no_other_function_than_the_four() -> None:
    text = DRIVERS._texts["senseair_s8"]()
    with pytest.raises(ProfileError, match="a profile only reads"):
        load(text.replace('register = 8\ncount = 1\nwhen = "decode"', "register = 8\ncount = 1"), "senseair_s8")


def test_one_register_alone_is_told_by_what_it_can_be() -> None:
    assert _decoded("renke_wind_direction", _words(225)) == {"wind_direction": 225}
    assert _decoded("renke_wind_direction", _words(3)) == {"wind_direction_sector": 3, "wind_direction": 3}
    assert _decoded("renke_temp_humidity", _words(-101), register=1) == {"temperature": -10.1}
    assert _decoded("renke_temp_humidity", _words(-101)) == {"temperature": -10.1}
    assert _decoded("renke_soil", _words(1000), register=2) == {"conductivity": 1000}
