"""Looks at the node through psutil, /proc, /sys and adjtimex.

Source: proc(5); Linux Documentation/driver-api/thermal/sysfs-api; adjtimex(2).
"""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import psutil

from drivers.driver import DriverInfo, Event, Problem
from drivers.host import parse
from drivers.host.info import describe
from drivers.host.readings import readings
from drivers.host.sample import Clock, Cpu, Disk, Interface, Memory, Own, Sample
from drivers.io.timex import clock_state

Found = TypeVar("Found")

_SLOW_NS = 60_000_000_000
_EARLY_NS = 1_000_000_000  # a look a moment before its minute is the look of that minute


class HostProbe:
    """The probe `host`: one look per call, costing no process and no scan of processes.

    Attributes:
        sensor: Name its readings carry.
        info: What it delivers.
    """

    def __init__(
        self,
        sensor: str = "host",
        *,
        disks: Sequence[str] = ("/",),
        interfaces: Sequence[str] | None = None,
        proc_root: Path = Path("/proc"),
        sys_root: Path = Path("/sys"),
        clock: Callable[[], Clock | None] = clock_state,
    ) -> None:
        """Prepare; nothing is read yet but the names of interfaces.

        Args:
            sensor: Name its readings carry.
            disks: Mount points.
            interfaces: Names as the kernel has them; None means all with hardware behind them.
            proc_root: Where /proc is.
            sys_root: Where /sys is.
            clock: Asks the kernel for the state of the clock.
        """
        self.sensor = sensor
        self._disks = tuple(disks)
        self._wanted = tuple(interfaces) if interfaces is not None else None
        self._proc = proc_root
        self._sys = sys_root
        self._clock = clock
        self._own = psutil.Process()
        self._net = sys_root / "class/net"
        self._named: frozenset[str] | None = None
        self._interfaces = self._wanted if self._wanted is not None else physical_interfaces(sys_root)
        self._zones = self._find_zones()
        self._before: Sample | None = None
        self._slow_ns: int | None = None
        self._unreadable: frozenset[str] = frozenset()
        self.info: DriverInfo = describe(self._disks, self._interfaces)

    def collect(self, now_ns: int) -> list[Event]:
        """Look once: readings of what can be read, and a problem for each change of what cannot."""
        slow = self._slow_ns is None or now_ns - self._slow_ns >= _SLOW_NS - _EARLY_NS
        if slow:
            self._slow_ns = now_ns
            if self._wanted is None and self._named != (named := self._names()):
                self._interfaces, self._named = physical_interfaces(self._sys), named
        sample, unreadable = self._look(now_ns, slow=slow)
        events: list[Event] = list(readings(self.sensor, self._before, sample, slow=slow))
        if slow:
            events += self._changes(unreadable)
        self._before = sample
        return events

    def _names(self) -> frozenset[str]:
        try:
            with os.scandir(self._net) as entries:
                return frozenset(entry.name for entry in entries)
        except OSError:
            return frozenset()

    def _look(self, now_ns: int, *, slow: bool) -> tuple[Sample, frozenset[str]]:
        psutil.PROCFS_PATH = str(self._proc)
        look = _Look()
        counters = look.read("network counters", _counters) or {}
        own = look.read("own memory", self._own.memory_info)
        sample = Sample(
            boot_ns=now_ns,
            cpu=look.read("cpu", _cpu),
            load=look.read("load", os.getloadavg),
            memory=look.read("memory", _memory),
            swap_used_bytes=look.read("swap", self._swap_used_bytes) if slow else None,
            temperature_cel=parse.temperature_cel(self._temperatures()),
            clock=self._clock(),
            own=None if own is None else Own(rss_bytes=own.rss, cpu_s=time.process_time()),
            disks=look.each("disk", self._disks, _disk) if slow else {},
            interfaces=look.each("interface", self._interfaces, counters.__getitem__),
        )
        return sample, frozenset(look.unreadable)

    def _swap_used_bytes(self) -> int | None:
        return parse.swap_used_bytes((self._proc / "meminfo").read_bytes())

    def _temperatures(self) -> dict[str, bytes]:
        found = {}
        for name, path in self._zones:
            try:
                found[f"{name} {path}"] = path.read_bytes()
            except OSError:
                continue  # a zone of something that sleeps
        return found

    def _find_zones(self) -> list[tuple[str, Path]]:
        zones = []
        for folder in sorted((self._sys / "class/thermal").glob("thermal_zone*")):
            try:
                zones.append(((folder / "type").read_text().strip(), folder / "temp"))
            except (OSError, UnicodeDecodeError):
                continue
        return zones

    def _changes(self, unreadable: frozenset[str]) -> list[Event]:
        before, self._unreadable = self._unreadable, unreadable
        if unreadable == before:
            return []
        detail = ", ".join(sorted(unreadable))
        return [Problem(sensor=self.sensor, code="unreadable", detail=detail, ok=not unreadable)]


class _Look:
    """Reads sources one by one and remembers which cannot be read."""

    def __init__(self) -> None:
        self.unreadable: list[str] = []

    def read(self, name: str, source: Callable[[], Found]) -> Found | None:
        try:
            return source()
        except (OSError, ValueError, LookupError, psutil.Error):
            self.unreadable.append(name)
            return None

    def each(self, kind: str, names: Sequence[str], source: Callable[[str], Found]) -> dict[str, Found]:
        found = {name: self.read(f"{kind} {name}", partial(source, name)) for name in names}
        return {name: value for name, value in found.items() if value is not None}


def physical_interfaces(sys_root: Path = Path("/sys")) -> tuple[str, ...]:
    """Return the interfaces with hardware behind them; where there are none (a container), all but loopback."""
    try:
        names = sorted(entry.name for entry in (sys_root / "class/net").iterdir() if entry.is_dir())
    except OSError:
        return ()
    physical = tuple(name for name in names if (sys_root / "class/net" / name / "device").exists())
    return physical or tuple(name for name in names if name != "lo")


def _cpu() -> Cpu:
    times = psutil.cpu_times()
    idle_s = times.idle + times.iowait
    # user holds guest, nice holds guest_nice already
    busy_s = times.user + times.nice + times.system + times.irq + times.softirq + times.steal
    return Cpu(busy_s=busy_s, idle_s=idle_s)


def _memory() -> Memory:
    memory = psutil.virtual_memory()
    return Memory(total_bytes=memory.total, available_bytes=memory.available)


def _disk(mount: str) -> Disk:
    usage = psutil.disk_usage(mount)
    return Disk(used_bytes=usage.used, free_bytes=usage.free)


def _counters() -> dict[str, Interface]:
    return {
        name: Interface(
            rx_bytes=io.bytes_recv,
            tx_bytes=io.bytes_sent,
            rx_packets=io.packets_recv,
            tx_packets=io.packets_sent,
            rx_errors=io.errin,
            tx_errors=io.errout,
            rx_drops=io.dropin,
            tx_drops=io.dropout,
        )
        for name, io in psutil.net_io_counters(pernic=True, nowrap=False).items()
    }
