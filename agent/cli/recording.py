"""Captures of a line: JSON lines of what came and went, and of the frames among it as test vectors. No I/O.

The first line says what was recorded. A line with ``ms`` is traffic: ms since the start, direction ``in`` or ``out``,
hex. A line with ``device`` is a vector, in the form of ``tests/vectors/serial-frames.json``.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from drivers.bus import Bus
from drivers.driver import Event, OptionValue, Send
from drivers.errors import DriverError
from drivers.reading import Reading
from drivers.registry import Registry

_FORM = "gardu capture 1"
_MS = 1_000_000
_FRAME_MAX = 2048  # bytes among which the frame of a reading is looked for
_VECTORS = 20  # frames kept as vectors: each of another value


class CaptureError(DriverError):
    """A capture cannot be read."""


class Measured(TypedDict):
    """One value of a vector."""

    value: float | int | bool | str
    unit: str


class Vector(TypedDict):
    """A frame and what it means."""

    device: str
    bytes_hex: str
    check: str
    expect: str
    decoded: dict[str, Measured]
    source: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes on the wire.

    Attributes:
        at_ns: Since the start.
        is_sent: Whether we wrote them.
        data: The bytes.
    """

    at_ns: int
    is_sent: bool
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """A capture that was read."""

    driver: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    traffic: tuple[Traffic, ...] = ()
    vectors: tuple[Vector, ...] = ()


class Recorder:
    """Runs a driver on a live line and keeps what passes.

    Args:
        drivers: Where the driver is.
        name: Driver, profile or model.
        options: Its options.
        port: Where the line is, for the record.
        started: When, for the record.
    """

    def __init__(
        self, drivers: Registry, name: str, options: Mapping[str, OptionValue], *, port: str, started: str
    ) -> None:
        info = drivers.info(name)
        self._drivers, self._name, self._options = drivers, name, options
        self._info = info
        self._source = f"gardu driver record, {port}, {started}"
        self._bus = _bus(drivers, name, options)
        self._start_ns = 0
        self._since = b""
        self._frames: list[tuple[bytes, list[Reading]]] = []
        self._seen: set[tuple[tuple[str, object], ...]] = set()
        self.head = json.dumps(
            {"form": _FORM, "driver": name, "options": dict(options), "line": str(info.line), "source": self._source}
        )

    def start(self, now_ns: int) -> tuple[list[str], list[Event]]:
        """Begin; return lines for the file, and events: what to send and what was read."""
        self._start_ns = now_ns
        return self._sent(self._bus.start(now_ns), now_ns)

    def receive(self, data: bytes, now_ns: int) -> tuple[list[str], list[Event]]:
        """Take bytes."""
        lines = [self._line("in", data, now_ns)]
        events: list[Event] = []
        for byte in data:  # one by one, so that a frame ends where its reading comes
            self._since = (self._since + bytes((byte,)))[-_FRAME_MAX:]
            said = self._bus.receive(bytes((byte,)), now_ns)
            if readings := [event for event in said if isinstance(event, Reading)]:
                self._keep(readings)
                self._since = b""
            more, said = self._sent(said, now_ns)
            lines += more
            events += said
        return lines, events

    def tick(self, now_ns: int) -> tuple[list[str], list[Event]]:
        """Do what is due."""
        return self._sent(self._bus.tick(now_ns), now_ns)

    def deadline(self) -> int | None:
        """Moment of the next tick that matters."""
        return self._bus.deadline()

    def vectors(self) -> list[str]:
        """Return the lines of the frames that decode by themselves to what was read."""
        found = [self._vector(data, readings) for data, readings in self._frames]
        return [json.dumps(vector, ensure_ascii=False) for vector in found if vector is not None]

    def _sent(self, events: list[Event], now_ns: int) -> tuple[list[str], list[Event]]:
        lines = [self._line("out", event.data, now_ns) for event in events if isinstance(event, Send)]
        if lines:
            self._since = b""
        return lines, events

    def _line(self, direction: str, data: bytes, now_ns: int) -> str:
        return json.dumps({"ms": (now_ns - self._start_ns) / _MS, "direction": direction, "hex": data.hex()})

    def _keep(self, readings: list[Reading]) -> None:
        values = tuple((reading.channel, reading.value) for reading in readings)
        if len(self._frames) < _VECTORS and values not in self._seen:
            self._seen.add(values)
            self._frames.append((self._since, readings))

    def _vector(self, data: bytes, readings: Sequence[Reading]) -> Vector | None:
        """The shortest end of the bytes that says nothing but what was read."""
        wanted = {(reading.channel, reading.value, reading.unit) for reading in readings}
        for start in range(len(data) - 1, -1, -1):
            frame = data[start:]
            said = self._drivers.decode(self._name, self._options, [frame]).readings
            if said and {(one.channel, one.value, one.unit) for one in said} <= wanted:
                return Vector(
                    device=self._name,
                    bytes_hex=frame.hex(),
                    check=self._info.integrity,
                    expect="reading",
                    decoded={one.channel: Measured(value=one.value, unit=one.unit) for one in said},
                    source=self._source,
                    verified=self._info.integrity != "none",
                )
        return None


def read(text: str) -> Capture:
    """Read a capture.

    Raises:
        CaptureError: It is none; the message names the line.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    head = _object(lines[0], 1) if lines else {}
    driver, options = head.get("driver"), head.get("options")
    if head.get("form") != _FORM or not isinstance(driver, str) or not isinstance(options, dict):
        raise CaptureError(f'this is no capture: its first line does not say {{"form": "{_FORM}", ...}}')
    traffic: list[Traffic] = []
    vectors: list[Vector] = []
    for number, line in enumerate(lines[1:], start=2):
        said = _object(line, number)
        try:
            if "device" in said:
                vectors.append(_vector(said))
            else:
                traffic.append(_traffic(said, traffic[-1].at_ns if traffic else 0))
        except (KeyError, TypeError, ValueError) as error:
            raise CaptureError(f"line {number}: neither traffic nor a vector: {error}") from error
    return Capture(driver=driver, options=options, traffic=tuple(traffic), vectors=tuple(vectors))


def replay(drivers: Registry, capture: Capture, name: str, options: Mapping[str, OptionValue]) -> Iterator[Event]:
    """Feed a capture to a driver; each event comes at its moment, in ns since the start of the capture."""
    bus = _bus(drivers, name, options)
    yield from bus.start(0)
    for part in capture.traffic:
        yield from _until(bus, part.at_ns)
        if not part.is_sent:
            yield from bus.receive(part.data, part.at_ns)


def wrong_vectors(drivers: Registry, capture: Capture, options: Mapping[str, OptionValue]) -> list[str]:
    """Say which vectors of a capture decode to something else now."""
    wrong: list[str] = []
    for number, vector in enumerate(capture.vectors, start=1):
        said = drivers.decode(vector["device"], options, [bytes.fromhex(vector["bytes_hex"])]).readings
        got = {one.channel: Measured(value=one.value, unit=one.unit) for one in said}
        if got != vector["decoded"]:
            wrong.append(f"vector {number} ({vector['bytes_hex']}): expected {vector['decoded']}, got {got}")
    return wrong


def _bus(drivers: Registry, name: str, options: Mapping[str, OptionValue]) -> Bus:
    """One driver as it runs, but for keeping what a talking unit says more often."""
    info = drivers.info(name)
    every_s = info.min_every_s if info.mode == "stream" else None
    return Bus([drivers.make(name, name, options, every_s=every_s)])


def _until(bus: Bus, at_ns: int) -> Iterator[Event]:
    """Do everything that was due up to a moment."""
    last_ns = -1
    while (due_ns := bus.deadline()) is not None and last_ns < due_ns <= at_ns:
        yield from bus.tick(due_ns)
        last_ns = due_ns
    yield from bus.tick(at_ns)


def _object(line: str, number: int) -> dict[str, object]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CaptureError(f"line {number} is no JSON: {error}") from error
    if not isinstance(said, dict):
        raise CaptureError(f"line {number} is no JSON object")
    return said


def _traffic(said: Mapping[str, object], after_ns: int) -> Traffic:
    ms, direction = said["ms"], said["direction"]
    if not isinstance(ms, int | float) or isinstance(ms, bool) or direction not in ("in", "out"):
        raise ValueError("ms is no number, or direction neither in nor out")
    at_ns = round(ms * _MS)
    if at_ns < after_ns:
        raise ValueError("ms goes back")
    return Traffic(at_ns=at_ns, is_sent=direction == "out", data=bytes.fromhex(str(said["hex"])))


def _vector(said: Mapping[str, object]) -> Vector:
    decoded: dict[str, Measured] = {}
    given = said["decoded"]
    if not isinstance(given, dict):
        raise TypeError("decoded is no object")
    for channel, one in given.items():
        decoded[str(channel)] = Measured(value=one["value"], unit=str(one["unit"]))
    bytes.fromhex(str(said["bytes_hex"]))
    return Vector(
        device=str(said["device"]),
        bytes_hex=str(said["bytes_hex"]),
        check=str(said.get("check", "")),
        expect=str(said.get("expect", "reading")),
        decoded=decoded,
        source=str(said.get("source", "")),
        verified=said.get("verified") is True,
    )
