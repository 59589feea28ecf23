"""Asks hostapd for its stations, and the radio for what hostapd does not tell."""

from pathlib import Path

from drivers.driver import Event
from drivers.hotspot.guests import Guests
from drivers.hotspot.nl80211 import GET_STATION
from drivers.hotspot.settings import HotspotSettings
from drivers.io.answers import file
from drivers.io.hostapd import Control, why
from drivers.io.radio import Radio
from drivers.probe import Moment

_MOST_STATIONS = 512
_WALKS = 3


class GuestsCollector:
    """A walk through hostapd's list, what happened since the last one, and the radio's own list."""

    timeout_s = 15.0

    def __init__(self, settings: HotspotSettings) -> None:
        self.probe = Guests(settings)
        self.every_s = self.probe.info.every_s
        self._traffic = Path(settings.proc) / "net/dev"
        self._control = Control.of(settings, events=True) if settings.hostapd else None
        self._radio = Radio(self.probe, settings.interface)

    async def collect(self, now: Moment) -> list[Event]:
        """Ask for the stations, and with that known for the rest."""
        events: list[Event] = []
        if self._control:
            try:
                stations = await _walk(self._control)
            except OSError as error:
                return self.probe.silent("hostapd-stations", why(error))
            events += self.probe.answer("hostapd-stations", stations, now)
            events += self.probe.answer("hostapd-events", self._control.events(), now)
        if self._control is None or self.probe.enough:
            events += await self._radio.ask("nl80211-stations", GET_STATION, now)
        return [*events, *file(self.probe, "net-dev", self._traffic, now)]

    def close(self) -> None:
        """Leave hostapd."""
        if self._control:
            self._control.close()


async def _walk(control: Control) -> bytes:
    """Return all stations as ``hostapd_cli all_sta`` prints them; begin again when one leaves meanwhile.

    Raises:
        OSError: hostapd does not answer.
    """
    found: list[bytes] = []
    for _ in range(_WALKS):
        found.clear()
        seen: set[bytes] = set()
        answer = await control.ask("STA-FIRST")
        while answer.strip() and not answer.startswith(b"FAIL"):
            address = answer.partition(b"\n")[0].strip()
            if address in seen or len(found) == _MOST_STATIONS:
                break
            seen.add(address)
            found.append(answer)
            answer = await control.ask(f"STA-NEXT {address.decode('ascii', 'replace')}")
        if not answer.startswith(b"FAIL"):
            break
    return b"Selected interface ''\n" + b"".join(found)
