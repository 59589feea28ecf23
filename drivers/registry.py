"""All drivers by name. Nothing of a family is imported before one of its names is used. Pure."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from drivers.driver import Driver, DriverInfo, OptionValue
from drivers.errors import ProfileError, UnknownDriver
from drivers.serial.decoded import Decoded

if TYPE_CHECKING:
    from drivers.serial.profile import Profile

_FAMILIES = {
    "cctalk": "drivers.serial.cctalk",
    "dsmr": "drivers.serial.dsmr",
    "escpos": "drivers.serial.escpos",
    "iec62056": "drivers.serial.iec62056",
    "line": "drivers.serial.line",
    "maxbotix": "drivers.serial.maxbotix",
    "mhz19": "drivers.serial.mhz19",
    "modbus": "drivers.serial.modbus",
    "modem_at": "drivers.serial.modem_at",
    "nmea": "drivers.serial.nmea",
    "plantower": "drivers.serial.plantower",
    "rg15": "drivers.serial.rg15",
    "sdi12": "drivers.serial.sdi12",
    "sds011": "drivers.serial.sds011",
    "ultrasonic": "drivers.serial.ultrasonic",
    "ups_megatec": "drivers.serial.ups_megatec",
    "ups_voltronic": "drivers.serial.ups_voltronic",
    "vedirect": "drivers.serial.vedirect",
    "windsonic": "drivers.serial.windsonic",
    "wxt": "drivers.serial.wxt",
}
# Model names stand here too, so that finding one imports nothing but its own family. A test compares both lists.
_MODELS = {
    **dict.fromkeys(("modbus_rtu",), "modbus"),
    **dict.fromkeys(("gnss", "gps", "nmea_gnss"), "nmea"),
    **dict.fromkeys(("sds018", "sds021"), "sds011"),
    **dict.fromkeys(("dsmr_p1", "esmr_p1"), "dsmr"),
    **dict.fromkeys(("escpos_status",), "escpos"),
    **dict.fromkeys(("gill_windsonic",), "windsonic"),
    **dict.fromkeys(("iec62056_21",), "iec62056"),
    **dict.fromkeys(("modem_lte",), "modem_at"),
    **dict.fromkeys(("vaisala_wxt_ascii",), "wxt"),
    **dict.fromkeys(
        (
            "a01",
            "a01nyub",
            "a02",
            "a02yyuw",
            "dyp_a01",
            "dyp_a02",
            "dyp_me007ys",
            "jsn_sr04t",
            "me007ys",
            "dfrobot_sen0627",
            "sen0627",
        ),
        "ultrasonic",
    ),
    **dict.fromkeys(
        (
            "maxbotix_hrxl",
            "maxbotix_xl",
            "mb1220",
            "mb7060",
            "mb7070",
            "mb7334",
            "mb7344",
            "mb7354",
            "mb7360",
            "mb7363",
            "mb7364",
            "mb7366",
            "mb7367",
            "mb7368",
            "mb7369",
            "mb7374",
            "mb7380",
            "mb7383",
            "mb7384",
            "mb7386",
            "mb7387",
            "mb7388",
            "mb7389",
        ),
        "maxbotix",
    ),
    **dict.fromkeys(("mhz19b", "mhz19c", "mhz19d"), "mhz19"),
    **dict.fromkeys(
        (
            "pms1003",
            "pms3003",
            "pms5003",
            "pms5003s",
            "pms5003st",
            "pms5003t",
            "pms6003",
            "pms7003",
            "pms9003",
            "pmsa003",
        ),
        "plantower",
    ),
    **dict.fromkeys(("hydreon_rg15",), "rg15"),
    **dict.fromkeys(("megatec_q1", "megatec_qs"), "ups_megatec"),
    **dict.fromkeys(("voltronic_qpigs",), "ups_voltronic"),
    **dict.fromkeys(("bmv", "bluesolar_mppt", "smartshunt", "smartsolar_mppt"), "vedirect"),
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
        for profile, text in self._texts.items():
            # A profile that does not even hold the word costs no parsing and no memory.
            if f'"{name}"' in text() and name in self._load(profile).info.models:
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
        import difflib  # noqa: PLC0415 - memory that only a mistyped name is worth

        models = (model for profile in self._texts for model in self._load(profile).info.models)
        known = (*_FAMILIES, *_MODELS, *self._texts, *models)
        return tuple(difflib.get_close_matches(name.lower(), known, n=3))
