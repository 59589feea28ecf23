"""The alarms of the running daemon: the rules, what was told before this start, and what `gardu alarms` shows."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from agent.alarm import Change
from agent.alarm_board import Board
from agent.alarm_book import FILE, AlarmBook, keep
from agent.alarms import Alarms
from agent.rule import CLEAR, Rule

_BEAT_S = 10.0  # what is hidden or falls asleep changes without a word
_SOON_S = 1.0  # many alarms decide in one second
_HOUR_MIN = 60


class OwnAlarms:
    """Everything about alarms that outlives a reading.

    Args:
        rules: What is watched.
        card: Folder that survives a power cut.
        run: Folder that lives as long as the machine is up.
        boot: Kernel boot id.
        utc_ms: UTC as believed, in ms; None while it is not.

    Attributes:
        alarms: Where readings go.
    """

    def __init__(
        self, rules: Sequence[Rule], *, card: Path, run: Path, boot: bytes, utc_ms: Callable[[], int | None]
    ) -> None:
        self._utc_ms = utc_ms
        self._book = AlarmBook(card / FILE)
        self._board = Board(run, boot, rules, self._book)
        self._loop = asyncio.get_running_loop()
        self._waits = False
        before = self._book.states()
        names = {rule.name for rule in rules}
        self._book.forget([name for name, state in before.items() if name not in names and state == CLEAR])
        self.alarms = Alarms(rules, before, self._minute)

    def told(self, changes: Sequence[Change]) -> None:
        """Take note of what is being told."""
        self._book.note(changes, self._utc_ms())
        if not self._waits:
            self._waits = True
            self._loop.call_later(_SOON_S, self._show)

    async def keep(self, durably: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        """Keep book and board until cancelled.

        Args:
            durably: Runs what may block on the card somewhere else.
        """

        async def beat() -> None:
            self._show()
            await asyncio.sleep(_BEAT_S)

        await keep(self._book, durably, beat)

    def save(self) -> None:
        """Write what was told last. Blocks as long as the card does; raises OSError."""
        self._book.save()

    def _show(self) -> None:
        self._waits = False
        self._board.show(self.alarms.states())

    def _minute(self, _now_ns: int) -> int | None:
        utc_ms = self._utc_ms()
        if utc_ms is None:
            return None
        local = time.localtime(utc_ms / 1000)
        return local.tm_hour * _HOUR_MIN + local.tm_min
