"""One connection: what is said on it from the hello to the good-bye, and what the center answers."""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agent.errors import Declined, LinkLost
from agent.link_log import LinkLog
from agent.meter import Meter
from agent.mqtt import Message, Wire
from agent.packet_limit import PacketLimit
from agent.seal import Moment
from agent.spool.keeper import Keeper, Receipt
from agent.spool.settle import Settling
from agent.spool.shelf import Ref, Stored
from agent.spool.writer import Writer
from agent.sync import Held, Name, Next, Sync, hello_chains
from agent.wire import topics
from agent.wire.ack import Ack, open_ack
from agent.wire.batch import ID_BYTES
from agent.wire.errors import WireError
from agent.wire.hello import encode_hello
from agent.wire.keys import Verifier
from agent.wire.records import State

log = logging.getLogger(__name__)

_LEAST_WAIT_S = 0.01
_UNANSWERED_S = 2.0
_DOUBLINGS = 16
_THRIFT = 10  # times rarer hellos, once the quota is used up


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Whose uplink this is.

    Attributes:
        city: Tenant.
        node: Box.
        run: That takes rows now.
        boot: Kernel boot id.
        since_boot_ms: CLOCK_BOOTTIME of the start, in ms.
        version: Of the agent.
        center: Keys whose acks count.
    """

    city: str
    node: str
    run: bytes
    boot: bytes
    since_boot_ms: int
    version: str
    center: Sequence[Verifier]

    def state(self, *, online: bool) -> bytes:
        """Return what is retained of this node."""
        return State(online=online, run=self.run, version=self.version, since_boot_ms=self.since_boot_ms).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long the uplink waits, in s.

    Attributes:
        beat_s: Longest time between two signs of life while nothing happens.
        rehello_s: Shortest time between a hello and the next one that a foreign nonce calls for.
        unanswered_s: A hello without an answer is said again after 2 s, then twice as long, at most this.
        farewell_s: Longest time to say good-bye.
    """

    beat_s: float = 10
    rehello_s: float = 10
    unanswered_s: float = 60
    farewell_s: float = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What all connections of an uplink work with.

    Attributes:
        writer: The spool's thread.
        sync: What may leave.
        limit: The largest message that the broker takes.
        meter: Counts bytes; None where they cost nothing.
        log: Says what happens, once.
        waits: How long to wait.
        random: Draws bytes.
        moment: Now, for records that sending calls for.
        stored: Told of every write that sending calls for.
        acked: Told of every ack with our nonce, after it was applied, with the center's time.
        news: Set when ``sync`` may have something to send, or a connection is to end.
    """

    writer: Writer
    sync: Sync
    limit: PacketLimit
    meter: Meter | None
    log: LinkLog
    waits: Waits
    random: Callable[[int], bytes]
    moment: Callable[[], Moment]
    stored: Callable[[Receipt], None]
    acked: Callable[[int], None]
    news: asyncio.Event


class _Over(Exception):  # noqa: N818 - not an error: the connection has done its work
    """The connection is to end in order."""


class Session:
    """Speaks on one link for one run."""

    def __init__(self, link: Wire, who: Who, desk: Desk) -> None:
        self._link = link
        self._who = who
        self._desk = desk
        self._sync = desk.sync
        self._is_over = False
        self._nonce = b""
        self._hello_s = 0.0
        self._hellos = 0
        self._answered = False
        self._answers: set[bytes] = set()
        self._foreign = False

    def end(self) -> None:
        """End the connection in order, soon."""
        self._is_over = True
        self._desk.news.set()

    async def run(self, alive: Callable[[], None]) -> None:
        """Speak until the link is lost, or `end` or the quota ends it.

        Raises:
            LinkLost: bare or in a group.
        """
        try:
            try:
                await self._begin(alive)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._receive())
                    await self._send(tasks, alive)
            except* _Over:
                await self._farewell()
        except asyncio.CancelledError:
            await self._farewell()
            raise

    async def _begin(self, alive: Callable[[], None]) -> None:
        alive()
        await self._link.subscribe(topics.ack(self._who.city, self._who.node))
        alive()
        await self._publish_state(online=True)
        alive()
        held = await self._held()
        self._sync.load(held)
        self._sync.connected(self._now_s())
        await self._say_hello(held)

    async def _farewell(self) -> None:
        """Say that this node leaves on purpose."""
        with contextlib.suppress(LinkLost, TimeoutError):
            async with asyncio.timeout(self._desk.waits.farewell_s):
                await self._publish_state(online=False)
                await self._link.leave()

    async def _publish_state(self, *, online: bool) -> None:
        topic = topics.state(self._who.city, self._who.node)
        await self._link.publish(topic, self._who.state(online=online), retain=True)

    # -- sending ----------------------------------------------------------------------------------------------------

    async def _send(self, tasks: asyncio.TaskGroup, alive: Callable[[], None]) -> None:
        while True:
            alive()
            await self._weigh()
            if self._is_over:
                raise _Over
            self._desk.news.clear()
            item = self._sync.next(self._now_s())
            if item is None:
                await self._wait_for_news()
                continue
            ref = Ref(run=item.run, stream=item.stream, n=item.n)
            found = await self._desk.writer.call(_read(ref))
            if found is None:
                self._sync.missing(item.name)
                continue
            topic = topics.up(self._who.city, self._who.node, item.lane)
            most_bytes = self._desk.limit.payload_bytes(self._link.packet_bytes, topic)
            if most_bytes is not None and len(found.message) > most_bytes:
                await self._reseal(ref, item.name, len(found.message), most_bytes)
                continue
            self._sync.sent(item.name, item.lane, len(found.message), self._now_s())
            tasks.create_task(self._publish(item, topic, found.message))

    async def _publish(self, item: Next, topic: str, message: bytes) -> None:
        try:
            await self._link.publish(topic, message)
        except Declined as error:
            self._desk.log.declined(item.lane, str(error))
            self._sync.declined(item.name, self._now_s())
        else:
            self._desk.log.received(item.lane)
            self._sync.received(item.name, self._now_s())
        self._desk.news.set()

    async def _reseal(self, ref: Ref, name: Name, size_bytes: int, most_bytes: int) -> None:
        """Have the rows of a batch sealed again in smaller ones; what cannot be made smaller stays here."""
        moment = self._desk.moment()
        self._sync.missing(name)
        receipt = await self._desk.writer.call(lambda keeper: keeper.reseal(ref, most_bytes, moment))
        sizes = f"bytes={size_bytes} at_most={most_bytes}"
        log.warning("batch larger than the broker takes, sealed again: run=%s n=%d %s", ref.run.hex(), ref.n, sizes)
        self._desk.stored(receipt)

    async def _weigh(self) -> None:
        """Count what the link has cost, and keep to what is left."""
        meter = self._desk.meter
        if meter is None:
            return
        allowed = meter.see(self._link.traffic_bytes)
        self._sync.only_alarms = allowed != "all"
        self._is_over |= allowed == "nothing"
        if meter.due(self._now_s()):
            await self._desk.writer.call(lambda _: meter.save())

    async def _wait_for_news(self) -> None:
        now_s = self._now_s()
        if self._sync.stalled(now_s):
            raise LinkLost("the broker accepts, the center does not answer")
        if now_s >= self._hello_again_s():
            self._hellos = min(self._hellos + 1, _DOUBLINGS)
            await self._say_hello(await self._held())
        due_s = min(self._sync.deadline(now_s), self._hello_again_s())
        wait_s = max(_LEAST_WAIT_S, min(self._desk.waits.beat_s, due_s - now_s))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._desk.news.wait()

    def _hello_again_s(self) -> float:
        waits = self._desk.waits
        foreign_s = waits.rehello_s if self._foreign else math.inf
        silent_s = math.inf if self._answered else min(_UNANSWERED_S * float(1 << self._hellos), waits.unanswered_s)
        return self._hello_s + min(foreign_s, silent_s) * (_THRIFT if self._sync.only_alarms else 1)

    async def _held(self) -> list[Held]:
        return await self._desk.writer.call(lambda keeper: keeper.held())

    async def _say_hello(self, held: Sequence[Held]) -> None:
        self._nonce = self._desk.random(ID_BYTES)
        self._hello_s = self._now_s()
        self._answered = self._foreign = False
        self._answers.clear()
        who = self._who
        for page in encode_hello(self._nonce, who.run, who.boot, hello_chains(held)):
            await self._link.publish(topics.hello(who.city, who.node), page)

    # -- receiving --------------------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        async for message in self._link.messages():
            await self._take(message)

    async def _take(self, message: Message) -> None:
        who = self._who
        try:
            ack = open_ack(message.payload, city=who.city, node=who.node, center=who.center)
        except WireError as error:
            self._desk.log.not_taken(error.reason, f"ack refused: reason={error.reason} detail={error.detail}")
            return
        if ack.nonce != self._nonce:
            self._desk.log.not_taken("nonce", "ack of another hello ignored")
            self._foreign = True  # unless one with ours follows, the center has forgotten our hello
            self._desk.news.set()
            return
        self._foreign = False
        if ack.answers_hello and message.payload in self._answers:
            ack = replace(ack, answers_hello=False)  # said again on the way: only the first may move n back
        elif ack.answers_hello:
            self._answers.add(message.payload)
        self._apply(ack, await self._desk.writer.call(lambda keeper: keeper.settle(ack)))

    def _apply(self, ack: Ack, settling: Settling) -> None:
        now_s = self._now_s()
        self._sync.allow(
            window_bytes=ack.window_bytes,
            rate_bytes_per_s=ack.rate_bytes_per_s,
            answers_hello=ack.answers_hello,
        )
        for one in settling.progress:
            self._sync.settled(one.key, one.n, one.ranges, one.refused, now_s)
        self._desk.log.settled(settling)
        self._answered = self._answered or ack.answers_hello
        self._desk.acked(ack.center_utc_ms)
        self._desk.news.set()

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()


def _read(ref: Ref) -> Callable[[Keeper], Stored | None]:
    return lambda keeper: keeper.read(ref)
