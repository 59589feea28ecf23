"""Asks the kernel, and chrony where it runs, for the wall clock."""

import os
import time
from pathlib import Path

from drivers.driver import Event
from drivers.host.settings import HostSettings
from drivers.host.time import Time
from drivers.io.program import program
from drivers.io.timex import clock_words
from drivers.io.turns import Turns
from drivers.probe import Moment

_CHRONY_S = 900.0


class TimeCollector:
    """The kernel each time, chrony four times an hour."""

    timeout_s = 8.0

    def __init__(self, settings: HostSettings) -> None:
        self.probe = Time(settings)
        self.every_s = self.probe.info.every_s
        self._chronyc = Path(settings.chronyc)
        self._socket = Path(settings.run_state) / "chrony"
        self._turns = Turns()

    async def collect(self, now: Moment) -> list[Event]:
        """Ask who keeps the clock."""
        self.probe.ahead(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))
        events = self.probe.answer("time-kernel", clock_words(), now)
        if self._turns.due("chrony", _CHRONY_S, now.boot_ns) and self._runs():
            events += await program(self.probe, "time-chrony", (str(self._chronyc), "-c", "tracking"), now)
        return events

    def _runs(self) -> bool:
        return os.access(self._chronyc, os.X_OK) and os.access(self._socket, os.F_OK)

    def close(self) -> None:
        """Nothing stays open."""
