"""Small files that stand whole or not at all, also after a power cut."""

import contextlib
import os
from pathlib import Path

_MODE = 0o644  # a technician may read it
_NEW = ".new"


def replace(path: Path, text: str, *, durably: bool = True) -> None:
    """Write a new file in place of the old one. Blocks as long as the card does.

    Args:
        path: Where it stands.
        text: All of it.
        durably: It must survive a power cut; not so for what lives in memory only.

    Raises:
        OSError: The card or the folder refuses; the old file stands.
    """
    spare = path.with_name(path.name + _NEW)
    with contextlib.suppress(FileNotFoundError):
        spare.unlink()  # another user's, left by a power cut
    descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(descriptor, _MODE)  # a person's shell may hide what it writes from the agent
        if durably:
            file.flush()
            os.fsync(descriptor)
    spare.replace(path)
    if durably:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
