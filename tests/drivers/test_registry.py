import subprocess
import sys

import pytest

from drivers.errors import ProfileError, UnknownDriver
from drivers.io.catalog import registry
from drivers.registry import _MODELS, Registry


def test_names_are_drivers_and_profiles_sorted() -> None:
    names = registry().names()
    assert names == tuple(sorted(set(names)))
    assert {"line", "modbus", "nmea", "sds011", "ultrasonic", "pzem004t", "senseair_s8"} < set(names)
    assert {"maxbotix", "mhz19", "plantower", "rg15", "ups_megatec", "ups_voltronic", "vedirect"} < set(names)


def test_the_list_of_models_is_what_the_families_say() -> None:
    drivers = registry()
    said = {
        model: name
        for name in drivers.names()
        for model in drivers.info(name).models
        if name == drivers.info(name).family
    }
    assert said == _MODELS


def test_a_model_of_a_profile_is_found() -> None:
    assert registry().info("pzem004t_v3").name == "pzem004t"


@pytest.mark.parametrize(("name", "near"), [("sds01", "sds011"), ("pzem004", "pzem004t"), ("SDS011", "sds011")])
def test_an_unknown_name_says_what_is_near(name: str, near: str) -> None:
    with pytest.raises(UnknownDriver, match="did you mean") as caught:
        registry().info(name)
    assert near in caught.value.near


def test_a_name_near_nothing_says_where_all_are() -> None:
    with pytest.raises(UnknownDriver, match="driver list"):
        registry().make("zzzzzzz", "s", {})


def test_a_profile_whose_name_is_not_its_own_is_refused() -> None:
    text = registry()._texts["pzem004t"]
    with pytest.raises(ProfileError, match="must agree"):
        Registry({"other": text}).info("other")


@pytest.mark.parametrize(
    ("name", "absent"),
    [
        ("sds011", ("modbus", "nmea", "line", "profile", "ultrasonic", "rtu", "modbus_decode")),
        ("pzem004t", ("nmea", "sds011", "line", "ultrasonic", "modbus_decode")),
    ],
)
def test_only_what_a_name_needs_is_imported(name: str, absent: tuple[str, ...]) -> None:
    code = (
        "import sys; from drivers.io.catalog import registry;"
        f"registry().make({name!r}, 's', {{}});"
        f"print([m for m in {absent!r} if 'drivers.serial.' + m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"
