"""One connection at a time to a real mosquitto."""

import asyncio
import gc
import shutil
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from agent import identity, mqtt
from agent.errors import Declined, LinkLost
from agent.mqtt import Broker, Link, Message, connect
from tests.agent.conftest import Authority, Mosquitto, free_port

pytestmark = pytest.mark.broker

_TAKEN = ReasonCode(PacketTypes.PUBACK)
STATE = "gardu/v1/bandung/dago-01/state"


def at(port: int, *, version_5: bool = True, timeout_s: float = 5, host: str = "127.0.0.1") -> Broker:
    return Broker(host=host, tcp_port=port, tls=None, version_5=version_5, timeout_s=timeout_s)


def linked(broker: Broker, work: Callable[[Link], Coroutine[None, None, None]], *, client_id: str = "n") -> None:
    async def main() -> None:
        async with connect(broker, client_id=client_id, will_topic=STATE, will=b"gone") as link:
            await work(link)

    asyncio.run(main())


@contextmanager
def scripted(script: Callable[[socket.socket], None]) -> Iterator[int]:
    """A broker that takes one connection and follows a script; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            line, _ = server.accept()
            with line:
                script(line)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def failure(broker: Broker) -> str:
    async def nothing(_: Link) -> None:
        return

    text = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # paho lets go of a socket whose handshake failed unclosed
        try:
            linked(broker, nothing)
        except LinkLost as error:
            text = str(error)
        gc.collect()
    assert text, "it connected"
    return text


async def retained(port: int, topic: str) -> bytes | None:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(topic)
        try:
            async with asyncio.timeout(0.3):
                async for message in client.messages:
                    assert isinstance(message.payload, bytes)
                    return message.payload
        except TimeoutError:
            return None
    return None


@pytest.mark.parametrize("version_5", [True, False])
def test_a_message_comes_back_unchanged(broker: Mosquitto, version_5: bool) -> None:  # noqa: FBT001
    payload = bytes(range(256)) * 100

    async def work(link: Link) -> None:
        await link.subscribe("there/and/back")
        await link.publish("there/and/back", payload)
        async for message in link.messages():
            assert message == Message(topic="there/and/back", payload=payload)
            return

    linked(at(broker.port, version_5=version_5), work)


@pytest.mark.parametrize("version_5", [True, False])
def test_the_broker_tells_the_will_of_who_does_not_say_good_bye(broker: Mosquitto, version_5: bool) -> None:  # noqa: FBT001
    async def work(link: Link) -> None:
        await link.publish(STATE, b"here", retain=True)

    linked(at(broker.port, version_5=version_5), work)
    seen = asyncio.run(retained(broker.port, STATE))
    assert seen == (b"here" if version_5 else b"gone")  # MQTT 5 waits: a short gap does not show


@pytest.mark.parametrize("version_5", [True, False])
def test_who_leaves_in_order_leaves_no_will(broker: Mosquitto, version_5: bool) -> None:  # noqa: FBT001
    async def work(link: Link) -> None:
        await link.publish(STATE, b"here", retain=True)
        await link.leave()

    linked(at(broker.port, version_5=version_5), work)
    assert asyncio.run(retained(broker.port, STATE)) == b"here"
    assert "Received DISCONNECT from n" in broker.log.read_text()


def test_nobody_listening_is_told_in_words() -> None:
    assert failure(at(free_port())) == "Connection refused"


def test_an_unknown_host_is_told_in_words() -> None:
    assert "known" in failure(at(1883, host="no-such-host.invalid")).lower() or "resolution" in failure(
        at(1883, host="no-such-host.invalid")
    )


def test_a_host_that_is_no_name_is_weather_too() -> None:
    assert failure(at(1883, host=f"{'a' * 70}.example"))


def test_a_broker_that_accepts_and_stays_silent_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert failure(at(server.getsockname()[1], timeout_s=0.2)) == "the broker does not answer"


def test_a_broker_that_hangs_up_at_once_is_noticed_at_once() -> None:
    with scripted(lambda _: None) as port:
        assert failure(at(port, timeout_s=60)) in {"the broker hung up", "Connection reset by peer"}


class _Swallows(mqtt._Client):
    """A client whose wait ends in the moment in which its task is cancelled, as `asyncio.wait_for` may."""

    async def send(self, *_: object, **__: object) -> ReasonCode:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1)
        return _TAKEN


def test_a_cancellation_is_never_swallowed_but_a_good_bye_may_be_said_after_it() -> None:
    async def main() -> None:
        link = Link(_Swallows("nowhere"))
        for _ in range(2):  # the second one while the task is already being cancelled
            with pytest.raises(asyncio.CancelledError):
                await link.publish("x", b"y")
        quiet = Link(mqtt._Client("nowhere"))
        quiet._client.send = _taken  # type: ignore[method-assign]  # the wire
        await quiet.publish("x", b"y")

    asyncio.run(main())


async def _taken(*_: object, **__: object) -> ReasonCode:
    return _TAKEN


def test_a_frozen_broker_fails_the_publish_and_nothing_waits_for_it(broker: Mosquitto) -> None:
    async def work(link: Link) -> None:
        broker.freeze()
        await link.publish("up", b"x" * 10)

    with pytest.raises(LinkLost, match="does not answer"):
        linked(at(broker.port, timeout_s=0.2), work)


def test_what_a_frozen_broker_did_not_take_never_leaves(broker: Mosquitto) -> None:
    async def work(link: Link) -> None:
        broker.freeze()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(100):
                tasks.create_task(link.publish("up", bytes(100_000)))

    with pytest.raises(ExceptionGroup):
        linked(at(broker.port, timeout_s=0.2), work)
    broker.thaw()

    async def look() -> None:
        async with connect(at(broker.port), client_id="other", will_topic=STATE, will=b"") as link:
            await link.publish("up", b"after")

    asyncio.run(look())
    assert len(broker.received("up")) < 100


def test_a_good_bye_to_a_frozen_broker_can_be_cut_short(broker: Mosquitto) -> None:
    async def work(link: Link) -> None:
        broker.freeze()
        for _ in range(100):
            link_publish = asyncio.ensure_future(link.publish("up", bytes(100_000)))
            await asyncio.sleep(0)
            link_publish.cancel()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await link.leave()

    linked(at(broker.port, timeout_s=60), work)


def test_a_broker_that_dies_ends_the_messages(broker: Mosquitto) -> None:
    async def work(link: Link) -> None:
        await link.subscribe("x")
        broker.kill()
        with pytest.raises(LinkLost):
            async for _ in link.messages():
                pass

    linked(at(broker.port), work)


def test_a_message_in_the_moment_of_the_end_does_not_watch_whoever_gets_the_number_of_the_socket(
    broker: Mosquitto,
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        told: list[dict[str, object]] = []
        loop.set_exception_handler(lambda _, context: told.append(context))
        async with connect(at(broker.port), client_id="n", will_topic=STATE, will=b"gone") as link:
            line = link._client._client.socket()
            assert isinstance(line, socket.socket)
            number = line.fileno()
            late = asyncio.create_task(link.publish("a", b"x"))
            await asyncio.sleep(0)
        others = socket.socketpair()
        assert number in [other.fileno() for other in others]
        late.cancel()
        await asyncio.wait([late])
        assert not loop.remove_writer(number)
        assert told == []
        for other in others:
            other.close()

    asyncio.run(main())


def test_another_client_of_the_same_name_is_told_in_words(broker: Mosquitto) -> None:
    async def work(link: Link) -> None:
        await link.subscribe("x")
        async with connect(at(broker.port), client_id="n", will_topic=STATE, will=b""):
            with pytest.raises(LinkLost, match="the broker ended the connection"):
                async for _ in link.messages():
                    pass

    linked(at(broker.port), work)


def test_a_topic_that_may_not_be_read_is_named() -> None:
    def deny(line: socket.socket) -> None:
        line.recv(1000)  # CONNECT
        line.sendall(bytes.fromhex("20020000"))
        subscribe = line.recv(1000)
        line.sendall(b"\x90\x03" + subscribe[2:4] + b"\x80")
        line.recv(1000)

    async def work(link: Link) -> None:
        await link.subscribe("secret")

    with scripted(deny) as port, pytest.raises(LinkLost, match="does not let this node read secret"):
        linked(at(port, version_5=False), work)


def test_a_broker_that_wants_a_password_is_told_in_words(make_broker: Callable[..., Mosquitto]) -> None:
    broker = make_broker("allow_anonymous false\n")
    assert failure(at(broker.port)) == "the broker refuses the connection: Not authorized"
    assert failure(at(broker.port, version_5=False)).startswith("the broker refuses the connection")


def test_no_more_messages_are_under_way_than_the_broker_takes_at_once(broker: Mosquitto) -> None:
    async def work(link: Link) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3 * mqtt._IN_FLIGHT):
                tasks.create_task(link.publish("up", b"x"))

    linked(at(broker.port), work)
    assert len(broker.received("up")) == 3 * mqtt._IN_FLIGHT


def test_what_the_broker_does_not_take_at_once_waits_for_a_receipt() -> None:
    heard: list[bytes] = []

    def one_at_a_time(line: socket.socket) -> None:
        line.recv(1000)
        line.sendall(bytes.fromhex("2006000003") + b"\x21\x00\x01")  # Receive Maximum 1
        line.settimeout(0.3)
        for _ in range(3):
            heard.append(line.recv(1000))
            with suppress(TimeoutError):
                heard.append(line.recv(1000))
            line.sendall(b"\x40\x02" + heard[-1][5:7])
        line.recv(1000)

    async def work(link: Link) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(link.publish("t", b"x"))

    with scripted(one_at_a_time) as port:
        linked(at(port), work)
    assert [packet[0] for packet in heard] == [0x32] * 3


def answered(code: int) -> Callable[[socket.socket], None]:
    """A broker of MQTT 5 that takes packets up to 1000 bytes and answers a publish to topic t with a reason."""

    def script(line: socket.socket) -> None:
        line.recv(1000)
        line.sendall(bytes.fromhex("2008000005") + b"\x27\x00\x00\x03\xe8")
        line.sendall(b"\x40\x04" + line.recv(1000)[5:7] + bytes([code, 0]))
        line.recv(1000)

    return script


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0x87, "the broker refuses t: not authorised: its access list must let the certificate of this node write"),
        (0x97, "the broker refuses t: quota exceeded: raise this node's quota there"),
        (0x99, "the broker refuses t: payload format invalid"),
    ],
)
def test_a_message_that_the_broker_refuses_is_not_received_and_the_reason_is_told(code: int, words: str) -> None:
    async def work(link: Link) -> None:
        with pytest.raises(Declined, match=words):
            await link.publish("t", b"x")
        assert link.packet_bytes == 1000

    with scripted(answered(code)) as port:
        linked(at(port), work)


@pytest.mark.parametrize("code", [0x00, 0x10])
def test_a_message_is_received_even_if_nobody_listens_there(code: int) -> None:
    async def work(link: Link) -> None:
        await link.publish("t", b"x")

    with scripted(answered(code)) as port:
        linked(at(port), work)


def test_what_a_connection_costs_is_known_also_after_it(broker: Mosquitto) -> None:
    async def main() -> None:
        async with connect(at(broker.port), client_id="n", will_topic=STATE, will=b"") as link:
            begin = link.traffic_bytes
            await link.publish("up", bytes(100_000))
            cost = link.traffic_bytes
        assert 0 < begin < 1500
        assert 100_000 < cost - begin < 110_000
        assert link.traffic_bytes == cost

    asyncio.run(main())


def test_two_hundred_connections_leave_nothing_behind(broker: Mosquitto) -> None:
    async def main() -> None:
        counts: list[tuple[int, int]] = []
        for round_ in range(200):
            async with connect(at(broker.port), client_id="n", will_topic=STATE, will=b"") as link:
                if round_ % 3 == 0:
                    await link.leave()
                if round_ % 3 == 1:
                    await link.publish("x", b"y")
            await asyncio.sleep(0)
            counts.append((len(asyncio.all_tasks()), open_files()))
        assert max(counts[100:]) <= max(counts[3:20])

    asyncio.run(main())


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pki(tmp_path: Path) -> Authority:
    """A city's authority, with the broker's certificate and this node's in its folder."""
    authority = Authority(tmp_path / "pki", "city")
    authority.issue("broker", "broker.crt", "broker.key")
    authority.issue("dago-01", "tls.crt", "tls.key")
    return authority


@pytest.fixture
def tls_broker(make_broker: Callable[..., Mosquitto], pki: Authority) -> Mosquitto:
    shutil.copy(pki.path, pki.folder / "broker-ca.crt")
    return make_broker(
        f"user root\nallow_anonymous true\nrequire_certificate true\ncafile {pki.folder / 'broker-ca.crt'}\n"
        f"certfile {pki.folder / 'broker.crt'}\nkeyfile {pki.folder / 'broker.key'}\n"
    )


def over_tls(port: int, folder: Path, host: str = "127.0.0.1") -> Broker:
    return Broker(host=host, tcp_port=port, tls=identity.tls_context(folder, lambda: (0, None)), timeout_s=5)


def test_both_sides_prove_who_they_are(tls_broker: Mosquitto, pki: Authority) -> None:
    async def work(link: Link) -> None:
        await link.publish("x", b"y")

    linked(over_tls(tls_broker.port, pki.folder), work)


def test_a_broker_of_another_authority_is_not_trusted(tls_broker: Mosquitto, pki: Authority, tmp_path: Path) -> None:
    Authority(tmp_path / "other", "another city")
    shutil.copy(tmp_path / "other" / "ca.crt", pki.folder / "ca.crt")
    assert failure(over_tls(tls_broker.port, pki.folder)).startswith("the broker's certificate is not accepted: ")


def test_a_broker_with_another_name_is_not_trusted(tls_broker: Mosquitto, pki: Authority) -> None:
    text = failure(over_tls(tls_broker.port, pki.folder, host="localhost"))
    assert text.startswith("the broker's certificate is not accepted: ")
    assert "localhost" in text


def test_a_node_of_another_authority_hears_why(tls_broker: Mosquitto, pki: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "other", "another city")
    stranger.issue("dago-01", "tls.crt", "tls.key")
    shutil.copy(pki.path, stranger.path)
    assert failure(over_tls(tls_broker.port, stranger.folder)).startswith("the broker refuses this node's certificate:")


def test_a_node_without_a_certificate_hears_why(tls_broker: Mosquitto, pki: Authority) -> None:
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.load_verify_locations(str(pki.path))
    broker = Broker(host="127.0.0.1", tcp_port=tls_broker.port, tls=bare, timeout_s=5)
    assert failure(broker).startswith("the broker refuses this node's certificate:")


def test_a_plain_client_at_a_tls_port_is_hung_up_on(tls_broker: Mosquitto) -> None:
    assert failure(at(tls_broker.port)) in {"the broker hung up", "Connection reset by peer"}


def test_tls_at_a_plain_port_is_told_in_words(broker: Mosquitto, pki: Authority) -> None:
    assert failure(over_tls(broker.port, pki.folder)) != ""
