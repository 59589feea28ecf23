"""The intake: rows wait here until they are written, and it is decided when that is.

Alarms are written and sealed at once. Telemetry is durable within ``durable_within_s``, and sealed at the pace of the
link: often while live, rarely while offline. Both come due together where they can, so they share one sync.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.seal import Moment, Pace
from agent.spool.keeper import Keeper, Receipt
from agent.spool.writer import Writer
from agent.wire.batch import STEPPED, Kind, Stream
from agent.wire.senml import Row

log = logging.getLogger(__name__)

_MOST_WAITING = 20_000
"""Rows of a stream that wait while one write blocks; about 10 MB."""
_MOST_RECORDS = 64
_QUIET_S = 10.0
_TOGETHER = 0.15
"""A seal due within this share of its wait goes along with a write that is due now."""


@dataclass(slots=True)
class Plan:
    """When what waits must be written and sealed, in seconds of the loop's clock. Pure."""

    durable_within_s: float
    pace: Pace
    metered: bool = False
    online: bool = False
    alarm: bool = False
    first_row_s: float | None = None
    unsealed_s: float | None = None
    sealed_s: float = -math.inf

    def due_s(self) -> float | None:
        """Return when to write next; None while nothing waits."""
        if self.alarm or (self.first_row_s is not None and self.sealed_s == -math.inf):
            return -math.inf  # alarms, and the first rows of a run: they prove that it lives
        moments = [] if self.first_row_s is None else [self.first_row_s + self.durable_within_s]
        if self.unsealed_s is not None:
            moments.append(self.unsealed_s + self._wait_s())
        elif self.online and self.sealed_s > -math.inf:
            moments.append(self.sealed_s + max(self.pace.empty_after_s, self._wait_s()))
        return min(moments, default=None)

    def seals(self, now_s: float) -> bool:
        """Tell whether telemetry is sealed by a write now."""
        wait_s = self._wait_s()
        if self.unsealed_s is None:
            return self.online and now_s >= self.sealed_s + max(self.pace.empty_after_s, wait_s)
        return self.sealed_s == -math.inf or now_s >= self.unsealed_s + wait_s * (1 - _TOGETHER)

    def took_row(self, now_s: float) -> None:
        """Note that a row waits."""
        self.first_row_s = now_s if self.first_row_s is None else self.first_row_s
        self.unsealed_s = now_s if self.unsealed_s is None else self.unsealed_s

    def _wait_s(self) -> float:
        return self.pace.wait_s(online=self.online, metered=self.metered)


class Intake:
    """Takes rows from everywhere in the loop; one task writes them through the spool's thread."""

    def __init__(
        self,
        writer: Writer,
        *,
        plan: Plan,
        moment: Callable[[], Moment],
        stored: Callable[[Receipt], None],
    ) -> None:
        """Make an intake.

        Args:
            writer: The spool's thread.
            plan: When to write.
            moment: Now; called right before a write, so it is never before a row.
            stored: Told of every write: the run that takes rows, and batches that may be sent.
        """
        self._writer = writer
        self._plan = plan
        self._moment = moment
        self._stored = stored
        self._waiting: dict[Stream, deque[Row]] = {stream: deque() for stream in Stream}
        self._records: deque[tuple[Kind, bytes]] = deque(maxlen=_MOST_RECORDS)
        self._wake = asyncio.Event()
        self._newest: dict[tuple[Stream, str], int] = {}
        self._stepped = False
        self.dropped = 0

    def take(self, row: Row, stream: Stream = Stream.TELEMETRY) -> None:
        """Take a row; it counts as taken once the write that covers it has returned. Never waits."""
        row = self._one_a_ms(row, stream)
        rows = self._waiting[stream]
        rows.append(row)
        if len(rows) > _MOST_WAITING:
            rows.popleft()
            self._drop()
        if stream is Stream.ALARM:
            self._plan.alarm = True
            self._wake.set()
        elif self._plan.first_row_s is None:
            self._plan.took_row(asyncio.get_running_loop().time())
            self._wake.set()

    def _one_a_ms(self, row: Row, stream: Stream) -> Row:
        """Move a row on by a millisecond where its channel has one there: frames of one chunk share their moment."""
        key = (stream, row.path)
        newest = self._newest.get(key, -1)
        if row.boot_ms <= newest:
            row = Row(path=row.path, unit=row.unit, boot_ms=newest + 1, value=row.value, flags=row.flags)
        self._newest[key] = row.boot_ms
        return row

    def record(self, kind: Kind, body: bytes) -> None:
        """Take a record of the telemetry stream; it is written behind the next rows, so it never begins a run alone."""
        self._records.append((kind, body))

    async def note(self, body: bytes) -> Receipt:
        """Seal a note into the alarm stream now; come back once it is synced, or in memory where the disk refuses."""
        moment = self.now()
        receipt = await self._writer.call(lambda keeper: keeper.record(Kind.NOTE, body, Stream.ALARM, moment))
        self._stored(receipt)
        return receipt

    def set_online(self, *, online: bool) -> None:
        """Say whether the link is up: live batches leave more often."""
        if online != self._plan.online:
            self._plan.online = online
            self._wake.set()

    async def run(self, alive: Callable[[], None]) -> None:
        """Write what is due, for ever. ``alive`` is called after each write and each quiet spell."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = self._plan.due_s()
            if due_s is None or due_s > loop.time():
                self._wake.clear()
                quiet_s = _QUIET_S if due_s is None else min(_QUIET_S, max(0.0, due_s - loop.time()))
                try:
                    async with asyncio.timeout(quiet_s):
                        await self._wake.wait()
                except TimeoutError:
                    alive()
                continue
            await self.write(seal=self._plan.seals(loop.time()))
            alive()

    async def flush(self) -> None:
        """Write and seal what waits, if anything does."""
        if self._plan.unsealed_s is not None or any(self._waiting.values()):
            await self.write(seal=True)

    async def write(self, *, seal: bool) -> None:
        """Write and sync all that waits now; with ``seal`` telemetry becomes a batch."""
        plan, now_s = self._plan, asyncio.get_running_loop().time()
        plan.alarm = False
        plan.first_row_s = None
        rows = {stream: tuple(waiting) for stream, waiting in self._waiting.items()}
        for waiting in self._waiting.values():
            waiting.clear()
        plan.unsealed_s = None if seal else plan.unsealed_s
        due = {Stream.ALARM: bool(rows[Stream.ALARM]), Stream.TELEMETRY: seal}
        await self._hand_over(rows, frozenset(stream for stream in Stream if due[stream]))
        plan.sealed_s = now_s if seal else plan.sealed_s
        while self._records and plan.sealed_s > -math.inf:
            await self._write_record(*self._records.popleft())

    async def _hand_over(self, rows: Mapping[Stream, Sequence[Row]], seal: frozenset[Stream]) -> None:
        moment = self.now()
        if Stream.TELEMETRY in seal:
            self._stepped = False
        self._stored(await self._writer.call(_commit(dict(rows), moment, seal)))

    async def _write_record(self, kind: Kind, body: bytes) -> None:
        moment = self.now()
        self._stepped, self._plan.unsealed_s = False, self._plan.first_row_s  # written rows are sealed in front of it
        self._stored(await self._writer.call(lambda keeper: keeper.record(kind, body, Stream.TELEMETRY, moment)))

    def now(self) -> Moment:
        """Return the moment; a step of the clock stays on it until a batch of telemetry has carried it."""
        moment = self._moment()
        self._stepped = self._stepped or moment.clock >= STEPPED
        return replace(moment, clock=moment.clock | STEPPED) if self._stepped else moment

    def _drop(self) -> None:
        if not self.dropped:
            log.error("one write blocks for too long, oldest rows leave: kept=%d", _MOST_WAITING)
        self.dropped += 1


def _commit(rows: dict[Stream, Sequence[Row]], moment: Moment, seal: frozenset[Stream]) -> Callable[[Keeper], Receipt]:
    return lambda keeper: keeper.commit(rows, moment=moment, seal=seal)
