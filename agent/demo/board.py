"""What the views show of a demo that goes on. Pure: the moments come from outside."""

from dataclasses import dataclass, field
from enum import Enum

from agent.demo.answers import Heard, Value
from agent.demo.scenario import ALARM
from agent.demo.tally import Tally


class Node(Enum):
    """What the node's process does."""

    STARTING = "starting"
    UP = "up"
    KILLED = "killed"
    ENDED = "ended"


class State(Enum):
    """Of one step of the story."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True)
class Step:
    """One step of the story, as people read it."""

    title: str
    state: State = State.WAITING
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The last value of a channel."""

    value: Value
    unit: str
    flags: tuple[str, ...]
    at_s: float


@dataclass(slots=True)
class Board:
    """All that is shown.

    Attributes:
        for_s: How long the story takes.
        steps: The story.
        tally: Counts.
        values: Last values by ``sensor/channel``.
        unplugged: Ports without a sensor.
        cut: Whether the link is cut.
        node: What the node's process does.
        broker: Its name and version.
        begun_s: When the story began; None before.
    """

    for_s: float
    steps: list[Step]
    tally: Tally = field(default_factory=Tally)
    values: dict[str, Shown] = field(default_factory=dict)
    unplugged: set[str] = field(default_factory=set)
    cut: bool = False
    node: Node = Node.STARTING
    broker: str = ""
    begun_s: float | None = None

    def hear(self, reading: Heard, now_s: float) -> None:
        """Take a reading that the node told of."""
        self.values[reading.path] = Shown(value=reading.value, unit=reading.unit, flags=reading.flags, at_s=now_s)

    def passed_s(self, now_s: float) -> float:
        """Seconds of the story, at most all of them."""
        return 0.0 if self.begun_s is None else min(self.for_s, now_s - self.begun_s)

    def last_of(self, sensor: str) -> float | None:
        """When a sensor was last heard."""
        moments = [shown.at_s for path, shown in self.values.items() if path.startswith(f"{sensor}/")]
        return max(moments, default=None)

    def flags_of(self, sensor: str, channels: tuple[str, ...]) -> list[str]:
        """Doubts about the shown channels of a sensor, each once."""
        found = [self.values.get(f"{sensor}/{channel}") for channel in channels]
        return list(dict.fromkeys(flag for shown in found if shown is not None for flag in shown.flags))

    @property
    def alarm(self) -> str:
        """The state of the alarm as the node last told it; empty before."""
        shown = self.values.get(f"alarm/{ALARM}")
        return "" if shown is None else str(shown.value)


_DECIMALS = {"lat": 5, "lon": 5, "V": 1, "A": 2, "W": 0, "ppm": 0, "m": 2, "Cel": 1, "%RH": 0, "ug/m3": 1, "%": 0}
_UNITS = {"Cel": "°C", "%RH": "% RH", "ug/m3": "µg/m³", "lat": "° N", "lon": "° E", "1": ""}


def number(shown: Shown) -> str:
    """Return a value and its unit as people write them."""
    value, unit = shown.value, _UNITS.get(shown.unit, shown.unit)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if shown.unit == "lat" and value < 0:
        value, unit = -value, "° S"
    if shown.unit == "B":
        value, unit = value / 2**20, "MiB"
    decimals = _DECIMALS.get(shown.unit, 0 if isinstance(value, int) or shown.unit == "B" else 2)
    return f"{value:.{decimals}f} {unit}".rstrip()
