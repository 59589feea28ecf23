"""hostapd's control socket: commands with their answers, and the events between them.

Two sockets, each bound to a name of its own, since an unbound one is never answered, and since events may overtake the
answer to a command. Both are connected: a hostapd that was killed leaves its socket file behind, and one that was
started again knows nobody; a connected socket tells in both cases that its other end is gone.
"""

import asyncio
import contextlib
import errno
import itertools
import os
import socket
from pathlib import Path

from drivers.hotspot.settings import HotspotSettings
from drivers.io.answers import reason

_ANSWER_S = 2.0
_DATAGRAM_BYTES = 65_536  # hostapd's answers are 4 KiB
_EVENTS_BYTES = 65_536  # about 3000 events between two collections
_NUMBERS = itertools.count()


def lets_nobody_in(error: OSError) -> bool:
    """Return whether hostapd may well be there, but not for us."""
    return error.errno in (errno.EACCES, errno.EPERM)


def why(error: OSError) -> str:
    """Say in words why hostapd gave nothing, and what to do where that is known."""
    if lets_nobody_in(error):
        return "no permission: set ctrl_interface_group in hostapd.conf to a group of the service"
    return reason(error)


class Control:
    """The way to one hostapd; it opens itself when it is used, and again after a restart of either side.

    Args:
        path: hostapd's socket.
        folder: Where our own sockets get their names; the kernel gives them one where that cannot be written.
        events: Whether to listen for events too.

    Attributes:
        opened: How often the way was opened.
    """

    def __init__(self, path: Path, folder: Path, *, events: bool) -> None:
        self.opened = 0
        self._path = path
        self._folder = folder
        self._wants_events = events
        self._commands: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._names: list[Path] = []
        self._heard = bytearray()

    @classmethod
    def of(cls, settings: HotspotSettings, *, events: bool) -> "Control":
        """Return the way to the hostapd of a hotspot."""
        return cls(Path(settings.hostapd) / settings.interface, Path(settings.run) / "gardu", events=events)

    async def ask(self, command: str) -> bytes:
        """Return the answer to a command.

        Raises:
            OSError: hostapd is not there, does not answer in time, or lets nobody in.
        """
        if self._commands is None:
            return await self._exchange(await self._open(), command)
        try:
            return await self._exchange(self._commands, command)
        except ConnectionError:  # hostapd is gone; another one may stand behind the same name
            return await self._exchange(await self._open(), command)

    def events(self) -> bytes:
        """Return the events since the last call, without what they are about, after the OK that began it all."""
        self._hear()
        heard = b"OK\n" + bytes(self._heard)
        self._heard.clear()
        return heard

    def close(self) -> None:
        """Give the sockets back, and their names."""
        if self._listener is not None and self._loop is not None:
            self._loop.remove_reader(self._listener)
        for each in (self._commands, self._listener):
            if each is not None:
                each.close()
        self._commands = self._listener = None
        for name in self._names:
            name.unlink(missing_ok=True)
        self._names.clear()

    async def _open(self) -> socket.socket:
        self._loop = asyncio.get_running_loop()
        self._remove_left_over()
        try:
            self._commands = commands = self._socket()
            await self._exchange(commands, "PING")
            if self._wants_events:
                self._listener = self._socket()
                await self._exchange(self._listener, "ATTACH")
                self._loop.add_reader(self._listener, self._hear)
        except BaseException:
            self.close()
            raise
        self.opened += 1
        return commands

    def _socket(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            made.bind(self._own_name())
            made.connect(str(self._path))
        except OSError:
            made.close()
            raise
        return made

    def _own_name(self) -> str:
        if not os.access(self._folder, os.W_OK | os.X_OK):
            return ""
        name = self._folder / f"hostapd-{os.getpid()}-{next(_NUMBERS)}"
        name.unlink(missing_ok=True)  # of an agent that was killed and had our number
        self._names.append(name)
        return str(name)

    def _remove_left_over(self) -> None:
        """Remove the names of an agent that was killed."""
        for name in self._folder.glob("hostapd-*-*"):
            pid = name.name.split("-")[1]
            if pid.isdigit() and not _lives(int(pid)):
                with contextlib.suppress(OSError):
                    name.unlink()

    async def _exchange(self, line: socket.socket, command: str) -> bytes:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_ANSWER_S):
                await loop.sock_sendall(line, command.encode())
                while (answer := await loop.sock_recv(line, _DATAGRAM_BYTES)).startswith(b"<"):
                    self._keep(answer)
        except BaseException:
            self.close()  # a late answer must not be taken for that to the next command
            raise
        return answer

    def _hear(self) -> None:
        """Take what the listener holds; what an event is about, the address of a guest, is dropped here."""
        with contextlib.suppress(OSError):  # all is read, or the other end is gone: the next command will tell
            while self._listener is not None:
                self._keep(self._listener.recv(_DATAGRAM_BYTES))

    def _keep(self, event: bytes) -> None:
        if event.startswith(b"<") and len(self._heard) < _EVENTS_BYTES:
            self._heard += event.split(b" ", 1)[0].strip() + b"\n"


def _lives(pid: int) -> bool:
    """Return whether a process is there, also one that /proc hides from us."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
