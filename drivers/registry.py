"""All drivers by name. Nothing of a family is imported before one of its names is used. Pure."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from drivers.driver import Driver, DriverInfo, OptionValue
from drivers.errors import AddedError, DriverError, ProfileError, UnknownDriver
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
    **dict.fromkeys(("sds018", "sds021", "sds198"), "sds011"),
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
            "aj_sr04m",
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
            "maxbotix_lv",
            "maxbotix_xl",
            "mb1000",
            "mb1001",
            "mb1010",
            "mb1013",
            "mb1020",
            "mb1030",
            "mb1040",
            "mb1200",
            "mb1210",
            "mb1220",
            "mb1230",
            "mb1240",
            "mb1403",
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
            "pms2003",
            "pms3003",
            "pms5003",
            "pms5003s",
            "pms5003st",
            "pms5003t",
            "pms6003",
            "pms7003",
            "pms9003",
            "pmsa003",
            "pmsx003",
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


class Package(Protocol):
    """A driver of a third party; nothing of it is imported before one of these is called. As text: where it is from."""

    def info(self) -> DriverInfo:
        """What it says of itself."""
        ...

    def make(self, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Driver:
        """Make the driver of one sensor."""
        ...

    def decode(self, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
        """Say what frames mean."""
        ...

    def prove(self) -> None:
        """Decode the vectors it came with."""
        ...


class Registry:
    """Drivers, profiles and the models they serve.

    Args:
        profiles: Name of each shipped profile, and how to get its TOML when it is first needed.
        added: The same for profiles that were added to this box.
        packages: Drivers of third parties by name.
    """

    def __init__(
        self,
        profiles: Mapping[str, Callable[[], str]],
        added: Mapping[str, Callable[[], str]] | None = None,
        packages: Mapping[str, Package] | None = None,
    ) -> None:
        self._shipped = frozenset(profiles)
        self._added = frozenset(added or ())
        self._texts = {**(added or {}), **profiles}
        self._packages = dict(packages or {})
        self._loaded: dict[str, Profile] = {}

    def names(self) -> tuple[str, ...]:
        """Drivers and profiles whose code is Gardu's own, sorted; models are not among them, nor packages."""
        return tuple(sorted({*_FAMILIES, *self._texts}))

    def usable(self) -> tuple[str, ...]:
        """Names without those of added profiles that cannot be used."""
        return tuple(name for name in self.names() if name not in self._added or not self._unfit(name))

    def packages(self) -> tuple[str, ...]:
        """Drivers of third parties, sorted; using one imports its code."""
        return tuple(sorted(self._packages))

    def package_of(self, name: str) -> str:
        """Where the code of a third party's driver is from; empty where the code is Gardu's own. Imports nothing."""
        return str(self._packages[name]) if name in self._packages else ""

    def origin(self, name: str) -> str:
        """Where a name is from; empty for all that is shipped."""
        if name not in self._added:
            return self.package_of(name)
        return "an added profile"

    def is_shipped(self, name: str) -> bool:
        """Whether a shipped driver, profile or model has this name."""
        if self._family_of(name) or name in self._shipped:
            return True
        return any(self._serves(profile, name) for profile in self._texts if profile in self._shipped)

    def profile_text(self, name: str) -> str:
        """The TOML of a profile.

        Raises:
            UnknownDriver: No profile has this name.
            AddedError: It was added and cannot be used.
        """
        if name not in self._texts:
            raise UnknownDriver(name, self._near(name))
        return self._texts[name]()

    def unfit(self, names: Sequence[str]) -> list[str]:
        """Say which of these cannot be used or contradict a vector they came with; for a check before an update.

        Args:
            names: Drivers, profiles and models as a configuration names them.
        """
        return [why for name in dict.fromkeys(names) if (why := self._unfit(name))]

    def _unfit(self, name: str) -> str:
        try:
            self.info(name)  # a profile runs its vectors when it loads
            if name in self._packages:
                self._packages[name].prove()
        except DriverError as error:
            return str(error)
        return ""

    def info(self, name: str) -> DriverInfo:
        """What is known of a driver, profile or model.

        Raises:
            UnknownDriver: Nothing has this name.
            ProfileError: The profile cannot be used.
            AddedError: It was added and cannot be used.
        """
        if (package := self._package(name)) is not None:
            return package.info()
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
            AddedError: It was added and cannot be used.
        """
        if (package := self._package(name)) is not None:
            return package.make(sensor, options, every_s)
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
            AddedError: It was added and cannot be used.
        """
        if (package := self._package(name)) is not None:
            return package.decode(options, frames)
        if family := self._family_of(name):
            module = importlib.import_module(_DECODERS.get(family, _FAMILIES[family]))
            found: Decoded = module.decode(name, options, frames)
            return found
        module = importlib.import_module(_DECODERS["modbus"])
        said: Decoded = module.decode_profile(name, self._profile(name), options, frames)
        return said

    def _family_of(self, name: str) -> str:
        return name if name in _FAMILIES else _MODELS.get(name, "")

    def _package(self, name: str) -> Package | None:
        """The third party's driver of that name.

        Raises:
            AddedError: A name was added that something else has, too: which one was meant cannot be known.
        """
        package = self._packages.get(name)
        if package is None and name not in self._added:
            return None
        twice = package is not None and name in self._added
        if twice or self.is_shipped(name):
            also = "an added profile is" if twice else "a driver, profile or model of Gardu itself is"
            what = f"{also} called {name!r}, as is what was added to this box"
            raise AddedError(what, "take away what was added, or give it another name")
        return package

    def _profile(self, name: str) -> "Profile":
        """The profile of that name or with that model."""
        if name in self._texts:
            return self._load(name)
        for profile in sorted(self._texts, key=lambda one: one in self._added):
            if self._serves(profile, name):
                return self._load(profile)
        raise UnknownDriver(name, self._near(name))

    def _serves(self, profile: str, model: str) -> bool:
        """Whether a profile names a model. A broken one costs nobody but itself."""
        # A profile that does not even hold the word costs no parsing and no memory.
        try:
            return f'"{model}"' in self._texts[profile]() and model in self._load(profile).info.models
        except (AddedError, ProfileError):
            return False

    def _load(self, name: str) -> "Profile":
        known = self._loaded.get(name)
        if known is None:
            load: Callable[[str, str], Profile] = importlib.import_module(_PROFILES).load
            known = load(self._texts[name](), name)
            if known.info.name != name:
                raise ProfileError(f"profile {name}: name: says {known.info.name!r}; file and name must agree")
            self._loaded[name] = known
        return known

    def _near(self, name: str) -> tuple[str, ...]:
        import difflib  # noqa: PLC0415 - memory that only a mistyped name is worth

        models = (model for profile in self._shipped for model in self._load(profile).info.models)
        known = (*_FAMILIES, *_MODELS, *self._texts, *self._packages, *models)
        return tuple(difflib.get_close_matches(name.lower(), known, n=3))
