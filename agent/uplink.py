"""The uplink: keeps one connection to the center, sends what sync says may leave, and frees what the center settled.

Progress is measured by acks, not by being connected. The tasks of a connection live in a group of its own and end
with it.
"""

import asyncio
import contextlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from agent.errors import LinkLost
from agent.mqtt import Broker, Link, Message, connect
from agent.spool.keeper import Keeper, Receipt
from agent.spool.settle import Settling
from agent.spool.shelf import Ref, Stored
from agent.spool.writer import Writer
from agent.sync import Next, Sync, Timing, hello_chains
from agent.wire import topics
from agent.wire.ack import Ack, open_ack
from agent.wire.batch import ID_BYTES
from agent.wire.errors import WireError
from agent.wire.hello import encode_hello
from agent.wire.keys import Verifier
from agent.wire.records import State
from drivers.backoff import Backoff

log = logging.getLogger(__name__)

_LEAST_WAIT_S = 0.01
_LOOK_S = 0.05
_UNANSWERED_S = 2.0
_DOUBLINGS = 16
_REASONS = 5  # different reasons told in one outage


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Whose uplink this is.

    Attributes:
        city: Tenant.
        node: Box.
        run: Of this process.
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


@dataclass(slots=True)
class _Told:
    """What was said once already."""

    up: bool = False  # whether the last word was that the center answers
    downs: set[str] = field(default_factory=set)  # why the link is down, each reason once an outage
    conflicts: set[tuple[bytes, int, int]] = field(default_factory=set)


class Uplink:
    """Owns the link to the center.

    Args:
        who: This node.
        broker: Where to connect.
        writer: The spool's thread.
        timing: Settings of sync.
        backoff: Makes the waits of one outage; ``spread`` asks for a spread first wait.
        random: Draws bytes.
        online: Told of every change; online is who gets acks, not who is connected.
        center_says: Told of the center's time, from acks with our nonce.
        waits: How long to wait.

    Attributes:
        sync: What may leave.
        refused: Messages of the center that were not taken, by reason.
    """

    def __init__(
        self,
        who: Who,
        broker: Broker,
        writer: Writer,
        timing: Timing,
        *,
        backoff: Callable[[bool], Backoff],
        random: Callable[[int], bytes],
        online: Callable[[bool], None],
        center_says: Callable[[int], None],
        waits: Waits | None = None,
    ) -> None:
        self._who = who
        self._broker = broker
        self._writer = writer
        self._backoff = backoff
        self._random = random
        self._online = online
        self._center_says = center_says
        self._waits = waits or Waits()
        self._news = asyncio.Event()
        self._nonce = b""
        self._hello_s = 0.0
        self._hellos = 0
        self._answered = False
        self._answers: set[bytes] = set()
        self._foreign = False
        self._acked = False
        self._told = _Told()
        self.sync = Sync(who.run, timing)
        self.refused: Counter[str] = Counter()

    def stored(self, receipt: Receipt) -> None:
        """Take note of batches that may be sent from now on."""
        for ref in receipt.refs:
            self.sync.stored(ref.run, ref.stream, ref.n)
        if receipt.refs:
            self._news.set()

    async def run(self, alive: Callable[[], None], *, spread: bool) -> None:
        """Keep the link for ever.

        Args:
            alive: Called after every step; no step is longer than what the network's own timeouts allow.
            spread: Spread the first connection: this is a boot, and the whole city may be booting.
        """
        self.sync.load(await self._writer.call(lambda keeper: keeper.held()))
        retry = self._backoff(spread)
        if spread:
            await self._pause(retry.next_s(), alive)
        while True:
            self._acked = False
            try:
                await self._connection(alive)
            except LinkLost as error:
                self._say_down(str(error))
            _let_cancellation_through()
            if self._acked:
                retry = self._backoff(True)
            await self._pause(retry.next_s(), alive)

    async def drained(self, within_s: float) -> None:
        """Wait until the center has all that is here, at most so long; not at all while it does not answer."""
        end_s = self._now_s() + within_s
        while self._acked and self.sync.backlog() and self._now_s() < end_s:  # noqa: ASYNC110 - the event is the sender's
            await asyncio.sleep(_LOOK_S)

    async def _connection(self, alive: Callable[[], None]) -> None:
        alive()
        who = self._who
        try:
            async with connect(
                self._broker,
                client_id=f"{who.node}-{who.run[:4].hex()}",
                will_topic=topics.state(who.city, who.node),
                will=self._state(online=False),
            ) as link:
                await self._serve(link, alive)
        except BaseExceptionGroup as group:
            weather, bugs = group.split(LinkLost)
            if bugs is not None or weather is None:
                raise
            raise LinkLost(str(_first(weather))) from group
        finally:
            self.sync.disconnected()
            if self._acked:
                self._online(False)

    async def _serve(self, link: Link, alive: Callable[[], None]) -> None:
        try:
            await self._begin(link, alive)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive(link))
                await self._send(link, tasks, alive)
        except asyncio.CancelledError:
            await self._farewell(link)
            raise

    async def _begin(self, link: Link, alive: Callable[[], None]) -> None:
        alive()
        await link.subscribe(topics.ack(self._who.city, self._who.node))
        alive()
        await self._publish_state(link, online=True)
        alive()
        self.sync.connected(self._now_s())
        self._hellos = 0
        await self._say_hello(link)

    async def _farewell(self, link: Link) -> None:
        """Say that this node leaves on purpose."""
        with contextlib.suppress(LinkLost, TimeoutError):
            async with asyncio.timeout(self._waits.farewell_s):
                await self._publish_state(link, online=False)
                await link.leave()

    async def _publish_state(self, link: Link, *, online: bool) -> None:
        await link.publish(topics.state(self._who.city, self._who.node), self._state(online=online), retain=True)

    # -- sending ----------------------------------------------------------------------------------------------------

    async def _send(self, link: Link, tasks: asyncio.TaskGroup, alive: Callable[[], None]) -> None:
        while True:
            alive()
            self._news.clear()
            item = self.sync.next(self._now_s())
            if item is None:
                await self._wait_for_news(link)
                continue
            ref = Ref(run=item.run, stream=item.stream, n=item.n)
            found = await self._writer.call(_read(ref))
            if found is None:
                self.sync.missing(item.name)
                continue
            self.sync.sent(item.name, item.lane, len(found.message), self._now_s())
            tasks.create_task(self._publish(link, item, found.message))

    async def _publish(self, link: Link, item: Next, message: bytes) -> None:
        await link.publish(topics.up(self._who.city, self._who.node, item.lane), message)
        self.sync.received(item.name, self._now_s())
        self._news.set()

    async def _wait_for_news(self, link: Link) -> None:
        now_s = self._now_s()
        if self.sync.stalled(now_s):
            raise LinkLost("the broker accepts, the center does not answer")
        if now_s >= self._hello_again_s():
            self._hellos = min(self._hellos + 1, _DOUBLINGS)
            await self._say_hello(link)
        due_s = min(self.sync.deadline(), self._hello_again_s())
        wait_s = max(_LEAST_WAIT_S, min(self._waits.beat_s, due_s - now_s))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._news.wait()

    def _hello_again_s(self) -> float:
        waits = self._waits
        foreign_s = waits.rehello_s if self._foreign else math.inf
        silent_s = math.inf if self._answered else min(_UNANSWERED_S * float(1 << self._hellos), waits.unanswered_s)
        return self._hello_s + min(foreign_s, silent_s)

    async def _say_hello(self, link: Link) -> None:
        held = await self._writer.call(lambda keeper: keeper.held())
        self._nonce = self._random(ID_BYTES)
        self._hello_s = self._now_s()
        self._answered = self._foreign = False
        self._answers.clear()
        who = self._who
        for page in encode_hello(self._nonce, who.run, who.boot, hello_chains(held)):
            await link.publish(topics.hello(who.city, who.node), page)

    # -- receiving --------------------------------------------------------------------------------------------------

    async def _receive(self, link: Link) -> None:
        async for message in link.messages():
            await self._take(message)

    async def _take(self, message: Message) -> None:
        who = self._who
        try:
            ack = open_ack(message.payload, city=who.city, node=who.node, center=who.center)
        except WireError as error:
            self._refuse(error.reason, f"ack refused: reason={error.reason} detail={error.detail}")
            return
        if ack.nonce != self._nonce:
            self._refuse("nonce", "ack of another hello ignored")
            self._foreign = True  # unless one with ours follows, the center has forgotten our hello
            self._news.set()
            return
        self._foreign = False
        if ack.answers_hello and message.payload in self._answers:
            ack = replace(ack, answers_hello=False)  # said again on the way: only the first may move n back
        elif ack.answers_hello:
            self._answers.add(message.payload)
        self._apply(ack, await self._writer.call(lambda keeper: keeper.settle(ack)))

    def _apply(self, ack: Ack, settling: Settling) -> None:
        now_s = self._now_s()
        self._center_says(ack.center_utc_ms)
        self.sync.allow(
            window_bytes=ack.window_bytes,
            rate_bytes_per_s=ack.rate_bytes_per_s,
            answers_hello=ack.answers_hello,
        )
        for one in settling.progress:
            self.sync.settled(one.key, one.n, one.ranges, one.refused, now_s)
        for (run, stream), n in settling.conflicts:
            if (run, stream, n) not in self._told.conflicts:
                self._told.conflicts.add((run, stream, n))
                log.error("center names another batch than ours, nothing freed: run=%s n=%d", run.hex(), n)
        for (run, _), n, reason in settling.refused:
            log.error("batch refused by the center, kept here: run=%s n=%d reason=%s", run.hex(), n, reason)
        self._answered = self._answered or ack.answers_hello
        if not self._acked:
            self._acked = True
            self._online(True)
        if not self._told.up:
            log.info("link up: broker=%s:%d, the center answers", self._broker.host, self._broker.tcp_port)
            self._told.up = True
            self._told.downs.clear()
        self._news.set()

    # -- saying things once -----------------------------------------------------------------------------------------

    def _refuse(self, reason: str, text: str) -> None:
        if not self.refused[reason]:
            log.warning("%s", text)
        self.refused[reason] += 1

    def _say_down(self, reason: str) -> None:
        if reason not in self._told.downs and len(self._told.downs) < _REASONS:
            log.warning("link down: broker=%s:%d reason=%s", self._broker.host, self._broker.tcp_port, reason)
            self._told.downs.add(reason)
        self._told.up = False

    def _state(self, *, online: bool) -> bytes:
        who = self._who
        return State(online=online, run=who.run, version=who.version, since_boot_ms=who.since_boot_ms).encode()

    async def _pause(self, wait_s: float, alive: Callable[[], None]) -> None:
        end_s = self._now_s() + wait_s
        while (left_s := end_s - self._now_s()) > 0:
            alive()
            await asyncio.sleep(min(left_s, self._waits.beat_s))
        alive()

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()


def _read(ref: Ref) -> Callable[[Keeper], Stored | None]:
    return lambda keeper: keeper.read(ref)


def _let_cancellation_through() -> None:
    """End the task when it was cancelled in the moment its connection failed: a TaskGroup then tells of the failure."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
