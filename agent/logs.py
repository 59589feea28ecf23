"""Logging to standard error, one line an event, in a form that journald sorts by priority."""

import logging
import os
import sys
from typing import TextIO

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class _Lines(logging.Formatter):
    """Level and module in front for people; under systemd the priority mark of sd-daemon(3) instead of the level."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """Return one event; for journald line breaks are marked, so that it stays one line."""
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        if self._journal:
            text = text.replace("\n", "\\n")
            return f"<{_PRIORITY.get(record.levelno, 5)}>{record.name}: {text}"
        return f"{self.formatTime(record, '%H:%M:%S')} {record.levelname.lower():7} {record.name}: {text}"


def set_up(level: str) -> None:
    """Send everything from ``level`` up to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(journal=_is_journal(sys.stderr)))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _is_journal(stream: TextIO) -> bool:
    """Tell whether journald reads a stream; the variable alone is inherited by every shell. Source: systemd.exec(5)."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
