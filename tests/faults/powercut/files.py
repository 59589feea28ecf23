"""A card at the level of files: what POSIX promises of a folder when the power goes. Pure, but for writing it out.

fsync of a file keeps its bytes, fsync of the folder keeps its names, and neither keeps the other. This is weaker than
any one file system, and it needs neither root nor FUSE.
"""

import random
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.powercut.history import (
    Create,
    FileOp,
    History,
    NameOp,
    Record,
    Rename,
    Resize,
    Sync,
    SyncFolder,
    Unlink,
    Write,
)
from tests.faults.powercut.models import Model, torn

_LYING_OPS = 64
_DATA = (Write, Resize)
_NAMES = (Create, Unlink, Rename)
_ALL = (*_DATA, *_NAMES, Sync, SyncFolder)


@dataclass(slots=True)
class _Folder:
    """Names and files as far as they are sure to be on the card, and what was done since, in order."""

    names: dict[str, int] = field(default_factory=dict)
    files: dict[int, bytes] = field(default_factory=dict)
    unsure: list[FileOp] = field(default_factory=list)

    def copy(self) -> "_Folder":
        return _Folder(dict(self.names), dict(self.files), list(self.unsure))

    def apply(self, op: FileOp) -> None:
        """Do one thing."""
        match op:
            case Create():
                self.names[op.name] = op.file
                self.files.setdefault(op.file, b"")
            case Unlink():
                self.names.pop(op.name, None)
            case Rename():
                if op.old in self.names:
                    self.names[op.new] = self.names.pop(op.old)
            case Resize():
                self.files[op.file] = self.files.get(op.file, b"")[: op.size_bytes].ljust(op.size_bytes, b"\0")
            case Write():
                old = self.files.get(op.file, b"").ljust(op.offset, b"\0")
                self.files[op.file] = old[: op.offset] + op.data + old[op.offset + len(op.data) :]
            case Sync() | SyncFolder():
                pass

    def tear(self, op: Write, chance: random.Random) -> None:
        """Let a write arrive in part; the file may have its new length all the same."""
        old = self.files.get(op.file, b"").ljust(op.offset + len(op.data), b"\0")
        size = len(self.files.get(op.file, b""))
        end = op.offset + len(op.data)
        self.files[op.file] = old[: op.offset] + torn(op.data, chance)(old[op.offset : end]) + old[end:]
        if chance.random() < 0.5:
            self.files[op.file] = self.files[op.file][: max(size, op.offset + chance.randrange(len(op.data) + 1))]


def whole(history: History) -> dict[str, bytes]:
    """Return the files at the end of a history, nothing lost."""
    folder = _Folder()
    for record in history.records:
        if isinstance(record, _ALL):
            folder.apply(record)
    return {name: folder.files[file] for name, file in folder.names.items()}


class FileCuts:
    """States of a folder at cuts that never go back."""

    def __init__(self, history: History, model: Model, chance: random.Random) -> None:
        self._records: list[Record] = history.records
        self._model = model
        self._chance = chance
        self._sure = _Folder()
        self._at = 0

    def state(self, cut: int) -> dict[str, bytes]:
        """Return the files when the power goes just behind record ``cut - 1``."""
        for record in self._records[self._at : cut]:
            if isinstance(record, _ALL):
                self._pass(record)
        self._at = max(self._at, cut)
        folder = self._sure.copy()
        for op in self._sure.unsure:
            self._arrive(folder, op, last=op is self._sure.unsure[-1])
        found = {name: folder.files[file] for name, file in folder.names.items()}
        if self._model is Model.ROT and any(found.values()):
            name = self._chance.choice([name for name, data in found.items() if data])
            at = self._chance.randrange(len(found[name]))
            found[name] = found[name][:at] + bytes([found[name][at] ^ 1 << at % 8]) + found[name][at + 1 :]
        return found

    def _pass(self, op: FileOp) -> None:
        """Let time go by: what a sync covers is sure from now on, on a card that does not lie."""
        sure = self._sure
        sure.unsure.append(op)
        if self._model is Model.LYING:
            late, sure.unsure = sure.unsure[:-_LYING_OPS], sure.unsure[-_LYING_OPS:]
        elif self._model is Model.REORDER:
            late = [one for one in sure.unsure if _covers(op, one)]
            sure.unsure = [one for one in sure.unsure if not _covers(op, one) and one is not op]
            if not isinstance(op, Sync | SyncFolder):
                sure.unsure.append(op)
        else:  # all arrives in order, but perhaps the last
            late, sure.unsure = sure.unsure[:-1], sure.unsure[-1:]
        for one in late:
            sure.apply(one)

    def _arrive(self, folder: _Folder, op: FileOp, *, last: bool) -> None:
        fate = self._chance.random()
        if self._model is Model.ROT or (self._model is Model.PREFIX and not (last and fate < 0.7)) or fate >= 0.65:
            folder.apply(op)
        elif isinstance(op, Write) and fate >= 0.35:
            folder.tear(op, self._chance)
        elif isinstance(op, Create):  # its bytes may be there although its name is not
            folder.files.setdefault(op.file, b"")


def _covers(sync: FileOp, op: FileOp) -> bool:
    """Tell whether a sync makes an operation before it sure."""
    if isinstance(sync, SyncFolder):
        return isinstance(op, NameOp)
    return isinstance(sync, Sync) and isinstance(op, _DATA) and op.file == sync.file


def write_out(folder: Path, files: dict[str, bytes]) -> None:
    """Make a folder that holds just these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)
