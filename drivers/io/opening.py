"""Opens a serial line or a serial server, in a thread of its own because both may block for long.

Source: Linux tty_ioctl(2) and termios(3); pyserial 3.5 `serialposix`, which sets the line; tcp(7).
"""

import asyncio
import errno
import fcntl
import grp
import os
import pwd
import socket
import termios
import threading
from pathlib import Path

import serial

from drivers.driver import Line
from drivers.errors import PortLost
from drivers.port import Port

_PTY_MAJORS = range(136, 144)  # Linux admin-guide/devices: Unix98 pseudo-terminals
_CC = 6  # place of the control characters in what termios.tcgetattr returns
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 2))
_UNACKED_MS = 10_000  # what the other end does not confirm for so long is lost
_GONE = (errno.ENOENT, errno.ENODEV, errno.ENXIO)
_NOT_A_LINE = (errno.ENOTTY, errno.EISDIR)


class Opener:
    """Opens one port at a time; an attempt that outlives its deadline closes what it gets, whenever it gets it."""

    def __init__(self, port: Port, line: Line) -> None:
        self._port = port
        self._line = line
        self._thread: threading.Thread | None = None

    async def open(self, device: Path | None, within_s: float) -> int:
        """Return a non-blocking descriptor that the caller must close.

        Raises:
            PortLost: It cannot be opened, or not within the time.
        """
        if self._thread is not None and self._thread.is_alive():
            raise PortLost(self._port.name, "the system still hangs in the last attempt to open it")
        attempt = _Attempt(self._port, self._line, device, within_s)
        self._thread = threading.Thread(target=attempt.run, name=f"open {self._port.name}", daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(within_s):
                return await attempt.result
        except TimeoutError:
            raise PortLost(self._port.name, f"opening it takes longer than {within_s:g} s") from None
        finally:
            attempt.leave()


class _Attempt:
    """One call of open() on its thread; whoever comes last, taker or thread, leaves no descriptor behind."""

    def __init__(self, port: Port, line: Line, device: Path | None, within_s: float) -> None:
        self._port = port
        self._line = line
        self._device = device
        self._within_s = within_s
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._left = False
        self._fd: int | None = None
        self.result: asyncio.Future[int] = self._loop.create_future()

    def run(self) -> None:
        try:
            if self._device is None:
                fd = open_tcp(self._port, self._within_s)
            else:
                fd = open_line(self._port, self._device, self._line)
        except Exception as error:  # noqa: BLE001 - a bug must reach the task that waits, not die with this thread
            with self._lock:
                if not self._left:
                    self._loop.call_soon_threadsafe(self._fail, error)
            return
        with self._lock:
            if self._left:
                os.close(fd)
                return
            self._fd = fd
            self._loop.call_soon_threadsafe(self._deliver)

    def leave(self) -> None:
        with self._lock:
            self._left = True
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def _deliver(self) -> None:
        with self._lock:
            if self._fd is not None and not self.result.done():
                self.result.set_result(self._fd)
                self._fd = None

    def _fail(self, error: Exception) -> None:
        if not self.result.done():
            self.result.set_exception(error)


def open_line(port: Port, device: Path, line: Line) -> int:
    """Open and set a serial line, exclusively, with its input flushed; blocks.

    Raises:
        PortLost: It cannot be opened or set.
    """
    try:
        opened = serial.Serial(
            baudrate=line.baud,
            bytesize=line.data_bits,
            parity=line.parity,
            stopbits=line.stop_bits,
            timeout=0,
            exclusive=True,
        )
        opened.dtr, opened.rts, opened.port = line.dtr, line.rts, str(device)
        with opened:  # opens it
            fd = os.dup(opened.fileno())  # the lock stays with the copy; pyserial's four pipe ends do not
    except (OSError, ValueError, termios.error) as error:
        raise PortLost(port.name, _why(error, device, line)) from error
    try:
        _own(fd)
    except (OSError, termios.error) as error:
        os.close(fd)
        raise PortLost(port.name, _why(error, device, line)) from error
    return fd


def _own(fd: int) -> None:
    os.set_inheritable(fd, False)
    os.set_blocking(fd, False)
    attributes = termios.tcgetattr(fd)
    attributes[_CC][termios.VMIN] = 1  # pyserial's 0 makes "no byte yet" read like a hang-up
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    # On a pty whose other end keeps it open the mark would outlive a killed process and lock everybody out.
    if os.major(os.fstat(fd).st_rdev) not in _PTY_MAJORS:
        fcntl.ioctl(fd, termios.TIOCEXCL)


def open_tcp(port: Port, within_s: float) -> int:
    """Connect to a serial server; blocks.

    Raises:
        PortLost: It cannot be reached.
    """
    where = f"{port.value}:{port.tcp_port}"
    try:
        with socket.create_connection((port.value, port.tcp_port), timeout=within_s) as connection:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKED_MS)
            for option, value in _KEEPALIVE:
                connection.setsockopt(socket.IPPROTO_TCP, option, value)
            return connection.detach()
    except socket.gaierror as error:
        raise PortLost(port.name, f"no address is known for {port.value}: {error.strerror}") from error
    except TimeoutError as error:
        raise PortLost(port.name, f"{where} does not answer") from error
    except ConnectionRefusedError as error:
        raise PortLost(port.name, f"nothing listens at {where}: is the TCP port right?") from error
    except OSError as error:
        raise PortLost(port.name, f"cannot connect to {where}: {error.strerror or error}") from error


def _why(error: Exception, device: Path, line: Line) -> str:
    """Say for people why a line did not open, and what to do."""
    code = _errno(error)
    if code in _GONE:
        return f"not plugged in: {device} is gone"
    if code in (errno.EACCES, errno.EPERM):
        return permission_cure(device)
    if code in (errno.EBUSY, errno.EAGAIN):
        holder = holder_of(device)
        return f"{device} is in use by {holder}" if holder else f"{device} is in use by another program"
    if code in _NOT_A_LINE:
        return f"{device} is no serial line"
    if isinstance(error, ValueError) or code == errno.EINVAL:
        return f"{device} refuses {line}"
    return f"cannot open {device}: {os.strerror(code) if code else error}"


def _errno(error: BaseException | None) -> int | None:
    """Return the errno that pyserial hides in the exception it was handling."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        if isinstance(error, termios.error) and error.args and isinstance(error.args[0], int):
            return error.args[0]
        error = error.__cause__ or error.__context__
    return None


def permission_cure(device: Path) -> str:
    """Say for people why a device may not be opened, and what to do."""
    try:
        group = grp.getgrgid(device.stat().st_gid).gr_name
    except (OSError, KeyError):
        group = "dialout"
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return (
        f"no permission for {device}: add user {user} to group {group} (sudo usermod -aG {group} {user}), log in again"
    )


def holder_of(device: Path, proc: Path = Path("/proc")) -> str:
    """Name the processes that hold a device open, as far as we may look; e.g. ``"minicom (pid 812)"``."""
    names = []
    for process in proc.glob("[0-9]*"):
        try:
            if any(_leads_to(link, device) for link in (process / "fd").iterdir()):
                names.append(f"{(process / 'comm').read_text().strip()} (pid {process.name})")
        except OSError:
            continue  # gone meanwhile, or not ours to look into
    return ", ".join(names)


def _leads_to(link: Path, device: Path) -> bool:
    try:
        return os.readlink(link) == str(device)  # noqa: PTH115 - a Path per descriptor of the system costs too much
    except OSError:
        return False
