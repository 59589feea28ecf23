"""The demo's folders: one that may stay, and one whose path is short enough for sockets."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.demo.errors import Impossible

_SHORT_BYTES = 80
"""The whole path of a local socket has room for 107 bytes; unix(7)."""
_SHORTEST = "/tmp"  # noqa: S108 - mkdtemp makes a private folder there


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where things are.

    Attributes:
        kept: Keys, configuration, spool, the center's record and logs.
        short: Sockets and pseudo-terminals.
    """

    kept: Path
    short: Path

    @property
    def store(self) -> str:
        """Where the center's record is, as its commands want it."""
        return f"sqlite:{self.kept / 'center.db'}"


@contextlib.contextmanager
def folders(keep: Path | None) -> Iterator[Folders]:
    """Make the folders and remove what need not stay. Raises Impossible.

    Args:
        keep: A new or empty folder that stays; None when nothing does.
    """
    with contextlib.ExitStack() as stack:
        try:
            kept = _kept(keep.absolute()) if keep is not None else Path(stack.enter_context(_temporary(None)))
            fits = len(os.fsencode(tempfile.gettempdir())) <= _SHORT_BYTES
            short = Path(stack.enter_context(_temporary(None if fits else _SHORTEST)))
        except OSError as error:
            raise Impossible(f"no folder for the demo: {error}") from error
        yield Folders(kept=kept, short=short)


def _temporary(parent: str | None) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="gardu-demo-", dir=parent, ignore_cleanup_errors=True)


def _kept(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Impossible(f"{folder} is not empty; --keep wants a new folder")
    return folder
