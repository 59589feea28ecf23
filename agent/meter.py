"""The meter of a link that is paid by the byte: keeps the month's count on the card, so that no restart forgets it.

It counts what the agent's own connections cost, or all that an interface carries, guests' traffic too. A power cut
forgets what was counted since the last save: a few minutes, or a thousandth of the quota where that is more.
"""

import contextlib
import json
import logging
import os
import zlib
from collections.abc import Callable
from pathlib import Path

from agent.quota import Allowed, Quota, Total, Used, month_of

log = logging.getLogger(__name__)

FILE = "quota"
"""Its name, in the folder above the spool."""

_SAVE_EVERY_S = 300.0
_WORTH_SAVING = 1000  # parts of the quota; what is less spares the card
_SAID = {
    "all": "quota: everything leaves again",
    "alarms": "quota used up but for the reserve, only alarms leave until the month ends",
    "nothing": "quota and its reserve used up, nothing leaves until the month ends",
}


class Meter:
    """Counts what connections cost and says what may still leave.

    Args:
        path: File of the count; one that cannot be read counts as absent.
        month_bytes: Most bytes a month.
        reserve: Share of it that only alarms may use.
        utc_ms: UTC as believed; None counts on in the month that was.
        interface: Reads what an interface has carried, None while it is not there; then connections cost nothing more.

    Attributes:
        quota: The count.
    """

    def __init__(
        self,
        path: Path,
        month_bytes: int,
        reserve: float,
        utc_ms: Callable[[], int | None],
        *,
        interface: Callable[[], Total | None] | None = None,
    ) -> None:
        self._path = path
        self._utc_ms = utc_ms
        self._interface = interface
        self._worth_bytes = month_bytes // _WORTH_SAVING
        used, self._total = _read(path)
        self.quota = Quota(month_bytes, reserve, used)
        self._saved = used
        self._saved_life = self._total.life if self._total else ""
        self._worth_keeping = used, self._total  # one object: the thread that saves never meets halves of two looks
        self._saved_s = 0.0
        self._seen_bytes = 0
        self._said: Allowed = "all"

    @property
    def used(self) -> Used:
        """What was used this month."""
        return self.quota.used

    def begin(self) -> None:
        """Begin to count a new connection."""
        self._seen_bytes = 0

    def see(self, total_bytes: int | None = None) -> Allowed:
        """Take what the connection has cost so far, if there is one; return what may leave now."""
        cost = 0 if total_bytes is None else max(0, total_bytes - self._seen_bytes)
        self._seen_bytes += cost
        return self._count(cost if self._interface is None else 0)

    def look(self) -> Allowed:
        """Count what the interface has carried since the last look, if an interface is counted."""
        total = None if self._interface is None else self._interface()
        cost = 0 if total is None else total.since(self._total)
        self._total = total or self._total
        return self._count(cost)

    def _count(self, cost: int) -> Allowed:
        self.quota.count(cost, month_of(self._utc_ms()))
        self._worth_keeping = self.used, self._total
        allowed = self.quota.allowed
        if allowed != self._said:
            log.warning("%s: used=%d B month=%s", _SAID[allowed], self.used.used_bytes, self.used.month or "unknown")
            self._said = allowed
        return allowed

    def due(self, now_s: float, *, is_end: bool = False) -> bool:
        """Tell whether to save: every few minutes and at the end of a connection, when there is enough to save."""
        used, saved = self.used, self._saved
        worth = used.month != saved.month or used.used_bytes - saved.used_bytes > self._worth_bytes
        worth = worth or (self._total is not None and self._total.life != self._saved_life)
        if not worth or not (is_end or now_s >= self._saved_s + _SAVE_EVERY_S):
            return False
        self._saved_s = now_s
        return True

    def save(self) -> None:
        """Write the count; may block. A card that refuses costs no more than the count since the last save."""
        used, total = self._worth_keeping
        counters = {} if total is None else {"life": total.life, "total": total.size_bytes}
        body = json.dumps({"month": used.month, "bytes": used.used_bytes, **counters})
        spare = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            with spare.open("w", encoding="ascii") as file:
                file.write(f"{zlib.crc32(body.encode()):08x} {body}\n")
                file.flush()
                os.fsync(file.fileno())
            spare.replace(self._path)
            self._saved = used
            self._saved_life = "" if total is None else total.life


def _read(path: Path) -> tuple[Used, Total | None]:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        check, _, body = path.read_text("ascii").strip().partition(" ")
        if int(check, 16) == zlib.crc32(body.encode()):
            found = json.loads(body)
            total = Total(life=str(found["life"]), size_bytes=int(found["total"])) if "life" in found else None
            return Used(month=str(found["month"]), used_bytes=int(found["bytes"])), total
    return Used(), None
