"""Sends echoes to the gateway and beyond it, then asks pages that everybody can reach."""

import asyncio
import errno
from pathlib import Path

from drivers.driver import Event
from drivers.hotspot import echo, wan
from drivers.hotspot.routes import DefaultRoute
from drivers.hotspot.settings import HotspotSettings
from drivers.io import http, icmp
from drivers.io.answers import reason
from drivers.io.names import Names
from drivers.io.probes.uplink import default_route
from drivers.probe import Moment

_PAGE_S = 5.0
_ECHOES_S = 3.0  # none of five answered
_SPARE_S = 10.0
_KEEP_NAMES_S = 290.0  # probe `dns` asks for names each time; waking up for another answer costs more than reading it
_NOT_ALLOWED = "the kernel allows no echoes: set net.ipv4.ping_group_range to hold the service's group"


class WanCollector:
    """Five echoes to the gateway and to one host beyond it; the next host or page only where one gives nothing."""

    def __init__(self, settings: HotspotSettings) -> None:
        self.probe = wan.Wan(settings)
        self.every_s = self.probe.info.every_s
        self.timeout_s = _SPARE_S + _ECHOES_S * len(settings.ping) + _PAGE_S * len(settings.checks)
        self._settings = settings
        self._proc = Path(settings.proc)
        self._names = Names(settings.upstream, resolv_conf=Path(settings.resolv_conf), keep_s=_KEEP_NAMES_S)

    async def collect(self, now: Moment) -> list[Event]:
        """Send the echoes, then get the pages, so that neither slows the other."""
        route = default_route(self._proc)
        return [*await self._echoes(route, now), *await self._pages(route, now)]

    async def _echoes(self, route: DefaultRoute | None, now: Moment) -> list[Event]:
        named = []
        if route is not None and route.gateway is not None:
            named.append(("gateway", icmp.Target(address=route.gateway, interface=route.interface)))
        first, *others = self._settings.ping or ("",)
        if first:
            named.append(("net", icmp.Target(address=first)))
        if not named:
            return []
        events: list[Event] = []
        try:
            round_trips = await icmp.echoes([target for _, target in named])
            found = {name: each for (name, _), each in zip(named, round_trips, strict=True)}
            for address in others:
                if any(each is not None for each in found["net"]):
                    break
                (found["net"],) = await icmp.echoes([icmp.Target(address=address)])
        except OSError as error:
            why = _NOT_ALLOWED if error.errno in {errno.EACCES, errno.EPERM} else reason(error)
            return self.probe.silent("wan-echoes", why)
        for name, each in found.items():
            events += self.probe.answer(f"wan-{name}", echo.spelled(name, each), now)
        return [*self.probe.heard("wan-echoes"), *events]

    async def _pages(self, route: DefaultRoute | None, now: Moment) -> list[Event]:
        answers: dict[bytes, float] = {}
        why, names_work = "none is asked", False
        for url in self._settings.checks:
            try:
                async with asyncio.timeout(_PAGE_S):
                    reply = await http.get(url, self._names, body_bytes=0)
            except OSError as error:
                why = reason(error)
                await self._names.still_work()
            else:
                answers[reply.head] = reply.ms
                if wan.is_online(reply.head):
                    break
            names_work |= self._names.work
        if answers:
            best = wan.best(tuple(answers))
            took = self.probe.took(answers[best], now) if wan.is_online(best) else []
            return [*self.probe.answer("wan-check", best, now), *took]
        return self.probe.unanswered(why, names_work=names_work, has_route=route is not None, now=now)

    def close(self) -> None:
        """Nothing stays open."""
