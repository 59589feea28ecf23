"""A gate over a bus that says what the test wants, and a book in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from drivers.driver import Event, Identified, Problem, Rejected
from drivers.proof import Gate, Proofs, Unit
from drivers.reading import Quality, Reading

S = 1_000_000_000
AIR = Unit(sensor="air", driver="sds011", proves="unit")
RIVER = Unit(sensor="river", driver="sds011", proves="unit")
FLAG = frozenset({Quality.IDENTITY_CHANGED})


@dataclass(frozen=True)
class Page:
    driver: str = ""
    identity: str = ""
    offered: str = ""


@dataclass
class Shelf:
    """A book in memory."""

    pages: dict[str, Page] = field(default_factory=dict)
    accepted: list[tuple[str, str, bool]] = field(default_factory=list)

    def known(self, sensor: str) -> Page:
        return self.pages.get(sensor, Page())

    def accept(self, sensor: str, identity: str, driver: str, *, same_unit: bool = False) -> None:
        self.pages[sensor] = Page(driver, identity)
        self.accepted.append((sensor, identity, same_unit))

    def offer(self, sensor: str, identity: str) -> None:
        self.pages[sensor] = replace(self.known(sensor), offered=identity)


class Wire:
    """A gate over a bus that says what the test wants."""

    def __init__(self, proofs: Proofs, *units: Unit) -> None:
        self.now_ns = 100 * S
        self.frames = 0
        self.due_ns: int | None = None
        self.said: list[Event] = []
        self.gate = Gate(self, units, proofs, frames=lambda: self.frames)
        self.sensor = units[0].sensor
        self.gate.start(self.now_ns)

    def start(self, now_ns: int) -> list[Event]:
        return self._next(now_ns)

    def receive(self, data: bytes, now_ns: int) -> list[Event]:  # noqa: ARG002 - the shape of a bus
        return self._next(now_ns)

    def tick(self, now_ns: int) -> list[Event]:
        return self._next(now_ns)

    def lost(self, now_ns: int) -> list[Event]:
        return self._next(now_ns)

    def deadline(self) -> int | None:
        return self.due_ns

    def _next(self, now_ns: int) -> list[Event]:
        self.now_ns = now_ns
        said, self.said = self.said, []
        return said

    def frame(self, identity: str = "", value: float = 1.0, *, after_s: float = 1.0) -> list[Event]:
        """One valid frame of ten bytes."""
        self.frames += 1
        now_ns = self.now_ns + round(after_s * S)
        who: list[Event] = [Identified(sensor=self.sensor, identity=identity)] if identity else []
        self.said = [*who, self.reading(value, now_ns)]
        return self.gate.receive(bytes(10), now_ns)

    def reading(self, value: float, now_ns: int) -> Reading:
        return Reading(sensor=self.sensor, channel="pm2_5", value=value, unit="ug/m3", boot_ns=now_ns)

    def noise(self, count: int, *, after_s: float = 0.0) -> list[Event]:
        self.said = [Rejected(sensor=self.sensor, reason="noise", bytes_dropped=count)]
        return self.gate.receive(bytes(count), self.now_ns + round(after_s * S))

    def wait(self, seconds: float) -> list[Event]:
        return self.gate.tick(self.now_ns + round(seconds * S))

    def reopen(self) -> list[Event]:
        return [*self.gate.lost(self.now_ns), *self.gate.start(self.now_ns)]


def values(events: Sequence[Event]) -> list[tuple[object, frozenset[Quality]]]:
    return [(event.value, event.quality) for event in events if isinstance(event, Reading)]


def good(*numbers: float) -> list[tuple[object, frozenset[Quality]]]:
    return [(number, frozenset()) for number in numbers]


def doubted(*numbers: float) -> list[tuple[object, frozenset[Quality]]]:
    return [(number, FLAG) for number in numbers]


def problems(events: Sequence[Event]) -> list[tuple[str, bool]]:
    return [(event.code, event.ok) for event in events if isinstance(event, Problem)]
