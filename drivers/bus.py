"""The bus of one port: several units share one line, one question at a time. Pure.

A talking unit stands alone on its port and its bytes pass straight through. Polled units hand in transactions; a unit
that stays silent is set aside and costs the others almost nothing.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from drivers.driver import (
    Ask,
    Counters,
    Driver,
    DriverInfo,
    Event,
    Line,
    OptionValue,
    Problem,
    Rejected,
    Send,
    Transaction,
)
from drivers.errors import OptionError
from drivers.reading import Reading

_NS = 1_000_000_000
_SILENT_AFTER = 3  # timeouts in a row after which a unit is set aside
_ASIDE_POLLS = 10  # polls of which a unit set aside gets one
_ASIDE_MAX_NS = 300 * _NS
_BABBLE_NS = 2 * _NS  # a line that never falls silent is spoken to all the same
_BUFFER_BYTES = 1024  # four of the longest RTU frames
_RAW_KEPT = 64
_HIGHEST_UNIT = 247


@runtime_checkable
class BusDriver(Driver, Protocol):
    """A driver that shares its line: a sixth call, and an address if its protocol has them."""

    @property
    def address(self) -> int | None:
        """Where the unit answers; None where the protocol has no addresses."""
        ...

    def unanswered(self, request: bytes, now_ns: int) -> list[Event]:
        """Hear that a question got no answer in time."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A sensor on a port, as far as sharing goes.

    Attributes:
        sensor: Its name.
        info: Its driver.
        address: Where it answers on the bus; None where the protocol has no addresses.
        line: Line settings it is configured with.
    """

    sensor: str
    info: DriverInfo
    address: int | None
    line: Line | None


def attached(sensor: str, info: DriverInfo, options: Mapping[str, OptionValue], line: Line | None = None) -> Attached:
    """Describe a configured sensor for `clashes`.

    Args:
        sensor: Its name.
        info: Its driver.
        options: Its section's own options.
        line: Override of the driver's line settings.
    """
    defaults = [option.default for option in info.options if option.name == "unit"]
    address = options.get("unit", defaults[0]) if defaults else None
    return Attached(
        sensor=sensor, info=info, address=address if isinstance(address, int) else None, line=line or info.line
    )


def clashes(sensors: Sequence[Attached]) -> str | None:
    """Say why sensors cannot share one port; None when they can."""
    if len(sensors) < 2:  # noqa: PLR2004 - sharing takes two
        return None
    for one in sensors:
        if not one.info.shares_bus:
            others = ", ".join(other.sensor for other in sensors if other is not one)
            return f"{one.sensor} ({one.info.name}) must be alone on its port, but shares it with {others}"
    first, *rest = sensors
    for other in rest:
        if other.line != first.line:
            return f"{first.sensor} speaks {first.line} but {other.sensor} {other.line}; one port has one line setting"
    seen: dict[int, str] = {}
    for one in sensors:
        if one.address is None:
            continue
        if one.address > _HIGHEST_UNIT:
            return (
                f"{one.sensor} uses unit {one.address}, which any unit answers to; on a shared port give it its own"
                " address with unit = 1 to 247"
            )
        if one.address in seen:
            return f"unit {one.address} is both {seen[one.address]} and {one.sensor}; each needs its own address"
        seen[one.address] = one.sensor
    return None


@dataclass(slots=True, kw_only=True)
class _Unit:
    """What the bus knows of one polled unit; ``in_vain`` counts what it did not answer since its last answer."""

    driver: Driver
    queue: deque[Transaction] = field(default_factory=deque)
    in_vain: Counter[bytes] = field(default_factory=Counter)
    silent: bool = False
    aside_until_ns: int = 0
    not_before_ns: int = 0
    served_ns: int = -1

    @property
    def misses(self) -> int:
        """Questions in a row without an answer."""
        return self.in_vain.total()


@dataclass(slots=True, kw_only=True)
class _Active:
    """The question on the line."""

    unit: _Unit
    transaction: Transaction
    deadline_ns: int


class Bus:
    """All drivers of one port as one driver.

    Args:
        drivers: Who is on the port.

    Raises:
        OptionError: They cannot share it.
    """

    def __init__(self, drivers: Sequence[Driver]) -> None:
        problem = clashes([_described(driver) for driver in drivers])
        if problem:
            raise OptionError("port", problem)
        self.counters = Counters()
        self._alone = drivers[0] if len(drivers) == 1 and drivers[0].info.mode == "stream" else None
        self._units = {driver.sensor: _Unit(driver=driver) for driver in drivers}
        self._active: _Active | None = None
        self._buffer = b""
        self._stray = 0
        self._asked = drivers[0].sensor if drivers else ""
        self._gap_ns = 0
        self._quiet_ns = 0
        self._babble_ns = 0

    def start(self, now_ns: int) -> list[Event]:
        """Begin, or begin again after the port was lost."""
        return self._all("start", now_ns)

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        """Take bytes as they come; return what they complete."""
        if self._alone is not None:
            return self._count(self._alone.receive(data, now_ns))
        was_quiet = now_ns > self._quiet_ns
        self._quiet_ns = now_ns + self._gap_ns
        if self._active is None:
            if was_quiet:
                self._babble_ns = now_ns + _BABBLE_NS
            rejected = Rejected(sensor=self._asked, reason="late", raw=data[:_RAW_KEPT], bytes_dropped=len(data))
            return self._count([rejected])
        active = self._active
        self._buffer += data
        excess = len(self._buffer) - _BUFFER_BYTES
        if excess > 0:
            self._buffer = self._buffer[excess:]
            self._stray += excess
        verdict = active.transaction.match(self._buffer, now_ns)
        if verdict is None:
            return []
        events = self._answered(active.unit)
        events += verdict.events
        behind = self._buffer[verdict.used :]
        self.counters.frames += 1
        self._finish(now_ns)
        if behind:
            events.append(
                Rejected(sensor=self._asked, reason="behind", raw=behind[:_RAW_KEPT], bytes_dropped=len(behind))
            )
        return self._count(events) + self._next(now_ns)

    def tick(self, now_ns: int) -> list[Event]:
        """Do what is due at or before now."""
        if self._alone is not None:
            return self._count(self._alone.tick(now_ns))
        events: list[Event] = []
        if self._active is not None and now_ns >= self._active.deadline_ns:
            events += self._missed(self._active, now_ns)
        for unit in self._units.values():
            due_ns = unit.driver.deadline()
            if due_ns is not None and due_ns <= now_ns:
                events += self._absorb(unit, unit.driver.tick(now_ns), now_ns)
        return self._count(events) + self._next(now_ns)

    def deadline(self) -> int | None:
        """Moment of the next tick that matters."""
        if self._alone is not None:
            return self._alone.deadline()
        moments = [due_ns for unit in self._units.values() if (due_ns := unit.driver.deadline()) is not None]
        if self._active is not None:
            moments.append(self._active.deadline_ns)
        else:
            moments += [self._ready_ns(unit) for unit in self._units.values() if unit.queue]
        return min(moments, default=None)

    def lost(self, now_ns: int) -> list[Event]:
        """The port is gone: forget what was asked and what was half heard."""
        for unit in self._units.values():
            unit.queue.clear()
            unit.in_vain.clear()
            unit.aside_until_ns = unit.not_before_ns = 0
        self._active = None
        self._buffer = b""
        self._quiet_ns = self._babble_ns = 0
        return self._all("lost", now_ns)

    def _all(self, call: str, now_ns: int) -> list[Event]:
        events: list[Event] = []
        for unit in self._units.values():
            said = unit.driver.start(now_ns) if call == "start" else unit.driver.lost(now_ns)
            events += said if self._alone is not None else self._absorb(unit, said, now_ns)
        events = self._count(events)
        return events if self._alone is not None or call == "lost" else events + self._next(now_ns)

    def _absorb(self, unit: _Unit, events: Sequence[Event], now_ns: int) -> list[Event]:
        """Take the questions out of a driver's events and put them in its queue."""
        asked = [event.transaction for event in events if isinstance(event, Ask)]
        if unit.misses >= _SILENT_AFTER:  # one that never answers its first question comes back by another
            asked.sort(key=lambda one: unit.in_vain[one.request])
        for transaction in asked:
            if self._welcome(unit, transaction, now_ns):
                unit.queue.append(transaction)
        return [event for event in events if not isinstance(event, Ask)]

    def _welcome(self, unit: _Unit, asked: Transaction, now_ns: int) -> bool:
        """Whether a question is queued: not when it already waits, nor when its unit is set aside."""
        waiting = [transaction.request for transaction in unit.queue]
        if self._active is not None and self._active.unit is unit:
            waiting.append(self._active.transaction.request)
        if unit.misses >= _SILENT_AFTER:
            return not waiting and now_ns >= unit.aside_until_ns
        return asked.request not in waiting

    def _ready_ns(self, unit: _Unit) -> int:
        line_ns = min(self._quiet_ns, self._babble_ns)
        return max(line_ns, unit.not_before_ns, unit.queue[0].not_before_ns)

    def _next(self, now_ns: int) -> list[Event]:
        """Send the question of the unit that has waited longest, if the line is free."""
        if self._active is not None:
            return []
        ready = [unit for unit in self._units.values() if unit.queue and self._ready_ns(unit) <= now_ns]
        if not ready:
            return []
        unit = min(ready, key=lambda one: one.served_ns)
        transaction = unit.queue.popleft()
        unit.served_ns = now_ns
        self._active = _Active(unit=unit, transaction=transaction, deadline_ns=now_ns + transaction.timeout_ns)
        self._asked = transaction.sensor
        self._gap_ns = transaction.gap_ns
        self._buffer = b""
        self._stray = 0
        return [Send(data=transaction.request)]

    def _finish(self, now_ns: int) -> None:
        self._active = None
        self._buffer = b""
        self._quiet_ns = max(self._quiet_ns, now_ns + self._gap_ns)
        self._babble_ns = now_ns + max(_BABBLE_NS, self._gap_ns)

    def _answered(self, unit: _Unit) -> list[Event]:
        unit.in_vain.clear()
        if not unit.silent:
            return []
        unit.silent = False
        return [Problem(sensor=unit.driver.sensor, code="silent", ok=True)]

    def _missed(self, active: _Active, now_ns: int) -> list[Event]:
        """A question got no answer in time."""
        unit, transaction = active.unit, active.transaction
        heard = self._buffer
        self.counters.timeouts += 1
        unit.in_vain[transaction.request] += 1
        # A late answer to this question must not be taken for the answer to the next one.
        unit.not_before_ns = now_ns + transaction.timeout_ns
        self._active = None
        events: list[Event] = []
        junk = len(heard) + self._stray - (len(transaction.request) if heard.startswith(transaction.request) else 0)
        if junk > 0:
            raw = heard.removeprefix(transaction.request)[:_RAW_KEPT]
            events.append(Rejected(sensor=transaction.sensor, reason="no answer", raw=raw, bytes_dropped=junk))
        if unit.misses >= _SILENT_AFTER:
            every_ns = round(unit.driver.info.every_s * _NS)
            # Half an interval less, so that the timeouts themselves do not push the next try behind its poll.
            unit.aside_until_ns = now_ns + min(_ASIDE_POLLS * every_ns, max(_ASIDE_MAX_NS, every_ns)) - every_ns // 2
            unit.queue.clear()
            if not unit.silent:
                unit.silent = True
                events.append(Problem(sensor=transaction.sensor, code="silent", detail=_heard(transaction, heard)))
        if isinstance(unit.driver, BusDriver):
            events += self._absorb(unit, unit.driver.unanswered(transaction.request, now_ns), now_ns)
        last_ns = self._quiet_ns
        self._finish(now_ns)
        self._quiet_ns = max(last_ns, now_ns)  # the silence before a timeout counts as the gap
        return events

    def _count(self, events: list[Event]) -> list[Event]:
        for event in events:
            if isinstance(event, Rejected):
                self.counters.reject(event)
        if self._alone is not None:
            frames = getattr(self._alone, "frames", None)
            if isinstance(frames, int):
                self.counters.frames = frames
            else:
                self.counters.frames += len({event.boot_ns for event in events if isinstance(event, Reading)})
        return events


def _described(driver: Driver) -> Attached:
    address = driver.address if isinstance(driver, BusDriver) else None
    return Attached(sensor=driver.sensor, info=driver.info, address=address, line=driver.info.line)


def _heard(transaction: Transaction, heard: bytes) -> str:
    """What a technician should know of a unit that does not answer."""
    asked = f"no answer to {_SILENT_AFTER} questions in a row (last: {transaction.request.hex(' ')})"
    if not heard:
        return f"{asked}; nothing came: power, A and B, address?"
    if heard == transaction.request:
        return f"{asked}; only our own question came back: the adapter echoes, the unit is off or has another address"
    return f"{asked}; {len(heard)} bytes came but no answer in them: speed, parity or another unit?"
