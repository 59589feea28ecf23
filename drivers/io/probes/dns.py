"""Asks the hotspot's own DNS server and the one of the uplink for a name."""

import asyncio
import ipaddress
import random
import time
from pathlib import Path

from drivers.driver import Event
from drivers.hotspot import dns_message
from drivers.hotspot.dns import INVALID, LOCAL, UP, Dns
from drivers.hotspot.settings import HotspotSettings
from drivers.io import udp
from drivers.io.answers import reason
from drivers.io.names import endpoint, servers
from drivers.io.turns import Turns
from drivers.probe import Moment

_PORT = 53
_WITHIN_S = 3.0
_INVALID_S = 300.0
_RANDOM_BITS = 64


class DnsCollector:
    """Two questions each time, a third one each five minutes."""

    timeout_s = 12.0

    def __init__(self, settings: HotspotSettings) -> None:
        self.probe = Dns(settings)
        self.every_s = self.probe.info.every_s
        self._settings = settings
        self._turns = Turns()

    async def collect(self, now: Moment) -> list[Event]:
        """Ask who is there to be asked."""
        events: list[Event] = []
        name = self._settings.dns_name
        for source, server in ((LOCAL, self._settings.resolver), (UP, self._upstream())):
            if server:
                events += await self._look_up(source, server, name, now)
        if self.probe.works(LOCAL) and self._turns.due("invalid", _INVALID_S, now.boot_ns):
            name = f"{random.getrandbits(_RANDOM_BITS):x}.invalid"
            try:
                raw = await self._ask(self._settings.resolver, name)
            except OSError:
                pass  # the look-up before it has told
            else:
                events += self.probe.answer(INVALID, raw, now)
        return events

    async def _look_up(self, source: str, server: str, name: str, now: Moment) -> list[Event]:
        began = time.monotonic()
        try:
            raw = await self._ask(server, name)
        except OSError as error:
            return self.probe.unanswered(source, reason(error), now)
        return self.probe.looked_up(source, raw, round((time.monotonic() - began) * 1000, 2), now)

    async def _ask(self, server: str, name: str) -> bytes:
        number = random.getrandbits(16)
        address, port = endpoint(server, _PORT)
        async with asyncio.timeout(_WITHIN_S):
            return await udp.ask(
                address,
                port,
                dns_message.question(name, number=number),
                lambda data: dns_message.answers(data, number),
            )

    def _upstream(self) -> str:
        """Return the server behind the hotspot's own; empty where nothing names one."""
        if self._settings.upstream:
            return self._settings.upstream
        own, _ = endpoint(self._settings.resolver, _PORT)
        for server in servers(Path(self._settings.resolv_conf)):
            if server != own and not ipaddress.ip_address(server).is_loopback:
                return f"[{server}]" if ":" in server else server
        return ""

    def close(self) -> None:
        """Nothing stays open."""
