"""Reads which devices are plugged into the USB sockets."""

from pathlib import Path

from drivers.driver import Event
from drivers.io.answers import read
from drivers.kiosk.settings import KioskSettings
from drivers.kiosk.usb import Usb
from drivers.probe import Moment


class UsbCollector:
    """Two small files a device."""

    timeout_s = 5.0

    def __init__(self, settings: KioskSettings) -> None:
        self.probe = Usb(settings)
        self.every_s = self.probe.info.every_s
        self._folder = Path(settings.sys) / "bus/usb/devices"

    async def collect(self, now: Moment) -> list[Event]:
        """Read them all."""
        if not self._folder.is_dir():
            return self.probe.silent("usb-devices", "not there")
        lines = []
        for path in sorted(self._folder.glob("*/idVendor")):
            try:
                lines.append(read(path).strip() + b":" + read(path.with_name("idProduct")).strip())
            except OSError:  # unplugged this moment
                continue
        return self.probe.answer("usb-devices", b"\n".join(lines), now)

    def close(self) -> None:
        """Nothing stays open."""
