"""An open line: bytes with the moment of their arrival, writes with a deadline, one error when it is gone.

A line calls back instead of being awaited: one chunk is one wake-up of the process and no task switch.
"""

import asyncio
import errno
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from drivers.driver import Line
from drivers.errors import FrameError, PortLost
from drivers.io.opening import Opener
from drivers.io.ports import DEV, SYS, identify, resolve
from drivers.port import Port, parse_port

if TYPE_CHECKING:
    from drivers.serial.mbap import Mbap

READ_BYTES = 4096
"""Most bytes taken per wake-up, so that one babbling line cannot keep the others waiting."""

_WAITING_BYTES = 4096  # most that may wait to be written: far more than any question to a sensor
_NOT_NOW = (errno.EAGAIN, errno.EINTR)
_HUNG_UP = (errno.EIO, errno.ENODEV, errno.ENXIO)


def boot_clock_ns() -> int:
    """Return CLOCK_BOOTTIME in ns."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class SerialPort:
    """A port by its name; opened as often as it comes back.

    Attributes:
        port: Where it is.
        name: Normal form of its name.
        line: Its settings.
        identity: Who the adapter was at the last opening; empty when unknown.
        device: Device file of the last opening; empty for a serial server.
        trouble: Why it is not open; empty while it is or before the first try.
        bytes_in: Received since the start.
    """

    def __init__(
        self,
        port: Port | str,
        line: Line,
        *,
        boot_ns: Callable[[], int] = boot_clock_ns,
        open_within_s: float = 8.0,
        write_within_s: float = 2.0,
        sys_root: Path = SYS,
        dev_root: Path = DEV,
    ) -> None:
        self.port = parse_port(port) if isinstance(port, str) else port
        self.name = self.port.name
        self.line = line
        self.identity = ""
        self.device = ""
        self.trouble = ""
        self.bytes_in = 0
        self._boot_ns = boot_ns
        self._open_within_s = open_within_s
        self._write_within_s = write_within_s
        self._sys_root = sys_root
        self._dev_root = dev_root
        self._opener = Opener(self.port, line)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["OpenLine", None]:
        """Find and open the port; it is closed when the block is left.

        Raises:
            PortLost: It is not there, or cannot be opened.
        """
        try:
            device = None if self.port.kind == "tcp" else resolve(self.port, self._sys_root, self._dev_root)
            fd = await self._opener.open(device, self._open_within_s)
        except PortLost as error:
            self.trouble = error.reason
            raise
        line = OpenLine(self, fd, self._boot_ns, self._write_within_s)
        try:
            self.device = str(device or "")
            self.identity = identify(device, self._sys_root) if device else ""
            self.trouble = ""
            yield line
        except PortLost as error:
            self.trouble = error.reason
            raise
        finally:
            line.close()


class OpenLine:
    """A line while it is open. Made by `SerialPort.open`."""

    def __init__(self, port: SerialPort, fd: int, boot_ns: Callable[[], int], write_within_s: float) -> None:
        self._port = port
        self._fd = fd
        self._boot_ns = boot_ns
        self._write_within_s = write_within_s
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[NoReturn] = self._loop.create_future()
        self._waiting = bytearray()
        self._write_timer: asyncio.TimerHandle | None = None
        self._take: Callable[[bytes, int], None] = _drop
        self._mbap = _mbap() if port.port.mbap else None

    def listen(self, take: Callable[[bytes, int], None]) -> None:
        """Hand each chunk and its moment of arrival to a function, called on the loop.

        What the function raises ends the line and comes out of `lost`.
        """
        self._take = take
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._readable)

    def write(self, data: bytes) -> None:
        """Write now what the line takes now, the rest as it drains; a line that does not drain is lost."""
        if self._fd < 0:
            return
        data = self._mbap.wrap(data) if self._mbap else data
        if not self._waiting:
            data = data[self._send(data) :]
        if not data or self._fd < 0:
            return
        self._waiting += data
        if len(self._waiting) > _WAITING_BYTES:
            self._stuck()
        elif self._write_timer is None:
            self._loop.add_writer(self._fd, self._writable)
            self._write_timer = self._loop.call_later(self._write_within_s, self._stuck)

    async def lost(self) -> NoReturn:
        """Wait until the line is gone.

        Raises:
            PortLost: It is gone; the reason says how.
        """
        await self._end

    def fail(self, error: Exception) -> None:
        """End the line; `lost` raises the error."""
        self.close()
        if not self._end.done():
            self._end.set_exception(error)
            self._end.exception()  # seen, even when nobody waits for it any more

    def close(self) -> None:
        """Stop listening, then close; harmless when it is closed already."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        self._loop.remove_reader(fd)  # first: a descriptor that hung up is readable for ever
        self._loop.remove_writer(fd)
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        self._waiting.clear()
        try:
            os.close(fd)
        except OSError:  # the kernel reports a late write error; the descriptor is gone all the same
            return

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except OSError as error:
            if error.errno not in _NOT_NOW:
                self.fail(self._gone(error))
            return
        now_ns = self._boot_ns()
        if not data:
            self.fail(PortLost(self._port.name, self._unplugged()))
            return
        self._port.bytes_in += len(data)
        try:
            data = self._mbap.unwrap(data) if self._mbap else data
        except FrameError as error:
            cure = "a server that passes the bytes of a serial line is tcp://host:port"
            self.fail(PortLost(self._port.name, f"{error}; {cure}"))
            return
        if not data:
            return
        try:
            self._take(data, now_ns)
        except Exception as error:  # noqa: BLE001 - carried to the task that owns the line, which ends with it
            self.fail(error)

    def _writable(self) -> None:
        del self._waiting[: self._send(bytes(self._waiting))]
        if self._fd < 0 or self._write_timer is None:
            return
        self._write_timer.cancel()
        if self._waiting:
            self._write_timer = self._loop.call_later(self._write_within_s, self._stuck)
        else:
            self._write_timer = None
            self._loop.remove_writer(self._fd)

    def _send(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except OSError as error:
            if error.errno not in _NOT_NOW:
                self.fail(self._gone(error))
            return 0

    def _stuck(self) -> None:
        waiting = len(self._waiting)
        self.fail(PortLost(self._port.name, f"takes no more bytes: {waiting} wait since {self._write_within_s:g} s"))

    def _gone(self, error: OSError) -> PortLost:
        if error.errno in _HUNG_UP:
            return PortLost(self._port.name, self._unplugged())
        return PortLost(self._port.name, os.strerror(error.errno) if error.errno else str(error))

    def _unplugged(self) -> str:
        if self._port.port.kind == "tcp":
            return f"the {'Modbus TCP' if self._mbap else 'serial'} server closed the connection"
        return "unplugged: the line hung up"


def _mbap() -> "Mbap":
    from drivers.serial.mbap import Mbap  # noqa: PLC0415 - memory that only a port of this kind is worth

    return Mbap()


def _drop(_data: bytes, _boot_ns: int) -> None:
    """Take nothing: nobody listens yet."""
