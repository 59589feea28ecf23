"""Looks once a minute whether the touch screen was used since."""

from pathlib import Path

from drivers.driver import Event
from drivers.io.answers import reason
from drivers.io.touches import Touches
from drivers.kiosk.settings import KioskSettings
from drivers.kiosk.touch import Touch
from drivers.probe import Moment


class TouchCollector:
    """Remembers the minute of the last touch."""

    timeout_s = 2.0

    def __init__(self, settings: KioskSettings) -> None:
        self.probe = Touch(settings)
        self.every_s = self.probe.info.every_s
        self._touches = Touches(Path(settings.dev) / "input", Path(settings.sys) / "class/input", settings.touch)
        self._last_ns: int | None = None

    async def collect(self, now: Moment) -> list[Event]:
        """Look."""
        try:
            if self._touches.look():
                self._last_ns = now.boot_ns
        except OSError as error:
            return self.probe.silent("touch-last", reason(error))
        said = b"none" if self._last_ns is None else b"%.1f" % ((now.boot_ns - self._last_ns) / 1e9)
        return self.probe.answer("touch-last", said, now)

    def close(self) -> None:
        """Give the devices back."""
        self._touches.close()
