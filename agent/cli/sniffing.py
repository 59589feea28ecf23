"""Listens to a line and asks it, at one setting after another, until a driver understands it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from drivers.driver import Line
from drivers.guess import Ear, Guess, Question, talkers_that_are_asked
from drivers.io.holders import Roots
from drivers.io.ports import resolve
from drivers.io.serial_port import OpenLine, SerialPort, boot_clock_ns
from drivers.io.survey import survey
from drivers.port import Port
from drivers.registry import Registry

USUAL = (9600, 4800, 19200, 115200, 2400, 38400, 57600)
"""Baud rates in the order in which they are tried: what most units speak first."""

_LOOK_S = 0.1
_SILENCE = 3  # times the listening time before a line counts as silent: telegrams may come each 10 s
_DRAIN_S = 0.1
_WHOLE = 1.9  # a rank from which a driver explains all bytes and has all its values
_MAPPED = "modbus"  # the family whose profiles are maps of one protocol
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came at one setting of the line."""

    line: Line
    bytes_in: int
    tail: bytes


@dataclass(slots=True, kw_only=True)
class Sniffed:
    """What is known of a line in the end.

    Attributes:
        line: Setting at which the best guess was heard.
        guesses: Who it may be, the likeliest first.
        heard: What came, setting by setting.
        answered: Drivers that got an answer, be it a refusal.
    """

    line: Line = field(default_factory=Line)
    guesses: list[Guess] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)

    @property
    def likely(self) -> list[Guess]:
        """The best guess and those that explain the line as well: maps may be alike, a unit may speak two languages."""
        return [guess for guess in self.guesses if guess.rank[0] == self.guesses[0].rank[0]]


def refusal(port: Port, roots: Roots | None = None) -> str:
    """Say why a port should be left alone; empty when nothing speaks against opening it.

    Raises:
        PortLost: It is not there.
    """
    if port.kind == "tcp":
        return ""
    roots = roots or Roots()
    device = resolve(port, roots.sys, roots.dev)
    plug = next((plug for plug in survey(roots).plugs if plug.path == device), None)
    if plug is None:
        return ""
    if plug.kind:
        what = "it may print what it is sent" if plug.kind == "printer" else "what it reads is not ours to look at"
        return f"{port.name} looks like a {plug.kind} ({plug.device.maker} {plug.device.product}): {what}"
    if plug.holders:
        holder = plug.holders[0]
        return f"{port.name} is held by {holder.name}: {holder.cure or 'stop it: sudo systemctl stop gardu'}"
    return ""


class Sniffer:
    """Finds the driver of one port; for one use.

    Args:
        drivers: Whom to try.
        port: Where.
        names: Only these drivers; empty means all.
        lines: Only these settings; empty means the usual ones, and each driver's own for its questions.
        seconds: Time to listen at a setting once bytes come.
        tell: Called with a line of progress.
    """

    def __init__(
        self,
        drivers: Registry,
        port: Port,
        *,
        names: Sequence[str] = (),
        lines: Sequence[Line] = (),
        seconds: float = 4.0,
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._drivers = drivers
        self._port = port
        self._names = names
        self._lines = lines
        self._seconds = seconds
        self._tell = tell
        self._silence_s = seconds
        self._maps_tried = False
        self._found = Sniffed()

    async def sniff(self, *, ask: bool) -> Sniffed:
        """Listen, then ask when told to and nobody was understood.

        Raises:
            PortLost: The port is not there, or went away.
        """
        found = self._found
        self._silence_s = self._seconds * (1 if ask else _SILENCE)
        await self._hear(self._lines or [Line(baud=baud) for baud in USUAL])
        if not found.guesses and not self._lines and any(heard.bytes_in for heard in found.heard):
            await self._hear([Line(baud=baud, parity="E") for baud in USUAL])
        if ask and not found.guesses:
            await self._ask()
        return found

    async def _hear(self, lines: Sequence[Line]) -> None:
        """Listen at one setting after another. A wrong speed makes garbage, never silence: who is silent, stays so."""
        for line in lines:
            self._tell(f"listening at {line}")
            ear = Ear(self._drivers, self._names)
            await self._listen(ear, line)
            self._found.heard.append(Heard(line=line, bytes_in=ear.bytes_in, tail=ear.heard[-64:]))
            if guesses := ear.guesses():
                self._found.line, self._found.guesses = line, guesses
                return
            if not ear.bytes_in and not self._lines:
                return

    async def _listen(self, ear: Ear, line: Line) -> None:
        async with self._opened(line) as (opened, gone):
            opened.listen(ear.hear)
            loop = asyncio.get_running_loop()
            started_s, first_s = loop.time(), 0.0
            while not ear.sure:
                await _wait(gone, _LOOK_S)
                now_s = loop.time()
                first_s = first_s or (now_s if ear.bytes_in else 0.0)
                if now_s > (first_s + self._seconds if first_s else started_s + self._silence_s):
                    return

    async def _ask(self) -> None:
        groups: dict[Line, list[str]] = {}
        for name in talkers_that_are_asked(self._drivers, self._names):
            for line in self._lines or [self._drivers.info(name).line or Line()]:
                groups.setdefault(line, []).append(name)
        found = self._found
        for line, names in sorted(groups.items(), key=lambda group: -len(group[1])):
            alike = bool(found.guesses) and _speed(line) == _speed(found.line)
            if found.guesses and found.guesses[0].rank[0] >= _WHOLE and not alike:
                continue
            self._tell(f"asking at {line}: {', '.join(names)}")
            guesses = await self._ask_each(line, names)
            better = bool(guesses) and (not found.guesses or guesses[0].rank > found.guesses[0].rank)
            if alike:
                found.guesses = _ranked([*found.guesses, *guesses])
            elif better:
                found.guesses = guesses
            if better:
                found.line = line

    def _other_maps(self, names: Sequence[str]) -> list[str]:
        """Maps that are not tried anyway: who answers here may be set to another speed than its maker's. Once only."""
        tried, self._maps_tried = self._maps_tried, True
        known = [] if tried else talkers_that_are_asked(self._drivers, self._names)
        return [name for name in known if self._drivers.info(name).family == _MAPPED and name not in names]

    async def _ask_each(self, line: Line, names: Sequence[str]) -> list[Guess]:
        guesses: list[Guess] = []
        waiting = list(names)
        async with self._opened(line) as (opened, gone):
            while waiting:
                name = waiting.pop(0)
                question = Question(self._drivers, name)
                heard = bytearray()
                opened.listen(_answer(opened, question, heard))
                now_ns = boot_clock_ns()
                _write(opened, question.start(now_ns))
                while not question.done(now_ns):
                    await _wait(gone, max(0.001, min(_LOOK_S, (question.deadline() - now_ns) / _NS)))
                    now_ns = boot_clock_ns()
                    _write(opened, question.tick(now_ns))
                opened.listen(lambda _data, _now_ns: None)
                await _wait(gone, _DRAIN_S)
                if heard:
                    self._found.heard.append(Heard(line=line, bytes_in=len(heard), tail=bytes(heard[-64:])))
                if question.answered:
                    self._found.answered.append(name)
                    if self._drivers.info(name).family == _MAPPED:
                        waiting += self._other_maps(names)
                if guess := question.guess():
                    guesses.append(guess)
        return _ranked(guesses)

    @asynccontextmanager
    async def _opened(self, line: Line) -> AsyncGenerator[tuple[OpenLine, asyncio.Task[NoReturn]], None]:
        async with SerialPort(self._port, line).open() as opened:
            gone = asyncio.ensure_future(opened.lost())
            try:
                yield opened, gone
            finally:
                gone.cancel()


def _speed(line: Line) -> tuple[int, int, str, int]:
    """What must be right for a unit to be understood."""
    return line.baud, line.data_bits, line.parity, line.stop_bits


def _ranked(guesses: Sequence[Guess]) -> list[Guess]:
    return sorted(guesses, key=lambda guess: guess.rank, reverse=True)


def _answer(opened: OpenLine, question: Question, heard: bytearray) -> Callable[[bytes, int], None]:
    def take(data: bytes, now_ns: int) -> None:
        heard.extend(data)
        _write(opened, question.receive(data, now_ns))

    return take


def _write(opened: OpenLine, requests: Sequence[bytes]) -> None:
    for request in requests:
        opened.write(request)


async def _wait(gone: "asyncio.Task[NoReturn]", seconds: float) -> None:
    """Let time pass.

    Raises:
        PortLost: The port went away.
    """
    await asyncio.wait({gone}, timeout=seconds)
    if gone.done():
        gone.result()
