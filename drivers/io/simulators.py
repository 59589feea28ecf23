"""Simulators by the same names as the drivers."""

import importlib
from collections.abc import Callable

from drivers.driver import Line
from drivers.errors import AddedError, UnknownDriver
from drivers.io.catalog import registry
from drivers.registry import Registry
from drivers.serial.modbus import Modbus
from drivers.simulate.modbus import ModbusSimulator
from drivers.simulate.simulator import Simulator

_TALKERS = {
    "cctalk": ("drivers.simulate.cctalk", "CcTalkSimulator"),
    "dsmr": ("drivers.simulate.dsmr", "DsmrSimulator"),
    "escpos": ("drivers.simulate.escpos", "EscPosSimulator"),
    "iec62056": ("drivers.simulate.iec62056", "Iec62056Simulator"),
    "line": ("drivers.simulate.line", "LineSimulator"),
    "maxbotix": ("drivers.simulate.maxbotix", "MaxbotixSimulator"),
    "mhz19": ("drivers.simulate.mhz19", "Mhz19Simulator"),
    "modem_at": ("drivers.simulate.modem_at", "ModemSimulator"),
    "nmea": ("drivers.simulate.nmea", "NmeaSimulator"),
    "plantower": ("drivers.simulate.plantower", "PlantowerSimulator"),
    "rg15": ("drivers.simulate.rg15", "Rg15Simulator"),
    "sdi12": ("drivers.simulate.sdi12", "Sdi12Simulator"),
    "sds011": ("drivers.simulate.sds011", "Sds011Simulator"),
    "ultrasonic": ("drivers.simulate.ultrasonic", "UltrasonicSimulator"),
    "ups_megatec": ("drivers.simulate.ups_megatec", "MegatecSimulator"),
    "ups_voltronic": ("drivers.simulate.ups_voltronic", "VoltronicSimulator"),
    "vedirect": ("drivers.simulate.vedirect", "VeDirectSimulator"),
    "windsonic": ("drivers.simulate.windsonic", "WindSonicSimulator"),
    "wxt": ("drivers.simulate.wxt", "WxtSimulator"),
}
_BY_MODEL = frozenset(
    {"maxbotix", "plantower", "sds011", "ultrasonic"}
)  # families whose models put other things on the wire


def simulator(name: str, *, seed: int = 0, every_s: float = 1.0, drivers: Registry | None = None) -> Simulator:
    """Make the simulator of a driver, profile or model.

    Args:
        name: As in ``driver = "..."``.
        seed: Chooses the values; equal seeds say equal things at equal times.
        every_s: Seconds between frames of a unit that talks by itself.
        drivers: Where names are looked up; the shipped ones by default.

    Raises:
        UnknownDriver: Nothing has this name.
        AddedError: It is of a third party.
    """
    known = drivers or registry()
    if package := known.package_of(name):
        raise AddedError(f"{name} has no simulator: it is from {package}", "`gardu driver replay` plays a recording")
    info = known.info(name)
    if info.family in _TALKERS:
        module, kind = _TALKERS[info.family]
        make: Callable[..., Simulator] = getattr(importlib.import_module(module), kind)
        model = {"model": name} if info.family in _BY_MODEL else {}
        return make(seed=seed, every_s=every_s, **model)
    line = info.line or Line()
    if any(option.required for option in info.options):
        return ModbusSimulator(unit=1, line=line, questions=(), seed=seed)
    driver = known.make(name, name, {})
    if not isinstance(driver, Modbus):
        raise UnknownDriver(name)
    return ModbusSimulator(unit=driver.address, line=line, questions=driver.questions, seed=seed)
