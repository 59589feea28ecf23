"""Asks dnsmasq for its own counters, as texts of class CHAOS."""

import asyncio
import random

from drivers.driver import Event
from drivers.hotspot import dns_message
from drivers.hotspot.dnsmasq_cache import ASKED, DnsmasqCache
from drivers.hotspot.settings import HotspotSettings
from drivers.io import udp
from drivers.io.answers import reason
from drivers.io.names import Names, endpoint
from drivers.probe import AnswerError, Moment

_DNS_PORT = 53
_WITHIN_S = 2.0


class DnsmasqCacheCollector:
    """One question for each counter."""

    timeout_s = 8.0

    def __init__(self, settings: HotspotSettings) -> None:
        self.probe = DnsmasqCache(settings)
        self.every_s = self.probe.info.every_s
        self._host, self._port = endpoint(settings.resolver, _DNS_PORT)
        self._names = Names()

    async def collect(self, now: Moment) -> list[Event]:
        """Ask one after the other."""
        lines = []
        try:
            async with asyncio.timeout(_WITHIN_S):
                address = await self._names.address(self._host)
            for name in ASKED:
                async with asyncio.timeout(_WITHIN_S):
                    texts = await self._texts(address, name)
                lines.append(" ".join([name, *(f'"{text}"' for text in texts)]))
        except OSError as error:
            return self.probe.silent("dnsmasq-chaos", reason(error))
        except AnswerError as error:
            return self.probe.silent("dnsmasq-chaos", str(error))
        return self.probe.answer("dnsmasq-chaos", "\n".join(lines).encode(), now)

    async def _texts(self, address: str, name: str) -> tuple[str, ...]:
        number = random.randrange(1 << 16)  # noqa: S311 - no secret
        request = dns_message.question(name, number=number, kind=dns_message.TXT, of_class=dns_message.CHAOS)
        raw = await udp.ask(address, self._port, request, lambda data: dns_message.answers(data, number))
        texts = dns_message.reply(raw).texts
        if not texts:
            raise AnswerError("it keeps no counters: another program than dnsmasq, or dnsmasq with no-ident")
        return texts[0]

    def close(self) -> None:
        """Nothing stays open."""
