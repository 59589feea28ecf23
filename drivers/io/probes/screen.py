"""Reads what the kernel says of the connector of the screen."""

from pathlib import Path

from drivers.driver import Event
from drivers.io.answers import read
from drivers.kiosk.screen import Screen
from drivers.kiosk.settings import KioskSettings
from drivers.probe import Moment

_FILES = ("status", "enabled", "dpms")
_PANELS = ("DSI", "DPI", "eDP", "LVDS")  # a backlight belongs to these; a monitor has its own


class ScreenCollector:
    """Three or four small files."""

    timeout_s = 5.0

    def __init__(self, settings: KioskSettings) -> None:
        self.probe = Screen(settings)
        self.every_s = self.probe.info.every_s
        self._wanted = settings.screen
        self._sys = Path(settings.sys)

    async def collect(self, now: Moment) -> list[Event]:
        """Read the named connector; of any, the first with a screen."""
        folder = self._find()
        if folder is None:
            return self.probe.silent("screen-connector", f"no connector {self._wanted} in /sys/class/drm")
        lines = [f"{name}: {text}" for name in _FILES if (text := _text(folder / name))]
        if folder.name.partition("-")[2].startswith(_PANELS):
            lights = sorted((self._sys / "class/backlight").glob("*/bl_power"))
            lines += [f"bl_power: {_text(path)}" for path in lights[:1]]
        return self.probe.answer("screen-connector", "\n".join(lines).encode(), now)

    def _find(self) -> Path | None:
        pattern = "card*-*" if self._wanted == "any" else f"card*-{self._wanted}"
        found = [path for path in sorted((self._sys / "class/drm").glob(pattern)) if "Writeback" not in path.name]
        return next((path for path in found if _text(path / "status") == "connected"), found[0] if found else None)

    def close(self) -> None:
        """Nothing stays open."""


def _text(path: Path) -> str:
    try:
        return read(path).decode("ascii", "replace").strip()
    except OSError:
        return ""
