"""Whether the devices that the kiosk is made of are plugged in. Pure.

Source: Linux Documentation/ABI/stable/sysfs-bus-usb (idVendor, idProduct).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from drivers.driver import Channel, DriverInfo, Event
from drivers.errors import OptionError
from drivers.kiosk.settings import KioskSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source

INFO = DriverInfo(
    name="usb",
    title="USB devices of the kiosk",
    family="usb",
    mode="poll",
    every_s=30.0,
    stale_after_s=180.0,
    source="Linux sysfs-bus-usb",
)
_WANTED = re.compile(r"([a-z0-9][a-z0-9_-]{0,27})=([0-9a-f]{4}):([0-9a-f]{4})", re.IGNORECASE)
_LINE = re.compile(r"([0-9a-f]{4}):([0-9a-f]{4})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices(Facts):
    """``vendor:product`` of every device that is plugged in, as often as it is."""

    devices: tuple[str, ...]


def parse_devices(raw: bytes) -> Devices:
    """Read one ``vendor:product`` a line."""
    lines = [line.strip().lower() for line in raw.decode("ascii", "replace").splitlines() if line.strip()]
    if not all(_LINE.fullmatch(line) for line in lines):
        raise AnswerError("lines such as 1a86:7523 are expected")
    return Devices(devices=tuple(sorted(lines)))


def wanted(entries: tuple[str, ...]) -> dict[str, str]:
    """Return ``vendor:product`` by the name that the configuration gives it.

    Raises:
        OptionError: An entry is none.
    """
    found: dict[str, str] = {}
    for entry in entries:
        match = _WANTED.fullmatch(entry)
        if match is None:
            raise OptionError("usb", f"{entry!r} is no device; write it like scanner=1a86:7523")
        found[match[1].lower()] = f"{match[2]}:{match[3]}".lower()
    return found


class Usb(Probe):
    """Sensor ``kiosk``: one channel for each device that must be there."""

    sources = (Source(name="usb-devices", title="idVendor:idProduct of all devices in sysfs", parse=parse_devices),)

    def __init__(self, settings: KioskSettings) -> None:
        self._wanted = wanted(settings.usb)
        channels = tuple(
            Channel(name=f"usb-{name}", unit="1", kind="state", doc=f"true while {device} is plugged in")
            for name, device in self._wanted.items()
        )
        super().__init__(replace(INFO, channels=channels), "kiosk")

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give for each device whether it is there; of two alike both must be."""
        if not isinstance(facts, Devices):
            raise TypeError(facts)
        left = list(facts.devices)
        for name, device in self._wanted.items():
            is_there = device in left
            if is_there:
                left.remove(device)
            yield from self.reading(f"usb-{name}", is_there, now)
