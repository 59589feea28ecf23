"""The uplink: keeps one connection to the center at a time, for ever, each with a `Session` of its own.

Progress is measured by acks, not by being connected. Another run needs another connection: its client id, will and
hello name the run.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from agent.errors import LinkLost
from agent.link_log import LinkLog
from agent.meter import Meter
from agent.mqtt import Broker, Connect, connect
from agent.packet_limit import PacketLimit
from agent.seal import Moment
from agent.session import Desk, Session, Waits, Who
from agent.spool.keeper import Receipt
from agent.spool.writer import Writer
from agent.sync import Sync, Timing
from agent.wire import topics
from drivers.backoff import Backoff

log = logging.getLogger(__name__)

_LOOK_S = 0.05


class Uplink:
    """Owns the link to the center.

    Args:
        who: This node.
        broker: Where to connect.
        writer: The spool's thread.
        timing: Settings of sync.
        backoff: Makes the waits of one outage; ``spread`` asks for a spread first wait.
        random: Draws bytes.
        moment: Now, for records that sending calls for.
        online: Told of every change; online is who gets acks, not who is connected.
        center_says: Told of the center's time, from acks with our nonce.
        meter: Counts what connections cost; None where bytes are free.
        waits: How long to wait.
        connect: Opens connections.

    Attributes:
        sync: What may leave.
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
        moment: Callable[[], Moment],
        online: Callable[[bool], None],
        center_says: Callable[[int], None],
        meter: Meter | None = None,
        waits: Waits | None = None,
        connect: Connect = connect,
    ) -> None:
        self._who = who
        self._broker = broker
        self._backoff = backoff
        self._online = online
        self._center_says = center_says
        self._meter = meter
        self._connect = connect
        self._session: Session | None = None
        self._acked = False
        self._acked_at_s: float | None = None
        self.sync = Sync(who.run, timing)
        self._desk = Desk(
            writer=writer,
            sync=self.sync,
            limit=PacketLimit(),
            meter=meter,
            log=LinkLog(broker),
            waits=waits or Waits(),
            random=random,
            moment=moment,
            stored=self.stored,
            acked=self._take_ack,
            news=asyncio.Event(),
        )

    @property
    def refused(self) -> Counter[str]:
        """Messages of the center that were not taken, by reason."""
        return self._desk.log.refused

    def stored(self, receipt: Receipt) -> None:
        """Take note of batches that may be sent from now on, and of the run that takes rows."""
        for ref in receipt.refs:
            self.sync.stored(ref.run, ref.stream, ref.n)
        if receipt.run != self._who.run:
            self._who = replace(self._who, run=receipt.run)
            self.sync.run = receipt.run
            if self._session is not None:
                self._session.end()
        if receipt.refs:
            self._desk.news.set()

    async def run(self, alive: Callable[[], None], *, spread: bool) -> None:
        """Keep the link for ever.

        Args:
            alive: Called after every step; no step is longer than what the network's own timeouts allow.
            spread: Spread the first connection: this is a boot, and the whole city may be booting.
        """
        self.sync.load(await self._desk.writer.call(lambda keeper: keeper.held()))
        retry = self._backoff(spread)
        if spread:
            await self._pause(retry.next_s(), alive)
        while True:
            while self._meter is not None and self._meter.see() == "nothing":
                await self._pause(self._desk.waits.beat_s, alive)
            self._acked = False
            is_over = await self._connection(alive)
            _let_cancellation_through()
            if self._acked:
                retry = self._backoff(True)
            if not is_over:
                await self._pause(retry.next_s(), alive)

    def answered_s(self) -> float | None:
        """Return the seconds since the center's last ack; None while there was none."""
        return None if self._acked_at_s is None else self._now_s() - self._acked_at_s

    async def drained(self, within_s: float) -> None:
        """Wait until the center has all that is here, at most so long; not at all while it does not answer."""
        end_s = self._now_s() + within_s
        while self._acked and self.sync.backlog() and self._now_s() < end_s:  # noqa: ASYNC110 - the event is the sender's
            await asyncio.sleep(_LOOK_S)

    async def _connection(self, alive: Callable[[], None]) -> bool:
        """Make one connection and use it up; tell whether it ended as it should."""
        alive()
        who = self._who
        try:
            async with self._connect(
                self._broker,
                client_id=f"{who.node}-{who.run[:4].hex()}",
                will_topic=topics.state(who.city, who.node),
                will=who.state(online=False),
            ) as link:
                session = self._session = Session(link, who, self._desk)
                try:
                    if self._meter is not None:
                        self._meter.begin()
                    if who is not self._who:
                        session.end()
                    await session.run(alive)
                finally:
                    await self._read_meter(link.traffic_bytes)
        except LinkLost as error:
            self._lost(str(error))
            return False
        except BaseExceptionGroup as group:
            weather, bugs = group.split(LinkLost)
            if bugs is not None or weather is None:
                raise
            self._lost(str(_first(weather)))
            return False
        finally:
            self._session = None
            self.sync.disconnected()
            if self._acked:
                self._online(False)
        return True

    async def _read_meter(self, total_bytes: int) -> None:
        meter = self._meter
        if meter is not None:
            meter.see(total_bytes)
            if meter.due(self._now_s(), is_end=True):
                await self._desk.writer.call(lambda _: meter.save())

    def _lost(self, reason: str) -> None:
        self._desk.log.down(reason)
        largest = self.sync.largest_unreceived()
        if largest is not None and self._desk.limit.broke(*largest):
            log.warning("connections break with the same batch under way, it counts as too large: bytes=%d", largest[1])

    def _take_ack(self, center_utc_ms: int) -> None:
        self._center_says(center_utc_ms)
        self._acked_at_s = self._now_s()
        if not self._acked:
            self._acked = True
            self._online(True)
        self._desk.log.up()

    async def _pause(self, wait_s: float, alive: Callable[[], None]) -> None:
        end_s = self._now_s() + wait_s
        while (left_s := end_s - self._now_s()) > 0:
            alive()
            await asyncio.sleep(min(left_s, self._desk.waits.beat_s))
        alive()

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()


def _let_cancellation_through() -> None:
    """End the task when it was cancelled in the moment its connection failed: a TaskGroup then tells of the failure."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
