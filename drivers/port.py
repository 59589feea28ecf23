"""Names of ports, as a technician writes them. Pure: finding the device behind a name is `drivers.io.ports`."""

import re
from dataclasses import dataclass
from typing import Literal

from drivers.errors import DriverError

PortKind = Literal["usb", "usb-serial", "uart", "path", "tcp"]

_SOCKET = re.compile(r"(?P<socket>\d+-\d+(?:\.\d+)*)(?::(?P<interface>\d+\.\d+))?")
_SERIAL = re.compile(r"(?P<serial>[\x21-\x7e]+?)(?::(?P<interface>\d+\.\d+))?")
_UART = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")
_TCP = re.compile(
    r"(?P<scheme>tcp|modbus-tcp)://(?P<host>\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?/?"
)
_HIGHEST_TCP_PORT = 65535
_MODBUS_TCP_PORT = 502  # registered with IANA as mbap

FORMS = "usb:1-1.2, usb-serial:A50285BI, uart:gpio14, path:/dev/..., tcp://host:port, modbus-tcp://host"
"""The forms a port name may take, for messages."""


class PortNameError(DriverError, ValueError):
    """A port name that cannot be understood.

    Attributes:
        given: What was written.
        cure: What to write instead.
    """

    def __init__(self, given: str, what: str, cure: str) -> None:
        super().__init__(f"{what}; {cure}")
        self.given = given
        self.what = what
        self.cure = cure


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One place where a line is plugged in.

    Attributes:
        name: The normal form of what was written; equal names are the same port.
        kind: How it is found.
        value: USB socket, USB serial number, UART, path, or host.
        interface: USB interface, e.g. ``"1.0"``; empty means the only one.
        tcp_port: Only of ``tcp``; else 0.
        mbap: Of ``tcp``: frames travel as Modbus TCP, not as the bytes of a serial line.
    """

    name: str
    kind: PortKind
    value: str
    interface: str = ""
    tcp_port: int = 0
    mbap: bool = False

    @property
    def warning(self) -> str:
        """Why this name is a poor choice; empty when it is a good one."""
        if self.kind == "tcp" and self.tcp_port == _MODBUS_TCP_PORT and not self.mbap:
            return f"TCP port {_MODBUS_TCP_PORT} speaks Modbus TCP as a rule; then write {_modbus_tcp(self.value)}"
        if self.kind != "path" or self.value.startswith("/dev/serial/by-path/"):
            return ""
        if self.value.startswith("/dev/serial/by-id/"):
            return "cheap adapters share one serial number, then this link points at the last one plugged in"
        if not self.value.startswith("/dev/"):
            return ""
        return "this name can belong to another adapter after the next start; name the USB socket: usb:1-1.2"


def parse_port(text: str) -> Port:
    """Read the name of a port.

    Raises:
        PortNameError: The text is none of the known forms.
    """
    given = text.strip()
    if given.startswith(("tcp:", "modbus-tcp:")):
        return _tcp(given)
    if given.startswith("/"):
        return _path(given, given)
    kind, colon, value = given.partition(":")
    match kind if colon else "":
        case "usb":
            return _socket(given, value)
        case "usb-serial":
            found = _SERIAL.fullmatch(value)
            if found is None:
                raise PortNameError(given, "no USB serial number", "write it like usb-serial:A50285BI")
            return Port(name=given, kind="usb-serial", value=found["serial"], interface=found["interface"] or "")
        case "uart":
            if _UART.fullmatch(value) is None:
                raise PortNameError(given, f"{value!r} names no UART", "write it like uart:gpio14 or uart:ttyS1")
            return Port(name=given, kind="uart", value=value)
        case "path":
            return _path(given, value)
        case _:
            raise PortNameError(given, f"{given!r} names no port", _cure(given))


def _socket(given: str, value: str) -> Port:
    found = _SOCKET.fullmatch(value)
    if found is None:
        raise PortNameError(given, f"{value!r} is no USB socket", "write it like usb:1-1.2 or usb:1-1.2:1.0")
    return Port(name=given, kind="usb", value=found["socket"], interface=found["interface"] or "")


def _path(given: str, value: str) -> Port:
    if not value.startswith("/") or value.endswith("/") or "\0" in value:
        raise PortNameError(given, f"{value!r} is no path of a device", "write it in full, like path:/dev/ttyUSB0")
    return Port(name=f"path:{value}", kind="path", value=value)


def _tcp(given: str) -> Port:
    found = _TCP.fullmatch(given)
    mbap = given.startswith("modbus-tcp:")
    number = int((found and found["port"]) or (_MODBUS_TCP_PORT if mbap else 0))
    if found is None or not 0 < number <= _HIGHEST_TCP_PORT:
        what, example = "Modbus TCP server", "modbus-tcp://192.168.1.20"
        if not mbap:
            what, example = "serial server", "tcp://192.168.1.20:4001"
        raise PortNameError(given, f"{given!r} is no {what}", f"write it like {example}")
    name = f"{found['scheme']}://{found['host']}:{number}"
    return Port(name=name, kind="tcp", value=found["host"].strip("[]"), tcp_port=number, mbap=mbap)


def _modbus_tcp(host: str) -> str:
    return f"modbus-tcp://[{host}]" if ":" in host else f"modbus-tcp://{host}"


def _cure(given: str) -> str:
    if given.startswith("tty"):
        return f"write path:/dev/{given}, or better the USB socket, like usb:1-1.2"
    if _SOCKET.fullmatch(given):
        return f"write usb:{given}"
    return f"write one of: {FORMS}"
