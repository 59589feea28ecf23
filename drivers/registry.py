"""All drivers by name. Nothing of a family is imported before one of its names is used. Pure."""

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from drivers.driver import Driver, DriverInfo, OptionValue
from drivers.errors import ProfileError, UnknownDriver
from drivers.serial.decoded import Decoded

if TYPE_CHECKING:
    from drivers.serial.profile import Profile

_FAMILIES = {
    "line": "drivers.serial.line",
    "modbus": "drivers.serial.modbus",
    "nmea": "drivers.serial.nmea",
    "sds011": "drivers.serial.sds011",
    "ultrasonic": "drivers.serial.ultrasonic",
}
# Model names stand here too, so that finding one imports nothing but its own family. A test compares both lists.
_MODELS = {
    **dict.fromkeys(("modbus_rtu",), "modbus"),
    **dict.fromkeys(("gnss", "gps", "nmea_gnss"), "nmea"),
    **dict.fromkeys(("sds018", "sds021"), "sds011"),
    **dict.fromkeys(
        ("a01", "a01nyub", "a02", "a02yyuw", "dyp_a01", "dyp_a02", "dyp_me007ys", "jsn_sr04t", "me007ys"), "ultrasonic"
    ),
}
_PROFILES = "drivers.serial.profile"
_DECODERS = {"modbus": "drivers.serial.modbus_decode"}  # where decoding needs what running does not


class Registry:
    """Drivers, profiles and the models they serve.

    Args:
        profiles: Name of each shipped profile, and how to get its TOML when it is first needed.
    """

    def __init__(self, profiles: Mapping[str, Callable[[], str]]) -> None:
        self._texts = dict(profiles)
        self._loaded: dict[str, Profile] = {}

    def names(self) -> tuple[str, ...]:
        """Drivers and profiles, sorted; models are not among them."""
        return tuple(sorted((*_FAMILIES, *self._texts)))

    def info(self, name: str) -> DriverInfo:
        """What is known of a driver, profile or model.

        Raises:
            UnknownDriver: Nothing has this name.
            ProfileError: The profile cannot be used.
        """
        if family := self._family_of(name):
            module = importlib.import_module(_FAMILIES[family])
            info: DriverInfo = module.info_of(name) if hasattr(module, "info_of") else module.INFO
            return info
        return self._profile(name).info

    def make(
        self, name: str, sensor: str, options: Mapping[str, OptionValue], *, every_s: float | None = None
    ) -> Driver:
        """Make the driver of one sensor.

        Args:
            name: Driver, profile or model.
            sensor: Name of the sensor.
            options: Its section without driver, port and every.
            every_s: Seconds between two readings; None takes the driver's default.

        Raises:
            UnknownDriver: Nothing has this name.
            OptionError: An option cannot be used.
            ProfileError: The profile cannot be used.
        """
        if family := self._family_of(name):
            module = importlib.import_module(_FAMILIES[family])
            driver: Driver = module.make(name, sensor, options, every_s)
            return driver
        return self._profile(name).make(sensor, options, every_s)

    def decode(self, name: str, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
        """Say what frames mean, each as if it had just been asked for.

        Raises:
            UnknownDriver: Nothing has this name.
            OptionError: An option cannot be used.
            ProfileError: The profile cannot be used.
        """
        if family := self._family_of(name):
            module = importlib.import_module(_DECODERS.get(family, _FAMILIES[family]))
            found: Decoded = module.decode(name, options, frames)
            return found
        module = importlib.import_module(_DECODERS["modbus"])
        said: Decoded = module.decode_profile(name, self._profile(name), options, frames)
        return said

    def _family_of(self, name: str) -> str:
        return name if name in _FAMILIES else _MODELS.get(name, "")

    def _profile(self, name: str) -> "Profile":
        """The profile of that name or with that model."""
        if name in self._texts:
            return self._load(name)
        for profile in self._texts:
            if name in self._load(profile).info.models:
                return self._load(profile)
        raise UnknownDriver(name, self._near(name))

    def _load(self, name: str) -> "Profile":
        known = self._loaded.get(name)
        if known is None:
            load: Callable[[str, str], Profile] = importlib.import_module(_PROFILES).load
            known = self._loaded[name] = load(self._texts[name](), name)
            if known.info.name != name:
                raise ProfileError(f"profile {name}: name: says {known.info.name!r}; file and name must agree")
        return known

    def _near(self, name: str) -> tuple[str, ...]:
        models = (model for profile in self._texts for model in self._load(profile).info.models)
        known = (*_FAMILIES, *_MODELS, *self._texts, *models)
        return tuple(difflib.get_close_matches(name.lower(), known, n=3))
