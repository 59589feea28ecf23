"""Reads dnsmasq's file of leases."""

from pathlib import Path

from drivers.driver import Event
from drivers.hotspot.dnsmasq import Dnsmasq
from drivers.hotspot.settings import HotspotSettings
from drivers.io.answers import file
from drivers.probe import Moment


class DnsmasqCollector:
    """One small file."""

    timeout_s = 2.0

    def __init__(self, settings: HotspotSettings) -> None:
        self.probe = Dnsmasq(settings)
        self.every_s = self.probe.info.every_s
        self._leases = Path(settings.leases)

    async def collect(self, now: Moment) -> list[Event]:
        """Read it."""
        return file(self.probe, "dnsmasq-leases", self._leases, now)

    def close(self) -> None:
        """Nothing stays open."""
