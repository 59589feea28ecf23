"""What still has to reach the center, and when it last answered: the agent's own part of the sensor ``svc``."""

from collections.abc import Callable

from drivers.driver import Event
from drivers.host.units import SYNC_AGE, SYNC_BACKLOG
from drivers.reading import Reading

EVERY_S = 60.0
"""Time between two looks, in s."""


class SyncProbe:
    """Gives two readings.

    Args:
        backlog: Batches that the center has not settled.
        answered_s: Seconds since the center's last ack; None while there was none in this run.
    """

    def __init__(self, backlog: Callable[[], int], answered_s: Callable[[], float | None]) -> None:
        self._backlog = backlog
        self._answered_s = answered_s

    def collect(self, now_ns: int) -> list[Event]:
        """Look once."""
        found = [(SYNC_BACKLOG, self._backlog()), (SYNC_AGE, self._answered_s())]
        return [
            Reading(sensor="svc", channel=channel.name, value=round(value), unit=channel.unit, boot_ns=now_ns)
            for channel, value in found
            if value is not None
        ]
