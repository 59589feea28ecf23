"""Simulated sensors on pseudo-terminals, each of which can be pulled out and plugged in like a real one."""

import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from agent.demo.errors import DemoError
from agent.demo.scenario import PORTS, RIVER, SENSORS, UNITS
from drivers.driver import Line
from drivers.framing import sum8
from drivers.io.catalog import registry
from drivers.io.pty import serve
from drivers.io.simulators import simulator
from drivers.serial.modbus import Modbus
from drivers.simulate.modbus import ModbusSimulator
from drivers.simulate.simulator import NS, Simulator, Talker, Wave

_CALM_M, _FLOOD_M = 2.1, 1.05
_RISE_M_PER_S = 0.35
_RIPPLE_M = 0.02
_STOP_S = 3.0


class River(Talker):
    """An ultrasonic sensor over a river that rises and falls on demand. Frame: as in `drivers.simulate.ultrasonic`."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        super().__init__(line=Line(baud=9600), every_s=every_s)
        self._ripple = Wave(-_RIPPLE_M, _RIPPLE_M, seed=seed)
        self._goal_m = self._distance_m = _CALM_M
        self._then_ns: int | None = None

    def rise(self) -> None:
        """Let the water rise."""
        self._goal_m = _FLOOD_M

    def fall(self) -> None:
        """Let the water fall."""
        self._goal_m = _CALM_M

    def frames(self, now_ns: int) -> list[bytes]:
        """One distance."""
        passed_s = 0.0 if self._then_ns is None else (now_ns - self._then_ns) / NS
        self._then_ns = now_ns
        most_m = _RISE_M_PER_S * passed_s
        self._distance_m += max(-most_m, min(most_m, self._goal_m - self._distance_m))
        millimetres = round((self._distance_m + self._ripple.at(now_ns)) * 1000)
        body = b"\xff" + millimetres.to_bytes(2, "big")
        return [body + bytes((sum8(body),))]


class Pair:
    """Several units on one RS-485 pair: all hear each question, one answers."""

    def __init__(self, units: Sequence[Simulator]) -> None:
        self.line = units[0].line
        self._units = tuple(units)

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:
        """Let every unit hear it."""
        return [answer for unit in self._units for answer in unit.receive(data, now_ns)]

    def tick(self, now_ns: int) -> list[bytes]:
        """What units say by themselves."""
        return [frame for unit in self._units for frame in unit.tick(now_ns)]

    def deadline(self) -> int | None:
        """The first moment of any unit."""
        return min((due for unit in self._units if (due := unit.deadline()) is not None), default=None)


class Disturbed:
    """A line on which something else can be heard too, such as a motor that starts."""

    def __init__(self, unit: Simulator) -> None:
        self.line = unit.line
        self._unit = unit
        self._noise: deque[bytes] = deque()

    def disturb(self, noise: bytes) -> None:
        """Put bytes on the line in front of what the unit says next; from any thread."""
        self._noise.append(noise)

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:
        """As the unit does."""
        return self._unit.receive(data, now_ns)

    def tick(self, now_ns: int) -> list[bytes]:
        """The noise, then what the unit says."""
        noise = [self._noise.popleft() for _ in range(len(self._noise))]
        return noise + self._unit.tick(now_ns)

    def deadline(self) -> int | None:
        """As the unit's."""
        return self._unit.deadline()


class Socket:
    """Where a sensor is plugged in: while it is, a thread speaks for it on a pseudo-terminal behind a stable name."""

    def __init__(self, unit: Simulator, link: Path) -> None:
        self.unit = Disturbed(unit)
        self._link = link
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    @property
    def plugged(self) -> bool:
        """Whether something is plugged in."""
        return self._thread is not None

    def plug(self) -> None:
        """Plug it in. Raises DemoError."""
        ready, stop = threading.Event(), threading.Event()
        failed: list[OSError] = []

        def speak() -> None:
            try:
                serve(self.unit, link=self._link, ready=lambda _: ready.set(), stopped=stop.is_set)
            except OSError as error:
                failed.append(error)
                ready.set()

        self._stop = stop
        self._thread = threading.Thread(target=speak, name=f"sensor {self._link.name}", daemon=True)
        self._thread.start()
        if not ready.wait(_STOP_S) or failed:
            raise DemoError(f"no pseudo-terminal for the sensor {self._link.name}: {failed or 'it takes too long'}")

    def pull(self) -> None:
        """Begin to pull it out: the line hangs up within half a second."""
        self._stop.set()

    def wait_pulled(self) -> None:
        """Wait until it is out."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)
            self._thread = None


class Sensors:
    """All of them, by the name of their port.

    Args:
        folder: Where the stable names go.
        seed: Chooses the values.
    """

    def __init__(self, folder: Path, *, seed: int) -> None:
        self.river = River(seed=seed, every_s=next(one.every_s for one in SENSORS if one.name == RIVER))
        self.sockets = {port: Socket(self._unit(port, seed), folder / port) for port in PORTS}

    def _unit(self, port: str, seed: int) -> Simulator:
        here = [sensor for sensor in SENSORS if sensor.port == port]
        if here[0].name == RIVER:
            return self.river
        if len(here) == 1:
            return simulator(here[0].driver, seed=seed + PORTS.index(port), every_s=here[0].every_s)
        return Pair([_at_address(sensor.driver, UNITS[sensor.name], seed) for sensor in here])

    def plug(self) -> None:
        """Plug all in. Raises DemoError."""
        for socket in self.sockets.values():
            if not socket.plugged:
                socket.plug()

    def pull(self) -> None:
        """Pull all out and wait until they are."""
        for socket in self.sockets.values():
            socket.pull()
        for socket in self.sockets.values():
            socket.wait_pulled()


def _at_address(name: str, unit: int, seed: int) -> Simulator:
    driver = registry().make(name, name, {"unit": unit})
    if not isinstance(driver, Modbus):
        raise TypeError(name)
    return ModbusSimulator(unit=unit, line=driver.info.line or Line(), questions=driver.questions, seed=seed + unit)
