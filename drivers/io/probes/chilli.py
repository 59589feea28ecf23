"""Asks CoovaChilli by its own program, for its socket speaks the memory layout of one build."""

from pathlib import Path

from drivers.driver import Event
from drivers.hotspot.chilli import Chilli
from drivers.hotspot.settings import HotspotSettings
from drivers.io.answers import reason
from drivers.io.program import output
from drivers.probe import Moment

_WITHIN_S = 5.0


class ChilliCollector:
    """One program, once a minute."""

    timeout_s = 8.0

    def __init__(self, settings: HotspotSettings) -> None:
        self.probe = Chilli(settings)
        self.every_s = self.probe.info.every_s
        self._program = Path(settings.chilli)

    async def collect(self, now: Moment) -> list[Event]:
        """Ask for its guests; a program that is missing or forbidden says nothing of the portal."""
        try:
            raw = await output((str(self._program), "list"), within_s=_WITHIN_S)
        except (FileNotFoundError, PermissionError) as error:
            return self.probe.silent("chilli-list", reason(error))
        except OSError as error:
            return self.probe.down(reason(error), now)
        return self.probe.answer("chilli-list", raw, now)

    def close(self) -> None:
        """Nothing stays open."""
