"""What systemd says of the services: how many failed, and how those that matter here are. Pure.

Source: org.freedesktop.systemd1(5), ListUnitsByNames, ActiveState, SubState, NRestarts, NFailedUnits; systemctl(1).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from drivers.driver import Channel, DriverInfo, Event
from drivers.errors import OptionError
from drivers.host.settings import HostSettings
from drivers.hotspot.settings import HotspotSettings
from drivers.kiosk.settings import KioskSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source

SYNC_BACKLOG = Channel(
    name="sync-backlog",
    unit="count",
    low=0,
    change=20,
    at_least_every_s=3600,
    doc="batches that the center has not settled; daemon",
)
"""Given by the running agent, who alone knows."""
SYNC_AGE = Channel(
    name="sync-age", unit="s", low=0, change=600, at_least_every_s=3600, doc="time since the center's last ack; daemon"
)
"""Given by the running agent too."""
_SERVICES = DriverInfo(
    name="services",
    title="Services of the box",
    family="services",
    mode="poll",
    channels=(
        Channel(name="failed", unit="count", low=0, doc="units that systemd gave up on"),
        SYNC_BACKLOG,
        SYNC_AGE,
    ),
    every_s=300.0,
    stale_after_s=900.0,
    source="org.freedesktop.systemd1(5)",
)
_UNITS = DriverInfo(
    name="units",
    title="Services of the hotspot",
    family="units",
    mode="poll",
    every_s=60.0,
    stale_after_s=300.0,
    source="org.freedesktop.systemd1(5)",
)
_RESTARTS = Channel(
    name="restarts", unit="count", low=0, kind="counter", doc="times systemd started its units again by itself"
)
_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")
_STATE = re.compile(r"[a-z][a-z-]{0,30}")
_LONGEST = 32 - len("unit-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Facts):
    """The manager's count of failed units."""

    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit(Facts):
    """One unit; ``restarts`` is None for what is no service."""

    name: str
    load: str
    active: str
    sub: str
    restarts: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Units(Facts):
    """Units in the order of the answer."""

    units: tuple[Unit, ...]


def parse_failed(raw: bytes) -> Failed:
    """Read ``NFailedUnits=0``."""
    found = re.fullmatch(rb"\s*NFailedUnits=(\d{1,9})\s*", raw)
    if found is None:
        raise AnswerError("a line NFailedUnits= is expected")
    return Failed(failed=int(found[1]))


def parse_units(raw: bytes) -> Units:
    """Read what ``systemctl show -p Id,LoadState,ActiveState,SubState,NRestarts UNIT...`` prints."""
    blocks = re.split(r"\n\s*\n", raw.decode("utf-8", "replace").strip().replace("\r\n", "\n"))
    return Units(units=tuple(_unit(block) for block in blocks))


def _unit(block: str) -> Unit:
    said = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    states = [said.get(key, "") for key in ("LoadState", "ActiveState", "SubState")]
    restarts = said.get("NRestarts", "")
    if not _NAME.fullmatch(said.get("Id", "")) or not all(_STATE.fullmatch(each) for each in states):
        raise AnswerError("lines Id= LoadState= ActiveState= SubState= are expected for each unit")
    return Unit(
        name=said["Id"],
        load=states[0],
        active=states[1],
        sub=states[2],
        restarts=int(restarts) if re.fullmatch("[0-9]{1,9}", restarts) else None,
    )


def channels_by_unit(names: Sequence[str]) -> dict[str, str]:
    """Return the channel of each unit: ``unit-cups`` of ``cups.service`` or ``cups``, ``unit-cups-socket`` of a socket.

    Raises:
        OptionError: A name is none.
    """
    found: dict[str, str] = {}
    for given in names:
        if not _NAME.fullmatch(given):
            raise OptionError("units", f"{given!r} is no unit; write it like cups.service")
        name = given if "." in given else f"{given}.service"
        plain = re.sub(r"[^a-z0-9_-]", "-", name.removesuffix(".service").lower()).strip("-_") or "x"
        plain = plain[:_LONGEST]
        number = 2
        while f"unit-{plain}" in found.values() and name not in found:
            plain = f"{plain[: _LONGEST - 2]}-{number}"
            number += 1
        found.setdefault(name, f"unit-{plain}")
    return found


class Services(Probe):
    """Sensor ``svc``: of all services."""

    sources = (Source(name="services-failed", title="systemctl show -p NFailedUnits", parse=parse_failed),)

    def __init__(self, _settings: HostSettings) -> None:
        super().__init__(_SERVICES, "svc")

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give the count."""
        if not isinstance(facts, Failed):
            raise TypeError(facts)
        yield from self.reading("failed", facts.failed, now)


class _Named(Probe):
    """The state of each unit, and how often systemd started them again.

    Attributes:
        units: Their full names.
    """

    def __init__(self, info: DriverInfo, sensor: str, names: Sequence[str]) -> None:
        self._channels = channels_by_unit(names)
        self.units = tuple(self._channels)
        states = tuple(
            Channel(name=channel, unit="1", kind="text", doc=f"{name}: active, failed, inactive, auto-restart, ...")
            for name, channel in self._channels.items()
        )
        super().__init__(replace(info, channels=(*states, _RESTARTS)), sensor)

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give the states; that systemd waits to start a unit again, or knows none of that name, is a state too."""
        if not isinstance(facts, Units):
            raise TypeError(facts)
        counts = []
        for unit in facts.units:
            if unit.name not in self._channels:
                continue
            state = "auto-restart" if unit.sub.startswith("auto-restart") else unit.active
            if unit.load in {"not-found", "masked", "error", "bad-setting"} and unit.active == "inactive":
                state = unit.load
            yield from self.reading(self._channels[unit.name], state, now)
            if unit.restarts is not None:
                counts.append(unit.restarts)
        yield from self.reading("restarts", sum(counts) if counts else None, now)


class HotspotUnits(_Named):
    """Sensor ``svc``: of the hotspot's services."""

    sources = (Source(name="units-show", title="systemctl show of the hotspot's units", parse=parse_units),)

    def __init__(self, settings: HotspotSettings) -> None:
        super().__init__(_UNITS, "svc", settings.units)


class KioskUnits(_Named):
    """Sensor ``kiosk``: of the kiosk's services."""

    sources = (Source(name="kiosk-units-show", title="systemctl show of the kiosk's units", parse=parse_units),)

    def __init__(self, settings: KioskSettings) -> None:
        info = replace(_UNITS, name="kiosk-units", family="kiosk-units", title="Services of the kiosk")
        super().__init__(info, "kiosk", settings.units)
