"""Looks at every serial port of this machine: its names, what is plugged, who holds it, what to write in TOML.

Source: Linux sysfs (class/tty, bus/serial); udev's links in /dev/serial; USB-IF class codes (07h printer);
usb.ids for vendors that make nothing but scanners or printers.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from drivers.io.holders import FREE_BLUETOOTH, Holder, Holders, Roots
from drivers.io.opening import permission_cure
from drivers.io.ports import Attached, attached, uart_name

_PRINTER_CLASS = "07"
_SCANNERS = frozenset({"0536", "05e0", "05f9", "065a", "0c2e", "1eab"})  # Hand Held, Symbol, PSC, Opticon, Metrologic
_PRINTERS = frozenset({"04b8", "0519", "0dd4", "1504", "154f", "1d90", "2730"})  # Epson, Star, Custom, Bixolon, ...
_SCANNER_WORDS = re.compile(r"scanner|barcode|bar code|qr.?code", re.IGNORECASE)
_PRINTER_WORDS = re.compile(r"printer|receipt|thermal|\bPOS-?\d", re.IGNORECASE)
_WORTHLESS_SERIAL = re.compile(r"0*1?")  # cheap adapters all say 0001


@dataclass(frozen=True, slots=True, kw_only=True)
class Plug:
    """One serial port.

    Attributes:
        device: What the kernel knows of it.
        path: Device file.
        port: The best name for ``port = "..."``; empty when the UART cannot be used as a port.
        names: All names it has, the best one first.
        kind: ``printer``, ``scanner``, or empty.
        holders: Who holds it or will take it.
        denied: Why we may not open it; empty when we may.
        advice: What a technician should do or know.
    """

    device: Attached
    path: Path
    port: str
    names: tuple[str, ...]
    kind: str = ""
    holders: tuple[Holder, ...] = ()
    denied: str = ""
    advice: tuple[str, ...] = ()

    @property
    def free(self) -> bool:
        """Whether a sensor can be read here now: nobody but ourselves holds it, and it may be opened."""
        return not self.denied and all(not holder.cure for holder in self.holders)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All ports, and whether holders may have stayed unseen."""

    plugs: tuple[Plug, ...]
    hidden: bool


def may_open(device: Path) -> bool:
    """Whether this user may read and write a device."""
    return os.access(device, os.R_OK | os.W_OK)


def survey(roots: Roots | None = None, *, may: Callable[[Path], bool] = may_open) -> Survey:
    """Look at every port.

    Args:
        roots: Where to look.
        may: Says whether a device may be opened.
    """
    roots = roots or Roots()
    holders = Holders(roots=roots)
    devices = attached(roots.sys)
    links = _links(roots.dev)
    plugs = [_plug(device, devices, links, holders, may) for device in devices]
    taken = {plug.device.node for plug in plugs if plug.device.node}
    return Survey(plugs=(*plugs, *_behind_serdev(roots, taken)), hidden=holders.hidden)


def _plug(
    device: Attached,
    devices: Sequence[Attached],
    links: Sequence[tuple[str, str]],
    holders: Holders,
    may: Callable[[Path], bool],
) -> Plug:
    roots = holders.roots
    path = roots.dev / device.device
    mine = [link for link, target in links if target == device.device]
    advice: list[str] = []
    if device.socket:
        several = sum(other.socket == device.socket for other in devices) > 1
        port = f"usb:{device.socket}:{device.interface}" if several else f"usb:{device.socket}"
        names = [port]
        twins = _twins(device, devices)
        if _tells_apart(device, devices):
            names.append(f"usb-serial:{device.serial}" + (f":{device.interface}" if several else ""))
        if twins:
            advice.append(
                f"the adapter in {', '.join(twins)} is identical: only the socket tells them apart; label the sockets"
            )
    else:
        name = uart_name(device, roots.sys, roots.dev)
        port = f"uart:{name}"
        names = [port] + [f"uart:{device.device}"] * (name != device.device)
    kind = _kind(device, roots.sys)
    if kind:
        advice.append(f"looks like a {kind}: `gardu driver sniff` leaves it alone unless told --force")
    if not path.exists():
        advice.append(f"there is no {path}: wait for udev, or look at `dmesg`")
    denied = "" if not path.exists() or may(path) else permission_cure(path)
    return Plug(
        device=device,
        path=path,
        port=port,
        names=(*names, *(f"path:{name}" for name in (str(path), *mine))),
        kind=kind,
        holders=holders.of(device.device),
        denied=denied,
        advice=tuple(advice),
    )


def _behind_serdev(roots: Roots, shown: set[str]) -> list[Plug]:
    """UARTs whose device file the kernel gives to nobody, because a driver inside it owns them."""
    plugs = []
    for child in sorted((roots.sys / "bus/serial/devices").glob("serial*-*")):
        home = next((folder for folder in child.resolve().parents if (folder / "of_node").is_symlink()), None)
        node = (home / "of_node").resolve().name if home else child.name
        if node in shown:
            continue
        driver = (child / "driver").resolve().name
        if "hci" in driver:
            holder = Holder(kind="bluetooth", name="Bluetooth", cure=FREE_BLUETOOTH)
        else:
            cure = "take its overlay out of /boot/firmware/config.txt, then restart"
            holder = Holder(kind="program", name=f"the kernel's driver {driver}", cure=cure)
        device = Attached(device=child.name, node=node)
        plugs.append(Plug(device=device, path=child, port="", names=(), holders=(holder,)))
    return plugs


def _links(dev: Path) -> list[tuple[str, str]]:
    """Links in /dev that udev made, and the device each leads to."""
    folders = (dev / "serial/by-id", dev / "serial/by-path", dev)
    found = []
    for folder in folders:
        try:
            links = sorted(link for link in folder.iterdir() if link.is_symlink())
        except OSError:
            continue
        found += [(str(link), link.resolve().name) for link in links]
    return found


def _twins(device: Attached, devices: Sequence[Attached]) -> list[str]:
    """Sockets of other adapters that only their socket tells from this one."""
    same = [other.socket for other in devices if other.socket != device.socket and other.identity == device.identity]
    return list(dict.fromkeys(same))


def _tells_apart(device: Attached, devices: Sequence[Attached]) -> bool:
    """Whether the serial number of an adapter is worth writing down."""
    owners = Counter(other.serial for other in {one.socket: one for one in devices if one.socket}.values())
    return bool(device.serial) and owners[device.serial] == 1 and not _WORTHLESS_SERIAL.fullmatch(device.serial)


def _kind(device: Attached, sys_root: Path) -> str:
    """Whether an adapter is a printer or a scanner, by what it says of itself."""
    if not device.socket:
        return ""
    vendor = device.ids.partition(":")[0]
    words = f"{device.maker} {device.product}"
    if vendor in _SCANNERS or _SCANNER_WORDS.search(words):
        return "scanner"
    if vendor in _PRINTERS or _PRINTER_WORDS.search(words):
        return "printer"
    entry = (sys_root / "class/tty" / device.device).resolve()
    adapter = next((folder for folder in entry.parents if folder.name == device.socket), None)
    if adapter is None:
        return ""
    return "printer" if any(_says(path, _PRINTER_CLASS) for path in adapter.glob("*/bInterfaceClass")) else ""


def _says(path: Path, word: str) -> bool:
    try:
        return path.read_text().strip() == word
    except OSError:  # unplugged meanwhile
        return False
