"""The simulated card: real files behind faults. It also slows down, rots, and stops at any call."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from agent.spool.frames import Name
from tests.agent.spool.rig import Card

PLENTY = 2**34
WRITES = frozenset({"append", "sync", "folder sync", "create", "create_reserved", "probe"})


class Gone(BaseException):
    """The process or its power ended in the middle of a call."""


@dataclass(eq=False, slots=True)
class Refusal:
    """A fault of the card.

    Attributes:
        calls: Which calls it hits.
        error: errno.
        share: How often.
    """

    calls: frozenset[str]
    error: int
    share: float = 1.0


@dataclass(eq=False, slots=True)
class Medium:
    """What is true of the card whichever process uses it.

    Attributes:
        chance: Draws.
        sync_s: What a sync takes, in s; the slowest of the faults counts.
        refusals: Faults that hold.
        full: Faults that fill the disk up.
        room: Bytes that are free while it is full: what was removed since; None while there is plenty.
        removed: Told of each segment before it is removed.
    """

    chance: Random
    sync_s: list[float] = field(default_factory=lambda: [0.004])
    refusals: list[Refusal] = field(default_factory=list)
    full: int = 0
    room: int | None = None
    removed: Callable[[str, bytes], None] = lambda _name, _data: None


class SimCard(Card):
    """The card as one process sees it."""

    def __init__(self, folder: Path, medium: Medium) -> None:
        super().__init__(folder)
        self._medium = medium
        self.spent_s = 0.0
        self._kept: set[int] = set()
        self.ends_in: int | None = None
        self.gone = False

    def _call(self, what: str) -> None:
        if self.ends_in is not None:
            self.ends_in -= 1
        if self.gone or (self.ends_in is not None and self.ends_in < 0):
            self.gone = True
            raise Gone
        if what == "sync":
            slowest = max(self._medium.sync_s)
            self.spent_s += slowest * self._medium.chance.random()
        for refusal in self._medium.refusals:
            if what in refusal.calls and self._medium.chance.random() < refusal.share:
                self.error = refusal.error
                self.fails = lambda _: True
                break
        else:
            self.fails = lambda _: False
        super()._call(what)

    def create(self, name: Name) -> int:
        self._use(1)
        return super().create(name)

    def create_reserved(self, name: Name) -> int:
        descriptor = super().create_reserved(name)
        self._kept.add(descriptor)
        return descriptor

    def close(self, descriptor: int) -> None:
        self._kept.discard(descriptor)
        super().close(descriptor)

    def append(self, descriptor: int, data: bytes) -> None:
        if descriptor not in self._kept:
            self._use(len(data))
        super().append(descriptor, data)

    def probe(self, size_bytes: int) -> None:
        self._use(size_bytes)
        self._free(size_bytes)
        super().probe(size_bytes)

    def remove(self, name: Name) -> None:
        path = self.folder / str(name)
        if path.exists():
            data = path.read_bytes()
            self._medium.removed(str(name), data)
            self._free(len(data))
        super().remove(name)

    def free_bytes(self) -> int:
        super().free_bytes()
        return PLENTY if self._medium.room is None else self._medium.room

    def _use(self, size_bytes: int) -> None:
        if self._medium.room is not None:
            if self._medium.room < size_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._medium.room -= size_bytes

    def _free(self, size_bytes: int) -> None:
        if self._medium.room is not None:
            self._medium.room += size_bytes
