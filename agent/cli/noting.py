"""Hands a note to the agent, or keeps it for its next start; and says who speaks."""

import json
import os
import pwd
import socket
import time
from dataclasses import replace
from pathlib import Path

from agent.config.model import Config
from agent.note_drop import FOLDER, NoteDrop
from agent.notes import LINE_BYTES, NoteError, checked
from agent.notes_socket import FILE
from agent.wire.batch import ID_BYTES
from agent.wire.records import Note, Work

_CONNECT_S = 2.0
_ANSWER_S = 20.0  # a card may block one write for seconds

KEPT = {
    "disk": "signed and on disk",
    "memory": "signed, but the card refuses writes: it is lost if the power goes before it has left",
    "folder": "the agent does not run: it waits on disk, and the agent signs it when it starts",
}
"""What is said of a note by where it is kept."""


def author() -> str:
    """Return the login name of who types: behind sudo the person's, not root's."""
    name = os.environ.get("SUDO_USER", "") if os.geteuid() == 0 else ""
    if name:
        return name
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def note(work: Work, sensor: str | None, text: str) -> Note:
    """Return a note of who types.

    Raises:
        NoteError: It may not be kept.
    """
    return checked(Note(work=work, by=author(), sensor=sensor, text=text, id=os.urandom(ID_BYTES)))


def hand_in(config: Config, said: Note) -> str:
    """Give a note to the agent and return where it is now, a key of `KEPT`; durable in any case but ``memory``.

    Raises:
        NoteError: It is nowhere, and why.
    """
    try:
        answer = _ask(Path(config.run_folder) / FILE, said)
    except PermissionError as error:
        raise NoteError("the agent runs, but you may not hand it a note: use sudo, or join its group") from error
    except OSError:
        answer = {}  # not running, or gone before it answered: the id keeps the note from counting twice
    if why := answer.get("refused"):
        raise NoteError(why)
    kept = answer.get("kept", "")
    if kept in KEPT:
        return kept
    drop = NoteDrop(Path(config.spool.folder).parent / FOLDER)
    try:
        drop.keep(replace(said, at_utc_ms=time.time_ns() // 1_000_000))
    except OSError as error:
        cure = "use sudo" if isinstance(error, PermissionError) else "nothing was kept"
        raise NoteError(
            f"the agent does not run, and {drop.folder} refuses the note: {error.strerror}; {cure}"
        ) from error
    return "folder"


def _ask(path: Path, said: Note) -> dict[str, str]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_CONNECT_S)
        client.connect(str(path))
        client.sendall(said.encode() + b"\n")
        client.settimeout(_ANSWER_S)
        data = b""
        while not data.endswith(b"\n") and (more := client.recv(LINE_BYTES)):
            data += more
    if not data.endswith(b"\n"):
        return {}
    found = json.loads(data)
    return found if isinstance(found, dict) else {}
