"""The local socket on which the daemon tells every reading to whoever listens: `gardu read`, scripts.

Each line is one SenML pack (RFC 8428): a reading and behind it its flags, one record each, named ``.../quality``.
``t`` is seconds before the moment of sending. First comes the last reading of each channel, then the line ``[]``,
then every reading as it comes. What a client sends is ignored.
"""

import asyncio
import errno
import json
import logging
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from drivers.io.serial_port import boot_clock_ns
from drivers.reading import Reading

log = logging.getLogger(__name__)

FILE = "readings.sock"
"""Name of the socket in the run folder."""

CLIENTS = 8
"""Most clients at a time; one more is turned away."""

_MODE = 0o660
_BACKLOG_BYTES = 64 * 1024  # a client that is so far behind does not read
_CHANNELS = 4096  # most channels remembered: far more than a node has
_RETRY_S = 60.0
_MS_PER_NS = 1_000_000


class ReadingsSocket:
    """Hands readings to local clients; without clients it only remembers the last of each channel."""

    def __init__(self, *, boot_ns: Callable[[], int] = boot_clock_ns) -> None:
        self._boot_ns = boot_ns
        self._last: dict[tuple[str, str], Reading] = {}
        self._clients: set[_Client] = set()

    async def serve(self, path: Path) -> None:
        """Listen until cancelled; a folder that refuses the socket costs the socket, not the daemon."""
        told = False
        while True:
            try:
                listener = bind(path)
            except OSError as error:
                if not told:
                    log.warning("readings socket off: path=%s error=%s", path, error.strerror or error)
                    told = True
                await asyncio.sleep(_RETRY_S)
                continue
            await self._serve(listener, path, _inode(path))

    def publish(self, reading: Reading) -> None:
        """Tell all clients of a reading; never waits."""
        key = (reading.sensor, reading.channel)
        if key in self._last or len(self._last) < _CHANNELS:
            self._last[key] = reading
        if not self._clients:
            return
        line = pack_line(reading, self._boot_ns())
        for client in tuple(self._clients):
            client.tell(line)

    def connected(self, client: "_Client") -> bool:
        """Take a client in and tell it the last readings; False when there is no room."""
        if len(self._clients) >= CLIENTS:
            return False
        self._clients.add(client)
        now_ns = self._boot_ns()
        client.tell(b"".join([pack_line(reading, now_ns) for reading in self._last.values()] + [b"[]\n"]))
        return True

    def gone(self, client: "_Client") -> None:
        """Forget a client."""
        self._clients.discard(client)

    async def _serve(self, listener: socket.socket, path: Path, inode: int) -> None:
        loop = asyncio.get_running_loop()
        # Not serving yet: then it does not wait, and a cancellation cannot come between making and owning it.
        server = await loop.create_unix_server(lambda: _Client(self), sock=listener, start_serving=False)
        try:
            await server.serve_forever()
        finally:
            server.close()
            for client in tuple(self._clients):
                client.drop()
            _unlink_own(path, inode)


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, owner: ReadingsSocket) -> None:
        self._owner = owner
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.WriteTransport):
            raise TypeError(transport)
        self._transport = transport
        if not self._owner.connected(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it went makes no difference
        self._owner.gone(self)

    def tell(self, line: bytes) -> None:
        if self._transport is None:
            return
        self._transport.write(line)
        behind = self._transport.get_write_buffer_size()
        if behind > max(_BACKLOG_BYTES, len(line)):
            log.info("reader dropped: bytes_behind=%d", behind)
            self.drop()

    def drop(self) -> None:
        self._owner.gone(self)
        if self._transport is not None:
            self._transport.abort()


def pack_line(reading: Reading, now_ns: int) -> bytes:
    """Return a reading and its flags as one line."""
    name = f"{reading.sensor}/{reading.channel}"
    record: dict[str, str | int | float | bool] = {"n": name, "u": reading.unit}
    ago_ms = max(0, (now_ns - reading.boot_ns) // _MS_PER_NS)
    if ago_ms:
        record["t"] = -ago_ms / 1000
    if isinstance(reading.value, bool):
        record["vb"] = reading.value
    elif isinstance(reading.value, str):
        record["vs"] = reading.value
    else:
        record["v"] = reading.value
    flags = [{"n": f"{name}/quality", "vs": str(flag)} for flag in sorted(reading.quality)]
    return json.dumps([record, *flags], separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode() + b"\n"


def bind(path: Path) -> socket.socket:
    """Return a listening socket at a path, mode 0660, in place of one whose daemon is gone.

    Raises:
        OSError: The folder refuses it, or another daemon answers there (EADDRINUSE).
    """
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        os.fchmod(listener.fileno(), _MODE)  # before bind: there is no moment in which others may connect
        listener.bind(str(path))
        path.chmod(_MODE)  # bind took the umask off
        listener.listen(CLIENTS)
    except OSError:
        listener.close()
        raise
    return listener


def _clear(path: Path) -> None:
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise FileExistsError(errno.EEXIST, "there is something else of this name", str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # its queue is full: it lives
    raise OSError(errno.EADDRINUSE, "another gardu serves it", str(path))


def _inode(path: Path) -> int:
    try:
        return path.lstat().st_ino
    except OSError:
        return 0


def _unlink_own(path: Path, inode: int) -> None:
    if _inode(path) == inode:
        path.unlink(missing_ok=True)
