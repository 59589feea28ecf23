"""Asks for the box's own power: the kernel's alarm first, then the firmware's program, then its old file.

The old file comes last: its first reading makes the kernel log a warning with a backtrace.
"""

import os
from pathlib import Path

from drivers.driver import Event
from drivers.host.power import Power
from drivers.host.settings import HostSettings
from drivers.io.answers import file
from drivers.io.program import program
from drivers.io.turns import Turns
from drivers.probe import Moment

_FIRMWARE_S = 60.0
_SEARCH_S = 3600.0
_OLD_FILE = "devices/platform/soc/soc:firmware/get_throttled"


class PowerCollector:
    """The kernel's file each time, the firmware's program once a minute."""

    timeout_s = 8.0

    def __init__(self, settings: HostSettings) -> None:
        self.probe = Power(settings)
        self.every_s = self.probe.info.every_s
        self._sys = Path(settings.sys)
        self._program = Path(settings.vcgencmd)
        self._every_metric = settings.every_metric
        self._turns = Turns()
        self._alarm: Path | None = None

    async def collect(self, now: Moment) -> list[Event]:
        """Ask whom this box has."""
        if self._alarm is None and self._turns.due("search", _SEARCH_S, now.boot_ns):
            self._alarm = self._find()
        events = file(self.probe, "power-hwmon", self._alarm, now) if self._alarm else []
        if self._alarm and not self._alarm.exists():
            self._alarm = None  # loaded again, it has another number
        if not self._turns.due("firmware", _FIRMWARE_S, now.boot_ns):
            return events
        if os.access(self._program, os.X_OK):
            events += await program(self.probe, "power-throttled", (str(self._program), "get_throttled"), now)
            if self._every_metric:
                command = (str(self._program), "pmic_read_adc", "EXT5V_V")
                events += await program(self.probe, "power-input", command, now)
        elif self._alarm is None and (self._sys / _OLD_FILE).exists():
            events += file(self.probe, "power-throttled", self._sys / _OLD_FILE, now)
        return events

    def _find(self) -> Path | None:
        for folder in sorted((self._sys / "class/hwmon").glob("hwmon*")):
            try:
                if (folder / "name").read_text("ascii").strip() == "rpi_volt":
                    return folder / "in0_lcrit_alarm"
            except (OSError, UnicodeDecodeError):
                continue
        return None

    def close(self) -> None:
        """Nothing stays open."""
