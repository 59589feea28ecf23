"""How often the box started lately: a small file on the card, written once or twice per start of the box.

A start is dated as soon as the time is believed; one that ended before that is known to lie after the one before it.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from agent import whole_file
from drivers.driver import Event
from drivers.host.kernel import BOOTS
from drivers.reading import Reading

FILE = "boots"
"""Name of the file in the state folder."""

EVERY_S = 60.0
"""Time between two looks, in s."""

_KEPT = 12
_HOUR_S = 3600.0


class Boots:
    """Counts the starts of the last hour.

    Args:
        path: The file.
        boot: Kernel boot id, in hex.
        utc_ms: UTC as believed, in ms; None while it is not.
    """

    def __init__(self, path: Path, boot: str, utc_ms: Callable[[], int | None]) -> None:
        self._path = path
        self._utc_ms = utc_ms
        self._starts = list(_read(path))[-_KEPT:]
        self.is_due = not self._starts or self._starts[-1][0] != boot
        if self.is_due:
            self._starts = [*self._starts, (boot, None)][-_KEPT:]

    def collect(self, now_ns: int) -> list[Event]:
        """Give the count; nothing while the time is not believed."""
        utc_ms = self._utc_ms()
        if utc_ms is None:
            return []
        utc_s = utc_ms / 1000
        boot, dated_s = self._starts[-1]
        if dated_s is None:
            self._starts[-1] = (boot, round(utc_s - now_ns / 1e9, 1))
            self.is_due = True
        value = self._within(utc_s - _HOUR_S)
        return [Reading(sensor="host", channel=BOOTS.name, value=value, unit=BOOTS.unit, boot_ns=now_ns)]

    def save(self) -> None:
        """Put it on the card: whole or not at all. Blocks as long as the card does.

        Raises:
            OSError: The card refuses.
        """
        self.is_due = False
        whole_file.replace(self._path, json.dumps(self._starts))

    def _within(self, since_s: float) -> int:
        """Count what is dated since then, and what has no date but one of these before it."""
        count, is_recent = 0, False
        for _, dated_s in self._starts:
            is_recent = is_recent if dated_s is None else dated_s >= since_s
            count += is_recent
        return count


def _read(path: Path) -> Iterator[tuple[str, float | None]]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        for one in found if isinstance(found, list) else []:
            match one:
                case [str() as boot, None | float() | int() as dated_s]:
                    yield boot, dated_s
