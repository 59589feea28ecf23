import asyncio
import errno
import fcntl
import os
import pwd
import select
import socket
import termios
import threading
import time
import tty
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from drivers.driver import Line
from drivers.errors import PortLost
from drivers.io import opening, serial_port
from drivers.io.opening import holder_of, open_line
from drivers.io.serial_port import OpenLine, SerialPort
from drivers.port import parse_port


class Unit:
    """The far end of a line: a pty whose near end stands behind a symlink, like a sensor behind its socket."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.master = self.slave = -1
        self.plug()

    def plug(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self.slave))

    def unplug(self) -> None:
        self.link.unlink(missing_ok=True)
        for fd in (self.slave, self.master):
            if fd >= 0:
                os.close(fd)
        self.master = self.slave = -1

    def say(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.master, data) :]

    def hear(self, size: int, within_s: float = 2.0) -> bytes:
        data = b""
        while len(data) < size and select.select([self.master], [], [], within_s)[0]:
            data += os.read(self.master, size - len(data))
        return data


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    unit = Unit(tmp_path / "sds011")
    yield unit
    unit.unplug()


def port_of(unit: Unit, **options: float) -> SerialPort:
    return SerialPort(f"path:{unit.link}", Line(), **options)  # type: ignore[arg-type] # only the times are given


def collect(line: OpenLine) -> list[tuple[bytes, int]]:
    chunks: list[tuple[bytes, int]] = []
    line.listen(lambda data, now_ns: chunks.append((data, now_ns)))
    return chunks


async def until(condition: Callable[[], object], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - looks at the outside world, which sets no event
            await asyncio.sleep(0.002)


async def reason_of(wait: Awaitable[object]) -> str:
    with pytest.raises(PortLost) as lost:
        await asyncio.wait_for(wait, 5)
    return lost.value.reason


async def open_reason(port: SerialPort) -> str:
    async def enter() -> None:
        async with port.open():
            pass

    return await reason_of(enter())


def open_fds() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def test_bytes_arrive_unchanged_with_the_moment_of_their_arrival(unit: Unit) -> None:
    async def scenario() -> None:
        async with port_of(unit).open() as line:
            chunks = collect(line)
            before_ns = serial_port.boot_clock_ns()
            unit.say(bytes(range(256)))
            await until(lambda: sum(len(data) for data, _ in chunks) == 256)
            assert b"".join(data for data, _ in chunks) == bytes(range(256))
            assert before_ns <= chunks[0][1] <= serial_port.boot_clock_ns()

    asyncio.run(scenario())


def test_bytes_that_came_before_the_opening_are_not_taken_for_new(unit: Unit) -> None:
    async def scenario() -> None:
        unit.say(b"stale")
        async with port_of(unit).open() as line:
            chunks = collect(line)
            unit.say(b"fresh")
            await until(lambda: chunks)
            assert chunks[0][0] == b"fresh"

    asyncio.run(scenario())


def test_one_wake_up_takes_at_most_4096_bytes(unit: Unit) -> None:
    async def scenario() -> None:
        async with port_of(unit).open() as line:
            writer = threading.Thread(target=unit.say, args=(bytes(12_000),))
            writer.start()
            chunks = collect(line)
            await until(lambda: sum(len(data) for data, _ in chunks) == 12_000)
            writer.join()
            assert max(len(data) for data, _ in chunks) <= 4096

    asyncio.run(scenario())


def test_a_wake_up_without_a_byte_is_no_hang_up(unit: Unit) -> None:
    async def scenario() -> None:
        port = port_of(unit)
        async with port.open() as line:
            chunks = collect(line)
            line._readable()  # what a spurious wake-up calls
            unit.say(b"x")
            await until(lambda: chunks)
            assert port.trouble == ""

    asyncio.run(scenario())


def test_what_is_written_reaches_the_other_end(unit: Unit) -> None:
    async def scenario() -> bytes:
        async with port_of(unit).open() as line:
            line.write(b"\x01\x04\x00\x00")
            return unit.hear(4)

    assert asyncio.run(scenario()) == b"\x01\x04\x00\x00"


def test_a_long_write_goes_on_as_the_line_drains(tmp_path: Path) -> None:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

        async def scenario() -> None:
            line = OpenLine(SerialPort(f"path:{tmp_path}/x", Line()), os.dup(near.fileno()), lambda: 0, 5.0)
            with suppress(BlockingIOError):
                while True:
                    near.send(bytes(1024))
            line.write(b"y" * 3000)
            received = bytearray()
            far.setblocking(False)

            def drain() -> bool:
                with suppress(BlockingIOError):
                    received.extend(far.recv(65536))
                return received.count(b"y") == 3000

            await until(drain)
            line.close()

        asyncio.run(scenario())


def test_a_line_that_does_not_drain_is_lost_within_the_deadline(unit: Unit) -> None:
    async def scenario() -> None:
        port = port_of(unit, write_within_s=0.05)
        async with port.open() as line:
            for _ in range(64):
                line.write(bytes(1024))
            reason = await reason_of(line.lost())
        assert "takes no more bytes" in reason

    asyncio.run(scenario())


def test_what_waits_to_be_written_is_bounded(unit: Unit) -> None:
    async def scenario() -> None:
        async with port_of(unit, write_within_s=60).open() as line:
            for _ in range(100):
                line.write(bytes(4096))
            assert "takes no more bytes" in await reason_of(line.lost())
            assert len(line._waiting) == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("state", ["idle", "not listening", "while reading", "while writing"])
def test_a_hang_up_is_one_port_lost_in_every_state(unit: Unit, state: str) -> None:
    port = port_of(unit)

    async def serve() -> None:
        async with port.open() as line:
            if state != "not listening":
                collect(line)
            if state == "while reading":
                unit.say(bytes(4000))
            if state == "while writing":
                line.write(bytes(2000))
                await asyncio.sleep(0)
            unit.unplug()
            line.write(b"?")
            line.write(b"again")
            await line.lost()

    assert "hung up" in asyncio.run(reason_of(serve()))
    assert "hung up" in port.trouble


@pytest.mark.parametrize("code", [errno.EIO, errno.ENODEV, errno.ENXIO])
def test_every_error_of_a_vanished_device_means_unplugged(
    unit: Unit, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(fd: int, size: int) -> bytes:
        raise OSError(code, os.strerror(code))

    async def scenario() -> None:
        async with port_of(unit).open() as line:
            collect(line)
            monkeypatch.setattr(os, "read", broken)
            line._readable()
            monkeypatch.undo()
            assert await reason_of(line.lost()) == "unplugged: the line hung up"

    asyncio.run(scenario())


def test_a_hang_up_costs_no_processor_time(unit: Unit) -> None:
    async def scenario() -> float:
        async with port_of(unit).open() as line:
            collect(line)
            unit.unplug()
            await reason_of(line.lost())
            begin_s = time.process_time()
            await asyncio.sleep(0.5)
            return time.process_time() - begin_s

    assert asyncio.run(scenario()) < 0.5 * 0.01


def test_two_hundred_openings_leak_no_descriptor(unit: Unit) -> None:
    async def scenario() -> None:
        port = port_of(unit)
        async with port.open():
            pass
        before = open_fds()
        for turn in range(200):
            async with port.open() as line:
                collect(line)
                if turn % 50 == 0:
                    with pytest.raises(PortLost):
                        await asyncio.wait_for(unplugged(line), 5)
                    unit.plug()
        assert len(open_fds()) == len(before)

    async def unplugged(line: OpenLine) -> None:
        unit.unplug()
        await line.lost()

    asyncio.run(scenario())


def test_failed_openings_leak_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"no line")

    async def scenario() -> None:
        port = SerialPort(f"path:{tmp_path}/file", Line())
        assert "is no serial line" in await open_reason(port)
        before = open_fds()
        for _ in range(50):
            await open_reason(port)
        assert open_fds() == before

    asyncio.run(scenario())


def test_a_unit_that_is_plugged_in_again_is_found_by_its_link(unit: Unit) -> None:
    async def scenario() -> None:
        port = port_of(unit)
        async with port.open():
            first = port.device
        unit.unplug()
        assert "not plugged in" in await open_reason(port)
        unit.plug()
        async with port.open() as line:
            assert port.trouble == ""
            chunks = collect(line)
            unit.say(b"back")
            await until(lambda: chunks)
        assert first.startswith("/dev/pts/")

    asyncio.run(scenario())


def test_an_error_of_the_listener_ends_the_line_and_comes_out(unit: Unit) -> None:
    def fault(data: bytes, now_ns: int) -> None:
        raise ZeroDivisionError

    async def scenario() -> None:
        async with port_of(unit).open() as line:
            line.listen(fault)
            unit.say(b"x")
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(line.lost(), 5)

    asyncio.run(scenario())


def test_leaving_while_waiting_closes_the_line(unit: Unit) -> None:
    async def scenario() -> None:
        async def serve() -> None:
            async with port_of(unit).open() as line:
                collect(line)
                await line.lost()

        before = open_fds()
        task = asyncio.create_task(serve())
        await until(lambda: len(open_fds()) > len(before))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(open_fds()) == len(before)

    asyncio.run(scenario())


def test_an_opening_that_hangs_is_given_up_and_closes_what_it_gets(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def slow(*args: object) -> int:
        go_on.wait(10)
        return os.dup(unit.slave)

    async def scenario() -> None:
        port = port_of(unit, open_within_s=0.05)
        before = len(open_fds())
        assert "takes longer than" in await open_reason(port)
        assert "still hangs" in await open_reason(port)
        go_on.set()
        thread = port._opener._thread
        assert thread is not None
        await until(lambda: not thread.is_alive())
        assert len(open_fds()) == before

    monkeypatch.setattr(opening, "open_line", slow)
    asyncio.run(scenario())


def test_cancelling_an_opening_leaves_no_descriptor(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def slow(*args: object) -> int:
        go_on.wait(10)
        return os.dup(unit.slave)

    async def scenario() -> None:
        port = port_of(unit)
        before = len(open_fds())
        task = asyncio.create_task(open_reason(port))
        await until(lambda: port._opener._thread is not None)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        thread = port._opener._thread
        assert thread is not None
        await until(lambda: not thread.is_alive())
        assert len(open_fds()) == before

    monkeypatch.setattr(opening, "open_line", slow)
    asyncio.run(scenario())


def test_a_line_that_another_opener_holds_names_the_holder(unit: Unit) -> None:
    async def scenario() -> None:
        async with port_of(unit).open():
            reason = await open_reason(port_of(unit))
        assert "is in use by" in reason
        assert f"(pid {os.getpid()})" in reason

    asyncio.run(scenario())


def test_a_killed_holder_of_a_pty_leaves_no_lock_behind(unit: Unit) -> None:
    fd = open_line(parse_port(f"path:{unit.link}"), Path(os.ttyname(unit.slave)), Line())
    os.close(fd)  # as the kernel does for a killed process: nothing is undone first
    again = os.open(os.ttyname(unit.slave), os.O_RDWR | os.O_NOCTTY)
    marked = fcntl.ioctl(again, 0x80045440, bytes(4))  # TIOCGEXCL
    os.close(again)
    assert marked == bytes(4)


def test_settings_reach_the_line(unit: Unit) -> None:
    async def scenario() -> None:
        line = Line(baud=4800, data_bits=8, parity="N", stop_bits=2)
        async with SerialPort(f"path:{unit.link}", line).open():
            attributes = termios.tcgetattr(unit.slave)
            assert attributes[4] == attributes[5] == termios.B4800
            assert attributes[2] & termios.CSTOPB

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOENT, "x"), "not plugged in: /dev/ttyUSB9 is gone"),
        (OSError(errno.ENXIO, "x"), "not plugged in: /dev/ttyUSB9 is gone"),
        (OSError(errno.EBUSY, "x"), "/dev/ttyUSB9 is in use by another program"),
        (OSError(errno.ENOTTY, "x"), "/dev/ttyUSB9 is no serial line"),
        (termios.error(errno.EINVAL, "x"), "/dev/ttyUSB9 refuses 9600 8N1"),
        (ValueError("Invalid baud rate"), "/dev/ttyUSB9 refuses 9600 8N1"),
        (termios.error(errno.EIO, "x"), "cannot open /dev/ttyUSB9: Input/output error"),
    ],
)
def test_a_refused_opening_says_why_for_people(error: Exception, text: str) -> None:
    assert opening._why(error, Path("/dev/ttyUSB9"), Line()) == text


def test_a_missing_permission_names_user_group_and_command(tmp_path: Path) -> None:
    device = tmp_path / "ttyUSB0"
    device.touch()
    reason = opening._why(OSError(errno.EACCES, "x"), device, Line())
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert f"add user {user} to group " in reason
    assert "sudo usermod -aG" in reason


def test_a_device_that_vanished_asks_for_the_usual_group() -> None:
    assert "group dialout" in opening._why(OSError(errno.EACCES, "x"), Path("/dev/ttyUSB9"), Line())


def test_the_error_that_pyserial_hides_is_found() -> None:
    error = OSError("Could not configure port")
    error.__context__ = termios.error(errno.EIO, "x")
    assert opening._errno(error) == errno.EIO
    assert opening._errno(None) is None


def test_nobody_holds_what_nobody_opened(tmp_path: Path) -> None:
    assert holder_of(tmp_path / "nothing") == ""


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        yield listener


def tcp_port(server: socket.socket) -> SerialPort:
    return SerialPort(f"tcp://127.0.0.1:{server.getsockname()[1]}", Line())


def test_a_serial_server_has_the_same_shape(server: socket.socket) -> None:
    async def serve() -> None:
        async with tcp_port(server).open() as line:
            far, _ = server.accept()
            with far:
                chunks = collect(line)
                far.sendall(b"hello")
                await until(lambda: chunks)
                assert chunks[0][0] == b"hello"
                line.write(b"ask")
                assert far.recv(3) == b"ask"
            await line.lost()

    assert asyncio.run(reason_of(serve())) == "the serial server closed the connection"


def test_a_reset_by_the_serial_server_is_port_lost(server: socket.socket) -> None:
    async def scenario() -> str:
        async with tcp_port(server).open() as line:
            far, _ = server.accept()
            collect(line)
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            far.close()
            return await reason_of(line.lost())

    assert asyncio.run(scenario()) == "Connection reset by peer"


def test_a_serial_server_that_is_not_there_says_so(server: socket.socket) -> None:
    port = tcp_port(server)
    server.close()
    assert "nothing listens at 127.0.0.1:" in asyncio.run(open_reason(port))


def test_two_hundred_connections_leak_no_descriptor(server: socket.socket) -> None:
    async def scenario() -> None:
        port = tcp_port(server)
        async with port.open() as line:
            server.accept()[0].close()
        before = open_fds()
        for _ in range(200):
            async with port.open() as line:
                collect(line)
                server.accept()[0].close()
        assert len(open_fds()) == len(before)

    asyncio.run(scenario())
