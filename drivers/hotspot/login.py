"""Whether guests who wait before a portal still come through. Pure."""

from drivers.probe import Moment

WAITING = 10
"""Guests that must wait before their waiting means anything."""

PATIENCE_S = 900.0
"""Seconds without one login among them after which logging in counts as broken."""


class Login:
    """Remembers since when many wait and nobody came through."""

    def __init__(self) -> None:
        self._since_ns: int | None = None

    def stuck(self, waiting: int, moved: bool, now: Moment) -> bool:  # noqa: FBT001 - what was seen, not a mode
        """Return whether logging in is broken.

        Args:
            waiting: Guests before the portal now.
            moved: Somebody came through since the last call, or the count of logins began anew.
            now: When this was seen.
        """
        if waiting < WAITING:
            self._since_ns = None
            return False
        if moved or self._since_ns is None:
            self._since_ns = now.boot_ns
        return now.boot_ns - self._since_ns >= PATIENCE_S * 1e9
