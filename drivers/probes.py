"""All probes by name. Nothing of a probe is imported before it is used. Pure."""

import importlib
from dataclasses import dataclass
from typing import Literal

from drivers.errors import DriverError
from drivers.host.settings import HostSettings
from drivers.hotspot.settings import HotspotSettings
from drivers.kiosk.settings import KioskSettings
from drivers.probe import Collector, Probe

SectionName = Literal["host", "hotspot", "kiosk"]
Settings = HostSettings | HotspotSettings | KioskSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeKind:
    """Where a probe stands in the code.

    Attributes:
        name: As in `gardu probe run NAME`.
        section: The section of the configuration that it comes with.
        probe: ``module:Class`` of the pure part, made from the section's settings.
        collector: ``module:Class`` of what brings its answers, made from the section's settings.
        needs: Setting without which there is nothing to ask, ``radius``, or must have a value, ``portal=opennds``.
        core: False for a probe that only ``every_metric`` starts.
    """

    name: str
    section: SectionName
    probe: str
    collector: str
    needs: str = ""
    core: bool = True

    def serves(self, given: Settings) -> bool:
        """Return whether these settings name anything for it to ask."""
        name, _, value = self.needs.partition("=")
        held = getattr(given, name) if name else True
        return (held == value if value else bool(held)) and (self.core or given.every_metric)


KINDS = (
    ProbeKind(
        name="kernel",
        section="host",
        probe="drivers.host.kernel:Kernel",
        collector="drivers.io.probes.kernel:KernelCollector",
    ),
    ProbeKind(
        name="power",
        section="host",
        probe="drivers.host.power:Power",
        collector="drivers.io.probes.power:PowerCollector",
    ),
    ProbeKind(
        name="services",
        section="host",
        probe="drivers.host.units:Services",
        collector="drivers.io.probes.units:ServicesCollector",
    ),
    ProbeKind(
        name="storage",
        section="host",
        probe="drivers.host.storage:Storage",
        collector="drivers.io.probes.storage:StorageCollector",
    ),
    ProbeKind(
        name="time",
        section="host",
        probe="drivers.host.time:Time",
        collector="drivers.io.probes.time:TimeCollector",
    ),
    ProbeKind(
        name="ap",
        section="hotspot",
        probe="drivers.hotspot.access_point:AccessPoint",
        collector="drivers.io.probes.access_point:AccessPointCollector",
    ),
    ProbeKind(
        name="chilli",
        section="hotspot",
        probe="drivers.hotspot.chilli:Chilli",
        collector="drivers.io.probes.chilli:ChilliCollector",
        needs="portal=chilli",
    ),
    ProbeKind(
        name="clients",
        section="hotspot",
        probe="drivers.hotspot.guests:Guests",
        collector="drivers.io.probes.guests:GuestsCollector",
    ),
    ProbeKind(
        name="conntrack",
        section="hotspot",
        probe="drivers.hotspot.conntrack:Conntrack",
        collector="drivers.io.probes.conntrack:ConntrackCollector",
    ),
    ProbeKind(
        name="dns",
        section="hotspot",
        probe="drivers.hotspot.dns:Dns",
        collector="drivers.io.probes.dns:DnsCollector",
    ),
    ProbeKind(
        name="dnsmasq",
        section="hotspot",
        probe="drivers.hotspot.dnsmasq:Dnsmasq",
        collector="drivers.io.probes.dnsmasq:DnsmasqCollector",
        needs="leases",
    ),
    ProbeKind(
        name="dnsmasq-bus",
        section="hotspot",
        probe="drivers.hotspot.dnsmasq:DnsmasqBus",
        collector="drivers.io.probes.dnsmasq_bus:DnsmasqBusCollector",
        needs="dnsmasq_bus",
    ),
    ProbeKind(
        name="dnsmasq-cache",
        section="hotspot",
        probe="drivers.hotspot.dnsmasq_cache:DnsmasqCache",
        collector="drivers.io.probes.dnsmasq_cache:DnsmasqCacheCollector",
        needs="resolver",
        core=False,
    ),
    ProbeKind(
        name="hostapd",
        section="hotspot",
        probe="drivers.hotspot.radius_counters:RadiusCounters",
        collector="drivers.io.probes.hostapd:HostapdCollector",
        needs="hostapd",
    ),
    ProbeKind(
        name="opennds",
        section="hotspot",
        probe="drivers.hotspot.opennds:Opennds",
        collector="drivers.io.probes.opennds:OpenndsCollector",
        needs="portal=opennds",
    ),
    ProbeKind(
        name="portal-api",
        section="hotspot",
        probe="drivers.hotspot.portal_page:PortalApi",
        collector="drivers.io.probes.portal_page:PortalApiCollector",
        needs="portal_api",
    ),
    ProbeKind(
        name="portal-page",
        section="hotspot",
        probe="drivers.hotspot.portal_page:PortalPage",
        collector="drivers.io.probes.portal_page:PortalPageCollector",
        needs="portal_url",
    ),
    ProbeKind(
        name="radius",
        section="hotspot",
        probe="drivers.hotspot.radius:Radius",
        collector="drivers.io.probes.radius:RadiusCollector",
        needs="radius",
    ),
    ProbeKind(
        name="units",
        section="hotspot",
        probe="drivers.host.units:HotspotUnits",
        collector="drivers.io.probes.units:UnitsCollector",
        needs="units",
    ),
    ProbeKind(
        name="uplink",
        section="hotspot",
        probe="drivers.hotspot.uplink:Uplink",
        collector="drivers.io.probes.uplink:UplinkCollector",
    ),
    ProbeKind(
        name="wan",
        section="hotspot",
        probe="drivers.hotspot.wan:Wan",
        collector="drivers.io.probes.wan:WanCollector",
    ),
    ProbeKind(
        name="door",
        section="kiosk",
        probe="drivers.kiosk.door:Door",
        collector="drivers.io.probes.door:DoorCollector",
        needs="door",
    ),
    ProbeKind(
        name="kiosk-units",
        section="kiosk",
        probe="drivers.host.units:KioskUnits",
        collector="drivers.io.probes.units:KioskUnitsCollector",
        needs="units",
    ),
    ProbeKind(
        name="page",
        section="kiosk",
        probe="drivers.kiosk.page:LocalPage",
        collector="drivers.io.probes.page:PageCollector",
        needs="page",
    ),
    ProbeKind(
        name="screen",
        section="kiosk",
        probe="drivers.kiosk.screen:Screen",
        collector="drivers.io.probes.screen:ScreenCollector",
        needs="screen",
    ),
    ProbeKind(
        name="touch",
        section="kiosk",
        probe="drivers.kiosk.touch:Touch",
        collector="drivers.io.probes.touch:TouchCollector",
        needs="touch",
    ),
    ProbeKind(
        name="usb",
        section="kiosk",
        probe="drivers.kiosk.usb:Usb",
        collector="drivers.io.probes.usb:UsbCollector",
        needs="usb",
    ),
)
_SETTINGS: dict[SectionName, Settings] = {
    "host": HostSettings(),
    "hotspot": HotspotSettings(),
    "kiosk": KioskSettings(),
}


class UnknownProbe(DriverError):  # noqa: N818 - the word of the field
    """No probe and no source of a probe has this name."""


def settings(section: SectionName) -> Settings:
    """Return the settings of a section as they are where nobody wrote anything."""
    return _SETTINGS[section]


def find(name: str) -> tuple[ProbeKind, str]:
    """Return the probe of this name, or the probe that reads the source of this name and that source.

    Raises:
        UnknownProbe: Nothing has this name.
    """
    for kind in KINDS:
        if kind.name == name:
            return kind, ""
    for kind in KINDS:
        if any(source.name == name for source in _probe_class(kind).sources):
            return kind, name
    known = ", ".join(kind.name for kind in KINDS)
    raise UnknownProbe(f"no probe or source is called {name!r}; probes: {known}; `gardu probe list` shows the sources")


def make(kind: ProbeKind, given: Settings) -> Probe:
    """Make the pure part of a probe."""
    made: Probe = _class_of(kind.probe)(given)
    return made


def _probe_class(kind: ProbeKind) -> type[Probe]:
    return _class_of(kind.probe)


def collector(kind: ProbeKind, given: Settings) -> Collector:
    """Make a probe with what brings its answers."""
    made: Collector = _class_of(kind.collector)(given)
    return made


def _class_of(place: str) -> type:
    module, _, name = place.partition(":")
    found: type = getattr(importlib.import_module(module), name)
    return found
