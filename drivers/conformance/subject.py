"""What is tested: a driver by its name, its vectors, what it may send, and who doubts its values at run time."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from drivers.driver import Driver, DriverInfo, OptionValue
from drivers.reading import Reading
from drivers.serial.decoded import Decoded

Scalar = int | float | bool | str
Values = dict[str, Scalar]


class NotApplicable(Exception):  # noqa: N818 - it is an answer, not an error
    """A check says nothing about this driver; the text says why."""


def ensure(condition: object, words: str) -> None:
    """Fail with words.

    Raises:
        AssertionError: The condition does not hold.
    """
    if not condition:
        raise AssertionError(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One frame and what it must mean.

    Attributes:
        frame: The bytes.
        expect: ``reading``, ``no_reading`` (valid, but no value) or ``reject`` (damaged).
        values: Channel and value.
        units: Channel and unit.
        check: Which checksum guards it; begins with ``none`` where it has none.
        source: Who published it.
        derived: Made from the datasheet, not heard on a wire.
        request: The question it answers; empty: the unit talks by itself, or the question is found by trying.
        helps: The unit always answers its question so; no reading comes without it.
        options: The sensor section it was heard under.
        decoding: What `decode` must be told besides.
    """

    frame: bytes
    expect: Literal["reading", "no_reading", "reject"]
    values: Mapping[str, Scalar] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    check: str = ""
    source: str = ""
    derived: bool = False
    request: bytes = b""
    helps: bool = False
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    decoding: Mapping[str, OptionValue] = field(default_factory=dict)


class Doubter(Protocol):
    """The runtime's half of quality: flags readings, and knows who fell silent."""

    def judge(self, reading: Reading) -> Reading:
        """Return the reading with its doubts."""
        ...

    def started(self, sensor: str, now_ns: int) -> None:
        """Take note that a sensor began, or began again."""
        ...

    def lost(self, sensor: str, now_ns: int) -> None:
        """Take note that its port is gone."""
        ...

    def stale(self, now_ns: int) -> list[str]:
        """Name the sensors that fell silent since the last call."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much work the long checks do; `FULL` is what the kit promises, `QUICK` fits between two edits.

    Attributes:
        flips: Pairs of flipped bits, and as many bursts of two bytes.
        noise_bytes: Noise of each kind.
        seeds: How many times random bytes are drawn.
        frames: Frames while memory is watched.
        places: Most places of a frame that are damaged one by one.
    """

    flips: int
    noise_bytes: int
    seeds: int
    frames: int
    places: int


QUICK = Scale(flips=60, noise_bytes=8_000, seeds=1, frames=150, places=80)
# An 8-bit sum lets 3 % of double flips pass: of so many pairs some 60, and a frame of seven bytes has but 1540 pairs.
FULL = Scale(flips=2_000, noise_bytes=1_000_000, seeds=3, frames=1_000_000, places=1_600)
# A model or map whose code was already tested in full under another name.
AGAIN = Scale(flips=1_000, noise_bytes=100_000, seeds=1, frames=10_000, places=1_600)


class Subject:
    """A driver under test.

    Args:
        name: Driver, profile or model.
        make: Makes the driver from the options of its section.
        decode: What `gardu driver decode` does: frames to readings, each as if it had just been asked for.
        vectors: What is known of its wire.
        commands: Patterns of all it may ever write; none: it must never write.
        doubter: Makes the runtime's half of quality for a driver.
        refuse: What a unit says to a question that it does not know; empty: nothing.
        ambiguous: Why a reply to another question may be taken for the answer; empty where it must not.
        chatty: Why random bytes may be taken for values; empty where they must not.
        strangers: Frames of other families.
        scale: How much work.
        cpu_s: A clock of processor time; None: cost is not measured.
    """

    def __init__(
        self,
        name: str,
        *,
        make: Callable[[Mapping[str, OptionValue]], Driver],
        decode: Callable[[Mapping[str, OptionValue], Sequence[bytes]], Decoded],
        vectors: Sequence[Vector],
        commands: Sequence[bytes] = (),
        doubter: Callable[[DriverInfo], Doubter],
        refuse: Callable[[bytes], bytes] | None = None,
        ambiguous: str = "",
        chatty: str = "",
        strangers: Sequence[bytes] = (b"\x00",),
        scale: Scale = QUICK,
        cpu_s: Callable[[], float] | None = None,
    ) -> None:
        self.name = name
        self.make = make
        self.decode = decode
        self.vectors = tuple(vectors)
        self.doubter = doubter
        self.refuse = refuse
        self.ambiguous = ambiguous
        self.chatty = chatty
        self.strangers = tuple(strangers)
        self.scale = scale
        self.cpu_s = cpu_s
        self._commands = [re.compile(command, re.DOTALL) for command in commands]
        self.live: tuple[Vector, ...] | None = None  # found once, kept for the next check

    def may_send(self, data: bytes) -> bool:
        """Whether a write is declared."""
        return any(command.fullmatch(data) for command in self._commands)

    def info(self) -> DriverInfo:
        """What the driver says of itself under the options of its first vector."""
        options = self.vectors[0].options if self.vectors else {}
        return self.make(options).info
