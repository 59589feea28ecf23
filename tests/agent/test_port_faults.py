"""Every way in which a port fails, at every state of its task: told once, healed by itself, nothing leaked."""

import asyncio
import errno
import os
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial

from agent.sensor_book import SensorBook
from drivers.io import opening
from drivers.io.simulators import simulator
from tests.agent.plugs import Ports, Street, until

Raise = Callable[[], None]


class Faults:
    """Lets one system call of the port's task, or of its opening, fail once."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self._loop_thread = threading.get_ident()
        self._armed: set[str] = set()
        self.fired = 0
        self._errors: dict[str, Exception | None] = {}
        self._wrap(os, "read", only_loop=True)
        self._wrap(os, "write", only_loop=True)
        self._wrap(os, "dup")
        self._wrap(serial, "Serial")
        self._wrap(termios, "tcgetattr", within="open ")
        self._wrap(opening, "_own")

    def arm(self, call: str, error: Exception | None) -> None:
        self._errors[call] = error
        self._armed.add(call)

    def _wrap(self, owner: object, name: str, *, only_loop: bool = False, within: str = "") -> None:
        real = getattr(owner, name)

        def call(*args: object, **options: object) -> object:
            here = threading.current_thread()
            mine = (threading.get_ident() == self._loop_thread) if only_loop else here.name.startswith(within)
            if name in self._armed and mine and (only_loop or here.name.startswith("open ")):
                self._armed.discard(name)
                self.fired += 1
                error = self._errors[name]
                if error is None:
                    return b""  # the end of the stream, as a hang-up looks
                raise error
            result: object = real(*args, **options)
            return result

        self._patch.setattr(owner, name, call)


def of(code: int) -> OSError:
    return OSError(code, os.strerror(code))


WHILE_OPEN = {
    "EOF while reading": ("read", None),
    "EIO while reading": ("read", of(errno.EIO)),
    "ENODEV while reading": ("read", of(errno.ENODEV)),
    "ENXIO while reading": ("read", of(errno.ENXIO)),
    "EIO while writing": ("write", of(errno.EIO)),
    "ENODEV while writing": ("write", of(errno.ENODEV)),
}
WHILE_OPENING = {
    "ENOENT": ("Serial", serial.SerialException(errno.ENOENT, "x")),
    "EBUSY": ("Serial", serial.SerialException(errno.EBUSY, "x")),
    "EACCES": ("Serial", serial.SerialException(errno.EACCES, "x")),
    "EIO": ("Serial", of(errno.EIO)),
    "no descriptor left": ("dup", of(errno.EMFILE)),
    "termios.error in pyserial": ("tcgetattr", termios.error(errno.EIO, "x")),
    "termios.error behind it": ("_own", termios.error(errno.EIO, "x")),
    "ENODEV behind it": ("_own", of(errno.ENODEV)),
}


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    made = Street(tmp_path)
    yield made
    made.pull()


@pytest.mark.parametrize(
    "times", [1, pytest.param(15, marks=[pytest.mark.campaign, pytest.mark.timeout(300)], id="fifteen times")]
)
@pytest.mark.parametrize("fault", [*WHILE_OPEN, *WHILE_OPENING])
def test_a_port_that_fails_is_told_once_heals_and_leaks_nothing(  # noqa: PLR0917 - fixtures
    street: Street,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: str,
    times: int,
) -> None:
    caplog.set_level("INFO")

    async def scenario() -> None:
        street.plug("1-1.1", simulator("pzem004t", seed=1))
        book = SensorBook(tmp_path / "sensors.json")
        ports = Ports(street, book, {"mains": ("pzem004t", "usb:1-1.1")}, retry_s=0.01, every_s=0.5)
        heard = ports.heard
        await until(lambda: heard.of("mains"), 5, "it answers")
        files = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a Path per descriptor is of no use here
        caplog.clear()
        with monkeypatch.context() as patch:
            faults = Faults(patch)
            for turn in range(1, times + 1):
                if fault in WHILE_OPENING:
                    faults.arm(*WHILE_OPENING[fault])
                    faults.arm("read", None)
                else:
                    faults.arm(*WHILE_OPEN[fault])
                expected = turn * (2 if fault in WHILE_OPENING else 1)
                await until(lambda due=expected: faults.fired == due, 5, f"{fault} happens")  # type: ignore[misc] # bound now
                heard.clear()
                await until(lambda: heard.of("mains"), 5, f"values are back after {fault}")
                ports.check()
        assert set(os.listdir("/proc/self/fd")) == files  # noqa: PTH208 - as above
        downs = [record.getMessage() for record in caplog.records if "port down" in record.getMessage()]
        assert len(downs) == min(times, 10)  # a port that flaps tells twenty changes an hour and then that it flaps
        assert all("unplugged: the line hung up" in down for down in downs)
        await ports.end()

    asyncio.run(scenario())


@pytest.mark.parametrize("state", ["before the first byte", "with half a frame", "with a question open"])
def test_a_real_hang_up_at_every_state_heals(street: Street, tmp_path: Path, state: str) -> None:
    """The plug is pulled at different moments of a conversation: the next one begins without a trace of it."""

    async def scenario() -> None:
        name = "sds011" if state != "with a question open" else "pzem004t"
        unit = simulator(name, seed=1, every_s=0.05)
        if state == "before the first byte":
            unit.tick = lambda now_ns: []  # type: ignore[method-assign] # noqa: ARG005 - it says nothing
        elif state == "with half a frame":
            speak = unit.tick
            unit.tick = lambda now_ns: [frame[:5] for frame in speak(now_ns)][:1]  # type: ignore[method-assign] # it stops
        else:
            unit.receive = lambda data, now_ns: []  # type: ignore[method-assign] # noqa: ARG005 - no answer
        street.plug("1-1.1", unit)
        ports = Ports(street, SensorBook(tmp_path / "b.json"), {"one": (name, "usb:1-1.1")}, every_s=1.0)
        await asyncio.sleep(0.3)
        street.pull()
        street.plug("1-1.1", simulator(name, seed=1, every_s=0.05))
        await until(lambda: ports.heard.of("one"), 5, "values are back")
        ports.check()
        await ports.end()

    asyncio.run(scenario())
