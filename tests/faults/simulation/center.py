"""The center on one clock: the real receiver and store behind a crash, a backup and a disk that refuses.

It does what `center.worker.Worker` does, in its order: a group of messages in one transaction, then acks, then a step
of projection. A message that the broker handed over counts as acknowledged, so a crash loses it.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from agent.wire.batch import Kind
from agent.wire.keys import Signer
from center.acks import AckSettings
from center.errors import StoreError
from center.receiver import Message, Now, Receiver
from center.sqlite_store import SqliteStore
from tests.faults.simulation.broker import Broker
from tests.faults.simulation.node import CITY, NODE, true_utc_ms
from tests.faults.simulation.truth import Key, Truth

BOX = (CITY, NODE)
_GROUP = 200
_GROUP_S = 0.02
_IDLE_S = 10.0
_RETRY_S = 1.0
_HOP_S = 0.003
_PROJECT = 16


class CenterGone(BaseException):
    """The center's process ended in the middle of a transaction."""


class SimStore(SqliteStore):
    """The real store on a real file; its disk may refuse, and the process may end on either side of a commit.

    Attributes:
        refuses: Draws whether a commit fails.
        ends: Set to ``before`` or ``after``: where in the next transaction the process ends.
    """

    refuses: Callable[[], bool] = staticmethod(lambda: False)
    ends: str = ""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with super().transaction():
            yield
            if self.refuses():
                raise sqlite3.OperationalError("disk I/O error")
            if self.ends == "before":
                raise CenterGone
        if self.ends == "after":
            raise CenterGone


@dataclass(eq=False)
class Center:
    """One center process after the other.

    Attributes:
        refusals: Shares of commits that fail, one for each fault that holds.
        cuts: Faults that keep it from the broker.
        holds: Faults that keep it down.
    """

    path: Path
    chance: Random
    broker: Broker
    signer: Signer
    truth: Truth
    make_receiver: Callable[[SqliteStore, Signer], Receiver]
    note: Callable[[str], None]
    refusals: list[float] = field(default_factory=list)
    cuts: int = 0
    holds: int = 0
    store: SimStore | None = None
    receiver: Receiver | None = None
    backups: list[Path] = field(default_factory=list)
    _inbox: deque[Message] = field(default_factory=deque)
    _outbox: deque[Message] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _refused: bool = False

    # -- the process ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the store and begin to serve."""
        self.store = SimStore(self.path)
        self.store.refuses = self._draw_refusal
        self.receiver = self.make_receiver(self.store, self.signer)
        self.note("the center begins")
        self.plug()

    def _draw_refusal(self) -> bool:
        return any(self.chance.random() < share for share in self.refusals)

    def end(self) -> None:
        """End the process; what it had taken and not committed is gone."""
        self.unplug()
        self._inbox.clear()
        self._outbox.clear()
        if self.store is not None:
            self.store.close()
            self.note("the center ends")
        self.store = self.receiver = None

    @property
    def reachable(self) -> bool:
        """Tell whether it has a connection to the broker."""
        return self.store is not None and not (self.cuts or self.broker.downs or self.broker.freezes)

    def plug(self) -> None:
        """Connect where that is possible."""
        if self.reachable and self.broker.center is None:
            self.broker.center_comes(self._take)
            self._wake.set()

    def unplug(self) -> None:
        """Lose the connection."""
        self.broker.center = None

    def _take(self, topic: str, payload: bytes) -> None:
        self._inbox.append(Message(topic=topic, payload=payload))
        self._wake.set()

    async def serve(self) -> None:
        """Serve for ever, whatever process there is; one that ended in the middle comes back on its own."""
        while True:
            store, receiver = self.store, self.receiver
            if store is None or receiver is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            wait_s = receiver.wait_s(self._now())
            if not self._inbox and not (self._outbox and self.reachable) and wait_s != 0:
                self._wake.clear()
                try:
                    async with asyncio.timeout(_IDLE_S if wait_s is None else min(_IDLE_S, wait_s)):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                else:
                    await asyncio.sleep(_GROUP_S)
            if receiver is self.receiver:
                await self._step(receiver)

    async def _step(self, receiver: Receiver) -> None:
        try:
            receiver.refresh_keys(self._now())
            group = [self._inbox.popleft() for _ in range(min(_GROUP, len(self._inbox)))]
            if group:
                receiver.receive([(message, receiver.examine(message)) for message in group], self._now())
            self._outbox.extend(receiver.acks(self._now()))
            receiver.project(self._now(), most=_PROJECT)
        except CenterGone:
            self.end()
            await asyncio.sleep(2)
            if not self.holds and self.store is None:
                self.start()
            return
        except StoreError as error:
            self._refused = self._refused or self._say(f"store refuses: {error}")
            await asyncio.sleep(_RETRY_S)
        else:
            self._refused = False
        while self._outbox and self.reachable:
            message = self._outbox.popleft()
            asyncio.get_running_loop().call_later(_HOP_S, self._send, message)

    def _say(self, text: str) -> bool:
        self.note(text)
        return True

    def _send(self, message: Message) -> None:
        if self.reachable:
            self.broker.publish(message.topic, message.payload)

    def _now(self) -> Now:
        return Now(utc_ms=true_utc_ms(), mono_s=asyncio.get_running_loop().time())

    # -- its file ---------------------------------------------------------------------------------------------------

    def know(self, public: bytes) -> None:
        """Add the node's key."""
        store = SqliteStore(self.path)
        store.add_node(BOX, public, now_ms=true_utc_ms())
        store.close()
        self.back_up()

    def back_up(self) -> None:
        """Copy the file as it is."""
        self.backups.append(self.path.with_suffix(f".{len(self.backups)}"))
        source, target = sqlite3.connect(self.path), sqlite3.connect(self.backups[-1])
        source.backup(target)
        source.close()
        target.close()

    def restore(self, which: int) -> None:
        """Put a backup in the place of the file; the process must have ended."""
        for suffix in ("-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        self.path.write_bytes(self.backups[which].read_bytes())

    def rows(self) -> set[Key]:
        """Return every row that the store accounts for: in the table of readings, or in a gap."""
        store = SqliteStore(self.path)
        try:
            while store.project({}, most=1000, now_ms=true_utc_ms()).batches:
                pass
            found = {
                self.truth.key(row.origin, row.stream, row.path, row.boot_ms)
                for row in store.readings(node=None, sensor=None, channel=None, after=0, last=None)
            }
            for (message,) in store.db.execute("SELECT message FROM batches WHERE kind = ?", (int(Kind.GAP),)):
                found |= self.truth.in_batch(message)
            return found
        finally:
            store.close()


def real_receiver(store: SqliteStore, signer: Signer) -> Receiver:
    """Make the receiver as the center does."""
    return Receiver(store, city=CITY, signer=signer, settings=AckSettings())
