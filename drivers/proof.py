"""Who answers on a port: no value passes before its unit has proven to be the sensor's own. Pure.

A gate stands between the bus of a port and whoever takes its events. After each opening of the port every sensor on it
is unproven; its values wait until its driver has read enough of what came, and has said who the unit is. A unit that
belongs to another sensor of this node gives nothing under a wrong name. One that nobody knows is believed with the
flag `identity_changed`, until a person says that it is meant.

What can be known depends on the unit. An identity that says no more than the kind of unit proves the kind alone.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Literal, Protocol

from drivers.driver import Event, Identified, Problem, Rejected
from drivers.reading import Quality, Reading

WRONG_UNIT = "wrong_unit"
"""Trouble: the unit on this port is another sensor's."""
NEW_UNIT = "new_unit"
"""Trouble: the unit on this port is not the accepted one."""
WRONG_KIND = "wrong_kind"
"""Trouble: most of what arrives on this port is nothing the driver can read."""
SILENT = "silent"
"""Trouble that the bus tells: who answers next may be another unit."""

_NS = 1_000_000_000
_HEARD_NS = 3 * _NS  # a unit that speaks seldom is believed on its first frame after so long
_STRANGE_NS = 10 * _NS  # a unit that is moved shows up here before its old place has noticed that it is gone
_LOOK_NS = _NS  # how often the book is asked whether a person has decided
_WINDOW_BYTES = 512  # noise from before this counts half
_MOST_WAITING = 512
_ADDRESS = re.compile(r"\b(?:unit=|address )\S+")  # where a unit on a shared line answers is set, not who it is


class Accepted(Protocol):
    """What the book knows of one sensor; empty texts where it is nothing."""

    @property
    def driver(self) -> str:
        """Driver that named the unit."""
        ...

    @property
    def identity(self) -> str:
        """The accepted unit."""
        ...

    @property
    def offered(self) -> str:
        """Another unit that waits to be accepted."""
        ...


class Book(Protocol):
    """Where the accepted unit of each sensor is kept. Never waits."""

    def known(self, sensor: str) -> Accepted:
        """Return what is known of a sensor."""
        ...

    def accept(self, sensor: str, identity: str, driver: str, *, same_unit: bool = False) -> None:
        """Take a unit as the sensor's own."""
        ...

    def offer(self, sensor: str, identity: str) -> None:
        """Write down which other unit is there; empty text: none any more."""
        ...


class PortBus(Protocol):
    """What serves the sensors of one port: `drivers.bus.Bus`, or one stream driver, or a gate before either."""

    def start(self, now_ns: int) -> list[Event]:
        """Begin, or begin again after the port was lost."""
        ...

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        """Take bytes as they come."""
        ...

    def tick(self, now_ns: int) -> list[Event]:
        """Do what is due."""
        ...

    def deadline(self) -> int | None:
        """Moment of the next tick that matters."""
        ...

    def lost(self, now_ns: int) -> list[Event]:
        """Forget half frames and what was asked."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A sensor on a port, as far as proof goes.

    Attributes:
        sensor: Its name.
        driver: Its driver or profile.
        confirm: Valid frames that prove that the driver fits.
        shares_bus: Its unit is asked under an address.
        proves: What an identity of this driver proves.
    """

    sensor: str
    driver: str
    confirm: int = 1
    shares_bus: bool = False
    proves: Literal["kind", "unit"] = "kind"


class _Who(Enum):
    NOBODY = "nobody"  # has not said
    OWN = "own"
    LESS = "less"  # says less than the accepted unit said
    NEW = "new"
    OTHER = "other"  # another sensor's


@dataclass(slots=True, kw_only=True)
class _State:
    """What is known of one sensor since the port was opened."""

    unit: Unit
    who: _Who = _Who.NOBODY
    identity: str = ""
    since_ns: int = 0
    look_ns: int = 0
    told: tuple[str, str] = ("", "")
    waiting: list[Reading] = field(default_factory=list)


class Proofs:
    """The sensors of one node: which unit answers for each of them now.

    Args:
        book: Accepted units.
        sensors: Names of all sensors of the node that are configured.

    Attributes:
        here: Own units that answer at this moment, by sensor.
    """

    def __init__(self, book: Book, sensors: Iterable[str]) -> None:
        self.book = book
        self.here: dict[str, str] = {}
        self._sensors = tuple(sensors)

    def owner(self, sensor: str, identity: str) -> str:
        """Name the other sensor that a unit belongs to.

        Empty when it belongs to none, or when the owner has its unit: then two units say the same of themselves.
        """
        for other in self._sensors:
            if other != sensor and other not in self.here and self.book.known(other).identity == identity:
                return other
        return ""


class Gate:
    """The bus of a port whose values pass once their unit is proven; itself a bus.

    Args:
        bus: Serves the port.
        units: Who is on it.
        proofs: All sensors of the node.
        frames: Valid frames that the bus has counted.
    """

    def __init__(self, bus: PortBus, units: Sequence[Unit], proofs: Proofs, *, frames: Callable[[], int]) -> None:
        self._bus = bus
        self._proofs = proofs
        self._frames = frames
        self._states = {unit.sensor: _State(unit=unit) for unit in units}
        # On a shared line each answer fits its own question, and noise between them belongs to nobody.
        self._alone = self._states[units[0].sensor] if len(units) == 1 else None
        self._now_ns = 0
        self._fits = False
        self._frame_count = 0
        self._first_ns: int | None = None
        self._heard = 0
        self._dropped = 0

    def start(self, now_ns: int) -> list[Event]:
        """Begin, or begin again after the port was lost: everybody is unproven."""
        self._fits = False
        self._frame_count = self._frames()
        self._first_ns = None
        self._heard = self._dropped = 0
        for state in self._states.values():
            self._forget(state)
        return self._passed(self._bus.start(now_ns), now_ns)

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        """Take bytes as they come."""
        self._heard += len(data)
        return self._passed(self._bus.receive(data, now_ns), now_ns)

    def tick(self, now_ns: int) -> list[Event]:
        """Do what is due; let pass what has waited long enough."""
        return self._passed(self._bus.tick(now_ns), now_ns)

    def deadline(self) -> int | None:
        """Moment of the next tick that matters."""
        moments = [self._due_ns(state) for state in self._states.values() if state.waiting]
        found = [moment for moment in moments if moment > self._now_ns]
        due_ns = self._bus.deadline()
        return min(found if due_ns is None else [*found, due_ns], default=None)

    def lost(self, now_ns: int) -> list[Event]:
        """The port is gone: what was not proven stays so."""
        events = self._passed(self._bus.lost(now_ns), now_ns)
        for state in self._states.values():
            self._forget(state)
        return events

    def _forget(self, state: _State) -> None:
        state.who, state.identity, state.look_ns = _Who.NOBODY, "", 0
        state.waiting.clear()
        self._proofs.here.pop(state.unit.sensor, None)

    def _passed(self, events: Sequence[Event], now_ns: int) -> list[Event]:
        self._now_ns = now_ns
        passed: list[Event] = [] if self._fits else self._fit(events, now_ns)
        for event in events:
            state = self._states.get(event.sensor) if isinstance(event, Identified | Reading | Problem) else None
            if state is not None and isinstance(event, Reading):
                passed += self._take(state, event, now_ns)
                continue
            passed.append(event)
            if state is not None and isinstance(event, Identified):
                passed += self._hear(state, event.identity, now_ns)
            elif state is not None and isinstance(event, Problem) and event.code == SILENT and not event.ok:
                self._forget(state)
        for state in self._states.values():
            if state.waiting and self._fits:
                passed += self._release(state, now_ns)
        return passed

    # -- whether the driver fits ------------------------------------------------------------------------------------

    def _fit(self, events: Sequence[Event], now_ns: int) -> list[Event]:
        """Tell whether the driver fits: enough valid frames, and no more noise than frames."""
        self._dropped += sum(event.bytes_dropped for event in events if isinstance(event, Rejected))
        noisy = 2 * self._dropped > self._heard
        if self._heard > _WINDOW_BYTES:
            self._heard //= 2
            self._dropped //= 2
        frames = self._frames() - self._frame_count
        if not frames:
            return []
        if self._first_ns is None:
            self._first_ns = now_ns
        state, patient = self._alone, now_ns >= self._first_ns + _HEARD_NS
        if state is None:
            self._fits = True
            return []
        self._fits = not noisy and (patient or frames >= state.unit.confirm)
        if noisy and patient:
            state.waiting.clear()
            detail = f"most of what arrives is nothing that {state.unit.driver} can read: another kind of unit?"
            return self._tell(state, WRONG_KIND, detail)
        return self._tell(state) if self._fits and state.told[0] == WRONG_KIND else []

    # -- who it is --------------------------------------------------------------------------------------------------

    def _hear(self, state: _State, identity: str, now_ns: int) -> list[Event]:
        """A unit says who it is; what waited of a stranger passes with its flag once the own unit is back."""
        if state.unit.shares_bus:
            identity = " ".join(_ADDRESS.sub("", identity).split())
        if identity == state.identity:
            return []
        left = [_doubted(reading) for reading in state.waiting] if state.who is _Who.NEW else []
        if left:
            state.waiting.clear()
        state.identity, state.since_ns = identity, now_ns
        told = self._judge(state, now_ns) if self._fits else []
        return told if state.who is _Who.OTHER else [*left, *told]

    def _judge(self, state: _State, now_ns: int) -> list[Event]:
        """Compare the unit with the accepted one."""
        sensor, book, identity = state.unit.sensor, self._proofs.book, state.identity
        state.look_ns = now_ns + _LOOK_NS
        known = book.known(sensor)
        ours, its = set(known.identity.split()), set(identity.split())
        fresh = not ours or known.driver != state.unit.driver
        owner = self._proofs.owner(sensor, identity) if state.unit.proves == "unit" and its != ours else ""
        if its < ours and not fresh:
            state.who = _Who.LESS
        elif owner and identity != state.unit.driver:
            # At a start the owner itself may be about to say the same: then it names a kind, not a unit.
            state.who = _Who.NEW if fresh and now_ns < state.since_ns + _STRANGE_NS else _Who.OTHER
        else:
            state.who = _Who.OWN if fresh or its >= ours else _Who.NEW
        if state.who is _Who.OWN:
            self._proofs.here[sensor] = identity
            if fresh or its != ours:
                book.accept(sensor, identity, state.unit.driver, same_unit=its >= ours > set())
            elif known.offered:
                book.offer(sensor, "")
            return self._tell(state)
        self._proofs.here.pop(sensor, None)
        if state.who is not _Who.OTHER:
            return []
        state.waiting.clear()
        book.offer(sensor, identity)
        return self._tell(state, WRONG_UNIT, f"this is {owner}'s unit ({identity}): plugged into the wrong socket?")

    def _tell(self, state: _State, code: str = "", detail: str = "") -> list[Event]:
        """Tell a trouble when it begins, changes or ends."""
        before, state.told = state.told, (code, detail)
        if before == state.told:
            return []
        sensor = state.unit.sensor
        ended: list[Event] = [Problem(sensor=sensor, code=before[0], ok=True)] if before[0] not in ("", code) else []
        return [*ended, Problem(sensor=sensor, code=code, detail=detail)] if code else ended

    # -- values -----------------------------------------------------------------------------------------------------

    def _take(self, state: _State, reading: Reading, now_ns: int) -> list[Event]:
        events = self._judge(state, now_ns) if self._fits and state.identity and now_ns >= state.look_ns else []
        if state.who is _Who.OWN and not state.waiting:
            return [*events, reading]
        if state.who is not _Who.OTHER:
            if not (state.identity or state.waiting):
                state.since_ns = now_ns
            state.waiting.append(reading)
            del state.waiting[:-_MOST_WAITING]
        return events

    def _due_ns(self, state: _State) -> int:
        """Moment at which what waits may pass all the same."""
        if self._fits:
            return state.since_ns + _STRANGE_NS
        return 0 if self._first_ns is None else self._first_ns + _HEARD_NS

    def _release(self, state: _State, now_ns: int) -> list[Event]:
        """Let pass what waits: at once what is the sensor's own, after a while, with a flag, what stays strange."""
        late = now_ns >= state.since_ns + _STRANGE_NS
        if late and not state.identity:
            state.identity = state.unit.driver  # its frames are valid: so much is proven
        events: list[Event] = []
        if state.identity and (late or state.who is _Who.NOBODY):
            events = self._judge(state, now_ns)
        flag = state.who is not _Who.OWN
        if flag and not late:
            return events
        if state.who in (_Who.NEW, _Who.LESS):
            book, sensor = self._proofs.book, state.unit.sensor
            book.offer(sensor, state.identity)
            meant = f"if that is meant: gardu swap {sensor}"
            detail = f"{state.identity} answers instead of {book.known(sensor).identity}; {meant}"
            events += self._tell(state, NEW_UNIT, detail)
        waiting, state.waiting = state.waiting, []
        return [*events, *(map(_doubted, waiting) if flag else waiting)]


def _doubted(reading: Reading) -> Reading:
    return replace(reading, quality=reading.quality | {Quality.IDENTITY_CHANGED})
