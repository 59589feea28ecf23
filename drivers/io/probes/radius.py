"""Asks the RADIUS server of the guests for its status."""

import asyncio
import os
import random
from pathlib import Path

from drivers.driver import Event
from drivers.hotspot import radius
from drivers.hotspot.settings import HotspotSettings
from drivers.io import udp
from drivers.io.answers import read, reason
from drivers.io.names import Names, endpoint
from drivers.probe import Moment

_PORT = 1812
_WITHIN_S = 2.5
_TRIES = 2


class RadiusCollector:
    """One packet, sent again when it may have been lost. The secret is read each time and kept nowhere."""

    timeout_s = 10.0

    def __init__(self, settings: HotspotSettings) -> None:
        self.probe = radius.Radius(settings)
        self.every_s = self.probe.info.every_s
        self._settings = settings
        self._names = Names(settings.upstream, resolv_conf=Path(settings.resolv_conf))

    async def collect(self, now: Moment) -> list[Event]:
        """Ask for the status."""
        try:
            secret = _secret(self._settings.radius_secret)
        except OSError as error:
            return self.probe.silent(radius.SOURCE, f"file of the shared secret: {reason(error)}")
        host, port = endpoint(self._settings.radius, _PORT)
        try:
            address = await self._names.address(host)
        except OSError as error:
            return self.probe.silent(radius.SOURCE, reason(error))
        try:
            return self.probe.answer(radius.SOURCE, await _ask(address, port, secret), now)
        except TimeoutError:
            return self.probe.down("no answer: it is down, or the secret is wrong", now)
        except OSError as error:
            return self.probe.down(reason(error), now)

    def close(self) -> None:
        """Nothing stays open."""


def _secret(path: str) -> bytes:
    """Read the shared secret, which an editor may have ended with a line end.

    Raises:
        OSError: There is none.
    """
    if not path:
        raise OSError(0, "none is named by radius_secret")
    secret = read(Path(path)).strip()
    if not secret:
        raise OSError(0, "it is empty")
    return secret


async def _ask(address: str, port: int, secret: bytes) -> bytes:
    number = random.getrandbits(8)
    request = radius.status_request(secret, number=number, authenticator=os.urandom(radius.AUTHENTICATOR_BYTES))
    for left in reversed(range(_TRIES)):
        try:
            async with asyncio.timeout(_WITHIN_S):
                return await udp.ask(address, port, request, lambda data: radius.proves(data, request, secret))
        except TimeoutError:
            if not left:
                raise
    raise TimeoutError
