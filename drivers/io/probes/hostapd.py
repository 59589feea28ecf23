"""Asks hostapd for its counters of the RADIUS server."""

from drivers.driver import Event
from drivers.hotspot.radius_counters import RadiusCounters
from drivers.hotspot.settings import HotspotSettings
from drivers.io.hostapd import Control, why
from drivers.probe import Moment

_NOTHING = (b"", b"FAIL", b"UNKNOWN COMMAND")  # a hostapd without counters


class HostapdCollector:
    """One command."""

    timeout_s = 5.0

    def __init__(self, settings: HotspotSettings) -> None:
        self.probe = RadiusCounters(settings)
        self.every_s = self.probe.info.every_s
        self._control = Control.of(settings, events=False)

    async def collect(self, now: Moment) -> list[Event]:
        """Ask for the counters."""
        try:
            said = await self._control.ask("MIB")
        except OSError as error:
            return self.probe.silent("hostapd-mib", why(error))
        return [] if said.strip() in _NOTHING else self.probe.answer("hostapd-mib", said, now)

    def close(self) -> None:
        """Leave hostapd."""
        self._control.close()
