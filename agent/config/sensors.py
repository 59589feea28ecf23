"""Reads the sensor sections: each is checked against its driver, and the driver is made once to prove it can be."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.config.channels import read_overrides
from agent.config.document import Node
from agent.config.finding import Findings
from agent.config.model import Sensor
from agent.config.options import read_options
from agent.config.schema import SECTIONS
from agent.config.section import HOST, Section
from agent.config.suggest import choice, near
from drivers.driver import Driver, DriverInfo, Line, OptionValue
from drivers.errors import AddedError, OptionError, ProfileError, UnknownDriver
from drivers.port import FORMS, Port, PortNameError, parse_port
from drivers.serial.options import parse_line

_LOWEST_BAUD, _HIGHEST_BAUD = 50, 4_000_000  # the range of Linux termios rates
_OWN_KEYS = frozenset(key.name for key in SECTIONS["sensor.NAME"])


class Drivers(Protocol):
    """What the check needs of the registry of drivers."""

    def names(self) -> tuple[str, ...]:
        """Return all drivers and profiles, sorted."""
        ...

    def package_of(self, name: str) -> str:
        """Return where the code of a third party's driver is from; empty where it is Gardu's own."""
        ...

    def info(self, name: str) -> DriverInfo:
        """Return what is known of a driver, profile or model."""
        ...

    def make(
        self, name: str, sensor: str, options: Mapping[str, OptionValue], *, every_s: float | None = None
    ) -> Driver:
        """Return a driver for one sensor."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A sensor whose driver is known.

    Attributes:
        node: Its section.
        sensor: What the configuration says; in part a guess where ``driver`` is None.
        port: Where it is plugged in; None for a probe of the node itself, or where that is wrong.
        info: What is known of its driver, channels that its options decide included.
        driver: Made from the section; None when anything in it is wrong.
    """

    node: Node
    sensor: Sensor
    port: Port | None
    info: DriverInfo
    driver: Driver | None

    @property
    def line(self) -> Line | None:
        """The serial line it will use."""
        return self.sensor.line or self.info.line


def read_sensor(
    node: Node, drivers: Drivers, findings: Findings, allowed: Sequence[str] = (), *, taken: Container[str] = ()
) -> Fitted | None:
    """Read one sensor section; None when not even its driver is known.

    Args:
        node: The section.
        drivers: All there are.
        findings: Where problems go.
        allowed: Drivers of third parties whose code may run here; that of others is not even imported.
        taken: Names that the box's own probes give their readings.
    """
    before = findings.errors
    if node.name in taken:
        findings.error(
            node.file,
            node.key,
            f'"{node.name}" is the name of probes of this box',
            given=node.path,
            cure="give the sensor another name",
        )
    if node.name == HOST:
        findings.error(
            node.file,
            node.key,
            "a sensor cannot be called host",
            given=node.path,
            cure="the box itself is [host]; give the sensor another name",
        )
    info = _info(node.table().get("driver"), drivers, findings, allowed)
    section = Section("sensor.NAME", node, findings, extra=_options_of(info, node))
    driver_name = section.text("driver")
    port = _port(section, node, info, findings)
    every_s = _every(section, info, findings)
    line = _line(section, findings)
    silent_means, silent_when = section.optional_text("silent_means"), section.optional_text("silent_when")
    overrides = section.entries("channel")
    if info is None:
        return None
    declared = [option for option in info.options if option.name not in _OWN_KEYS]
    options = read_options(declared, section.nodes, node, findings)
    driver = _make(node, drivers, options, every_s, findings) if findings.errors == before else None
    info = driver.info if driver else info
    sensor = Sensor(
        name=node.name,
        driver=driver_name,
        port=port.name if port else "",
        every_s=every_s,
        line=line,
        options=options,
        channels=read_overrides(overrides, info.channels, findings),
        silent_means=silent_means,
        silent_when=silent_when,
    )
    return Fitted(node=node, sensor=sensor, port=port, info=info, driver=driver if findings.errors == before else None)


def _info(node: Node | None, drivers: Drivers, findings: Findings, allowed: Sequence[str]) -> DriverInfo | None:
    if node is None or not isinstance(node.value, str):
        return None
    if node.value not in allowed and (package := drivers.package_of(node.value)):
        names = ", ".join(f'"{name}"' for name in (*allowed, node.value))
        findings.error(
            node.file,
            node.place,
            f"this driver is code of {package}, which may not run here",
            given=node.text,
            allowed="drivers of Gardu, profiles, and what [drivers] allow names",
            cure=f"if you trust its maker with this box and its keys: [drivers] allow = [{names}]",
        )
        return None
    try:
        return drivers.info(node.value)
    except UnknownDriver as error:
        guesses = error.near or near(node.value, drivers.names())
        cure = f"did you mean {choice(guesses)}?" if guesses else "`gardu driver list` shows all"
        findings.error(
            node.file,
            node.place,
            "no driver, profile or model has this name",
            given=node.text,
            allowed="a name of `gardu driver list`",
            cure=cure,
        )
    except ProfileError as error:
        _bad_profile(node, error, findings)
    except AddedError as error:
        _bad_addition(node, error, findings)
    return None


def _bad_addition(node: Node, error: AddedError, findings: Findings) -> None:
    findings.error(node.file, node.place, error.reason, given=node.text, cure=error.cure)


def _bad_profile(node: Node, error: ProfileError, findings: Findings) -> None:
    findings.error(
        node.file,
        node.place,
        f"the profile cannot be used: {error}",
        given=node.text,
        cure="correct the profile, or name another",
    )


def _options_of(info: DriverInfo | None, node: Node) -> set[str]:
    """Return the names that are not to be called unknown; of an unknown driver any may be an option."""
    if info is not None:
        return {option.name for option in info.options}
    return {name for name in node.table() if not near(name, _OWN_KEYS)}


def _port(section: Section, owner: Node, info: DriverInfo | None, findings: Findings) -> Port | None:
    text = section.optional_text("port")
    node = section.nodes.get("port")
    if node is None:
        if info is not None and info.line is not None and "port" not in section.meant:
            findings.error(
                owner.file,
                owner.key,
                f'[{owner.path}] lacks "port"',
                allowed=FORMS,
                cure='add where it is plugged in: port = "usb:1-1.2"',
            )
        return None
    if text is None:
        return None
    if info is not None and info.line is None:
        findings.error(
            node.file, node.key, f"{info.title} has no port", given=f"port = {node.text}", cure="remove this line"
        )
        return None
    try:
        port = parse_port(text)
    except PortNameError as error:
        findings.error(node.file, node.place, error.what, given=node.text, allowed=FORMS, cure=error.cure)
        return None
    if port.mbap and info is not None and info.family != "modbus":
        findings.error(
            node.file,
            node.place,
            f"{info.title} speaks no Modbus",
            given=node.text,
            allowed="modbus-tcp:// only for drivers that ask Modbus registers",
            cure="write tcp://host:port for a server that passes the bytes of a serial line",
        )
        return None
    if port.warning:
        tcp = port.kind == "tcp"
        findings.warning(
            node.file,
            node.place,
            "this server may speak Modbus TCP" if tcp else "this port may be another one after a restart",
            given=node.text,
            allowed=FORMS,
            cure=port.warning,
        )
    return port


def _every(section: Section, info: DriverInfo | None, findings: Findings) -> float | None:
    every_s = section.optional_seconds("every")
    if every_s is not None and info is not None and every_s < info.min_every_s:
        node = section.nodes["every"]
        fastest = f"{info.min_every_s:.10g} s"
        findings.error(
            node.file,
            node.place,
            f"{info.title} cannot be read so often",
            given=node.text,
            allowed=f"{fastest} or longer",
            cure=f'write every = "{fastest}" or longer',
        )
    return every_s


def _line(section: Section, findings: Findings) -> Line | None:
    text = section.optional_text("line")
    if text is None:
        return None
    line = parse_line(text)
    if line is not None and _LOWEST_BAUD <= line.baud <= _HIGHEST_BAUD:
        return line
    node = section.nodes["line"]
    findings.error(
        node.file,
        node.place,
        "this is no serial line",
        given=node.text,
        allowed=f"baud {_LOWEST_BAUD} to {_HIGHEST_BAUD}, then data bits 5 to 8, parity N, E or O, stop bits 1 or 2",
        cure='write it like line = "9600 8N1", or leave it to the driver',
    )
    return None


def _make(
    node: Node, drivers: Drivers, options: Mapping[str, OptionValue], every_s: float | None, findings: Findings
) -> Driver | None:
    named = node.table()["driver"]
    try:
        return drivers.make(str(named.value), node.name, options, every_s=every_s)
    except OptionError as error:
        at = _deepest(node, error.option)
        key = "" if at is not node and at.name == error.option else f"{error.option}: "
        findings.error(
            at.file,
            at.place,
            f"{key}{error.reason}",
            given=at.text,
            cure=f"`gardu driver show {named.value}` says what it takes",
        )
    except ProfileError as error:
        _bad_profile(named, error, findings)
    except AddedError as error:
        _bad_addition(named, error, findings)
    return None


def _deepest(node: Node, path: str) -> Node:
    """Return the node that a dotted path names, as far as it exists."""
    for part in path.split("."):
        items = {str(index): item for index, item in enumerate(node.items())}
        below = node.table().get(part) or items.get(part)
        if below is None:
            return node
        node = below
    return node
