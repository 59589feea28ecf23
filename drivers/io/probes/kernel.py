"""Reads the kernel's own counts, and the fan where somebody wants it."""

from pathlib import Path

from drivers.driver import Event
from drivers.host.kernel import Kernel
from drivers.host.settings import HostSettings
from drivers.io.answers import file, read
from drivers.probe import Moment


class KernelCollector:
    """Two or three small files."""

    timeout_s = 2.0

    def __init__(self, settings: HostSettings) -> None:
        self.probe = Kernel(settings)
        self.every_s = self.probe.info.every_s
        self._vmstat, self._sys = Path(settings.proc) / "vmstat", Path(settings.sys)
        self._every_metric = settings.every_metric

    async def collect(self, now: Moment) -> list[Event]:
        """Read them."""
        events = file(self.probe, "kernel-vmstat", self._vmstat, now)
        if self._every_metric and (lines := self._fans()):
            events += self.probe.answer("kernel-fans", b"".join(lines), now)
        return events

    def _fans(self) -> list[bytes]:
        lines = []
        for path in sorted((self._sys / "class/hwmon").glob("hwmon*/fan*_input")):
            try:
                lines.append(b"%s: %s\n" % (path.name.encode(), read(path).strip()))
            except OSError:  # a fan that was just taken away
                continue
        return lines

    def close(self) -> None:
        """Nothing stays open."""
