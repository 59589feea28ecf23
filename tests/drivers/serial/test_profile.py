from importlib.resources import files

import pytest

from drivers.driver import Identified, OptionValue, Problem
from drivers.errors import OptionError, ProfileError
from drivers.reading import Reading
from drivers.serial.modbus_decode import decode_profile
from drivers.serial.profile import Profile, load, parse_request
from drivers.serial.rtu import sealed

PZEM = files("drivers.serial").joinpath("profiles/pzem004t.toml").read_text(encoding="utf-8")
S8 = files("drivers.serial").joinpath("profiles/senseair_s8.toml").read_text(encoding="utf-8")


def _s8() -> Profile:
    return load(S8, "senseair_s8")


def test_a_typing_error_in_a_map_is_refused_with_both_values() -> None:
    wrong = PZEM.replace('register = 0\nscale = "0.1"', 'register = 0\nscale = "1"', 1)
    with pytest.raises(ProfileError, match=r"register voltage: expected 225\.7 got 2257"):
        load(wrong, "pzem004t")
    with pytest.raises(ProfileError, match="register energy: expected 38"):
        load(PZEM.replace('type = "u32"\norder = "CDAB"\nunit = "Wh"', 'type = "u32"\nunit = "Wh"'), "pzem004t")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[[vector]]", "[[other]]", "other: unknown"),
        ("name =", "name", "profile p:"),
        ("function = 4", "function = 6", "only reads"),
        ("count = 10", "count = 3", "not in its reply"),
        ("count = 10", "many = 10", "register and count"),
        ("count = 10", 'count = 10\nwhen = "never"', "poll, once, decode"),
        ("count = 10", 'count = 10\ncolour = "red"', "colour"),
        ('line = "9600 8N1"', 'line = "fast"', "9600 8N1"),
        ('every = "1 s"', 'every = "1"', "not a time"),
        ('every = "1 s"', "every = 1", "not a text"),
        ("unit = 1", "unit = -1", "whole number"),
        ('models = ["pzem004t_v3", "pzem004t_v30", "pzem004t_v4"]', 'models = "x"', "not a list"),
        ("01 04 00 00 00 0a 70 0d", "01 04 00 00 00 0a 70 0e", "its CRC"),
        ("01 04 00 00 00 0a 70 0d", "fe 04 00 03 00 01 d5 c5", "no request of this profile"),
        ("00 51 34", "00 51 35", "not a valid reply"),
        ("00 51 34", "xx", "not a valid reply"),
        ("alarm = false", "alarm = 0", "register alarm"),
        ("alarm = false", "alarms = false", "got no value"),
        ("unit = 1", "unit = 1\ngauge = 3", "gauge: is not like"),
        ("unit = 1", 'unit = 1\ngauge = { raw = "voltage" }', "gauge: is not like"),
        ("unit = 1", 'unit = 1\ngauge = { raw = "voltage", sign = 1 }', "no channel in m"),
        ("unit = 1", 'unit = 1\ngauge = { raw = "voltage", sign = 2 }', "2 is not 1"),
        ('scale = "0.1"', "scale_by = 3", "list of tables"),
        ('scale = "0.1"', "scale_by = [3]", "takes tables like"),
        ('scale = "0.1"', 'scale_by = [{ register = 1, factors = { 0 = "x" } }]', "takes tables like"),
        ('scale = "0.1"', 'scale_by = [{ register = 1, factors = { 0 = "0" } }]', "takes tables like"),
        ('scale = "0.1"', 'scale_by = [{ register = 1, factors = { 0 = "1", 1 = "x" } }]', "takes tables like"),
        ('scale = "0.1"', 'scale_by = [{ register = 99, factors = { 0 = "1" } }]', "voltage at register 99 is not in"),
    ],
)
def test_a_profile_that_contradicts_itself_is_refused(old: str, new: str, says: str) -> None:
    with pytest.raises(ProfileError, match=says):
        load(PZEM.replace(old, new, 1) if old != "[[vector]]" else PZEM.replace(old, new), "p")


def test_a_profile_must_ask_something_and_prove_itself() -> None:
    no_vector = PZEM[: PZEM.index("[[vector]]")]
    with pytest.raises(ProfileError, match="proves itself"):
        load(no_vector, "p")
    with pytest.raises(ProfileError, match="nothing would ever be asked"):
        load('name = "p"', "p")
    with pytest.raises(ProfileError, match="list of tables"):
        load('name = "p"\nrequest = [1]', "p")
    with pytest.raises(ProfileError, match="names no channel"):
        load(PZEM.replace("expect =", "expect = {}\n#", 1), "p")


def test_an_address_no_unit_has_is_refused_but_the_kinds_own_is_not() -> None:
    pzem = load(PZEM, "pzem004t")
    assert pzem.make("m", {"unit": 248}, None).address == 248
    assert pzem.make("m", {}, None).address == 1
    with pytest.raises(OptionError, match="1 to 247, or 248"):
        pzem.make("m", {"unit": 254}, None)
    with pytest.raises(OptionError, match="too fast"):
        pzem.make("m", {}, 0.1)


def test_a_meter_is_asked_only_with_function_4_and_for_one_block() -> None:
    pzem = load(PZEM, "pzem004t").make("m", {"unit": 3}, None)
    assert [one.request.encode()[:6].hex() for one in pzem.questions] == ["03040000000a"]


def test_the_meters_alarm_and_its_largest_energy_are_read() -> None:
    """Derived from the manual's register table."""
    data = bytes.fromhex("08fc 86a0 0001 5998 0003 967f 0098 01f4 0064 ffff".replace(" ", ""))
    decoded = decode_profile("pzem004t", load(PZEM, "pzem004t"), {}, [sealed(b"\x01\x04\x14" + data)])
    assert {one.channel: one.value for one in decoded.readings} == {
        "voltage": 230.0,
        "current": 100.0,
        "power": 21954.4,
        "energy": 9999999,
        "frequency": 50.0,
        "power_factor": 1.0,
        "alarm": True,
    }


def test_a_reply_that_could_answer_two_requests_gives_both_unless_one_is_picked() -> None:
    reply = bytes.fromhex("fe04020177ec92")
    both = decode_profile("s8", _s8(), {}, [reply])
    assert [one.channel for one in both.readings] == ["co2", "type_id_low"]
    assert "--option register=3" in both.notes[0]
    picks: list[dict[str, OptionValue]] = [{"register": "0x1A"}, {"register": 26}, {"request": "fe04001a00010402"}]
    for pick in picks:
        assert [one.channel for one in decode_profile("s8", _s8(), pick, [reply]).readings] == ["type_id_low"]
    wrong: list[dict[str, OptionValue]] = [{"register": "9"}, {"register": "x"}, {"request": "00"}]
    wrong.append({"request": "010400400002701f"})
    for pick in wrong:
        with pytest.raises(OptionError):
            decode_profile("s8", _s8(), pick, [reply])


def test_a_sensor_with_a_fault_bit_sends_its_value_with_a_flag() -> None:
    s8 = _s8().make("co2", {}, None)
    ask = next(one for one in s8.questions if one.request.count == 4)
    seen = []
    for status in (0, 1, 1, 0):
        reply = sealed(b"\xfe\x04\x08" + bytes((0, status, 0, 0, 0, 0, 1, 0x90)))
        verdict = s8._match(ask, reply, 5)
        assert verdict is not None
        seen += [event for event in verdict.events if isinstance(event, Problem)]
        co2 = [event for event in verdict.events if isinstance(event, Reading) and event.channel == "co2"]
        assert [str(flag) for flag in co2[0].quality] == (["device_error"] if status else [])
    assert [(one.code, one.detail, one.ok) for one in seen] == [
        ("device_error", "fatal error", False),
        ("device_error", "", True),
    ]


def test_a_sensor_proves_who_it_is_before_its_first_value() -> None:
    s8 = _s8().make("co2", {}, None)
    once = [one for one in s8.questions if one.when == "once"]
    s8.start(0)
    s8._match(once[0], bytes.fromhex("fe04020177ec92"), 5)
    s8._match(once[1], sealed(b"\xfe\x04\x04\x04\x2c\x1d\x80"), 5)
    poll = next(one for one in s8.questions if one.when == "poll")
    verdict = s8._match(poll, bytes.fromhex("fe04080000000000000190 16e6"), 5)
    assert verdict is not None
    assert verdict.events[0] == Identified(
        sensor="co2", identity="senseair_s8 unit=254 type_id_low=375 serial_number=70000000"
    )


def test_what_is_no_request_is_none() -> None:
    assert parse_request("zz") is None
    assert parse_request("fe04020190acd8") is None
    assert parse_request("0104 0a00 0000 0000") is None
