"""What a month's traffic may cost, with a reserve that is kept for alarms. Pure."""

from dataclasses import dataclass
from typing import Literal

Allowed = Literal["all", "alarms", "nothing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What was used of a month's quota.

    Attributes:
        month: As in ``2026-11``, UTC; empty while no clock could be believed.
        used_bytes: Both ways.
    """

    month: str = ""
    used_bytes: int = 0


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
