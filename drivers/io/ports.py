"""Finds the device behind the name of a port, through sysfs.

Source: Linux Documentation/ABI/stable/sysfs-bus-usb (names of sockets and interfaces);
Raspberry Pi documentation, "UARTs"; bcm2711.dtsi and rp1.dtsi (addresses of the header's UARTs).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drivers.errors import NotPlugged, PortLost
from drivers.port import Port

SYS = Path("/sys")
DEV = Path("/dev")

_INTERFACE = re.compile(r"(?P<socket>\d+-\d+(?:\.\d+)*):(?P<interface>\d+\.\d+)")
_PHANTOM = "0"  # PORT_UNKNOWN: the 8250 driver lists four ttyS that no hardware stands behind

# Header pins by the device tree node of their UART: numbers of ttyAMA differ between models and kernels, addresses
# do not. gpio14 on models before the Pi 5 is the primary UART, which /dev/serial0 follows; on a Pi 5 /dev/serial0 is
# the debug socket instead.
_HEADER = {
    "gpio14": ("serial@30000",),
    "gpio0": ("serial@7e201400", "serial@34000"),
    "gpio4": ("serial@7e201600", "serial@38000"),
    "gpio8": ("serial@7e201800", "serial@3c000"),
    "gpio12": ("serial@7e201a00", "serial@40000"),
}
_PRIMARY = "gpio14"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """One serial device the kernel knows.

    Attributes:
        device: Name under /dev, e.g. ``"ttyUSB0"``.
        socket: USB socket, e.g. ``"1-1.2"``; empty for an on-board UART.
        interface: USB interface, e.g. ``"1.0"``.
        serial: USB serial number; empty when the adapter has none.
        ids: USB vendor and product, e.g. ``"0403:6001"``.
        product: What the adapter calls itself.
        maker: Who made it, as it says.
        node: Device tree node of an on-board UART, e.g. ``"serial@7e201000"``.
    """

    device: str
    socket: str = ""
    interface: str = ""
    serial: str = ""
    ids: str = ""
    product: str = ""
    maker: str = ""
    node: str = ""

    @property
    def identity(self) -> str:
        """What must be the same for this to be the same adapter; a socket does not say that."""
        return " ".join(part for part in (self.ids, self.serial, self.product or self.node) if part)


def attached(sys_root: Path = SYS) -> list[Attached]:
    """List every serial device with hardware behind it, in the order of their names."""
    try:
        entries = sorted((sys_root / "class/tty").iterdir(), key=lambda entry: (len(entry.name), entry.name))
    except OSError:
        return []
    found = (_inspect(entry) for entry in entries)
    return [device for device in found if device is not None]


def resolve(port: Port, sys_root: Path = SYS, dev_root: Path = DEV) -> Path:
    """Return the device file that a port stands for at this moment.

    Raises:
        PortLost: Nothing is there, or more than one thing is; the reason names what is there instead.
    """
    if port.kind == "tcp":
        raise ValueError(port.name)
    if port.kind == "path":
        return _follow(port)
    if port.kind == "uart":
        return _uart(port, sys_root, dev_root)
    adapters = [device for device in attached(sys_root) if device.socket]
    if port.kind == "usb":
        here = [device for device in adapters if device.socket == port.value]
        what = f"no USB socket {port.value}"
        others = ", ".join(dict.fromkeys(device.socket for device in adapters))
    else:
        here = [device for device in adapters if device.serial == port.value]
        what = f"no USB adapter with serial number {port.value}"
        others = ", ".join(dict.fromkeys(device.serial or "(none)" for device in adapters))
    if port.interface and here:
        interfaces = ", ".join(device.interface for device in here)
        here = [device for device in here if device.interface == port.interface]
        what = f"no interface {port.interface} there"
        others = interfaces
    if not here:
        raise NotPlugged(port.name, f"not plugged in: {what}; plugged: {others or 'nothing'}")
    if len(here) > 1:
        raise PortLost(port.name, f"{len(here)} lines match: write one of {_choices(here)}")
    return _in_dev(port, here[0].device, dev_root)


def identify(device: Path, sys_root: Path = SYS) -> str:
    """Return who the adapter behind a device file is; empty when nothing is known of it."""
    known = _inspect(sys_root / "class/tty" / device.name)
    return known.identity if known else ""


def uart_name(device: Attached, sys_root: Path = SYS, dev_root: Path = DEV) -> str:
    """Return the best name of an on-board UART: its header pin where it has one, else what the kernel calls it."""
    for pin, nodes in _HEADER.items():
        if device.node in nodes:
            return pin
    primary = dev_root / "serial0"
    fixed = {other.node for other in attached(sys_root)} & set(_HEADER[_PRIMARY])
    if not fixed and primary.is_symlink() and primary.resolve().name == device.device:
        return _PRIMARY
    return device.device


def _choices(devices: Sequence[Attached]) -> str:
    return ", ".join(f"usb:{device.socket}:{device.interface}" for device in devices)


def _follow(port: Port) -> Path:
    path = Path(port.value)
    try:
        return path.resolve(strict=True)
    except FileNotFoundError:
        if path.is_symlink():
            raise NotPlugged(port.name, f"not plugged in: {path} points at {path.readlink()}, which is gone") from None
        raise NotPlugged(port.name, f"not plugged in: there is no {path}") from None
    except (OSError, RuntimeError) as error:
        raise PortLost(port.name, f"cannot reach {path}: {error}") from error


def _uart(port: Port, sys_root: Path, dev_root: Path) -> Path:
    onboard = [device for device in attached(sys_root) if not device.socket]
    name = port.value.lower()
    nodes = _HEADER.get(name, ())
    for device in onboard:
        if device.device == port.value or (device.node and device.node in nodes):
            return _in_dev(port, device.device, dev_root)
    if name == _PRIMARY:
        return _in_dev(port, "serial0", dev_root)
    if name in _HEADER:
        raise PortLost(port.name, f"the UART at {name} is switched off: enable its overlay in config.txt and restart")
    try:
        return _in_dev(port, port.value, dev_root)  # a UART the kernel hides from sysfs is still a UART
    except PortLost:
        there = ", ".join(device.device for device in onboard) or "none"
        raise PortLost(port.name, f"no UART {port.value}; on this board: {there}") from None


def _in_dev(port: Port, name: str, dev_root: Path) -> Path:
    path = dev_root / name
    if not path.exists():
        cure = "enable the serial port (raspi-config) and restart" if name == "serial0" else "wait for udev"
        raise PortLost(port.name, f"there is no {path}: {cure}")
    return path


def _inspect(entry: Path) -> Attached | None:
    if not (entry / "device").exists() or _text(entry / "type") == _PHANTOM:
        return None
    real = entry.resolve()
    for folder in real.parents:
        interface = _INTERFACE.fullmatch(folder.name)
        if interface is not None:
            adapter = folder.parent
            return Attached(
                device=entry.name,
                socket=interface["socket"],
                interface=interface["interface"],
                serial=_text(adapter / "serial"),
                ids=f"{_text(adapter / 'idVendor')}:{_text(adapter / 'idProduct')}",
                product=_text(adapter / "product"),
                maker=_text(adapter / "manufacturer"),
            )
        node = folder / "of_node"
        if node.is_symlink():
            return Attached(device=entry.name, node=node.resolve().name)
    return Attached(device=entry.name)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace").strip()
    except OSError:
        return ""
