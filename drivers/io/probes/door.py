"""Reads the line of the door contact."""

from pathlib import Path

from drivers.driver import Event
from drivers.io.answers import reason
from drivers.io.gpio import GpioLine
from drivers.kiosk.door import Door
from drivers.kiosk.settings import KioskSettings
from drivers.probe import Moment


class DoorCollector:
    """One line, held between two looks."""

    timeout_s = 2.0

    def __init__(self, settings: KioskSettings) -> None:
        self.probe = Door(settings)
        self.every_s = self.probe.info.every_s
        self._line = GpioLine(Path(settings.dev) / self.probe.chip, self.probe.offset, self.probe.pull)

    async def collect(self, now: Moment) -> list[Event]:
        """Look."""
        try:
            is_high = self._line.high()
        except OSError as error:
            return self.probe.silent("door-level", reason(error))
        return self.probe.answer("door-level", b"%d" % is_high, now)

    def close(self) -> None:
        """Give the line back."""
        self._line.close()
