"""What a month's traffic may cost, with a reserve that is kept for alarms. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Allowed = Literal["all", "alarms", "nothing"]

_PACE_AFTER_DAYS = 3  # before, one busy evening would speak for the whole month
_DECEMBER = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What was used of a month's quota.

    Attributes:
        month: As in ``2026-11``, UTC; empty while no clock could be believed.
        used_bytes: Both ways.
    """

    month: str = ""
    used_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What an interface has carried in one life of its counters.

    Attributes:
        life: Names that life: the boot and the interface's number. With another one the counters began at 0.
        size_bytes: Both ways, since that life began.
    """

    life: str
    size_bytes: int

    def since(self, before: "Total | None") -> int:
        """Return the bytes since an earlier look; nothing at the first one, whose past belongs to an unknown month."""
        if before is None:
            return 0
        is_reset = self.life != before.life or self.size_bytes < before.size_bytes
        return self.size_bytes if is_reset else self.size_bytes - before.size_bytes


class Quota:
    """Counts bytes by the month.

    Args:
        month_bytes: Most bytes a month.
        reserve: Share of it that only alarms may use.
        used: As left by the last process.
    """

    def __init__(self, month_bytes: int, reserve: float, used: Used) -> None:
        self._month_bytes = month_bytes
        self._routine_bytes = round(month_bytes * (1 - reserve))
        self.used = used

    def count(self, size_bytes: int, month: str) -> None:
        """Add bytes. Another month begins at nothing; an empty one is not known and counts on."""
        month = month or self.used.month
        before = self.used.used_bytes if month == self.used.month or not self.used.month else 0
        self.used = Used(month=month, used_bytes=before + size_bytes)

    @property
    def allowed(self) -> Allowed:
        """What may be sent now."""
        if self.used.used_bytes < self._routine_bytes:
            return "all"
        return "alarms" if self.used.used_bytes < self._month_bytes else "nothing"

    @property
    def share(self) -> float:
        """Part of the month's quota that is used; above 1 when more is."""
        return self.used.used_bytes / self._month_bytes

    def pace(self, utc_ms: int | None) -> float | None:
        """Return the part that the month will have used at its end if it goes on so.

        None while the time is not believed, and in the first days, which say little about a month.
        """
        if utc_ms is None:
            return None
        now = datetime.fromtimestamp(utc_ms / 1000, UTC)
        begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        over = begin.month == _DECEMBER
        end = begin.replace(year=begin.year + over, month=1 if over else begin.month + 1)
        passed = now - begin
        return self.share * ((end - begin) / passed) if passed.days >= _PACE_AFTER_DAYS else None


def month_of(utc_ms: int | None) -> str:
    """Return the month of a moment; empty where it is not known."""
    return "" if utc_ms is None else datetime.fromtimestamp(utc_ms / 1000, UTC).strftime("%Y-%m")
