"""Asks hostapd, the radio and the kernel for the access point."""

from pathlib import Path

from drivers.driver import Event
from drivers.hotspot.access_point import AccessPoint
from drivers.hotspot.nl80211 import GET_SURVEY
from drivers.hotspot.settings import HotspotSettings
from drivers.io.answers import file
from drivers.io.hostapd import Control, lets_nobody_in, why
from drivers.io.radio import Radio
from drivers.io.turns import Turns
from drivers.probe import Moment

_MINUTE_S = 60.0


class AccessPointCollector:
    """hostapd each time, the radio and the counters each minute."""

    timeout_s = 12.0

    def __init__(self, settings: HotspotSettings) -> None:
        self.probe = AccessPoint(settings)
        self.every_s = self.probe.info.every_s
        self._traffic = Path(settings.proc) / "net/dev"
        self._control = Control.of(settings, events=True) if settings.hostapd else None
        self._opened = 0
        self._radio = Radio(self.probe, settings.interface)
        self._turns = Turns()

    async def collect(self, now: Moment) -> list[Event]:
        """Ask all that is due."""
        events = await self._hostapd(self._control, now) if self._control else []
        if self._turns.due("minute", _MINUTE_S, now.boot_ns):
            events += file(self.probe, "net-dev", self._traffic, now)
            events += await self._radio.ask("nl80211-survey", GET_SURVEY, now)
        return events

    async def _hostapd(self, control: Control, now: Moment) -> list[Event]:
        try:
            status = await control.ask("STATUS")
        except OSError as error:
            silent = self.probe.silent("hostapd-status", why(error))
            return silent if lets_nobody_in(error) else [*silent, *self.probe.down(now)]
        if control.opened > self._opened > 0:
            self.probe.another()
        self._opened = control.opened
        heard = self.probe.answer("hostapd-events", control.events(), now)
        return [*heard, *self.probe.answer("hostapd-status", status, now)]

    def close(self) -> None:
        """Leave hostapd."""
        if self._control:
            self._control.close()
