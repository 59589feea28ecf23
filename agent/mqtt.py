"""The one owner of MQTT: a new client for every connection, and nothing waits inside it.

A client used again after its broker died sends old messages twice; so a `Link` lives for one connection only, its
publishes run side by side and all end with it. A connection ends without a good-bye, so that the broker publishes the
will, unless `Link.leave` said one. How much may be under way is for the caller to bound: the client and the kernel hold
whatever they are given, in order, so a small socket buffer would only move the queue.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.errors import Declined, LinkLost

_IN_FLIGHT = 128  # above what sync ever has in flight, so the client itself never queues
_INCOMING = 256
_WILL_DELAY_S = 30  # a short radio gap does not show
_QOS = 1
_REFUSED = 0x80  # reason codes from here on
_CURES = {
    0x87: "not authorised: its access list must let the certificate of this node write there",
    0x97: "quota exceeded: raise this node's quota there, or let it send less",
}
_NODELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # an alarm never waits until older bytes are confirmed
_TCP_INFO = struct.Struct("120x QQ II 56x Q")
"""bytes_acked, bytes_received, segs_out, segs_in, bytes_sent.

Source: Linux, include/uapi/linux/tcp.h, struct tcp_info.
"""
_HEADER_BYTES = {socket.AF_INET: 20 + 32, socket.AF_INET6: 40 + 32}
"""Of IP and TCP with timestamps, a segment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where to connect and how.

    Attributes:
        host: Name or address.
        tcp_port: Port.
        tls: Context for mutual TLS; None for plain TCP.
        version_5: MQTT 5, else 3.1.1; the payloads are the same.
        keepalive_s: Longest silence on the link.
        timeout_s: Longest wait for the broker to answer a single request.
    """

    host: str
    tcp_port: int
    tls: ssl.SSLContext | None
    version_5: bool = True
    keepalive_s: int = 60
    timeout_s: float = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What came in."""

    topic: str
    payload: bytes


class Wire(Protocol):
    """One connection, as the uplink sees it."""

    async def subscribe(self, topic: str) -> None:
        """Subscribe with QoS 1. Raises LinkLost."""

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1 and wait for the broker's receipt, which frees nothing. Raises LinkLost, Declined."""

    @property
    def packet_bytes(self) -> int | None:
        """Largest packet that the broker takes; None when it names no limit."""

    @property
    def traffic_bytes(self) -> int:
        """What this connection has cost so far, both ways, with all headers and whatever was sent twice."""

    def messages(self) -> AsyncIterator[Message]:
        """Yield what comes in until the link is lost. Raises LinkLost."""

    async def leave(self) -> None:
        """End the connection in order: the broker publishes no will. Raises LinkLost."""


class Connect(Protocol):
    """Opens connections."""

    def __call__(
        self, broker: Broker, /, *, client_id: str, will_topic: str, will: bytes
    ) -> AbstractAsyncContextManager[Wire]:
        """Open one connection with a retained will and end it. Raises LinkLost with the reason."""


class Link:
    """One connection."""

    def __init__(self, client: "_Client") -> None:
        self._client = client
        self._places = asyncio.Semaphore(client.receive_maximum)

    @property
    def packet_bytes(self) -> int | None:
        """Largest packet that the broker takes; None when it names no limit."""
        return self._client.packet_bytes

    @property
    def traffic_bytes(self) -> int:
        """What this connection has cost so far, both ways, with all headers and whatever was sent twice."""
        return self._client.traffic_bytes()

    async def subscribe(self, topic: str) -> None:
        """Subscribe with QoS 1. Raises LinkLost."""
        with _weather():
            for granted in await self._client.subscribe(topic, qos=_QOS):
                code = granted if isinstance(granted, int) else granted.value
                if code > _QOS:
                    raise LinkLost(f"the broker does not let this node read {topic}: check its access list")

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1 and wait for the broker's receipt, which frees nothing. Raises LinkLost, Declined."""
        async with self._places:
            with _weather():
                code = await self._client.send(topic, payload, retain=retain)
        if code.value >= _REFUSED:
            words = _CURES.get(code.value, str(code).lower())
            raise Declined(f"the broker refuses {topic}: {words}")

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what comes in until the link is lost. Raises LinkLost."""
        with _weather():
            async for message in self._client.messages:
                payload = message.payload
                yield Message(topic=message.topic.value, payload=payload if isinstance(payload, bytes) else b"")

    async def leave(self) -> None:
        """End the connection in order: the broker publishes no will. Raises LinkLost."""
        with _weather():
            await self._client.__aexit__(None, None, None)


@contextlib.asynccontextmanager
async def connect(broker: Broker, *, client_id: str, will_topic: str, will: bytes) -> AsyncIterator[Link]:
    """Open one connection with a retained will and end it. Raises LinkLost with the reason."""
    ear = _Ear()
    client = _Client(
        broker.host,
        broker.tcp_port,
        identifier=client_id,
        protocol=aiomqtt.ProtocolVersion.V5 if broker.version_5 else aiomqtt.ProtocolVersion.V311,
        clean_session=None if broker.version_5 else True,
        will=aiomqtt.Will(will_topic, will, _QOS, retain=True, properties=_will_delay(broker)),
        timeout=broker.timeout_s,
        keepalive=broker.keepalive_s,
        max_inflight_messages=_IN_FLIGHT,
        max_queued_outgoing_messages=_IN_FLIGHT,
        max_queued_incoming_messages=_INCOMING,
        tls_context=broker.tls,
        logger=ear,
        socket_options=(_NODELAY,),
    )
    client.ear = ear
    client.answers = {}
    try:
        with _weather():
            await client.__aenter__()
        yield Link(client)
    finally:
        client.hang_up()


class _Ear(logging.Logger):
    """Hears what paho logs: what broke a connection, it tells nobody else."""

    def __init__(self) -> None:
        super().__init__("mqtt", logging.ERROR)
        self.heard: OSError | None = None

    def handle(self, record: logging.LogRecord) -> None:
        for value in record.args if isinstance(record.args, tuple) else ():
            self.heard = value if isinstance(value, OSError) else self.heard


class _Client(aiomqtt.Client):
    """The library's client, which also hears what the broker answers and why a connection broke, and can hang up."""

    ear: _Ear
    answers: dict[int, asyncio.Future[ReasonCode]]
    receive_maximum = _IN_FLIGHT
    packet_bytes: int | None = None
    _traffic_bytes = 0

    async def send(self, topic: str, payload: bytes, *, retain: bool) -> ReasonCode:
        """Publish with QoS 1 and return the broker's answer, which the library's own publish drops."""
        info = self._client.publish(topic, payload, _QOS, retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            reason = self._disconnected.exception() if self._disconnected.done() else None
            raise aiomqtt.MqttCodeError(info.rc, "Could not publish message") from reason
        answer = self.answers[info.mid] = self._loop.create_future()
        try:
            return await self._wait_for(answer, timeout=None)
        finally:
            self.answers.pop(info.mid, None)

    def _on_publish(
        self, client: Client, userdata: object, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        super()._on_publish(client, userdata, mid, reason_code, properties)
        answer = self.answers.get(mid)
        if answer is not None and not answer.done():
            answer.set_result(reason_code)

    def _on_connect(
        self,
        client: Client,
        userdata: object,
        flags: ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self.receive_maximum = min(_IN_FLIGHT, getattr(properties, "ReceiveMaximum", _IN_FLIGHT))
        self.packet_bytes = getattr(properties, "MaximumPacketSize", None)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def traffic_bytes(self) -> int:
        """Ask the kernel what went over the socket; the last answer counts once it is closed."""
        line = self._client.socket()
        if isinstance(line, socket.socket) and line.fileno() >= 0:
            info = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size).ljust(_TCP_INFO.size, b"\0")
            acked, received, segments_out, segments_in, sent = _TCP_INFO.unpack(info)
            headers = (segments_out + segments_in) * _HEADER_BYTES[line.family]
            self._traffic_bytes = max(sent, acked) + received + headers
        return self._traffic_bytes

    def _on_disconnect(
        self,
        client: Client,
        userdata: object,
        flags: DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("the broker hung up"))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)
        for end in (self._connected, self._disconnected):
            if end.done() and (error := end.exception()) is not None:
                error.__cause__ = self.ear.heard

    def _on_socket_register_write(
        self,
        client: Client,
        userdata: object,  # noqa: ARG002 - the library's
        sock: socket.socket | ssl.SSLSocket,
    ) -> None:
        """Watch for room in the socket, unless it is closed by then: its number may be another file's."""

        def write() -> None:
            try:
                client.loop_write()
            except Exception as error:  # noqa: BLE001 - as in the library: whatever it is ends the connection
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        def watch() -> None:
            if sock.fileno() >= 0:
                self._loop.add_writer(sock.fileno(), write)

        self._loop.call_soon_threadsafe(watch)

    def hang_up(self) -> None:
        """Close the socket whatever state it is in: nothing that was handed over may leave after this."""
        self._client._sock_close()  # noqa: SLF001 - neither library has a public way
        for end in (self._connected, self._disconnected):
            if end.done() and not end.cancelled():
                end.exception()  # seen, even when nobody waited for it


@contextlib.contextmanager
def _weather() -> Iterator[None]:
    """Turn what the client raises when the world is bad into LinkLost, with the innermost reason.

    The client waits by `asyncio.wait_for`, which in Python 3.11 swallows a cancellation that comes in the same moment
    as what was waited for; here it is raised again.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    except (aiomqtt.MqttError, UnicodeError) as error:  # the latter: a host that cannot be one
        raise LinkLost(_reason(error)) from error
    if task and task.cancelling() > before:
        raise asyncio.CancelledError


def _reason(error: BaseException) -> str:
    while isinstance(inner := error.__cause__ or error.__context__, (aiomqtt.MqttError, OSError)):
        error = inner
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        what = (error.reason or str(error)).replace("_", " ").lower()
        return f"the broker refuses this node's certificate: {what}" if "alert" in what else f"no TLS: {what}"
    if isinstance(error, TimeoutError):
        return "the broker does not answer"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, aiomqtt.MqttCodeError) and isinstance(error.rc, ReasonCode):
        what = "refuses" if isinstance(error, MqttConnectError) else "ended"
        return f"the broker {what} the connection: {error.rc}"
    return str(error) or type(error).__name__


def _will_delay(broker: Broker) -> Properties | None:
    if not broker.version_5:
        return None
    properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]  # paho gives it no types
    properties.WillDelayInterval = _WILL_DELAY_S
    return properties
