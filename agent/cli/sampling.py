"""Takes samples without the daemon: opens the ports itself, with the machinery the daemon uses."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from agent.config.model import Config, Sensor
from agent.poll import own_port, own_probe
from drivers.backoff import Backoff
from drivers.bus import Bus
from drivers.driver import Driver, Event, Line, Problem, Rejected
from drivers.errors import DriverError
from drivers.io.host import HostProbe
from drivers.io.serial_port import SerialPort, boot_clock_ns
from drivers.reading import Reading
from drivers.registry import Registry

log = logging.getLogger(__name__)

HOST = "host"
"""Name under which the health of the node itself is read."""

_GRACE_S = 0.6  # some units spread their channels over several frames
_LOOK_S = 0.2
_HOPELESS_LOOKS = 8  # this often in trouble with the port: waiting longer tells nothing new
_HOST_EVERY_S = 0.4  # the share of busy time needs two looks
_PROBLEM_LENGTH = 120


@dataclass(slots=True, kw_only=True)
class Sampled:
    """What one sensor said.

    Attributes:
        sensor: Its name.
        readings: Newest of each channel.
        trouble: Why there is none; empty when there is one.
    """

    sensor: str
    readings: dict[str, Reading] = field(default_factory=dict)
    trouble: str = ""


class Sampler:
    """Reads some sensors of a configuration directly; for one use.

    Args:
        config: The configuration.
        registry: Makes the drivers.
        names: Sensors to read; ``host`` is the node itself.
        tell: Called with each reading as it comes.
    """

    def __init__(
        self,
        config: Config,
        registry: Registry,
        names: Sequence[str],
        *,
        tell: Callable[[Reading], None] = lambda _reading: None,
    ) -> None:
        self._config = config
        self._registry = registry
        self._tell = tell
        self._sampled = {name: Sampled(sensor=name) for name in names}
        self._pending = set(names)
        self._rejected = {name: Counter[str]() for name in names}
        self._problems: dict[str, str] = {}
        self._ports: dict[str, SerialPort] = {}

    def take(self, event: Event) -> None:
        """Take an event of a port or a probe."""
        match event:
            case Reading() if event.sensor in self._sampled:
                self._sampled[event.sensor].readings[event.channel] = event
                self._pending.discard(event.sensor)
                self._tell(event)
            case Rejected() if event.sensor in self._rejected:
                self._rejected[event.sensor][event.reason] += 1
            case Problem():
                told = f"{event.code}: {event.detail}" if event.detail else event.code
                self._problems[event.sensor] = "" if event.ok else told[:_PROBLEM_LENGTH]
            case _:
                pass

    async def sample(self, within_s: float) -> list[Sampled]:
        """Read each sensor once; one that does not answer within the time says why."""
        tasks: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(within_s), asyncio.TaskGroup() as group:
                tasks = [group.create_task(work) for work in self._workers()]
                await self._answered()
                for task in tasks:
                    task.cancel()
        except TimeoutError:
            pass  # told per sensor below
        for name in self._pending:
            self._sampled[name].trouble = self._why(name, within_s)
        return list(self._sampled.values())

    async def follow(self) -> None:
        """Read on until cancelled; comes back only when no sensor can ever be read."""
        async with asyncio.TaskGroup() as group:
            for work in self._workers():
                group.create_task(work)

    async def _answered(self) -> None:
        hopeless = 0
        while self._pending and hopeless < _HOPELESS_LOOKS:
            await asyncio.sleep(_LOOK_S)
            hopeless = hopeless + 1 if all(self._trouble(name) for name in self._pending) else 0
        await asyncio.sleep(_GRACE_S)

    def _trouble(self, name: str) -> str:
        port = self._ports.get(name)
        return port.trouble if port else ""

    def _workers(self) -> list[Coroutine[None, None, None]]:
        by_port: dict[str, list[Driver]] = {}
        lines: dict[str, Line] = {}
        sensors = [sensor for sensor in self._config.sensors if sensor.name in self._sampled]
        for sensor in sensors:
            driver = self._driver(sensor)
            if driver is not None:
                by_port.setdefault(sensor.port, []).append(driver)
                lines[sensor.port] = sensor.line or driver.info.line or Line()
        workers = [self._serve(name, drivers, lines[name]) for name, drivers in by_port.items()]
        if HOST in self._sampled and all(sensor.name != HOST for sensor in sensors):
            workers.append(self._look())
        return workers

    def _driver(self, sensor: Sensor) -> Driver | None:
        if not sensor.port:
            self._cannot(sensor.name, "it has no port")
            return None
        try:
            return self._registry.make(sensor.driver, sensor.name, sensor.options, every_s=sensor.every_s)
        except DriverError as error:
            self._cannot(sensor.name, str(error))
            return None

    def _cannot(self, name: str, why: str) -> None:
        self._problems[name] = why
        log.warning("cannot read: sensor=%s error=%s", name, why)

    async def _serve(self, name: str, drivers: Sequence[Driver], line: Line) -> None:
        port = SerialPort(name, line)
        self._ports |= {driver.sensor: port for driver in drivers}
        retry = Backoff(base_s=1.0, cap_s=4.0, random=random.random)
        await own_port(port, Bus(drivers, line), self, boot_ns=boot_clock_ns, retry=retry, alive=_nobody_asks)

    async def _look(self) -> None:
        host = self._config.host
        probe = HostProbe(HOST, disks=host.disks, interfaces=host.interfaces)
        await own_probe(probe, self, every_s=_HOST_EVERY_S, boot_ns=boot_clock_ns, alive=_nobody_asks)

    def _why(self, name: str, within_s: float) -> str:
        """Say for people why a sensor gave nothing."""
        port = self._ports.get(name)
        problem = self._problems.get(name, "")
        if port is None:
            return problem or "it was not read"
        if port.trouble:
            return f"port lost: {port.name}: {port.trouble}"
        if not port.bytes_in:
            extra = f" ({problem})" if problem else ""
            cure = "is it powered, are RX and TX (A and B) swapped, is the unit address right?"
            return f"silent: no byte came on {port.name} in {within_s:g} s at {port.line}{extra}: {cure}"
        neighbours = [other for other, its in self._ports.items() if its is port and self._sampled[other].readings]
        if neighbours:
            return f"does not answer, while {', '.join(neighbours)} on the same line does: {problem or 'unit address?'}"
        reasons = ", ".join(f"{reason} {count}x" for reason, count in self._rejected[name].most_common(3))
        detail = "; ".join(part for part in (reasons, problem) if part)
        found = f"{port.bytes_in} bytes came on {port.name}, but no good frame"
        return f"{found}{f' ({detail})' if detail else ''}: is the driver right, and the line ({port.line})?"


def _nobody_asks() -> None:
    """Take a sign of life; by hand there is no watchdog."""
