"""Asks openNDS on its control socket."""

import asyncio
import errno

from drivers.driver import Event
from drivers.hotspot.opennds import Opennds
from drivers.hotspot.settings import HotspotSettings
from drivers.io.answers import reason, stream_reply
from drivers.probe import Moment
from drivers.reading import Reading

_END = b"\r\n\r\n"
_WITHIN_S = 5.0
_NEVER_SEEN = (
    "not there: does openNDS run? a service with a /tmp of its own does not see its usual socket: "
    "start openNDS with -w and name that place, opennds = ..."
)


class OpenndsCollector:
    """One question; a second one only where the answer to the first is not understood."""

    timeout_s = 12.0

    def __init__(self, settings: HotspotSettings) -> None:
        self.probe = Opennds(settings)
        self.every_s = self.probe.info.every_s
        self._socket = settings.opennds
        self._was_there = False

    async def collect(self, now: Moment) -> list[Event]:
        """Ask for the status."""
        events: list[Event] = []
        for source in ("status", "json"):
            try:
                async with asyncio.timeout(_WITHIN_S):
                    raw = await stream_reply(self._socket, source.encode() + _END)
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EPERM):
                    return events + self.probe.silent("opennds-status", reason(error))
                if error.errno == errno.ENOENT and not self._was_there:
                    return events + self.probe.silent("opennds-status", _NEVER_SEEN)
                return events + self.probe.down(reason(error), now)
            self._was_there = True
            events += self.probe.answer(f"opennds-{source}", raw, now)
            if any(isinstance(event, Reading) for event in events):
                break
        return events

    def close(self) -> None:
        """Nothing stays open."""
