"""Whose bytes are these? Tries the codecs of all drivers on what a line says, or on what it answers. Pure."""

import copy
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drivers.bus import Bus
from drivers.driver import DriverInfo, Event, Identified, OptionValue, Problem, Rejected, Send
from drivers.reading import Quality, Reading
from drivers.registry import Registry
from drivers.serial.decoded import within_range

_NS = 1_000_000_000
_STRENGTH = {"crc16": 4, "sum16": 3, "sum8": 2, "xor": 2, "none": 1}
_MODELS = ("maxbotix_xl", "pms3003", "pms5003st")  # models whose frames their family's default does not take
_HALF = 0.5  # of the bytes must make sense
_KEPT_BYTES = 8192
_PATIENCE_NS = 1_500_000_000
_ROUND_NS = 15 * _NS  # longest wait for all answers of one round of questions
_TEXT = re.compile(rb"[\x20-\x7e\t]+")
_PAIR = re.compile(r"([A-Za-z][\w .-]{0,31})[=:]\s*[-+]?\d+(?:\.\d+)?")
_NUMBER = re.compile(r"\s*[-+]?\d+(?:\.\d+)?\s*")
_NO_NAME = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A driver that understands a line.

    Attributes:
        name: Driver, profile or model.
        info: What is known of it.
        share: Part of the bytes that made frames, 0 to 1.
        fit: Part of its channels that have a believable value, 0 to 1.
        frames: Good frames.
        readings: Newest of each channel.
        options: What its section must hold besides driver and port.
        seven_bits: The bytes are 7 bits and even parity.
    """

    name: str
    info: DriverInfo
    share: float
    fit: float
    frames: int
    readings: tuple[Reading, ...] = ()
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    seven_bits: bool = False

    @property
    def rank(self) -> tuple[float, ...]:
        """Greater is likelier: the check, then how much of line and driver it explains."""
        strength = _STRENGTH[self.info.integrity]
        return (round(self.share + self.fit, 1), strength, len(self.readings), self.frames)


class Ear:
    """Listens with the drivers of all units that talk by themselves; never sends.

    Args:
        drivers: Where they are.
        names: Only these; empty means all.
    """

    def __init__(self, drivers: Registry, names: Sequence[str] = ()) -> None:
        self._drivers = drivers
        wanted = names or [*drivers.usable(), *_MODELS]
        talkers = [name for name in wanted if _usable(drivers.info(name), "stream")]
        self._tries = {(name, seven): _Try(drivers, name) for name in talkers for seven in (False, True)}
        self._text = not names or "line" in names
        self._even = True
        self.heard = b""
        self.bytes_in = 0

    def hear(self, data: bytes, now_ns: int) -> None:
        """Take bytes as they come."""
        self.bytes_in += len(data)
        self.heard = (self.heard + data)[-_KEPT_BYTES:]
        self._even = self._even and all(byte.bit_count() % 2 == 0 for byte in data)
        for (_, seven), one in self._tries.items():
            if not seven or self._even:
                one.take(one.bus.receive(bytes(byte & 0x7F for byte in data) if seven else data, now_ns))

    def guesses(self) -> list[Guess]:
        """Who it may be, the likeliest first; lines of text that belong to no other driver are `line`."""
        found: list[Guess] = []
        for (_, seven), one in self._tries.items():
            guess = one.guess(self.bytes_in, seven_bits=seven) if not seven or self._even else None
            if guess is not None and guess.share >= _HALF:
                found.append(guess)
        if not found and self._text and (guess := _text(self._drivers, self.heard)):
            found.append(guess)
        return sorted(found, key=lambda guess: guess.rank, reverse=True)

    @property
    def sure(self) -> bool:
        """Whether one driver has heard enough frames."""
        best = next(iter(self.guesses()), None)
        return best is not None and best.frames >= max(2, best.info.confirm) and best.info.name != "line"


class Question:
    """Asks with all declared questions of one driver, once.

    Args:
        drivers: Where it is.
        name: Driver, profile or model.
    """

    def __init__(self, drivers: Registry, name: str) -> None:
        self._try = _Try(drivers, name)
        self._asked: set[bytes] = set()
        self._started_ns = 0
        self._until_ns = 0
        self._over = False
        self._bytes_in = 0

    def start(self, now_ns: int) -> list[bytes]:
        """Return what to write first."""
        self._started_ns = now_ns
        self._until_ns = now_ns + _PATIENCE_NS
        return self._sends(self._try.bus.start(now_ns), now_ns)

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:
        """Take bytes; return what to write now."""
        self._bytes_in += len(data)
        self._until_ns = now_ns + _PATIENCE_NS
        return self._sends(self._try.bus.receive(data, now_ns), now_ns)

    def tick(self, now_ns: int) -> list[bytes]:
        """Return what to write now."""
        return self._sends(self._try.bus.tick(now_ns), now_ns)

    def deadline(self) -> int:
        """Moment of the next tick that matters."""
        due_ns = self._try.bus.deadline()
        return min(self._until_ns, due_ns if due_ns is not None else self._until_ns)

    def done(self, now_ns: int) -> bool:
        """Whether everything was asked and answered, or waiting longer is in vain."""
        return self._over or now_ns >= min(self._until_ns, self._started_ns + _ROUND_NS)

    def guess(self) -> Guess | None:
        """What came of it; None when the unit is another one."""
        return self._try.guess(self._bytes_in)

    @property
    def answered(self) -> bool:
        """Whether the unit understood, be it with a refusal."""
        return self._try.understood or self._try.refused

    def _sends(self, events: list[Event], now_ns: int) -> list[bytes]:
        self._try.take(events)
        requests = [event.data for event in events if isinstance(event, Send)]
        if any(request in self._asked for request in requests):
            self._over = True
            return []
        if requests and self._bytes_in:
            self._until_ns = now_ns + _PATIENCE_NS
        self._asked.update(requests)
        return requests


def talkers_that_are_asked(drivers: Registry, names: Sequence[str] = ()) -> list[str]:
    """Drivers whose unit says nothing before it is asked."""
    wanted = names or drivers.usable()
    return [name for name in wanted if _usable(drivers.info(name), "poll") or _asks(drivers, name)]


def _asks(drivers: Registry, name: str) -> bool:
    return _usable(drivers.info(name), "stream") and any(
        isinstance(event, Send) for event in drivers.make(name, name, {}).start(0)
    )


def _usable(info: DriverInfo, mode: str) -> bool:
    return info.line is not None and info.mode == mode and not any(option.required for option in info.options)


class _Try:
    """One driver on trial."""

    def __init__(self, drivers: Registry, name: str) -> None:
        self.name = name
        self.info = drivers.info(name)
        driver = drivers.make(name, name, {})
        self._channels = driver.info.channels  # without those that an option adds
        self.bus = Bus([driver])
        self.readings: dict[str, Reading] = {}
        self.understood = False
        self.refused = False
        self._dropped = 0

    def take(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Reading):
                self.readings[event.channel] = event
                self.understood = True
            elif isinstance(event, Rejected):
                self._dropped += event.bytes_dropped
            elif isinstance(event, Identified):
                self.understood = True
            elif isinstance(event, Problem) and event.code.startswith("exception-"):
                self.refused = True

    def guess(self, bytes_in: int, *, seven_bits: bool = False) -> Guess | None:
        if not self.understood or not (self.readings or self.info.integrity != "none"):
            return None
        # What the codec still gathers as noise shows only when it gives up; half a frame is no noise.
        rest = copy.deepcopy(self.bus).lost(0)
        held = [event for event in rest if isinstance(event, Rejected) and event.reason != "incomplete"]
        dropped = self._dropped + sum(event.bytes_dropped for event in held)
        readings = within_range(tuple(self.readings.values()), self.info.channels)
        good = sum(Quality.OUT_OF_RANGE not in reading.quality for reading in readings)
        expected = max(1, len(self._channels) if self.info.family == "modbus" else len(readings))
        return Guess(
            name=self.name,
            info=self.info,
            share=max(0.0, 1 - dropped / max(1, bytes_in)),
            fit=good / expected,
            frames=self.bus.counters.frames,
            readings=readings,
            seven_bits=seven_bits,
        )


def _text(drivers: Registry, heard: bytes) -> Guess | None:
    """Lines of text that a `line` sensor could read, with the options that do it."""
    heard_lines = [line for line in re.split(rb"[\r\n]+", heard)[1:-1] if line]
    lines = [line for line in heard_lines if _TEXT.fullmatch(line)]
    if len(lines) < max(2, len(heard_lines) * _HALF):  # one may be chance
        return None
    options = _layout(lines[-1].decode("ascii"))
    if options is None:
        return None
    decoded = drivers.decode("line", options, lines)
    if not decoded.readings:
        return None
    newest = {reading.channel: reading for reading in decoded.readings}
    return Guess(
        name="line",
        info=drivers.info("line"),
        share=1.0,
        fit=1.0,
        frames=len(lines),
        readings=tuple(newest.values()),
        options=options,
    )


def _layout(line: str) -> dict[str, OptionValue] | None:
    """Options of `line` that read a line like this one."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict):
        keys = [key for key, value in said.items() if isinstance(value, int | float)]
        return _fields("json", keys)
    if pairs := _PAIR.findall(line):
        return _fields("keyvalue", pairs)
    columns = line.split(",")
    numbers = [place for place, column in enumerate(columns, start=1) if _NUMBER.fullmatch(column)]
    if not numbers:
        return None
    return {"format": "csv", "fields": {f"value_{place}": str(place) for place in numbers}}


def _fields(form: str, keys: Sequence[str]) -> dict[str, OptionValue] | None:
    named = {_NO_NAME.sub("_", key.strip().lower()).strip("_-")[:32]: key.strip() for key in keys}
    named.pop("", None)
    return {"format": form, "fields": named} if named else None
