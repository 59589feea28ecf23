"""The uplink with a real broker, a real spool and a center that can be made to lie."""

import asyncio
import contextlib
import json
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
import pytest

from agent.meter import Meter
from agent.mqtt import Broker
from agent.seal import Moment, Sealer
from agent.session import Waits, Who
from agent.spool.disk import Disk
from agent.spool.keeper import Keeper
from agent.spool.spool import Facts, Settings
from agent.spool.writer import Writer
from agent.sync import Held, Timing
from agent.uplink import Uplink
from agent.wire import batch, topics
from agent.wire.ack import Ack, Range, Settled, sign_ack
from agent.wire.batch import NO_HASH, Stream
from agent.wire.hello import Hello, decode_hello
from agent.wire.keys import Signer, Verifier
from agent.wire.senml import Row
from drivers.backoff import Backoff
from tests.agent.conftest import Mosquitto

CITY, NODE = "bandung", "dago-01"
BOOT = b"b" * 16
STATE = topics.state(CITY, NODE)
CENTER_UTC_MS = 1_800_000_000_000
QUICK = Timing(resend_s=0.2, resend_most_s=0.4, progress_s=30)
TELEMETRY = Stream.TELEMETRY

Key = tuple[bytes, Stream]


async def until(condition: Callable[[], bool], what: str = "it", within_s: float = 8) -> None:
    end_s = asyncio.get_running_loop().time() + within_s
    while not condition():
        assert asyncio.get_running_loop().time() < end_s, f"{what} did not come"
        await asyncio.sleep(0.005)


@dataclass
class Center:
    """Stores what comes; answers only when it is told to, unless `honest`."""

    client: aiomqtt.Client
    signer: Signer
    honest: bool = True
    hellos: list[Hello] = field(default_factory=list)
    seen: Counter[bytes] = field(default_factory=Counter)
    order: list[tuple[str, int]] = field(default_factory=list)
    states: list[bool] = field(default_factory=list)
    headers: dict[tuple[bytes, Stream, int], batch.Header] = field(default_factory=dict)
    chains: dict[Key, dict[int, bytes]] = field(default_factory=dict)

    @property
    def nonce(self) -> bytes:
        return self.hellos[-1].nonce

    async def run(self) -> None:
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            what = message.topic.value.removeprefix(f"gardu/v1/{CITY}/{NODE}/")
            if what == "state":
                self.states.append(json.loads(message.payload)["online"])
            elif what == "up/hello":
                self.hear(decode_hello(message.payload))
                if self.honest and self.hellos[-1].page == self.hellos[-1].pages:
                    await self.say(self.ack(answers_hello=True))
            else:
                self.store(what, message.payload)
                if self.honest and self.hellos and not len(self.client.messages):
                    await self.say(self.ack())

    def hear(self, hello: Hello) -> None:
        self.hellos.append(hello)

    def store(self, what: str, message: bytes) -> None:
        sign1, _ = batch.split(message)
        header = batch.peek(message)
        self.seen[batch.hash_of(sign1)] += 1
        self.headers[header.run, header.stream, header.n] = header
        self.order.append((what.removeprefix("up/"), header.n))
        self.chains.setdefault((header.run, header.stream), {})[header.n] = batch.hash_of(sign1)

    def settled(self, key: Key) -> Settled:
        has = self.chains.get(key, {})
        n = 0
        while n + 1 in has:
            n += 1
        above = tuple(Range(first=m, last=m, hash=has[m]) for m in sorted(has) if m > n)
        return Settled(run=key[0], stream=key[1], n=n, hash=has.get(n, NO_HASH), ranges=above)

    def ack(self, *, answers_hello: bool = False) -> Ack:
        named = {(chain.run, chain.stream) for hello in self.hellos for chain in hello.chains}
        return Ack(
            nonce=self.nonce,
            settled=tuple(self.settled(key) for key in sorted(named | set(self.chains))),
            center_utc_ms=CENTER_UTC_MS,
            window_bytes=256 * 1024,
            rate_bytes_per_s=0,
            answers_hello=answers_hello,
        )

    async def say(self, ack: Ack, *, city: str = CITY, node: str = NODE, signer: Signer | None = None) -> None:
        await self.say_bytes(sign_ack(ack, city=city, node=node, signer=signer or self.signer))

    async def say_bytes(self, payload: bytes) -> None:
        await self.client.publish(topics.ack(CITY, NODE), payload, qos=1)


@contextlib.asynccontextmanager
async def centered(port: int, signer: Signer, *, honest: bool = True) -> AsyncIterator[Center]:
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        client.pending_calls_threshold = 1000
        center = Center(client, signer, honest=honest)
        for topic in topics.center_filters(CITY):
            await client.subscribe(topic, qos=1)
        task = asyncio.create_task(center.run())
        try:
            yield center
        finally:
            while not task.done():  # the library may swallow a cancellation
                task.cancel()
                await asyncio.wait([task], timeout=0.1)
            if not task.cancelled() and not isinstance(task.exception(), aiomqtt.MqttError):
                task.result()


class Node:
    """A spool in its thread and the uplink over it."""

    def __init__(
        self,
        folder: Path,
        port: int,
        center: Signer,
        *,
        timing: Timing = QUICK,
        waits: Waits | None = None,
        version_5: bool = True,
        timeout_s: float = 5,
        meter: Meter | None = None,
    ) -> None:
        self.run = os.urandom(16)
        self.signer = Signer(b"n" * 32)
        self.spool = open_spool(folder, self.run, self.signer)
        self.writer = Writer(self.spool, asyncio.get_running_loop())
        self.writer.start()
        self.online: list[bool] = []
        self.backoffs: list[bool] = []
        self.center_utc_ms: list[int] = []
        self.alive = 0
        self.uplink = Uplink(
            Who(
                city=CITY,
                node=NODE,
                run=self.run,
                boot=BOOT,
                since_boot_ms=1,
                version="0",
                center=[Verifier(center.public)],
            ),
            Broker(host="127.0.0.1", tcp_port=port, tls=None, version_5=version_5, timeout_s=timeout_s),
            self.writer,
            timing,
            backoff=self._backoff,
            random=os.urandom,
            moment=lambda: Moment(boot=BOOT, boot_ms=self.boot_ms),
            online=self.online.append,
            center_says=self.center_utc_ms.append,
            meter=meter,
            waits=waits,
        )
        self.boot_ms = 1000
        self.task: asyncio.Task[None] | None = None

    def _backoff(self, spread: bool) -> Backoff:  # noqa: FBT001 - the shape of a callback
        self.backoffs.append(spread)
        return Backoff(base_s=0.02, cap_s=0.05, random=lambda: 1.0)

    def _beat(self) -> None:
        self.alive += 1

    def start(self, *, spread: bool = False) -> None:
        self.task = asyncio.create_task(self.uplink.run(self._beat, spread=spread))

    async def take(self, count: int = 1, stream: Stream = TELEMETRY) -> None:
        """Make batches of one row each; with the first one of a stream the start record leaves too."""
        for _ in range(count):
            await self.take_rows([1.5], stream)

    async def take_rows(self, values: Sequence[float | str], stream: Stream = TELEMETRY) -> None:
        """Make one batch."""
        rows = []
        for value in values:
            self.boot_ms += 10
            rows.append(Row(path="air/pm2_5", unit="ug/m3", boot_ms=self.boot_ms, value=value, flags=()))
        moment = Moment(boot=BOOT, boot_ms=self.boot_ms)
        self.uplink.stored(
            await self.writer.call(lambda spool: spool.commit({stream: rows}, moment=moment, seal=frozenset({stream})))
        )

    async def held(self, stream: Stream = TELEMETRY) -> Held:
        every = await self.writer.call(lambda spool: spool.held())
        return next(one for one in every if (one.run, one.stream) == (self.run, stream))

    async def settled(self) -> int:
        return (await self.held()).settled

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                async with asyncio.timeout(5):
                    await self.task


def open_spool(folder: Path, run: bytes, signer: Signer) -> Keeper:
    spool = Keeper(Disk(folder), Sealer(city=CITY, node=NODE, run=run, signer=signer), Settings(free_disk=0), Facts())
    spool.open()
    return spool


@dataclass
class Rig:
    node: Node
    center: Center
    broker: Mosquitto


@contextlib.asynccontextmanager
async def rigged(broker: Mosquitto, folder: Path, *, honest: bool = True, **options: object) -> AsyncIterator[Rig]:
    signer = Signer(b"c" * 32)
    async with centered(broker.port, signer, honest=honest) as center:
        node = Node(folder / "spool", broker.port, signer, **options)  # type: ignore[arg-type]  # of Node's own
        try:
            yield Rig(node, center, broker)
        finally:
            broker.thaw()
            await node.stop()
            await node.writer.stop()


def rig(broker: Mosquitto, folder: Path, work: Callable[[Rig], Coroutine[None, None, None]], **options: object) -> None:
    async def main() -> None:
        async with rigged(broker, folder, **options) as made:  # type: ignore[arg-type]  # of Node's own
            await work(made)

    asyncio.run(main())


def told(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
