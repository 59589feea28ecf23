"""Gets the kiosk's page as its browser does."""

import asyncio
import ssl

from drivers.driver import Event
from drivers.io.http import get
from drivers.io.names import Names
from drivers.kiosk.page import LocalPage
from drivers.kiosk.settings import KioskSettings
from drivers.probe import Moment

_WITHIN_S = 10.0


class PageCollector:
    """One GET; a page that does not answer is down, which is an answer too."""

    timeout_s = 15.0

    def __init__(self, settings: KioskSettings) -> None:
        self.probe = LocalPage(settings)
        self.every_s = self.probe.info.every_s
        self._url = settings.page
        self._names = Names()
        self._tls = ssl.create_default_context() if settings.page.startswith("https:") else None

    async def collect(self, now: Moment) -> list[Event]:
        """Get it."""
        try:
            async with asyncio.timeout(_WITHIN_S):
                reply = await get(self._url, self._names, tls=self._tls)
        except OSError:
            return self.probe.answer("page-answer", b"down", now)
        return self.probe.answer("page-answer", b"%d %.1f" % (reply.status, reply.ms), now)

    def close(self) -> None:
        """Nothing stays open."""
