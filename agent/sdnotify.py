"""systemd's notify socket: ready, status, watchdog, stopping. Source: sd_notify(3).

The watchdog is fed only while every task has met its own deadline.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Mapping


class Notifier:
    """Speaks to systemd; silent where nobody listens.

    Args:
        environ: Where NOTIFY_SOCKET and WATCHDOG_USEC stand.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        usec = environ.get("WATCHDOG_USEC", "")
        self.watchdog_s = (int(usec) / 1e6 if usec.isdigit() else 0.0) or None
        """systemd ends the process when it is not fed for so long; None without a watchdog."""

    def tell(self, **facts: str) -> None:
        """Send facts, e.g. ``READY="1"``, ``STATUS="..."``. A socket that is gone costs nothing."""
        if not self._address:
            return
        text = "\n".join(f"{key}={value}" for key, value in facts.items())
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.connect(self._address)
            line.send(text.encode())


class Pulse:
    """Knows which tasks are late.

    Args:
        now_s: A steady clock, in s.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._within_s: dict[str, float] = {}
        self._seen_s: dict[str, float] = {}

    def task(self, name: str, within_s: float) -> Callable[[], None]:
        """Return the call by which a task says that it met its deadline; it must come again within so many s."""
        self._within_s[name] = within_s
        self._seen_s[name] = self._now_s()

        def alive() -> None:
            self._seen_s[name] = self._now_s()

        return alive

    def late(self) -> tuple[str, ...]:
        """Return the tasks that missed their deadline."""
        now_s = self._now_s()
        return tuple(name for name, seen_s in self._seen_s.items() if now_s - seen_s > self._within_s[name])
