"""Asks the kernel for the card and its file system."""

import os
from pathlib import Path

from drivers.driver import Event
from drivers.host.settings import HostSettings
from drivers.host.storage import Storage, disk_of
from drivers.io.answers import file, reason
from drivers.io.turns import Turns
from drivers.probe import Moment

_MINUTES_S = 300.0
_DAY_S = 86_400.0
_EXT4 = ("errors_count", "last_error_time", "lifetime_write_kbytes")


class StorageCollector:
    """The mounts each minute, room and errors each five, wear once a day."""

    timeout_s = 10.0

    def __init__(self, settings: HostSettings) -> None:
        self.probe = Storage(settings)
        self.every_s = self.probe.info.every_s
        self._settings = settings
        self._proc, self._sys = Path(settings.proc), Path(settings.sys)
        self._mounts, self._devices = self._proc / "self/mountinfo", self._sys / "dev/block"
        self._turns = Turns()

    async def collect(self, now: Moment) -> list[Event]:
        """Ask what is due."""
        events = file(self.probe, "storage-mounts", self._mounts, now)
        self._name_device()
        if self._settings.every_metric:
            events += file(self.probe, "storage-busy", self._proc / "diskstats", now)
        if self._turns.due("room", _MINUTES_S, now.boot_ns):
            events += self._room(now) + self._ext4(now)
        if self._turns.due("wear", _DAY_S, now.boot_ns):
            folder = self._sys / "block" / disk_of(self.probe.device) / "device"
            for source, name in (("storage-mmc-life", "life_time"), ("storage-mmc-preeol", "pre_eol_info")):
                if (folder / name).exists():  # an SD card has none
                    events += file(self.probe, source, folder / name, now)
        return events

    def _name_device(self) -> None:
        """Give the device the kernel's own name: mountinfo may call it /dev/root."""
        try:
            self.probe.device = (self._devices / self.probe.number).readlink().name
        except OSError:  # no block device, or none known yet
            return

    def _room(self, now: Moment) -> list[Event]:
        try:
            found = os.statvfs(self._settings.root)
        except OSError as error:
            return self.probe.silent("storage-room", reason(error))
        used, total = found.f_blocks - found.f_bfree, found.f_blocks - found.f_bfree + found.f_bavail
        inodes_used = found.f_files - found.f_ffree
        return self.probe.answer("storage-room", b"%d %d %d %d" % (used, total, inodes_used, found.f_files), now)

    def _ext4(self, now: Moment) -> list[Event]:
        folder = self._sys / "fs/ext4" / self.probe.device
        if not self.probe.device or not folder.exists():  # another file system
            return []
        lines = []
        for name in _EXT4:
            try:
                lines.append(f"{name}: {(folder / name).read_text('ascii').strip()}")
            except (OSError, UnicodeDecodeError):
                continue
        return self.probe.answer("storage-ext4", "\n".join(lines).encode(), now)

    def close(self) -> None:
        """Nothing stays open."""
