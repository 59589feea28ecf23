"""Asks systemd over D-Bus for the services, without a process of its own."""

import contextlib
from collections.abc import Sequence

from drivers.driver import Event
from drivers.host.settings import HostSettings
from drivers.host.units import HotspotUnits, KioskUnits, Services
from drivers.hotspot.settings import HotspotSettings
from drivers.io import dbus
from drivers.io.answers import reason
from drivers.kiosk.settings import KioskSettings
from drivers.probe import Moment

_SYSTEMD = "org.freedesktop.systemd1"
_MANAGER = dbus.Interface(daemon=_SYSTEMD, path="/org/freedesktop/systemd1", name=f"{_SYSTEMD}.Manager")


class ServicesCollector:
    """One property."""

    timeout_s = 8.0

    def __init__(self, settings: HostSettings) -> None:
        self.probe = Services(settings)
        self.every_s = self.probe.info.every_s
        self._bus = dbus.KeptBus(settings.bus)
        self._question = dbus.property_of(_MANAGER, "NFailedUnits")

    async def collect(self, now: Moment) -> list[Event]:
        """Ask for it."""
        try:
            (said,) = await self._bus.ask(self._question)
            count = dbus.value(said)
        except OSError as error:
            return self.probe.silent("services-failed", reason(error))
        return self.probe.answer("services-failed", f"NFailedUnits={count}".encode(), now)

    def close(self) -> None:
        """Leave the bus."""
        self._bus.close()


class _NamedCollector:
    """One question for all units, and one more for each service's restarts; all are asked at once."""

    timeout_s = 8.0

    def __init__(self, probe: HotspotUnits | KioskUnits, bus: str) -> None:
        self.probe = probe
        self.every_s = probe.info.every_s
        self._bus = dbus.KeptBus(bus)
        self._list = dbus.Question(_MANAGER, "ListUnitsByNames", "as", (list(probe.units),))
        self._services: dict[str, str] = {}
        self._restarts: list[dbus.Question] = []

    async def collect(self, now: Moment) -> list[Event]:
        """Ask for them."""
        source = self.probe.sources[0].name
        try:
            blocks = await self._blocks()
        except OSError as error:
            return self.probe.silent(source, reason(error))
        return self.probe.answer(source, "\n\n".join(blocks).encode(), now)

    async def _blocks(self) -> list[str]:
        """Return what systemd says of each unit, under the name that was asked: an alias answers with another one."""
        names = self.probe.units
        said, *counts = await self._bus.ask(self._list, *self._restarts)
        rows = _rows(said, len(names))
        services = {name: str(row[6]) for name, row in zip(names, rows, strict=True) if name.endswith(".service")}
        if services != self._services:  # where they stand is known from now on
            self._services = services
            self._restarts = [_restarts(path) for path in services.values()]
            counts = await self._bus.ask(*self._restarts) if services else []
        restarts = dict(zip(services, counts, strict=True))
        return [_show(name, row, restarts.get(name)) for name, row in zip(names, rows, strict=True)]

    def close(self) -> None:
        """Leave the bus."""
        self._bus.close()


class UnitsCollector(_NamedCollector):
    """Of the hotspot."""

    def __init__(self, settings: HotspotSettings) -> None:
        super().__init__(HotspotUnits(settings), settings.bus)


class KioskUnitsCollector(_NamedCollector):
    """Of the kiosk."""

    def __init__(self, settings: KioskSettings) -> None:
        super().__init__(KioskUnits(settings), settings.bus)


def _rows(said: dbus.Answer, count: int) -> list[Sequence[object]]:
    match said:
        case (list() as rows,) if len(rows) == count:
            return rows
        case dbus.BusError():
            raise said
        case _:
            raise dbus.BusError("it does not know one of the units by its name")


def _restarts(path: str) -> dbus.Question:
    return dbus.property_of(dbus.Interface(daemon=_SYSTEMD, path=path, name=f"{_SYSTEMD}.Service"), "NRestarts")


def _show(name: str, row: Sequence[object], restarts: dbus.Answer | None) -> str:
    lines = [f"Id={name}", f"LoadState={row[2]}", f"ActiveState={row[3]}", f"SubState={row[4]}"]
    if restarts is not None:
        with contextlib.suppress(dbus.BusError):  # systemd before 235 does not count them
            lines.append(f"NRestarts={dbus.value(restarts)}")
    return "\n".join(lines)
