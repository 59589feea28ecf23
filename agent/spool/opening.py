"""Opening: segments into an index. A bad byte, a torn tail or a card that stutters stops no start."""

import contextlib
import logging

from agent.spool.disk import Medium
from agent.spool.frames import Name
from agent.spool.index import Index

log = logging.getLogger(__name__)

_READ_TRIES = 3


class Opener:
    """Reads whole segments."""

    def __init__(self, disk: Medium) -> None:
        self._disk = disk

    def load(self, index: Index) -> None:
        """Take all segments into an index. Raises SpoolError: the folder itself cannot be used."""
        for name in self._disk.prepare():
            self._load(name, index)

    def _load(self, name: Name, index: Index) -> None:
        data: bytes | None = None
        try:
            data = self.read(name)
            end = index.load(name, data)
            if end < len(data):
                self._disk.cut(name, end)
        except OSError as error:
            log.warning("segment %s: segment=%s error=%s", "unreadable" if data is None else "not cut", name, error)
            if data is None:
                index.damaged += 1
                index.counter = max(index.counter, name.counter)

    def read(self, name: Name) -> bytes:
        """Return a segment; a card may fail once and then read well. Raises OSError."""
        for _ in range(_READ_TRIES - 1):
            with contextlib.suppress(OSError):
                return self._disk.read(name)
        return self._disk.read(name)
