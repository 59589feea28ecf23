"""The bus of one port: several units share one line, one question at a time. Pure.

A talking unit stands alone on its port and its bytes pass straight through. Polled units hand in transactions; a unit
that stays silent is set aside and costs the others almost nothing.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from drivers.driver import (
    Ask,
    Counters,
    Driver,
    Event,
    Line,
    Problem,
    Rejected,
    Send,
    Transaction,
)
from drivers.errors import OptionError
from drivers.reading import Reading
from drivers.sharing import Attached, clashes

_NS = 1_000_000_000
_SILENT_AFTER = 3  # timeouts in a row after which a unit is set aside
_ASIDE_POLLS = 10  # polls of which a unit set aside gets one
_ASIDE_MAX_NS = 300 * _NS
_NEVER_NS = -_ASIDE_MAX_NS
_BABBLE_NS = 2 * _NS  # a line that never falls silent is spoken to all the same
_BUFFER_BYTES = 1024  # four of the longest RTU frames
_LATEST_NS = 2 * _NS  # behind a question in vain an answer may come so late
_RAW_KEPT = 64
_BITS_PER_BYTE = 11  # start, eight data, parity or second stop, stop


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
    waits_since_ns: int = 0
    unheard: bytes = b""
    unheard_until_ns: int = 0

    @property
    def misses(self) -> int:
        """Questions in a row without an answer."""
        return self.in_vain.total()

    @property
    def may_ns(self) -> int:
        """When its next question may be sent, as far as the line allows.

        A late answer must not be taken for the answer to another question; to the same one it is as good.
        """
        asked = self.queue[0]
        late_ns = 0 if asked.request == self.unheard else self.unheard_until_ns
        return max(self.not_before_ns, asked.not_before_ns, late_ns)

    def overdue(self, now_ns: int) -> bool:
        """Whether its question has waited for as long as it should take until the next one."""
        return now_ns - max(self.waits_since_ns, self.may_ns) >= self.driver.info.every_s * _NS


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
        line: What the port is set to; without it each driver's own.

    Raises:
        OptionError: They cannot share it.
    """

    def __init__(self, drivers: Sequence[Driver], line: Line | None = None) -> None:
        problem = clashes([_described(driver) for driver in drivers])
        if problem:
            raise OptionError("port", problem)
        self.counters = Counters()
        self._line = line
        self._alone = drivers[0] if len(drivers) == 1 and drivers[0].info.mode == "stream" else None
        self._units = {driver.sensor: _Unit(driver=driver) for driver in drivers}
        self._active: _Active | None = None
        self._buffer = b""
        self._stray = 0
        self._asked = drivers[0].sensor if drivers else ""
        self._gap_ns = 0
        self._now_ns = self._last_ns = _NEVER_NS
        self._babbles_since_ns = _NEVER_NS

    def start(self, now_ns: int) -> list[Event]:
        """Begin, or begin again after the port was lost."""
        return self._all("start", now_ns)

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        """Take bytes as they come; return what they complete."""
        if self._alone is not None:
            return self._count(self._alone.receive(data, now_ns))
        was_quiet = now_ns > self._last_ns + self._gap_ns
        self._last_ns = now_ns
        if self._active is None:
            if was_quiet:
                self._babbles_since_ns = now_ns
            self._heard_of(self._units.values())
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
        if verdict.silent:
            return self._count(self._missed(active, now_ns, verdict.silent)) + self._next(now_ns)
        events = self._answered(active.unit)
        events += verdict.events
        behind = self._buffer[verdict.used :]
        self.counters.frames += 1
        self._finish(now_ns)
        if behind:
            raw = behind[:_RAW_KEPT]
            events.append(Rejected(sensor=self._asked, reason="behind", raw=raw, bytes_dropped=len(behind)))
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
            moments += [self._ready_ns(unit) for unit in self._next_ones()]
        return min(moments, default=None)

    def lost(self, now_ns: int) -> list[Event]:
        """The port is gone: forget what was asked and what was half heard."""
        for unit in self._units.values():
            unit.queue.clear()
            unit.in_vain.clear()
            unit.aside_until_ns = unit.not_before_ns = unit.unheard_until_ns = 0
        self._active = None
        self._buffer = b""
        self._gap_ns, self._last_ns, self._babbles_since_ns = 0, _NEVER_NS, _NEVER_NS
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
                unit.waits_since_ns = unit.waits_since_ns if unit.queue else now_ns
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
        """When the line has been silent long enough for who was asked last and for who is asked next."""
        asked = unit.queue[0]
        gap_ns = max(self._gap_ns, asked.gap_ns)
        line_ns = min(self._last_ns + gap_ns, self._babbles_since_ns + max(_BABBLE_NS, gap_ns))
        return max(line_ns, unit.may_ns)

    def _next_ones(self) -> list[_Unit]:
        """Who may be asked next; for one whose turn is overdue the line is held until it is silent enough."""
        waiting = [unit for unit in self._units.values() if unit.queue]
        overdue = [unit for unit in waiting if unit.overdue(self._now_ns)]
        return [min(overdue, key=lambda one: one.served_ns)] if overdue else waiting

    def _next(self, now_ns: int) -> list[Event]:
        """Send the question of the unit that was asked longest ago, if the line is free.

        One that did not answer the last time comes behind those that did: it may let the line wait for nothing.
        """
        self._now_ns = now_ns
        if self._active is not None:
            return []
        ready = [unit for unit in self._next_ones() if self._ready_ns(unit) <= now_ns]
        if not ready:
            return []
        unit = min(ready, key=lambda one: (one.misses > 0, one.served_ns))
        transaction = unit.queue.popleft()
        unit.served_ns = now_ns
        deadline_ns = now_ns + transaction.timeout_ns + self._slower_ns(unit.driver.info.line, transaction)
        self._active = _Active(unit=unit, transaction=transaction, deadline_ns=deadline_ns)
        self._asked = transaction.sensor
        self._gap_ns = transaction.gap_ns
        self._last_ns = now_ns
        self._buffer = b""
        self._stray = 0
        return [Send(data=transaction.request)]

    def _slower_ns(self, own: Line | None, transaction: Transaction) -> int:
        """How much longer question and answer take than on the line their driver was made for."""
        if own is None or self._line is None or self._line.baud >= own.baud:
            return 0
        bits = transaction.wire_bytes * _BITS_PER_BYTE
        return bits * _NS // self._line.baud - bits * _NS // own.baud

    def _finish(self, now_ns: int) -> None:
        self._active = None
        self._buffer = b""
        self._babbles_since_ns = now_ns

    def _answered(self, unit: _Unit) -> list[Event]:
        unit.in_vain.clear()
        self._heard_of(other for other in self._units.values() if other is not unit)
        if not unit.silent:
            return []
        unit.silent = False
        return [Problem(sensor=unit.driver.sensor, code="silent", ok=True)]

    @staticmethod
    def _heard_of(units: Iterable[_Unit]) -> None:
        """Expect no late answer of units any more: a line keeps the order, so it has come or is lost."""
        for unit in units:
            unit.unheard_until_ns = 0

    def _missed(self, active: _Active, now_ns: int, said: str = "") -> list[Event]:
        """A question got no answer in time, or a gateway said that there will be none."""
        unit, transaction = active.unit, active.transaction
        heard = self._buffer
        self.counters.timeouts += 1
        unit.in_vain[transaction.request] += 1
        unit.not_before_ns = now_ns + transaction.timeout_ns
        if heard in (b"", transaction.request):  # a network may yet deliver question and answer
            unit.unheard, unit.unheard_until_ns = transaction.request, now_ns + max(_LATEST_NS, transaction.timeout_ns)
        self._active = None
        events: list[Event] = []
        junk = len(heard) + self._stray - (len(transaction.request) if heard.startswith(transaction.request) else 0)
        if junk > 0 and not said:
            raw = heard.removeprefix(transaction.request)[:_RAW_KEPT]
            events.append(Rejected(sensor=transaction.sensor, reason="no answer", raw=raw, bytes_dropped=junk))
        if unit.misses >= _SILENT_AFTER:
            every_ns = round(unit.driver.info.every_s * _NS)
            # Half an interval less, so that the timeouts themselves do not push the next try behind its poll.
            unit.aside_until_ns = now_ns + min(_ASIDE_POLLS * every_ns, max(_ASIDE_MAX_NS, every_ns)) - every_ns // 2
            unit.queue.clear()
            if not unit.silent:
                unit.silent = True
                detail = _heard(transaction, heard, said)
                events.append(Problem(sensor=transaction.sensor, code="silent", detail=detail))
        if isinstance(unit.driver, BusDriver):
            events += self._absorb(unit, unit.driver.unanswered(transaction.request, now_ns), now_ns)
        self._finish(now_ns)
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
    return Attached(sensor=driver.sensor, info=driver.info, address=address, line=None)  # the port has one, whatever


def _heard(transaction: Transaction, heard: bytes, said: str) -> str:
    """What a technician should know of a unit that does not answer."""
    asked = f"no answer to {_SILENT_AFTER} questions in a row (last: {transaction.request.hex(' ')})"
    if said:
        return f"{asked}; the gateway says {said}"
    if not heard:
        return f"{asked}; nothing came: power, A and B, address?"
    if heard == transaction.request:
        return f"{asked}; only our own question came back: the adapter echoes, the unit is off or has another address"
    return f"{asked}; {len(heard)} bytes came but no answer in them: speed, parity or another unit?"
