"""Whether the screen is plugged in and lit. Pure.

Source: Linux drivers/gpu/drm/drm_sysfs.c: status (connected, disconnected, unknown), enabled, dpms (On, Standby,
Suspend, Off); backlight bl_power (0 is on, Documentation/ABI/stable/sysfs-class-backlight).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Event
from drivers.kiosk.settings import KioskSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source

INFO = DriverInfo(
    name="screen",
    title="Screen of the kiosk",
    family="screen",
    mode="poll",
    channels=(
        Channel(name="screen-connected", unit="1", kind="state", doc="true while a screen is plugged in"),
        Channel(name="screen-lit", unit="1", kind="state", doc="true while it gets a picture and is switched on"),
    ),
    every_s=60.0,
    stale_after_s=300.0,
    source="Linux drm_sysfs.c; sysfs-class-backlight",
)
_CONNECTED = {"connected": True, "disconnected": False, "unknown": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector(Facts):
    """One connector of a graphics card; None where the driver does not say."""

    connected: bool | None
    enabled: bool | None
    dpms: str | None
    bl_power: int | None


def parse_connector(raw: bytes) -> Connector:
    """Read the files of a connector as lines ``name: value``; ``bl_power`` is that of its backlight."""
    lines = [line.partition(":") for line in raw.decode("ascii", "replace").splitlines()]
    said = {name.strip(): value.strip() for name, colon, value in lines if colon}
    if said.get("status") not in _CONNECTED:
        raise AnswerError("a line status: connected, disconnected or unknown is expected")
    power = said.get("bl_power", "")
    return Connector(
        connected=_CONNECTED[said["status"]],
        enabled=said["enabled"] == "enabled" if "enabled" in said else None,
        dpms=said.get("dpms"),
        bl_power=int(power) if power.isdigit() else None,
    )


class Screen(Probe):
    """Sensor ``kiosk``."""

    sources = (Source(name="screen-connector", title="status, enabled, dpms in /sys/class/drm", parse=parse_connector),)

    def __init__(self, _settings: KioskSettings) -> None:
        super().__init__(INFO, "kiosk")

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give both states; a screen is lit when nothing that is known says otherwise."""
        if not isinstance(facts, Connector):
            raise TypeError(facts)
        yield from self.reading("screen-connected", facts.connected, now)
        known = [
            facts.enabled,
            None if facts.dpms is None else facts.dpms == "On",
            None if facts.bl_power is None else facts.bl_power == 0,
        ]
        if facts.connected is not None and any(each is not None for each in known):
            yield from self.reading("screen-lit", facts.connected and all(each is not False for each in known), now)
