"""Notes of people at the box: what one may say, and the line in which it is handed to the agent. Pure."""

import re

from agent.errors import AgentError
from agent.wire.batch import ID_BYTES
from agent.wire.errors import WireError
from agent.wire.records import Note, decode_note

TEXT_BYTES = 500
"""Longest text, in UTF-8."""
BY_BYTES = 64
"""Longest name of who says it, in UTF-8."""
LINE_BYTES = 4096
"""Longest line of a note: text and name, each character escaped at most six times, and the rest."""

_SENSOR = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


class NoteError(AgentError):
    """A note cannot be taken; the text is for the person who wrote it."""


def checked(note: Note) -> Note:
    """Return the note if it may be kept.

    Raises:
        NoteError: It may not.
    """
    if note.id is None or len(note.id) != ID_BYTES:
        raise NoteError("the note has no id")
    if note.sensor is not None and not _SENSOR.fullmatch(note.sensor):
        raise NoteError(f"{note.sensor!r} is no name of a sensor")
    if not note.text and note.sensor is None:
        raise NoteError("the note says nothing; write what was done")
    _check("text", note.text, TEXT_BYTES)
    _check("name", note.by, BY_BYTES)
    if not note.by.strip():
        raise NoteError("nobody says the note; log in under a name")
    return note


def read(line: bytes) -> Note:
    """Read a note as `Note.encode` wrote it.

    Raises:
        NoteError: It is none, or may not be kept.
    """
    try:
        return checked(decode_note(line))
    except WireError as error:
        raise NoteError(f"this is no note: {error}") from error


def _check(what: str, text: str, most_bytes: int) -> None:
    odd = next((letter for letter in text if not letter.isprintable()), None)
    if odd is not None:
        raise NoteError(f"the {what} holds a character that cannot be shown ({odd!r}); write it as one plain line")
    size_bytes = len(text.encode())
    if size_bytes > most_bytes:
        raise NoteError(f"the {what} is too long: {size_bytes} bytes, at most {most_bytes}; shorten it")
