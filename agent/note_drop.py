"""The folder in which notes wait while no agent runs: one file each, whole or not there at all, also after a power cut.

A file leaves only after its note is in the spool. Between the two a power cut leaves both; the note's id tells.
"""

import contextlib
import logging
import os
from pathlib import Path

from agent.notes import LINE_BYTES, NoteError, read
from agent.wire.records import Note

log = logging.getLogger(__name__)

FOLDER = "notes"
"""Name of the folder, beside that of the spool."""

MOST = 256
"""Most notes that wait."""

_END = ".note"
_FOLDER_MODE = 0o700
_MODE = 0o600


class NoteDrop:
    """The notes that wait.

    Args:
        folder: Where; made with the first note.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, note: Note) -> Path:
        """Put a note in, synced; return its file. What root writes belongs to the owner of the folder above.

        Raises:
            OSError: The folder or the disk refuses.
            NoteError: Too many wait.
        """
        self._make()
        if len(self._files()) >= MOST:
            raise NoteError(f"{MOST} notes wait in {self.folder}; start the agent, it takes them in")
        name = "" if note.id is None else note.id.hex()
        path = self.folder / f"{name}{_END}"
        fresh = path.with_suffix(".new")
        owner = self.folder.stat()
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, _MODE)
                _hand_over(descriptor, owner)
                file.write(note.encode())
                file.flush()
                os.fsync(descriptor)
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        _sync(self.folder)
        return path

    def waiting(self) -> list[tuple[Path, Note]]:
        """Return the notes that wait, oldest first; a file that is none is set aside and told."""
        found: list[tuple[Path, Note]] = []
        for path in self._files():
            try:
                with path.open("rb") as file:
                    found.append((path, read(file.read(LINE_BYTES + 1))))
            except NoteError as error:
                log.warning("note set aside: file=%s error=%s", path, error)
                with contextlib.suppress(OSError):
                    path.replace(path.with_suffix(".bad"))
            except OSError as error:
                log.warning("note unreadable: file=%s error=%s", path, error.strerror)
        return found

    def forget(self, path: Path) -> bool:
        """Take a file away that is in the spool; False when the disk refuses, and then it is known by its id."""
        try:
            path.unlink(missing_ok=True)
            _sync(self.folder)
        except OSError:
            return False
        return True

    def _files(self) -> list[Path]:
        try:
            with os.scandir(self.folder) as entries:
                found = [(one.stat(follow_symlinks=False).st_mtime_ns, one.path) for one in entries if _is_note(one)]
        except OSError:
            return []
        return [Path(path) for _, path in sorted(found)]

    def _make(self) -> None:
        try:
            self.folder.mkdir(_FOLDER_MODE)
        except FileExistsError:
            return
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
        try:
            os.fchmod(descriptor, _FOLDER_MODE)
            _hand_over(descriptor, self.folder.parent.stat())
        finally:
            os.close(descriptor)
        _sync(self.folder.parent)


def _is_note(entry: "os.DirEntry[str]") -> bool:
    return entry.name.endswith(_END) and entry.is_file(follow_symlinks=False)


def _hand_over(descriptor: int, owner: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
