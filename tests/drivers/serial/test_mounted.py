"""Modbus units that measure water: a depth or a distance, and the level above the zero of a staff."""

from importlib.resources import files

import pytest

from drivers.driver import Gauge, OptionValue
from drivers.errors import OptionError
from drivers.serial.modbus_decode import decode_profile
from drivers.serial.profile import Profile, load
from drivers.serial.rtu import sealed

QDY = files("drivers.serial").joinpath("profiles/qdy30a.toml").read_text(encoding="utf-8")
RADAR = """
source = "made up"
gauge = { raw = "distance", sign = -1 }

[[request]]
function = 3
register = 0
count = 1

[[request.value]]
channel = "distance"
register = 0
scale = "0.001"
offset = "0.010"
unit = "m"
range = [0.25, 10]
max_step_per_s = 0.5
zero = "suspect"

[[vector]]
request = "01 03 00 00 00 01 84 0a"
reply = "01 03 02 04 d2 3a d9"
expect = { distance = 1.244 }
"""


def said(profile: Profile, data: str, **options: OptionValue) -> dict[str, object]:
    reply = sealed(b"\x01\x03" + bytes((len(bytes.fromhex(data)),)) + bytes.fromhex(data))
    return {one.channel: one.value for one in decode_profile("p", profile, options, [reply]).readings}


@pytest.mark.parametrize(
    ("height", "level"), [("0 m", 1.234), ("-1.20 m", 0.034), ("-120 cm", 0.034), ("2 m", 3.234), ("-1234 mm", 0.0)]
)
def test_what_hangs_in_the_water_adds_its_depth_to_its_height(height: str, level: float) -> None:
    profile = load(QDY, "qdy30a")
    assert said(profile, "0011000104d2", mount_height=height) == {"unit_code": "cm", "depth": 1.234, "level": level}


def test_what_looks_down_on_the_water_takes_its_distance_from_its_height() -> None:
    profile = load(RADAR, "radar")
    assert said(profile, "04d2", mount_height="4.20 m") == {"distance": 1.244, "level": 2.956}
    _, level = profile.make("s", {"mount_height": "4.20 m"}, None).info.channels
    assert (level.low, level.high, level.max_step_per_s, level.zero) == (-5.8, 3.95, 0.5, "ok")


def test_without_a_height_there_is_the_raw_value_alone() -> None:
    profile = load(QDY, "qdy30a")
    assert said(profile, "0011000104d2") == {"unit_code": "cm", "depth": 1.234}
    assert [channel.name for channel in profile.make("s", {}, None).info.channels] == ["unit_code", "depth"]


def test_a_unit_that_is_set_to_a_pressure_gives_no_level_either() -> None:
    assert said(load(QDY, "qdy30a"), "0001000104d2", mount_height="1 m") == {"unit_code": "kPa"}


def test_only_what_measures_water_has_a_height_and_within_reason() -> None:
    profile = load(QDY, "qdy30a")
    with pytest.raises(OptionError, match="outside"):
        profile.make("s", {"mount_height": "101 m"}, None)
    dry = load(RADAR.replace('gauge = { raw = "distance", sign = -1 }', ""), "dry")
    assert dry.info.gauge is None
    with pytest.raises(OptionError, match="unknown option"):
        dry.make("s", {"mount_height": "1 m"}, None)


@pytest.mark.parametrize(("sign", "raw_m", "height_m"), [(-1, 2.96, 4.2), (1, 2.44, -1.2)])
def test_a_staff_tells_the_height_of_the_unit(sign: int, raw_m: float, height_m: float) -> None:
    gauge = Gauge(raw="depth", sign=1) if sign == 1 else Gauge(raw="distance", sign=-1)
    assert gauge.mount_height_m(raw_m, 1.24) == pytest.approx(height_m)
