"""USB sockets of a node with units in them: real pseudo-terminals behind a /sys and a /dev like the kernel's."""

import asyncio
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent.poll import own_port
from agent.sensor_book import SensorBook
from drivers.backoff import Backoff
from drivers.bus import Bus
from drivers.driver import Event, Problem, Rejected
from drivers.io.catalog import registry
from drivers.io.pty import serve
from drivers.io.serial_port import SerialPort, boot_clock_ns
from drivers.proof import Gate, Proofs, Unit
from drivers.reading import Reading
from drivers.simulate.simulator import Simulator

DRIVERS = registry()


class Plugged:
    """One adapter with its unit, as long as it is plugged in."""

    def __init__(self, unit: Simulator, link: Path) -> None:
        self.link = link
        self._pulled = threading.Event()
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: serve(unit, link=link, ready=lambda _: ready.set(), stopped=self._pulled.is_set), daemon=True
        )
        self._thread.start()
        if not ready.wait(10):
            raise TimeoutError("no pseudo-terminal")

    def pull(self) -> None:
        self._pulled.set()

    def gone(self) -> None:
        self._thread.join(10)


class Street:
    """The sockets. A plugged adapter gets the lowest free ttyUSB, as the kernel gives it."""

    def __init__(self, root: Path) -> None:
        self.sys, self.dev = root / "sys", root / "dev"
        (self.sys / "class/tty").mkdir(parents=True)
        self.dev.mkdir()
        self._plugged: dict[str, Plugged] = {}

    def plug(self, socket: str, unit: Simulator, serial: str = "") -> str:
        """Return the name of the device."""
        device = next(f"ttyUSB{n}" for n in range(64) if not os.path.lexists(self.sys / f"class/tty/ttyUSB{n}"))
        adapter = self.sys / "devices/pci0/usb1" / socket
        home = adapter / f"{socket}:1.0" / device
        entry = home / "tty" / device
        entry.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("idVendor", "1a86"),
            ("idProduct", "7523"),
            ("product", "USB2.0-Serial"),
            ("serial", serial),
        ):
            (adapter / name).write_text(text)
        if not (entry / "device").is_symlink():
            (entry / "device").symlink_to(home)
        self._plugged[socket] = Plugged(unit, self.dev / device)
        (self.sys / "class/tty" / device).symlink_to(entry)
        return device

    def pull(self, *sockets: str) -> None:
        """Pull the plugs; all of them are out when this returns."""
        out = {socket: self._plugged.pop(socket) for socket in sockets or tuple(self._plugged)}
        for plugged in out.values():
            plugged.pull()
        for plugged in out.values():
            plugged.gone()
            (self.sys / "class/tty" / plugged.link.name).unlink()


@dataclass
class Heard:
    """What came of all sensors."""

    readings: list[Reading] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    bytes_dropped: int = 0

    def take(self, event: Event) -> None:
        if isinstance(event, Reading):
            self.readings.append(event)
        elif isinstance(event, Problem):
            self.problems.append(event)
        elif isinstance(event, Rejected):
            self.bytes_dropped += event.bytes_dropped

    def of(self, sensor: str) -> list[Reading]:
        return [reading for reading in self.readings if reading.sensor == sensor]

    def told(self, sensor: str) -> list[tuple[str, bool]]:
        return [(problem.code, problem.ok) for problem in self.problems if problem.sensor == sensor]

    def clear(self) -> None:
        self.readings.clear()
        self.problems.clear()


class Ports:
    """The port tasks of a node, as the daemon makes them: one driver, gate and task a port.

    Args:
        street: What is plugged in.
        book: Accepted units.
        sensors: Driver and port of each sensor.
        retry_s: First pause between two tries, in s.
        every_s: Pace of the sensors; None: their driver's.
    """

    def __init__(
        self,
        street: Street,
        book: SensorBook,
        sensors: dict[str, tuple[str, str]],
        *,
        retry_s: float = 0.1,
        every_s: float | None = None,
    ) -> None:
        self.heard = Heard()
        self._every_s = every_s
        proofs = Proofs(book, sensors)
        self._tasks = [
            asyncio.get_running_loop().create_task(self._own(street, proofs, name, where, retry_s))
            for name, where in sensors.items()
        ]

    async def _own(self, street: Street, proofs: Proofs, name: str, where: tuple[str, str], retry_s: float) -> None:
        driver, port = where
        made = DRIVERS.make(driver, name, {}, every_s=self._every_s)
        info, bus = made.info, Bus([made])
        unit = Unit(
            sensor=name,
            driver=info.name,
            confirm=info.confirm if info.integrity != "crc16" else 1,
            shares_bus=info.shares_bus,
            proves=info.proves,
        )
        if info.line is None:
            raise ValueError(driver)
        await own_port(
            SerialPort(port, info.line, sys_root=street.sys, dev_root=street.dev),
            Gate(bus, [unit], proofs, frames=lambda: bus.counters.frames),
            self.heard,
            boot_ns=boot_clock_ns,
            retry=Backoff(base_s=retry_s, cap_s=30.0, random=lambda: 0.9),
            alive=lambda: None,
        )

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise what ended a task."""
        for task in self._tasks:
            if task.done():
                task.result()


async def until(condition: Callable[[], object], within_s: float, what: str) -> float:
    """Wait for the outside world; return how long that took, in s."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    while not condition():
        if loop.time() - begin > within_s:
            raise TimeoutError(f"not within {within_s:g} s: {what}")
        await asyncio.sleep(0.01)
    return loop.time() - begin
