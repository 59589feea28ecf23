"""Loads the portal's page and asks its API, as a guest's phone does."""

import asyncio

from drivers.driver import Event
from drivers.hotspot.portal_page import MEDIA_TYPE, PortalApi, PortalPage
from drivers.hotspot.settings import HotspotSettings
from drivers.io import http
from drivers.io.answers import reason
from drivers.io.names import Names
from drivers.probe import Moment

_WITHIN_S = 8.0


class PortalPageCollector:
    """One GET, its names looked up where the guests look them up."""

    timeout_s = 10.0

    def __init__(self, settings: HotspotSettings) -> None:
        self.probe = PortalPage(settings)
        self.every_s = self.probe.info.every_s
        self._url = settings.portal_url
        self._names = Names(settings.resolver)

    async def collect(self, now: Moment) -> list[Event]:
        """Get the page."""
        try:
            async with asyncio.timeout(_WITHIN_S):
                reply = await http.get(self._url, self._names)
        except OSError as error:
            return self.probe.down(reason(error), now)
        return self.probe.answer("portal-page-answer", f"{reply.status} {reply.ms}".encode(), now)

    def close(self) -> None:
        """Nothing stays open."""


class PortalApiCollector:
    """One GET."""

    timeout_s = 10.0

    def __init__(self, settings: HotspotSettings) -> None:
        self.probe = PortalApi(settings)
        self.every_s = self.probe.info.every_s
        self._url = settings.portal_api
        self._names = Names(settings.resolver)

    async def collect(self, now: Moment) -> list[Event]:
        """Ask the API."""
        try:
            async with asyncio.timeout(_WITHIN_S):
                reply = await http.get(self._url, self._names, accept=MEDIA_TYPE)
        except OSError as error:
            return self.probe.wrong(reason(error), now)
        return self.probe.said(reply.status, reply.headers.get("content-type", ""), reply.body, now)

    def close(self) -> None:
        """Nothing stays open."""
