"""The same system, broken on purpose: each way breaks one promise, and a campaign that is worth anything finds it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import pytest

from agent.errors import LinkLost
from agent.session import Session
from agent.sync import Next, Sync
from agent.wire import batch
from agent.wire.ack import Ack, Range, Settled
from agent.wire.batch import ID_BYTES, NO_HASH
from agent.wire.keys import Signer
from center.acks import AckSettings
from center.errors import StoreError
from center.receiver import Receiver
from center.sqlite_store import SqliteStore
from tests.faults.simulation.card import SimCard
from tests.faults.simulation.node import CITY, Setup
from tests.faults.simulation.world import World

Change = Callable[[pytest.MonkeyPatch, World], None]


class _Hasty(Receiver):
    """Acks what it was given whether or not the transaction came to anything."""

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with suppress(StoreError), self._store.transaction():
            yield


def acks_before_the_commit(_: pytest.MonkeyPatch, world: World) -> None:
    def make(store: SqliteStore, signer: Signer) -> Receiver:
        return _Hasty(store, city=CITY, signer=signer, settings=AckSettings())

    world.center.make_receiver = make


def frees_on_puback(patch: pytest.MonkeyPatch, world: World) -> None:
    """The broker's receipt counts as the center's ack; little space makes the node use what it freed."""

    async def publish(self: Session, item: Next, topic: str, message: bytes) -> None:
        with suppress(LinkLost):
            await self._link.publish(topic, message)
            sign1, _ = batch.split(message)
            digest = batch.hash_of(sign1)
            settled = Settled(
                run=item.run,
                stream=item.stream,
                n=0,
                hash=NO_HASH,
                ranges=(Range(first=item.n, last=item.n, hash=digest),),
            )
            ack = Ack(
                nonce=bytes(ID_BYTES), settled=(settled,), center_utc_ms=1, window_bytes=2**16, rate_bytes_per_s=0
            )
            self._apply(ack, await self._desk.writer.call(lambda keeper: keeper.settle(ack)))
            return
        raise LinkLost("lost")

    patch.setattr(Session, "_publish", publish)
    world.node.setup = _small(world.node.setup)


def never_sends_again(patch: pytest.MonkeyPatch, _: World) -> None:
    patch.setattr(Sync, "_again", lambda *_: None)
    patch.setattr(Sync, "stalled", lambda *_: False)
    patch.setattr(Sync, "_again_s", lambda *_: float("inf"))


def never_syncs(patch: pytest.MonkeyPatch, _: World) -> None:
    patch.setattr(SimCard, "sync", lambda *_, **__: None)


def history_before_alarms(patch: pytest.MonkeyPatch, _: World) -> None:
    alarm, history = Sync._alarm, Sync._history
    patch.setattr(Sync, "_alarm", lambda self: history(self) or (alarm(self) if self._answered else None))


def _small(setup: Setup) -> Setup:
    return replace(
        setup, settings=replace(setup.settings, telemetry_cap=64 * 1024, alarm_cap=32 * 1024, segment=8 * 1024)
    )


@dataclass(frozen=True, slots=True)
class Mutation:
    """One way to break a promise, the faults that bring it to light, and what the verdict must say."""

    change: Change
    kinds: tuple[str, ...]
    says: str


MUTATIONS = {
    mutation.change.__name__: mutation
    for mutation in (
        Mutation(acks_before_the_commit, ("center_disk_refuses", "kill", "link_cut"), "promised rows are lost"),
        Mutation(frees_on_puback, ("broker_forgets", "stall", "link_cut"), "promised rows are lost"),
        Mutation(never_sends_again, ("broker_forgets", "center_crash", "slow_sync"), "batches still wait"),
        Mutation(never_syncs, ("power_cut", "link_cut", "center_down"), "promised rows are lost"),
        Mutation(history_before_alarms, ("link_cut", "center_down", "stall"), "alarms waited"),
    )
}
