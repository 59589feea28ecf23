"""How long a unit has worked, and when its life is over. Pure."""

from typing import Protocol

from drivers.reading import Quality, Reading

_NS_PER_HOUR = 3_600_000_000_000
_PORTION_NS = 60_000_000_000  # a stop of the process loses no more


class Hours(Protocol):
    """How long the unit of each sensor has worked, over restarts."""

    def hours(self, sensor: str) -> float:
        """Return the hours of the unit that is there now; a replaced one begins at 0."""
        ...

    def add_hours(self, sensor: str, hours: float) -> None:
        """Count working time."""
        ...


class Wear:
    """The working time of one sensor's unit: it works while its readings flow.

    Args:
        sensor: Its name.
        lifetime_h: Hours after which it is worn out.
        pause_ns: Longest time between two readings of a unit that works, in ns.
        book: Keeps the hours.
    """

    __slots__ = ("_book", "_lifetime_h", "_pause_ns", "_seen_ns", "_sensor", "_uncounted_ns", "_worn")

    def __init__(self, sensor: str, lifetime_h: float, pause_ns: int, book: Hours) -> None:
        self._sensor = sensor
        self._lifetime_h = lifetime_h
        self._pause_ns = pause_ns
        self._book = book
        self._seen_ns: int | None = None
        self._uncounted_ns = 0
        self._worn = False

    def is_over(self, reading: Reading) -> bool:
        """Count the time up to a reading; tell whether the unit's life is over."""
        now_ns = reading.boot_ns
        asks = self._worn or self._seen_ns is None  # a worn unit may have been replaced
        if self._seen_ns is None:
            self._seen_ns = now_ns
        gap_ns = now_ns - self._seen_ns
        self._seen_ns = max(now_ns, self._seen_ns)
        if 0 < gap_ns <= self._pause_ns and Quality.IDENTITY_CHANGED not in reading.quality:
            self._uncounted_ns += gap_ns
        if self._uncounted_ns >= _PORTION_NS:
            self._book.add_hours(self._sensor, self._uncounted_ns / _NS_PER_HOUR)
            self._uncounted_ns = 0
            asks = True
        if asks:
            self._worn = self._book.hours(self._sensor) >= self._lifetime_h
        return self._worn
