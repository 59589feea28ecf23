"""The book of sensors: which unit each one is, and how long it has worked; kept over restarts in one small file.

The daemon and the commands write the same file. Each writes only what it changed, under a lock of the folder, into a
whole new file; so the daemon learns within seconds what a command accepted, and neither forgets the other's hours.
A file that cannot be read counts as absent: nothing here ever stops a start.
"""

import contextlib
import fcntl
import json
import logging
import math
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent import whole_file

log = logging.getLogger(__name__)

FILE = "sensors.json"
"""Its name, in the folder above the spool."""

HOURS_EVERY_S = 3600.0
"""Hours alone are worth a write this often, in s."""

_RETRY_S = 60.0  # a card that refuses is not asked more often


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of one sensor.

    Attributes:
        driver: Driver or profile that named the unit; empty when nobody has yet.
        identity: The accepted unit, as its driver names it; empty: the next one that proves itself is accepted.
        offered: Another unit that is there instead and waits for `gardu swap`; empty when there is none.
        hours_on: Hours the accepted unit has worked.
    """

    driver: str = ""
    identity: str = ""
    offered: str = ""
    hours_on: float = 0.0


_NOBODY = Entry()


@dataclass(slots=True)
class _Change:
    """What this process wants of one entry; None leaves it as it is."""

    driver: str | None = None
    identity: str | None = None
    offered: str | None = None
    hours_from: float | None = None
    hours_more: float = 0.0

    @property
    def only_hours(self) -> bool:
        return (self.driver, self.identity, self.offered, self.hours_from) == (None, None, None, None)

    def on(self, entry: Entry) -> Entry:
        """Return the entry with this change; hours add up, whoever else counted meanwhile."""
        return Entry(
            driver=entry.driver if self.driver is None else self.driver,
            identity=entry.identity if self.identity is None else self.identity,
            offered=entry.offered if self.offered is None else self.offered,
            hours_on=(entry.hours_on if self.hours_from is None else self.hours_from) + self.hours_more,
        )


class SensorBook:
    """The accepted unit and the hours of each sensor.

    Every method but `save` returns at once; `save` may block as long as the card does and may run in a thread.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._changes: dict[str, _Change] = {}
        self._seen: tuple[int, int] | None = None
        self._due_s = 0.0
        self.refresh()

    # -- what is known ----------------------------------------------------------------------------------------------

    def known(self, sensor: str) -> Entry:
        """Return what is known of a sensor; an empty entry when it is nothing."""
        with self._lock:
            entry = self._entries.get(sensor, _NOBODY)
            change = self._changes.get(sensor)
            return entry if change is None else change.on(entry)

    def hours(self, sensor: str) -> float:
        """Return how long the accepted unit has worked, in hours."""
        return self.known(sensor).hours_on

    def refresh(self) -> bool:
        """Read the file again if another process wrote it; tell whether it did. One stat when it did not."""
        seen = _seen(self._path)
        if seen == self._seen:
            return False
        entries = _read(self._path)
        with self._lock:
            self._seen, self._entries = seen, entries
        return True

    # -- changes ----------------------------------------------------------------------------------------------------

    def accept(self, sensor: str, identity: str, driver: str, *, same_unit: bool = False) -> None:
        """Take a unit as the sensor's own; its hours begin at 0.

        Args:
            sensor: Name of the sensor.
            identity: As its driver names it.
            driver: Which driver or profile that is.
            same_unit: It is the unit that was there before, which now says more of itself: the hours go on.
        """
        self._change(sensor, driver=driver, identity=identity, offered="", hours_from=None if same_unit else 0.0)

    def offer(self, sensor: str, identity: str) -> None:
        """Write down which other unit is there instead of the accepted one; empty text: none any more."""
        if self.known(sensor).offered != identity:
            self._change(sensor, offered=identity)

    def forget(self, sensor: str) -> None:
        """Accept whichever unit proves itself next; the hours begin at 0. For a unit that was replaced."""
        self._change(sensor, driver="", identity="", offered="", hours_from=0.0)

    def add_hours(self, sensor: str, hours: float) -> None:
        """Count working time of the accepted unit, in hours."""
        if hours > 0:
            self._change(sensor, hours_more=hours)

    def _change(
        self,
        sensor: str,
        *,
        driver: str | None = None,
        identity: str | None = None,
        offered: str | None = None,
        hours_from: float | None = None,
        hours_more: float = 0.0,
    ) -> None:
        with self._lock:
            change = self._changes.setdefault(sensor, _Change())
            change.driver = change.driver if driver is None else driver
            change.identity = change.identity if identity is None else identity
            change.offered = change.offered if offered is None else offered
            if hours_from is not None:
                change.hours_from, change.hours_more = hours_from, 0.0
            change.hours_more += hours_more

    # -- the file ---------------------------------------------------------------------------------------------------

    def is_due(self, now_s: float) -> bool:
        """Tell whether to save: at once for who a unit is, once an hour for hours.

        Args:
            now_s: Monotonic time, in s.
        """
        with self._lock:
            if not self._changes:
                return False
            soon = any(not change.only_hours for change in self._changes.values())
        if self._due_s == 0.0:
            self._due_s = now_s + HOURS_EVERY_S
        return now_s >= self._due_s - (HOURS_EVERY_S if soon else 0.0)

    def saved(self, now_s: float, *, ok: bool = True) -> None:
        """Take note of a save and whether the card took it: the next one is due an hour, or a minute, later."""
        self._due_s = now_s + HOURS_EVERY_S + (0.0 if ok else _RETRY_S)

    def save(self) -> None:
        """Write what changed; nothing when nothing did.

        Raises:
            OSError: the card refuses; the changes wait for the next save.
        """
        with self._lock:
            changes = self._changes
            self._changes = {}
            if not changes:
                return
            kept, self._entries = self._entries, _changed(self._entries, changes)  # known() stays right meanwhile
        try:
            with _locked(self._path.parent):
                entries = _changed(_read(self._path), changes)
                _replace(self._path, entries)
                seen = _seen(self._path)
        except OSError:
            with self._lock:
                self._entries = kept
                self._changes = _joined(changes, self._changes)
            raise
        with self._lock:
            self._entries, self._seen = entries, seen


async def keep(
    book: SensorBook,
    durably: Callable[[Callable[[], None]], Awaitable[None]],
    *,
    now_s: Callable[[], float],
    wait: Callable[[], Awaitable[None]],
) -> None:
    """Save and refresh the book until cancelled.

    Args:
        book: The book.
        durably: Runs what may block on the card somewhere else.
        now_s: Monotonic time, in s.
        wait: Waits a few seconds between two looks.
    """
    refused = False
    while True:
        book.refresh()
        if book.is_due(now_s()):
            try:
                await durably(book.save)
            except OSError as error:
                if not refused:
                    log.warning("book of sensors not kept: %s", error)
                refused = True
            else:
                refused = False
            book.saved(now_s(), ok=not refused)
        await wait()


def _changed(entries: dict[str, Entry], changes: dict[str, _Change]) -> dict[str, Entry]:
    return entries | {sensor: change.on(entries.get(sensor, _NOBODY)) for sensor, change in changes.items()}


def _joined(first: dict[str, _Change], then: dict[str, _Change]) -> dict[str, _Change]:
    """Join what was not saved with what came since."""
    joined = dict(first)
    for sensor, later in then.items():
        earlier = joined.get(sensor, _Change())
        begins = later.hours_from is not None
        joined[sensor] = _Change(
            driver=earlier.driver if later.driver is None else later.driver,
            identity=earlier.identity if later.identity is None else later.identity,
            offered=earlier.offered if later.offered is None else later.offered,
            hours_from=later.hours_from if begins else earlier.hours_from,
            hours_more=later.hours_more + (0.0 if begins else earlier.hours_more),
        )
    return joined


def _read(path: Path) -> dict[str, Entry]:
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(body, dict):
        return {}
    found = {sensor: _entry(said) for sensor, said in body.items()}
    return {sensor: entry for sensor, entry in found.items() if entry is not None}


def _entry(said: object) -> Entry | None:
    if not isinstance(said, dict):
        return None
    texts = [said.get(key, "") for key in ("driver", "identity", "offered")]
    hours = said.get("hours_on", 0.0)
    if not all(isinstance(text, str) for text in texts) or not isinstance(hours, int | float):
        return None
    if isinstance(hours, bool) or not math.isfinite(hours) or hours < 0:
        hours = 0.0
    return Entry(driver=texts[0], identity=texts[1], offered=texts[2], hours_on=float(hours))


def _replace(path: Path, entries: dict[str, Entry]) -> None:
    body = {
        sensor: {
            "driver": entry.driver,
            "identity": entry.identity,
            **({"offered": entry.offered} if entry.offered else {}),
            "hours_on": round(entry.hours_on, 3),
        }
        for sensor, entry in sorted(entries.items())
    }
    whole_file.replace(path, json.dumps(body, indent=1) + "\n")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other writers of the folder's book out; the lock ends with the descriptor, whatever happens."""
    with _folder(path) as folder:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _seen(path: Path) -> tuple[int, int] | None:
    """What changes with each whole new file; None when there is none."""
    try:
        known = path.stat()
    except OSError:
        return None
    return known.st_ino, known.st_mtime_ns
