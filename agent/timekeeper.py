"""The task that keeps time: asks the sources, hands records to the spool, keeps the floor, and shows what it knows."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from agent.belief import HOUR_MS, Sighting, Source
from agent.clock import WallClock, text_of
from agent.clock_files import ClockFiles
from agent.wire.batch import Kind, Stream
from agent.wire.senml import Row

log = logging.getLogger(__name__)

ALARM = "alarm/center-clock"
"""Row of the alarm stream: the center tells a time that cannot be."""

_LOOK_S = 10.0
_SHOW_MS = 60_000
_RTC_UNCERTAINTY_MS = 600_000  # 20 ppm, what a cheap one drifts, is ten minutes a year
_HALF_SECOND_MS = 500


class Intake(Protocol):
    """Where rows and records go."""

    def take(self, row: Row, stream: Stream) -> None:
        """Take a row."""

    def record(self, kind: Kind, body: bytes) -> None:
        """Take a record of telemetry."""


def rtc_sighting(seconds: int | None, boot_ms: int) -> Sighting | None:
    """Return what the clock of the board says: whole seconds, so on average half a second more has passed."""
    if seconds is None:
        return None
    utc_ms = seconds * 1000 + _HALF_SECOND_MS
    return Sighting(source=Source.RTC, boot_ms=boot_ms, utc_ms=utc_ms, uncertainty_ms=_RTC_UNCERTAINTY_MS)


class Timekeeper:
    """Keeps the time of one process.

    Args:
        wall: The clock.
        files: What it leaves.
        intake: Takes rows and records.
        durably: Runs what blocks on the card, in the thread that owns the card.
        rtc_s: Reads the clock of the board, in s since 1970; None where there is none.
    """

    def __init__(
        self,
        wall: WallClock,
        files: ClockFiles,
        intake: Intake,
        *,
        durably: Callable[[Callable[[], None]], Awaitable[None]],
        rtc_s: Callable[[], int | None],
    ) -> None:
        self._wall = wall
        self._files = files
        self._intake = intake
        self._durably = durably
        self._rtc_s = rtc_s
        self._rtc_due_ms = 0
        self._hand: Sighting | None = None
        self._run = b""
        self._refused = False
        self._card_refuses = False
        self._keep_due_ms = 0
        self._show_due_ms = 0

    def writes(self, run: bytes) -> None:
        """Take note of the run that rows go to; each records its own mappings."""
        if self._run not in (b"", run):
            self._wall.record_anew()
        self._run = run

    async def run(self, alive: Callable[[], None]) -> None:
        """Look every 10 s, for ever."""
        while True:
            await self.look()
            alive()
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> None:
        """Look once."""
        self._ask()
        for record in self._wall.records():
            self._intake.record(Kind.TIME, record.encode())
        self._alarm()
        bounds, now_ms = self._wall.bounds, self._wall.boot_ms()
        if self._files.is_due(bounds) and now_ms >= self._keep_due_ms:
            await self._durably(self._keep)
        if now_ms >= self._show_due_ms:
            self._show_due_ms = now_ms + _SHOW_MS
            self._files.show(self._wall.sightings, bounds)

    def _ask(self) -> None:
        now_ms = self._wall.boot_ms()
        if self._files.take_reset():
            log.warning("time floor lowered to the build, by hand")
            self._wall.reset()
            self._show_due_ms = 0
        hand = self._files.hand()
        if hand is not None and hand != self._hand:
            log.warning("time set by hand: utc=%s", text_of(hand.utc_ms + now_ms - hand.boot_ms))
            self._hand = hand
            self._wall.sees(hand)
            self._show_due_ms = 0
        if now_ms >= self._rtc_due_ms:
            self._rtc_due_ms = now_ms + HOUR_MS
            if (rtc := rtc_sighting(self._rtc_s(), now_ms)) is not None:
                self._wall.sees(rtc)

    def _alarm(self) -> None:
        refused = self._wall.center_refused
        if refused == self._refused:
            return
        self._refused = refused
        if refused:
            log.error("the center tells a time at which our certificates have ended: it is not believed")
        else:
            log.info("the center tells a time again that can be")
        state = "refused" if refused else "clear"
        self._intake.take(Row(path=ALARM, unit="1", boot_ms=self._wall.boot_ms(), value=state), Stream.ALARM)

    def _keep(self) -> None:
        try:
            self._files.keep(self._wall.bounds)
        except OSError as error:
            if not self._card_refuses:
                log.warning("time floor not kept: %s", error)
            self._card_refuses = True
            self._keep_due_ms = self._wall.boot_ms() + HOUR_MS
        else:
            self._card_refuses = False
