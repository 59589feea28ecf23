"""Disks with a deliberate fault: the proof that the test can fail. Each is a wrong way to write ``Disk``."""

from pathlib import Path

from agent.spool.disk import Disk
from agent.spool.frames import Name


class Sound(Disk):
    """The disk as it is."""

    def finish(self) -> None:
        """Do what a faulty disk has put off; called before a promise is noted."""


class SkipsSyncs(Sound):
    """Returns from a sync at once."""

    def sync(self, descriptor: int, *, new: bool) -> None:
        """Promise without doing."""


class RemovesFirst(Sound):
    """Removes old segments before the gap that names them is synced; all is synced before a call returns."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._late: dict[int, bool] = {}

    def append(self, descriptor: int, data: bytes) -> None:
        """Append behind what is synced by now."""
        self.finish()
        super().append(descriptor, data)

    def sync(self, descriptor: int, *, new: bool) -> None:
        """Put it off."""
        self._late[descriptor] = new

    def close(self, descriptor: int) -> None:
        """Close what is synced by now."""
        self.finish()
        super().close(descriptor)

    def remove(self, name: Name) -> None:
        """Remove at once and for good, before what was appended."""
        super().remove(name)
        self._sync_folder()

    def finish(self) -> None:
        """Do the syncs that were put off."""
        for descriptor, new in list(self._late.items()):
            super().sync(descriptor, new=new)
            del self._late[descriptor]


DISKS: dict[str, type[Sound]] = {"sound": Sound, "skips syncs": SkipsSyncs, "removes first": RemovesFirst}
