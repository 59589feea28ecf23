"""Finds who holds a serial device, and says how to make it let go.

Source: Linux proc(5): PID/stat field 7, PID/fd, locks, cmdline; systemd-getty-generator(8); ModemManager's udev
properties (ID_MM_CANDIDATE, ID_MM_DEVICE_IGNORE, ID_MM_PORT_IGNORE); Linux serdev and bluetooth under /sys.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_TTY_FIELD = 4  # field 7 of PID/stat, counted from behind the name, which may hold anything
_LOCK_WORDS = 8
_SHOWN = 3
_GETTY = ("agetty", "getty", "login")

_CURES = {
    "ModemManager": "sudo systemctl disable --now ModemManager",
    "brltty": "sudo apt remove brltty (it takes CH340 adapters for Braille displays)",
    "gpsd": "sudo systemctl disable --now gpsd.socket gpsd",
}
_ATTACHERS = ("btattach", "hciattach")
FREE_BLUETOOTH = "dtoverlay=disable-bt in /boot/firmware/config.txt, then restart"
"""How to take a UART from Bluetooth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """The trees a survey looks into."""

    sys: Path = Path("/sys")
    dev: Path = Path("/dev")
    proc: Path = Path("/proc")
    etc: Path = Path("/etc")
    run: Path = Path("/run")


def under(root: Path) -> Roots:
    """All trees below one folder."""
    return Roots(sys=root / "sys", dev=root / "dev", proc=root / "proc", etc=root / "etc", run=root / "run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One who holds a device, or will take it.

    Attributes:
        kind: ``gardu``, ``login``, ``console``, ``bluetooth``, ``modemmanager`` or ``program``.
        name: For people.
        pid: Of the process, where one is known.
        cure: How to make it let go; empty when it should not.
    """

    kind: str
    name: str
    pid: int | None = None
    cure: str = ""


@dataclass(slots=True, kw_only=True)
class _Process:
    pid: int
    name: str
    words: tuple[str, ...] = ()
    tty: tuple[int, int] = (0, 0)
    open: frozenset[str] = frozenset()


@dataclass(slots=True, kw_only=True)
class Holders:
    """One look at everything that runs; asked per device.

    Attributes:
        hidden: Some processes could not be looked into: another user's may hold a device unseen.
    """

    roots: Roots
    hidden: bool = False
    _processes: list[_Process] = field(default_factory=list)
    _locks: dict[tuple[int, int, int], list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in sorted(self.roots.proc.glob("[0-9]*"), key=lambda one: int(one.name)):
            try:
                self._processes.append(self._look(folder))
            except (OSError, ValueError, IndexError):
                continue  # gone meanwhile
        self._locks = _locks(_text(self.roots.proc / "locks"))

    def of(self, device: str) -> tuple[Holder, ...]:
        """Who holds, or will take, a device by its name under /dev."""
        logins = tuple(self._logins(device))
        found = [*logins, *self._bluetooth(device), *self._programs(device, logged=bool(logins))]
        if not any(holder.name.startswith("ModemManager") for holder in found):
            found += self._modem_manager(device)
        return tuple(found)

    def _look(self, folder: Path) -> _Process:
        name = _text(folder / "comm")
        words = _text(folder / "cmdline").replace("\0", " ").split()
        behind = _text(folder / "stat").rpartition(")")[2].split()
        number = int(behind[_TTY_FIELD])
        try:
            links = frozenset(target for link in (folder / "fd").iterdir() if (target := _target(link)))
        except PermissionError:
            links = frozenset()
            self.hidden = True
        tty = (number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00)
        return _Process(pid=int(folder.name), name=name, words=tuple(words), tty=tty, open=links)

    def _logins(self, device: str) -> Iterator[Holder]:
        unit = f"serial-getty@{device}.service"
        cure = f"sudo systemctl mask --now {unit}"
        process = next((one for one in self._processes if one.name in _GETTY and self._has(one, device)), None)
        wanted = any(
            os.path.lexists(root / "getty.target.wants" / unit)
            for root in (self.roots.etc / "systemd/system", self.roots.run / "systemd/generator")
        )
        masked = _target(self.roots.etc / "systemd/system" / unit) == "/dev/null"
        boot = [word for word in _text(self.roots.proc / "cmdline").split() if word.startswith("console=")]
        console = device in _text(self.roots.sys / "class/tty/console/active").split() or any(
            self._same(word.removeprefix("console=").partition(",")[0], device) for word in boot
        )
        if process or (wanted and not masked):
            yield Holder(kind="login", name=f"a login prompt ({unit})", pid=process.pid if process else None, cure=cure)
        if console:
            cure = "sudo raspi-config nonint do_serial_cons 1, or take console=... out of cmdline.txt, then restart"
            yield Holder(kind="console", name="the kernel's console", cure=cure)

    def _bluetooth(self, device: str) -> Iterator[Holder]:
        for radio in sorted((self.roots.sys / "class/bluetooth").glob("hci*")):
            if device in radio.resolve().parts:
                yield Holder(kind="bluetooth", name=f"Bluetooth ({radio.name})", cure=FREE_BLUETOOTH)

    def _programs(self, device: str, *, logged: bool) -> Iterator[Holder]:
        shown = 0
        for process in self._processes:
            if process.name in _GETTY or not self._has(process, device) or shown == _SHOWN:
                continue
            if logged and process.tty == self._number(device):
                continue  # the shell of that login
            shown += 1
            ours = process.name == "gardu" or {"agent", "run"} <= set(process.words)
            label = f"gardu (pid {process.pid})" if ours else f"{process.name} (pid {process.pid})"
            cure = _CURES.get(process.name, f"end it: sudo kill {process.pid}, or stop its service")
            kind = "modemmanager" if process.name == "ModemManager" else "program"
            if ours:
                kind, cure = "gardu", ""
            elif process.name in _ATTACHERS:
                kind, cure = "bluetooth", f"sudo systemctl disable --now hciuart, and {FREE_BLUETOOTH}"
            yield Holder(kind=kind, name=label, pid=process.pid, cure=cure)

    def _modem_manager(self, device: str) -> Iterator[Holder]:
        running = next((one for one in self._processes if one.name == "ModemManager"), None)
        major, minor = self._number(device)
        facts = _text(self.roots.run / f"udev/data/c{major}:{minor}").splitlines()
        ignored = {"E:ID_MM_DEVICE_IGNORE=1", "E:ID_MM_PORT_IGNORE=1"} & set(facts)
        if running and "E:ID_MM_CANDIDATE=1" in facts and not ignored:
            cure = (
                f'udev rule KERNEL=="{device}", ENV{{ID_MM_PORT_IGNORE}}="1" in /etc/udev/rules.d/, or '
                f"{_CURES['ModemManager']}"
            )
            yield Holder(kind="modemmanager", name="ModemManager (probes it)", pid=running.pid, cure=cure)

    def _has(self, process: _Process, device: str) -> bool:
        """Whether a process has a device open, as far as we may see: descriptors, its terminal, its locks."""
        path = self.roots.dev / device
        number = self._number(device)
        if str(path) in process.open or (any(number) and process.tty == number):
            return True
        if process.name in (*_GETTY, *_ATTACHERS, *_CURES) and {device, str(path)} & set(process.words):
            return True
        try:
            known = path.stat()
        except OSError:
            return False
        return process.pid in self._locks.get((os.major(known.st_dev), os.minor(known.st_dev), known.st_ino), ())

    def _number(self, device: str) -> tuple[int, int]:
        major, _, minor = _text(self.roots.sys / "class/tty" / device / "dev").partition(":")
        return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (0, 0)

    def _same(self, name: str, device: str) -> bool:
        link = self.roots.dev / name
        return name == device or (link.is_symlink() and link.resolve().name == device)


def _locks(text: str) -> dict[tuple[int, int, int], list[int]]:
    """Read /proc/locks: which processes lock which file."""
    found: dict[tuple[int, int, int], list[int]] = {}
    for line in text.splitlines():
        words = [word for word in line.split() if word != "->"]
        if len(words) != _LOCK_WORDS:
            continue
        try:
            major, minor, inode = words[5].split(":")
            found.setdefault((int(major, 16), int(minor, 16), int(inode)), []).append(int(words[4]))
        except ValueError:
            continue
    return found


def _target(link: Path) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - a Path per descriptor of the system costs too much
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace").strip()
    except OSError:
        return ""
