"""Reads the kernel's files of the table of connections."""

from pathlib import Path

from drivers.driver import Event
from drivers.hotspot.conntrack import Conntrack
from drivers.hotspot.settings import HotspotSettings
from drivers.io.answers import file
from drivers.probe import Moment

_FILES = {"conntrack-size": "sys/net/netfilter/nf_conntrack_max", "conntrack-statistics": "net/stat/nf_conntrack"}


class ConntrackCollector:
    """Two small files."""

    timeout_s = 2.0

    def __init__(self, settings: HotspotSettings) -> None:
        self.probe = Conntrack(settings)
        self.every_s = self.probe.info.every_s
        self._files = {source: Path(settings.proc) / path for source, path in _FILES.items()}

    async def collect(self, now: Moment) -> list[Event]:
        """Read both files."""
        events: list[Event] = []
        for source, path in self._files.items():
            events += file(self.probe, source, path, now)
        return events

    def close(self) -> None:
        """Nothing stays open."""
