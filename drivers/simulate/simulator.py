"""What a simulator is: the other end of the wire, as a pure object. And values that look alive."""

import math
from abc import ABC, abstractmethod
from typing import Protocol

from drivers.driver import Line

NS = 1_000_000_000
_SLOW_S = 240.0
_QUICK_S = 37.0


class Simulator(Protocol):
    """A unit as its wire shows it. Time is any clock in ns that only goes forward."""

    line: Line

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:
        """Take what the driver wrote; return what the unit writes at once."""
        ...

    def tick(self, now_ns: int) -> list[bytes]:
        """Return what the unit writes by itself at or before now."""
        ...

    def deadline(self) -> int | None:
        """Moment of the next tick that matters; None for a unit that only answers."""
        ...


class Wave:
    """A value that wanders slowly between two bounds, the same for the same seed.

    Args:
        low: Lowest value.
        high: Highest value.
        seed: Chooses where in its wandering it begins.
    """

    __slots__ = ("_half", "_middle", "_phase", "_seed")

    def __init__(self, low: float, high: float, *, seed: int) -> None:
        self._middle = (low + high) / 2
        self._half = (high - low) / 2
        self._seed = seed
        self._phase = _noise(seed, 0) * math.tau

    def at(self, now_ns: int) -> float:
        """The value at a moment."""
        now_s = now_ns / NS
        slow = math.sin(math.tau * now_s / _SLOW_S + self._phase)
        quick = math.sin(math.tau * now_s / _QUICK_S + 2 * self._phase)
        rest = _noise(self._seed, int(now_s * 10)) * 2 - 1
        return self._middle + self._half * (0.7 * slow + 0.2 * quick + 0.1 * rest)


def _noise(seed: int, step: int) -> float:
    """A number in [0, 1) that looks random: the end of splitmix64."""
    mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xD1B54A32D192ED03 + 1) & (1 << 64) - 1
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
    return (mixed ^ mixed >> 31) / (1 << 64)


class Talker(ABC):
    """A unit that talks by itself: one frame, or several, each interval."""

    def __init__(self, *, line: Line, every_s: float) -> None:
        self.line = line
        self._every_ns = max(1, round(every_s * NS))
        self._due_ns: int | None = None

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:  # noqa: ARG002 - it does not listen
        """Nothing: it does not listen."""
        return []

    def tick(self, now_ns: int) -> list[bytes]:
        """The frame that is due; missed ones are gone."""
        if self._due_ns is not None and now_ns < self._due_ns:
            return []
        beat = now_ns if self._due_ns is None else self._due_ns
        self._due_ns = beat + self._every_ns * ((now_ns - beat) // self._every_ns + 1)
        return self.frames(now_ns)

    def deadline(self) -> int | None:
        """Moment of the next frame."""
        return 0 if self._due_ns is None else self._due_ns

    @abstractmethod
    def frames(self, now_ns: int) -> list[bytes]:
        """What it says at a moment."""
