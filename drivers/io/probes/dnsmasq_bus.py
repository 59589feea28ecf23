"""Asks dnsmasq over D-Bus what it counted."""

from collections.abc import Mapping

from drivers.driver import Event
from drivers.hotspot.dnsmasq import DnsmasqBus
from drivers.hotspot.settings import HotspotSettings
from drivers.io import dbus
from drivers.io.answers import reason
from drivers.probe import Moment

_DNSMASQ = dbus.Interface(
    daemon="uk.org.thekelleys.dnsmasq", path="/uk/org/thekelleys/dnsmasq", name="uk.org.thekelleys.dnsmasq"
)


class DnsmasqBusCollector:
    """One call."""

    timeout_s = 8.0

    def __init__(self, settings: HotspotSettings) -> None:
        self.probe = DnsmasqBus(settings)
        self.every_s = self.probe.info.every_s
        self._bus = dbus.KeptBus(settings.bus)
        self._question = dbus.Question(_DNSMASQ, "GetMetrics")

    async def collect(self, now: Moment) -> list[Event]:
        """Ask for the metrics."""
        try:
            (said,) = await self._bus.ask(self._question)
        except OSError as error:
            return self.probe.silent("dnsmasq-metrics", reason(error))
        match said:
            case (Mapping() as metrics,):
                lines = [f"{name}\t{value}\n" for name, value in metrics.items()]
                return self.probe.answer("dnsmasq-metrics", "".join(lines).encode(), now)
            case dbus.BusError():
                return self.probe.silent("dnsmasq-metrics", reason(said))
            case _:
                return self.probe.silent("dnsmasq-metrics", "it gives no metrics")

    def close(self) -> None:
        """Leave the bus."""
        self._bus.close()
