"""The proxy is what it says it is: measured with real sockets."""

import contextlib
import fcntl
import socket
import struct
import termios
import threading
import time
from collections.abc import Iterator

import pytest

from tests.center.processes import until
from tests.faults.real.proxy import GOOD, MUTE, NARROW, REFUSING, STALLED, Line, Proxy

pytestmark = pytest.mark.faults

_WAIT_S = 5.0


class Echo:
    """A server that says back what it hears and remembers how its connections ended."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heard = 0
        self.echoing = True
        self.ends: list[str] = []
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._listener.accept()
                self.connections.append(one)
                threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                self.heard += len(data)
                if self.echoing:
                    one.sendall(data)
            self.ends.append("fin")
        except OSError:
            self.ends.append("rst")
        one.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self.connections:
            one.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.port) as made:
        yield made


@contextlib.contextmanager
def dialled(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=_WAIT_S) as client:
        yield client


def ask(client: socket.socket, said: bytes = b"hello") -> bytes:
    client.sendall(said)
    heard = b""
    while len(heard) < len(said) and (data := client.recv(65536)):
        heard += data
    return heard


def seconds(client: socket.socket, said: bytes = b"hello") -> float:
    begun_s = time.monotonic()
    assert ask(client, said) == said
    return time.monotonic() - begun_s


def test_a_good_line_passes_everything_unchanged_and_counts_it(proxy: Proxy) -> None:
    said = bytes(range(256)) * 2000
    with dialled(proxy) as client:
        threading.Thread(target=client.sendall, args=(said,), daemon=True).start()
        heard = b""
        while len(heard) < len(said) and (data := client.recv(65536)):
            heard += data
    assert heard == said
    until("both ways are counted", lambda: proxy.passed == {"server": len(said), "client": len(said)})
    assert proxy.accepted == 1


def test_an_end_in_order_is_passed_on_as_one(proxy: Proxy, echo: Echo) -> None:
    with dialled(proxy) as client:
        ask(client)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    until("the server sees the end", lambda: echo.ends == ["fin"])


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_a_cut_ends_both_sides_as_told(proxy: Proxy, echo: Echo, how: str) -> None:
    with dialled(proxy) as client:
        ask(client)
        assert proxy.cut("rst" if how == "rst" else "fin") == 1
        if how == "fin":
            assert client.recv(1) == b""
        else:
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    until("the server sees the end", lambda: echo.ends == [how])
    with dialled(proxy) as client:
        assert ask(client) == b"hello"


def test_a_stalled_line_stands_and_passes_nothing_until_it_flows_again(proxy: Proxy, echo: Echo) -> None:
    with dialled(proxy) as client:
        ask(client)
        proxy.be(STALLED)
        client.sendall(b"later")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        with dialled(proxy) as other:
            other.sendall(b"x")
            assert echo.heard == len(b"hello")
        proxy.be(GOOD)
        client.settimeout(_WAIT_S)
        assert client.recv(5) == b"later"


@pytest.mark.parametrize("gone", ["server", "client"])
def test_half_open_one_side_is_cut_and_the_other_thinks_it_is_up(proxy: Proxy, echo: Echo, gone: str) -> None:
    with dialled(proxy) as client:
        ask(client)
        assert proxy.half_open("server" if gone == "server" else "client") == 1
        client.settimeout(0.3)
        if gone == "server":
            until("the server sees the end", lambda: echo.ends == ["rst"])
            client.sendall(b"into the void")
            with pytest.raises(TimeoutError):
                client.recv(1)
        else:
            with pytest.raises(ConnectionResetError):
                client.recv(1)
            echo.connections[0].sendall(b"into the void")
            assert echo.ends == []
        assert proxy.cut("rst") == 1


def test_a_dripping_line_passes_its_few_bytes_a_second_and_a_healed_one_the_rest_at_once(
    proxy: Proxy, echo: Echo
) -> None:
    echo.echoing = False
    proxy.be(Line(bytes_per_s=20))
    with dialled(proxy) as client:
        client.sendall(bytes(150))
        begun_s = time.monotonic()
        until("some have passed", lambda: echo.heard >= 20)
        assert 0.5 < time.monotonic() - begun_s < 2.5
        assert echo.heard < 60
        proxy.be(GOOD)
        until("all have passed", lambda: echo.heard == 150, deadline_s=1.0)


def test_a_narrow_line_takes_256_kbit_a_second_each_way_and_200_ms_there_and_back(proxy: Proxy, echo: Echo) -> None:
    proxy.be(NARROW)
    with dialled(proxy) as client:
        assert 0.2 <= min(seconds(client) for _ in range(5)) < 0.26
        echo.echoing = False
        before = echo.heard
        begun_s = time.monotonic()
        client.sendall(bytes(96_000))
        until("all has passed", lambda: echo.heard == before + 96_000)
        assert 96_000 / (time.monotonic() - begun_s) == pytest.approx(32_000, rel=0.12)


def test_a_narrow_line_holds_no_more_than_half_a_second_of_bytes(proxy: Proxy, echo: Echo) -> None:
    echo.echoing = False
    proxy.be(NARROW)
    with dialled(proxy) as client:
        sent, held = 0, []
        end_s = time.monotonic() + 2.0
        client.setblocking(False)
        while time.monotonic() < end_s:
            with contextlib.suppress(BlockingIOError):
                sent += client.send(bytes(1000))
            (own,) = struct.unpack("i", fcntl.ioctl(client, termios.TIOCOUTQ, b"\0" * 4))
            held.append(sent - own - echo.heard)
            time.sleep(0.002)
    print(f"held at most {max(held)} bytes")
    assert 8 * 1024 < max(held) <= 16 * 1024 + 3200  # what waits, and a tenth of a second that is under way


def test_a_refusing_port_refuses_and_is_the_same_port_afterwards(proxy: Proxy) -> None:
    with dialled(proxy) as client:
        assert ask(client) == b"hello"
        proxy.be(REFUSING)
        with pytest.raises(ConnectionRefusedError), dialled(proxy):
            pass
        assert ask(client) == b"hello"
    proxy.be(GOOD)
    with dialled(proxy) as client:
        assert ask(client) == b"hello"


def test_a_mute_port_takes_the_connection_and_never_speaks(proxy: Proxy, echo: Echo) -> None:
    proxy.be(MUTE)
    with dialled(proxy) as client:
        client.sendall(b"hello?")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
    assert echo.connections == []


def test_without_a_server_behind_it_a_connection_is_reset() -> None:
    with Proxy(1) as proxy, dialled(proxy) as client, pytest.raises(ConnectionResetError):
        client.recv(1)
