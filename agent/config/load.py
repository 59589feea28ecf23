"""The files of a configuration to a `Config`, or to all that is wrong with them at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.config.alarms import read_alarm
from agent.config.document import Document, Node, read
from agent.config.effective import stamp
from agent.config.finding import Finding, Findings
from agent.config.link import folder, read_center, read_seal, read_spool
from agent.config.model import Config, Host
from agent.config.places import Place
from agent.config.section import HOST, Section
from agent.config.sensors import Drivers, Fitted, read_sensor
from agent.config.wiring import share_ports
from drivers.driver import Channel
from drivers.host.info import describe


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What the files come to.

    Attributes:
        config: None when anything outside the sensors and alarms is wrong; a wrong sensor or alarm is left out of it.
        problems: Errors and warnings, in the order of the files.
        fitted: The sensors of ``config``, each with its port and a driver made for it.
    """

    config: Config | None
    problems: tuple[Finding, ...]
    fitted: tuple[Fitted, ...] = ()

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
    log_level = Section("log", top.table("log"), findings).text("level")
    usable = findings.errors == document.doubled  # what follows costs one sensor or alarm only
    sections = top.many("sensor")
    known = [one for node in sections if (one := read_sensor(node, registry, findings))]
    fitted = share_ports(known, findings)
    channels = _channels(host, top.names("sensor"), known)
    alarms = [read_alarm(node, channels, findings, complete=document.complete) for node in top.many("alarm")]
    watchable = {HOST, *(one.sensor.name for one in fitted)}
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
        sensors=tuple(one.sensor for one in fitted),
        alarms=tuple(alarm for alarm in alarms if alarm and alarm.sensor in watchable),
        log_level=log_level,
    )
    return Parsed(config=stamp(config), problems=problems, fitted=tuple(fitted))


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
    )


def _channels(host: Host, written: Iterable[str], known: Sequence[Fitted]) -> dict[str, Mapping[str, Channel] | None]:
    """Return what alarms can watch; None for a sensor whose channels cannot be known."""
    channels: dict[str, Mapping[str, Channel] | None] = dict.fromkeys(written)
    if host.enabled:
        info = describe(host.disks, host.interfaces or ())
        channels[HOST] = {channel.name: channel for channel in info.channels}
    for one in known:
        channels[one.sensor.name] = {channel.name: channel for channel in one.info.channels} or None
    return channels
