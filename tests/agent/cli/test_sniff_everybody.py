"""Every simulated unit on a pseudo-terminal of its own is named by sniffing. Prints who was taken for whom."""

import asyncio
import contextlib
import os
import random
import select
import termios
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from agent.cli.sniffing import Sniffer
from drivers.driver import Line
from drivers.guess import talkers_that_are_asked
from drivers.io.catalog import registry
from drivers.io.pty import opened
from drivers.io.simulators import simulator
from drivers.port import parse_port
from drivers.simulate.simulator import Simulator

DRIVERS = registry()
ASKED = talkers_that_are_asked(DRIVERS)
TALKERS = [
    name
    for name in DRIVERS.names()
    if DRIVERS.info(name).mode == "stream" and DRIVERS.info(name).line is not None and name not in ASKED
]
MODELS = ["a01nyub", "maxbotix_xl", "pms3003", "pms5003st", "pms5003t"]
# Bare engines have no map of their own: which unit speaks is a matter of the options.
_NEEDS_OPTIONS = {
    name for name in DRIVERS.names() if any(option.required for option in DRIVERS.info(name).options)
} - set(TALKERS)
_AT_ONCE = 25
_MOST_S = 150.0


class Noisy:
    """A unit whose line hums before it first speaks."""

    def __init__(self, unit: Simulator) -> None:
        self.line = unit.line
        self._unit = unit
        chance = random.Random(3)  # noqa: S311 - the same on each run
        self._hum = b"\n".join(chance.randbytes(15) for _ in range(3))

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:
        return self._behind(self._unit.receive(data, now_ns))

    def tick(self, now_ns: int) -> list[bytes]:
        return self._behind(self._unit.tick(now_ns))

    def deadline(self) -> int | None:
        return self._unit.deadline()

    def _behind(self, said: list[bytes]) -> list[bytes]:
        if not said:
            return []
        hum, self._hum = self._hum, b""
        return [hum, *said]


class Both:
    """Two units that share one line."""

    def __init__(self, *units: Simulator) -> None:
        self.line = units[0].line
        self._units = units

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:
        return [answer for unit in self._units for answer in unit.receive(data, now_ns)]

    def tick(self, now_ns: int) -> list[bytes]:
        return [frame for unit in self._units for frame in unit.tick(now_ns)]

    def deadline(self) -> int | None:
        due = [unit.deadline() for unit in self._units]
        return min((at for at in due if at is not None), default=None)


_SPEEDS = {getattr(termios, f"B{baud}"): baud for baud in (300, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)}


def _speak(unit: Simulator, ours: int, theirs: int, stop: threading.Event, *, at_own_speed: bool) -> None:
    """Play a unit; at another speed than its own it hears nothing and its bytes arrive as garbage."""
    chance = random.Random(4)  # noqa: S311 - the same on each run
    while not stop.is_set():
        heard = os.read(ours, 4096) if select.select([ours], [], [], 0.02)[0] else b""
        wrong = at_own_speed and _SPEEDS[termios.tcgetattr(theirs)[5]] != unit.line.baud
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        said = [*(unit.receive(heard, now_ns) if heard and not wrong else []), *unit.tick(now_ns)]
        for frame in said:
            with contextlib.suppress(BlockingIOError):
                os.write(ours, chance.randbytes(len(frame)) if wrong else frame)


@contextlib.contextmanager
def plugged(unit: Simulator, *, at_own_speed: bool = False) -> Iterator[str]:
    stop = threading.Event()
    with opened() as (ours, theirs, path):
        thread = threading.Thread(target=_speak, args=(unit, ours, theirs, stop), kwargs={"at_own_speed": at_own_speed})
        thread.start()
        try:
            yield f"path:{path}"
        finally:
            stop.set()
            thread.join()


@dataclass(frozen=True, kw_only=True)
class Case:
    """A unit, and how it is sniffed."""

    name: str
    unit: Simulator
    ask: bool
    at_own_speed: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Who was found likeliest, where, and how long that took."""

    names: list[str]
    line: Line
    took_s: float


async def _sniffed(case: Case, slots: asyncio.Semaphore) -> Outcome:
    async with slots:
        begun_s = time.monotonic()
        with plugged(case.unit, at_own_speed=case.at_own_speed) as port:
            found = await Sniffer(DRIVERS, parse_port(port), seconds=2.0).sniff(ask=case.ask)
        names = [guess.name for guess in found.likely]
        return Outcome(names=names, line=found.line, took_s=time.monotonic() - begun_s)


def sniff_all(cases: list[Case]) -> dict[str, Outcome]:
    """Sniff many ports at once, and print a table."""

    async def run() -> list[Outcome]:
        slots = asyncio.Semaphore(_AT_ONCE)
        return await asyncio.gather(*(_sniffed(case, slots) for case in cases))

    found = {case.name: one for case, one in zip(cases, asyncio.run(run()), strict=True)}
    for name, one in found.items():
        print(f"{name:22} {one.line!s:12} {one.took_s:5.1f} s  {', '.join(one.names) or 'nobody'}")
    return found


def _wrong(found: dict[str, Outcome]) -> dict[str, list[str]]:
    """Units that are not named. Models of a family may be alike, and so may maps: then the own one is among them."""
    return {
        name: one.names
        for name, one in found.items()
        if {DRIVERS.info(other).family for other in one.names} != {DRIVERS.info(name).family}
        or (DRIVERS.info(name).family == "modbus" and name not in one.names)
    }


def _cases(names: list[str]) -> list[Case]:
    return [
        Case(name=name, unit=simulator(name, every_s=0.3), ask=name not in (*TALKERS, *MODELS), at_own_speed=True)
        for name in names
        if DRIVERS.info(name).line is not None and name not in _NEEDS_OPTIONS
    ]


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_every_simulated_unit_is_named_at_its_own_speed_and_no_other() -> None:
    cases = _cases([*DRIVERS.names(), *MODELS])
    found = sniff_all(cases)
    assert _wrong(found) == {}
    assert {one.family for one in map(DRIVERS.info, found)} == {DRIVERS.info(name).family for name in DRIVERS.names()}
    speeds = {name: one.line.baud for name, one in found.items()}
    assert speeds == {case.name: case.unit.line.baud for case in cases}
    assert max(one.took_s for one in found.values()) < _MOST_S


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_a_map_at_another_speed_than_its_makers_is_named_too() -> None:
    slow = [name for name in DRIVERS.names() if DRIVERS.info(name).family == "modbus" and name not in _NEEDS_OPTIONS]
    cases = [Case(name=name, unit=simulator(name), ask=True) for name in slow]  # without a speed the first one serves
    assert _wrong(sniff_all(cases)) == {}


def test_noise_in_front_hides_nobody() -> None:
    cases = [Case(name=name, unit=Noisy(simulator(name, every_s=0.1)), ask=False) for name in TALKERS]
    assert _wrong(sniff_all(cases)) == {}


def test_a_unit_that_speaks_two_languages_is_named_in_both_the_stronger_check_first() -> None:
    unit = Both(simulator("ups_megatec"), simulator("ups_voltronic"))
    wanted = ["ups_voltronic", "ups_megatec"]
    assert _named(unit, ["ups_megatec", "ups_voltronic"]) == wanted
    assert _named(unit, ["ups_voltronic", "ups_megatec"]) == wanted


def _named(unit: Simulator, names: list[str]) -> list[str]:
    with plugged(unit) as port:
        found = asyncio.run(Sniffer(DRIVERS, parse_port(port), names=names, seconds=0.1).sniff(ask=True))
    return [guess.name for guess in found.likely]


def test_a_unit_without_a_known_map_is_said_to_answer() -> None:
    with plugged(simulator("modbus")) as port:
        sniffer = Sniffer(DRIVERS, parse_port(port), names=["renke_soil", "sdm120"], seconds=0.1)
        found = asyncio.run(sniffer.sniff(ask=True))
    assert set(found.answered) == {"renke_soil", "sdm120"}
