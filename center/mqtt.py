"""The center's side of MQTT: one owner of aiomqtt, a new client for each connection, for ever.

aiomqtt acknowledges a QoS 1 message before the application has seen it; what is lost in between comes again, because
nodes free only what the center's signed ack names. Acks leave one after the other, each with a deadline.
"""

import asyncio
import logging
import random
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.wire import topics
from center.errors import LinkLost
from center.receiver import Message

log = logging.getLogger("center")

_SESSION_S = 3600  # the broker keeps what arrives while the center restarts
_DEADLINE_S = 10.0
_KEEPALIVE_S = 30
_BASE_S, _CAP_S = 0.5, 30.0
_INCOMING = 20_000
_OUTBOX = 10_000
_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where the broker is and how to talk to it; ``tls`` is None for plain TCP."""

    host: str
    port: int
    protocol: Literal["5", "3.1.1"] = "5"
    tls: ssl.SSLContext | None = None


def parse_url(url: str) -> tuple[str, int, bool]:
    """Return host, port and whether it is TLS. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError(f"{url!r} is not mqtts://HOST[:PORT] or mqtt://HOST[:PORT]")
    return parts.hostname, parts.port or _PORTS[parts.scheme], parts.scheme == "mqtts"


class Link:
    """The connection and what waits to be published.

    Attributes:
        discarded: Acks that found the outbox full; the nodes send again and get another.
    """

    def __init__(self, broker: Broker, *, city: str, receive: Callable[[Message], None]) -> None:
        self._broker = broker
        self._city = city
        self._receive = receive
        self._outbox: deque[Message] = deque()
        self._filled = asyncio.Event()
        self._client: aiomqtt.Client | None = None
        self._connected = asyncio.Event()
        self._failures = 0
        self._up = True  # so that a broker that was never there is named once
        self.discarded = 0

    def send(self, messages: Sequence[Message]) -> None:
        """Queue acks; plain call in the loop's thread."""
        for message in messages:
            if len(self._outbox) >= _OUTBOX:
                self._outbox.popleft()
                self.discarded += 1
            self._outbox.append(message)
        if messages:
            self._filled.set()

    async def run(self) -> None:
        """Keep connected and hand over what comes, until cancelled."""
        while True:
            try:
                await self._connection()
            except LinkLost as error:
                if self._up:
                    log.warning("broker lost: host=%s port=%d error=%s", self._broker.host, self._broker.port, error)
                self._up = False
            self._failures += 1
            spread_s = min(_CAP_S, _BASE_S * 2 ** min(self._failures, 10))
            await asyncio.sleep(random.uniform(0, spread_s))  # noqa: S311 - full jitter, no secret

    async def _connection(self) -> None:
        try:
            async with self._new_client() as client:
                for wanted in topics.center_filters(self._city):
                    await client.subscribe(wanted, qos=1, timeout=_DEADLINE_S)
                _let_cancellation_through()
                log.info("broker connected: host=%s port=%d", self._broker.host, self._broker.port)
                self._failures = 0
                self._up = True
                self._client = client
                self._connected.set()
                async for message in client.messages:
                    payload = message.payload
                    self._receive(
                        Message(topic=str(message.topic), payload=payload if isinstance(payload, bytes) else b"")
                    )
        except (aiomqtt.MqttError, OSError) as error:
            raise LinkLost(f"{error}: {error.__cause__}" if error.__cause__ else str(error)) from error
        finally:
            self._connected.clear()
            self._client = None

    def _new_client(self) -> aiomqtt.Client:
        five = self._broker.protocol == "5"
        properties = None
        if five:
            # paho gives this constructor no types
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = _SESSION_S
        return aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            identifier=f"gardu-center-{self._city}",
            protocol=aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
            clean_session=None if five else False,
            clean_start=False if five else 3,
            properties=properties,
            keepalive=_KEEPALIVE_S,
            timeout=_DEADLINE_S,
            max_queued_incoming_messages=_INCOMING,
            tls_context=self._broker.tls,
        )

    async def publish(self) -> None:
        """Publish acks one after the other, until cancelled; one that fails waits for the next connection."""
        while True:
            await self._filled.wait()
            await self._connected.wait()
            client = self._client
            while client is not None and client is self._client and self._outbox:
                message = self._outbox.popleft()
                try:
                    await client.publish(message.topic, message.payload, qos=1, timeout=_DEADLINE_S)
                    _let_cancellation_through()
                except aiomqtt.MqttError:
                    self._outbox.appendleft(message)
                    await asyncio.sleep(_BASE_S)  # the receiving side notices a dead connection and says so
            if not self._outbox:
                self._filled.clear()


def _let_cancellation_through() -> None:
    """End the task when it was cancelled in the moment the broker answered: Python 3.11's wait_for swallows that."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
