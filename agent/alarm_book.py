"""The book of alarms: what was told last of each, kept over restarts in one small file.

So a restart tells nothing twice, and an alarm that nobody watches any more is closed. A file that cannot be read counts
as absent: nothing here ever stops a start.
"""

import json
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent import whole_file
from agent.alarm import Change
from agent.rule import CLOSED

log = logging.getLogger(__name__)

FILE = "alarms.json"
"""Its name, in the folder above the spool, and that of the snapshot in the run folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was told last of an alarm.

    Attributes:
        state: As in its row.
        utc_ms: When, as far as the time was believed.
    """

    state: str
    utc_ms: int | None


class AlarmBook:
    """What was told last. `save` may block as long as the card does and may run in a thread.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._entries = _read(path)
        self._is_due = False

    def states(self) -> dict[str, str]:
        """Return the last state of each alarm, by name."""
        return {name: each.state for name, each in self._entries.items()}

    def told(self, name: str) -> Told | None:
        """Return what was told last of an alarm."""
        return self._entries.get(name)

    def note(self, changes: Sequence[Change], utc_ms: int | None) -> None:
        """Take note of what is being told. A closed alarm is forgotten."""
        with self._lock:
            for change in changes:
                if change.state == CLOSED:
                    self._entries.pop(change.alarm, None)
                else:
                    self._entries[change.alarm] = Told(state=change.state, utc_ms=utc_ms)
                self._is_due = True

    def forget(self, names: Sequence[str]) -> None:
        """Forget alarms that nobody watches any more and that were clear."""
        with self._lock:
            for name in names:
                self._is_due |= self._entries.pop(name, None) is not None

    @property
    def is_due(self) -> bool:
        """Whether something changed since it was saved."""
        return self._is_due

    def save(self) -> None:
        """Write it; nothing when nothing changed.

        Raises:
            OSError: the card refuses; it waits for the next save.
        """
        with self._lock:
            if not self._is_due:
                return
            body = {name: {"state": each.state, "utc_ms": each.utc_ms} for name, each in sorted(self._entries.items())}
            self._is_due = False
        try:
            whole_file.replace(self._path, json.dumps(body, indent=1) + "\n", durably=True)
        except OSError:
            self._is_due = True
            raise


async def keep(
    book: AlarmBook, durably: Callable[[Callable[[], None]], Awaitable[None]], wait: Callable[[], Awaitable[None]]
) -> None:
    """Save the book when it changed, until cancelled.

    Args:
        book: The book.
        durably: Runs what may block on the card somewhere else.
        wait: Waits a few seconds between two looks.
    """
    refused = False
    while True:
        if book.is_due:
            try:
                await durably(book.save)
            except OSError as error:
                if not refused:
                    log.warning("book of alarms not kept: %s", error)
                refused = True
            else:
                refused = False
        await wait()


def _read(path: Path) -> dict[str, Told]:
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(body, dict):
        return {}
    found = {name: _told(said) for name, said in body.items()}
    return {name: told for name, told in found.items() if told is not None}


def _told(said: object) -> Told | None:
    if not isinstance(said, dict) or not isinstance(said.get("state"), str):
        return None
    utc_ms = said.get("utc_ms")
    is_time = isinstance(utc_ms, int) and not isinstance(utc_ms, bool)
    return Told(state=said["state"], utc_ms=utc_ms if is_time else None)
