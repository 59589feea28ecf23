"""How often the agent was started since a run last left something on the card.

The count lives in the run folder, which is memory: a crash loop must not write to the card.
"""

import contextlib
from pathlib import Path

_FILE = "restarts"


class Restarts:
    """Counts starts; ``before`` is their number since the last run that wrote, None where nobody can count."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self.before: int | None = None
        self._counted = True

    def begin(self) -> None:
        """Count this start."""
        try:
            text = self._path.read_text("ascii")
        except FileNotFoundError:
            text = "0"
        except (OSError, UnicodeDecodeError):
            return
        self.before = int(text) if text.isdigit() else 0
        self._write(self.before + 1)

    def left_something(self) -> None:
        """Begin to count anew: this run is on the card. Only the first call costs anything."""
        if self._counted:
            self._counted = False
            self._write(0)

    def _write(self, count: int) -> None:
        with contextlib.suppress(OSError):
            self._path.write_text(str(count), "ascii")
