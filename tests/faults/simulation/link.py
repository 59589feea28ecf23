"""The node's end of a simulated connection: what `agent.mqtt.Link` is on a real one."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from agent import mqtt
from agent.errors import Declined, LinkLost
from agent.mqtt import Message
from tests.faults.simulation.broker import KEEPALIVE_S, Broker, Session
from tests.faults.simulation.road import Connection, Road

_PACKET_BYTES = 8
_HANDSHAKE_BYTES = 4000
DECLINED = "the broker refuses: quota exceeded"
SILENT = "the broker does not answer"
PROTOCOL_ERROR = "the broker ended the connection: Protocol error"
Published = Callable[[str, bytes], None]


@dataclass(eq=False)
class Link:
    """One connection of one process."""

    broker: Broker
    connection: Connection
    timeout_s: float
    published: Published
    lost: str = ""
    session: Session | None = None
    _incoming: deque[Message] = field(default_factory=deque)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _waiting: dict["asyncio.Future[None]", None] = field(default_factory=dict)  # in order, unlike a set
    _ponged: bool = True

    # -- what the uplink asks for -----------------------------------------------------------------------------------

    @property
    def packet_bytes(self) -> int | None:
        return self.broker.packet_bytes if self.broker.names_limit else None

    @property
    def traffic_bytes(self) -> int:
        return 0

    async def subscribe(self, topic: str) -> None:
        def take() -> None:
            if self.session is not None:
                self.session.topics.add(topic)

        await self._ask(len(topic) + _PACKET_BYTES, take)

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        size_bytes = len(topic) + len(payload) + _PACKET_BYTES
        answer = ""

        def take() -> None:
            nonlocal answer
            if self.broker.is_too_large(size_bytes):
                answer = PROTOCOL_ERROR
            elif self.broker.declines and "/up/" in topic:
                answer = DECLINED
            elif not self.broker.forgets:
                self.broker.publish(topic, payload, retain=retain)

        self.published(topic, payload)
        await self._ask(size_bytes, take)
        if answer == PROTOCOL_ERROR:
            self.hang_up(PROTOCOL_ERROR)  # so does the real client at the receipt that a real broker sends
            raise LinkLost(PROTOCOL_ERROR)
        if answer:
            raise Declined(answer)

    async def messages(self) -> AsyncIterator[Message]:
        while True:
            while self._incoming:
                yield self._incoming.popleft()
            if self.lost:
                raise LinkLost(self.lost)
            self._arrived.clear()
            await self._arrived.wait()

    async def leave(self) -> None:
        if self.lost:
            raise LinkLost(self.lost)
        self.connection.up.send(_PACKET_BYTES, lambda: self.broker.run_or_wait(self._left))
        await asyncio.sleep(0)

    def _left(self) -> None:
        if self.session is not None:
            self.broker.end(self.session, will=False)

    # -- the wire ---------------------------------------------------------------------------------------------------

    async def open(self, client_id: str, will: tuple[str, bytes]) -> None:
        """Shake hands."""

        def take() -> None:
            self.session = Session(client_id, self.connection, will, self._deliver, self.hang_up)
            self.broker.begin(self.session)

        await self._ask(_HANDSHAKE_BYTES, take)
        self._ping()

    async def _ask(self, size_bytes: int, take: Callable[[], None]) -> None:
        """Send one packet and wait for its receipt."""
        if self.lost:
            raise LinkLost(self.lost)
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[answer] = None

        def arrived() -> None:
            self.broker.run_or_wait(process)

        def process() -> None:
            if self.session is not None:
                if self.session.over:
                    return
                self.session.heard_s = asyncio.get_running_loop().time()
            take()
            self.connection.down.send(_PACKET_BYTES, receipt)

        def receipt() -> None:
            if not answer.done():
                answer.set_result(None)

        self.connection.up.send(size_bytes, arrived)
        try:
            async with asyncio.timeout(self.timeout_s):
                await answer
        except TimeoutError:
            raise LinkLost(SILENT) from None
        finally:
            self._waiting.pop(answer, None)

    def _deliver(self, topic: str, payload: bytes) -> None:
        self.connection.down.send(len(topic) + len(payload) + _PACKET_BYTES, lambda: self._take(topic, payload))

    def _take(self, topic: str, payload: bytes) -> None:
        self._incoming.append(Message(topic=topic, payload=payload))
        self._arrived.set()

    def _ping(self) -> None:
        if self.lost:
            return
        if not self._ponged:
            self.hang_up("Keep alive timeout")
            return
        self._ponged = False
        self.connection.up.send(_PACKET_BYTES, lambda: self.broker.run_or_wait(self._pong))
        asyncio.get_running_loop().call_later(KEEPALIVE_S, self._ping)

    def _pong(self) -> None:
        if self.session is not None and not self.session.over:
            self.session.heard_s = asyncio.get_running_loop().time()
            self.connection.down.send(_PACKET_BYTES, self._ponging)

    def _ponging(self) -> None:
        self._ponged = True

    def hang_up(self, reason: str) -> None:
        """End here and now; whoever waits learns why."""
        if self.lost:
            return
        self.lost = reason
        self.connection.silence()
        for answer in list(self._waiting):
            if not answer.done():
                answer.set_exception(LinkLost(reason))
        self._arrived.set()


class Stack:
    """The network stack of one box: opens links over its road."""

    def __init__(self, broker: Broker, road: Road, published: Published, opened: Callable[[], None]) -> None:
        self.road = road
        self.link: Link | None = None
        self._broker = broker
        self._published = published
        self._opened = opened

    @contextlib.asynccontextmanager
    async def connect(
        self, broker: mqtt.Broker, *, client_id: str, will_topic: str, will: bytes
    ) -> AsyncIterator[Link]:
        """Open one connection and end it without a good-bye."""
        await asyncio.sleep(self.road.latency_s * 2)
        if self.road.cuts:
            raise LinkLost("No route to host")
        if self._broker.downs:
            raise LinkLost("Connection refused")
        link = self.link = Link(self._broker, Connection(self.road), broker.timeout_s, self._published)
        try:
            await link.open(client_id, (will_topic, will))
            self._opened()
            yield link
        finally:
            self._end(link)

    def cut(self) -> None:
        """Begin a cut: both ends see a reset."""
        self.road.cuts += 1
        self.reset()

    def reset(self) -> None:
        """Reset the connection, if there is one: both ends learn of it."""
        if self.link is not None:
            self._end(self.link)

    def _end(self, link: Link) -> None:
        if link.session is not None:
            self._broker.end(link.session, will=True)
        link.hang_up("Connection reset by peer")

    def vanish(self) -> None:
        """The box is gone without a packet: the broker learns of it by silence only."""
        if self.link is not None:
            self.link.session = None
            self.link.hang_up("this box is off")

    def silence(self) -> None:
        """Leave the connection half-open."""
        if self.link is not None:
            self.link.connection.silence()
