"""The files of a configuration to a `Config`, or to all that is wrong with them at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.config.alarm_set import Watched, read_alarms
from agent.config.battery import read_battery
from agent.config.channels import read_probes
from agent.config.document import Document, Node, read
from agent.config.effective import stamp
from agent.config.finding import Finding, Findings
from agent.config.link import folder, read_center, read_seal, read_spool
from agent.config.link_channels import LINK, channels_of_link
from agent.config.lookalikes import warn_lookalikes
from agent.config.model import Config, Host
from agent.config.places import Place
from agent.config.probes import Equipped, channels_of, equip, read_settings
from agent.config.section import HOST, Section
from agent.config.sensors import Drivers, Fitted, read_sensor
from agent.config.wiring import share_ports
from drivers.driver import Channel
from drivers.host.info import describe
from drivers.host.settings import HostSettings
from drivers.hotspot.settings import HotspotSettings
from drivers.kiosk.settings import KioskSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What the files come to.

    Attributes:
        config: None when anything outside the sensors and alarms is wrong; a wrong sensor or alarm is left out of it.
        problems: Errors and warnings, in the order of the files.
        fitted: The sensors of ``config``, each with its port and a driver made for it.
        equipped: The probes of ``config``.
    """

    config: Config | None
    problems: tuple[Finding, ...]
    fitted: tuple[Fitted, ...] = ()
    equipped: tuple[Equipped, ...] = ()

    @property
    def errors(self) -> int:
        """Number of problems that are no warnings."""
        return sum(problem.severity == "error" for problem in self.problems)


def parse(files: Sequence[tuple[str, bytes]], registry: Drivers) -> Parsed:
    """Read a configuration.

    Args:
        files: Name and content of each file, in the order that counts: the main file, then those of ``conf.d``.
        registry: The drivers there are.
    """
    findings = Findings()
    document = read(files, findings)
    top = _Top(document, findings)
    center = read_center(top.table("center"), findings)
    keys_folder = folder(Section("keys", top.table("keys"), findings), findings)
    spool = read_spool(top.table("spool"), findings)
    seal = read_seal(top.table("seal"), spool, findings)
    run_folder = folder(Section("run", top.table("run"), findings), findings)
    host = _host(top.table("host"), findings)
    hotspot, kiosk = _hotspot(top.table("hotspot"), findings), _kiosk(top.table("kiosk"), findings)
    log_level = Section("log", top.table("log"), findings).text("level")
    usable = findings.errors == document.doubled  # what follows costs one sensor or alarm only
    allowed = Section("drivers", top.table("drivers"), findings).texts("allow") or ()
    equipped = equip((host.probes if host.enabled else None, hotspot, kiosk))
    linked = channels_of_link(center)
    probed = channels_of(equipped) | ({LINK: linked} if linked else {})
    sections = top.many("sensor")
    taken = probed.keys() - {HOST}
    known = [one for node in sections if (one := read_sensor(node, registry, findings, allowed, taken=taken))]
    fitted = share_ports(known, findings)
    warn_lookalikes(fitted, findings)
    channels = _channels(host, top.names("sensor"), known)
    channels |= {name: {**(channels.get(name) or {}), **each} for name, each in probed.items()}
    own = {name: found for name in (HOST, *probed) if (found := channels.get(name))}
    probes = read_probes({node.name: node for node in top.many("probe")}, own, findings)
    usable_sensors = {HOST, *probed, *(one.sensor.name for one in fitted)}
    watched = Watched(channels=channels, usable=usable_sensors, complete=document.complete)
    boxes = {name: top.table(name) for name in ("host", "hotspot", "kiosk")}
    alarms, defaults = read_alarms(top.many("alarm"), sections, boxes, watched, findings)
    battery = read_battery(top.table("power"), channels, findings)
    problems = findings.in_order(tuple(name for name, _ in files))
    if not usable:
        return Parsed(config=None, problems=problems)
    config = Config(
        node=top.node,
        city=top.city,
        site=top.site,
        center=center,
        keys_folder=keys_folder,
        spool=spool,
        seal=seal,
        run_folder=run_folder,
        host=host,
        hotspot=hotspot,
        kiosk=kiosk,
        probes=probes,
        sensors=tuple(one.sensor for one in fitted),
        alarms=alarms,
        defaults=defaults,
        battery=battery,
        log_level=log_level,
        allowed_drivers=allowed,
    )
    return Parsed(config=stamp(config), problems=problems, fitted=tuple(fitted), equipped=equipped)


class _Top:
    """The top of all files: names, and the sections below."""

    def __init__(self, document: Document, findings: Findings) -> None:
        start = Place(line=1, column=1)
        root = Node(file=document.first, name="", path="", key=start, place=start, text="", value=document.keys)
        self._section = Section("", root, findings, required=document.complete)
        self._findings = findings
        self.node = self._section.name("node")
        self.city = self._section.name("city")
        self.site = self._section.optional_text("site")

    def table(self, name: str) -> Node | None:
        """Return a section; None when it is absent."""
        return self._section.nodes.get(name)

    def names(self, name: str) -> tuple[str, ...]:
        """Return the names of all sections below a name, bad ones too."""
        node = self.table(name)
        return tuple(node.table()) if node else ()

    def many(self, name: str) -> list[Node]:
        """Return the sections below a name; a bad name is noted and left out."""
        return list(self._section.entries(name).values())


def _host(node: Node | None, findings: Findings) -> Host:
    section = Section("host", node, findings)
    disks = section.nodes.get("disks")
    for disk in disks.items() if disks else ():
        if isinstance(disk.value, str) and disk.value and not disk.value.startswith("/"):
            findings.error(
                disk.file,
                disk.place,
                "this is no mount point",
                given=disk.text,
                allowed="a path from /",
                cure=f'write it in full: "/{disk.value}"',
            )
    return Host(
        enabled=section.flag("enabled"),
        every_s=section.seconds("every"),
        disks=section.texts("disks") or (),
        interfaces=section.texts("interfaces"),
        probes=read_settings(section, HostSettings(), findings),
    )


def _hotspot(node: Node | None, findings: Findings) -> HotspotSettings | None:
    return read_settings(Section("hotspot", node, findings), HotspotSettings(), findings) if node else None


def _kiosk(node: Node | None, findings: Findings) -> KioskSettings | None:
    return read_settings(Section("kiosk", node, findings), KioskSettings(), findings) if node else None


def _channels(host: Host, written: Iterable[str], known: Sequence[Fitted]) -> dict[str, Mapping[str, Channel] | None]:
    """Return what alarms can watch; None for a sensor whose channels cannot be known."""
    channels: dict[str, Mapping[str, Channel] | None] = dict.fromkeys(written)
    if host.enabled:
        info = describe(host.disks, host.interfaces or ())
        channels[HOST] = {channel.name: channel for channel in info.channels}
    for one in known:
        channels[one.sensor.name] = {channel.name: channel for channel in one.info.channels} or None
    return channels
