"""A backlog of 100 000 readings, sealed offline, to acked by the center and to rows one can query."""

import itertools
import os
import random
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from agent import clock, identity
from agent.seal import Moment, Sealer
from agent.spool.disk import Disk
from agent.spool.spool import Facts, Settings, Spool
from agent.wire import cbor, cose, topics
from agent.wire.batch import Stream
from agent.wire.senml import Row
from benchmarks.processes import gardu, running, until
from benchmarks.steady import batches, bytes_per_reading
from benchmarks.town import CITY, NODE, Town, living_center

READINGS = 100_000
_BATCH = 500
_CHANNELS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """How fast a backlog goes.

    Attributes:
        acked_per_s: Readings a second from the node's hello to the ack that settles the last batch.
        queryable_per_s: Readings a second from the hello to the last row in the center's table.
        history_bytes: Bytes a reading on the wire, payload and topic.
        seal_s: Time to write the backlog: numbered, sealed, signed, synced.
    """

    acked_per_s: float
    queryable_per_s: float
    history_bytes: float
    seal_s: float


def drain(here: Town) -> Drain:
    """Fill a spool, open the link, watch."""
    seal_s, last_n = _fill(here)
    history = bytes_per_reading(batches(here.spool), "history")
    with living_center(here), _Observer(here) as observer:
        until(lambda: "broker connected" in (here.folder / "center.log").read_text(), 20, "center")
        config = here.config(sensors=0)
        with running(gardu("run", "--config", str(config)), here.folder / "agent.log"):
            until(lambda: observer.settled >= last_n, 120, "ack of the backlog", look_s=0.005)
            until(lambda: here.count("SELECT count(*) FROM readings") >= READINGS, 120, "rows", look_s=0.01)
            rows_s = time.monotonic()
    return Drain(
        acked_per_s=READINGS / (observer.settled_s - observer.hello_s),
        queryable_per_s=READINGS / (rows_s - observer.hello_s),
        history_bytes=history,
        seal_s=seal_s,
    )


def _fill(here: Town) -> tuple[float, int]:
    """Write the backlog as a node does that is offline; return the time it took and the last n."""
    signer = identity.load(here.node_keys).signer
    sealer = Sealer(city=CITY, node=NODE, run=os.urandom(16), signer=signer)
    spool = Spool(Disk(here.spool), sealer, Settings(free_disk=0), Facts(version="bench"))
    spool.open()
    chance = random.Random(7)  # noqa: S311 - believable values, no secret
    values = [20.0 + channel for channel in range(_CHANNELS)]
    boot = clock.boot_id()
    at_ms = 60_000  # believable whatever the machine's own uptime is
    begun = time.monotonic()
    for first in range(0, READINGS, _BATCH):
        rows: list[Row] = []
        for number, channel in itertools.islice(((i, i % _CHANNELS) for i in itertools.count(first)), _BATCH):
            values[channel] = round(max(0.0, values[channel] + chance.uniform(-0.5, 0.5)), 1)
            boot_ms = at_ms + number // _CHANNELS * 1000 + chance.randrange(8)
            path = f"air{channel // 2}/{'pm10' if channel % 2 else 'pm2_5'}"
            rows.append(Row(path=path, unit="ug/m3", boot_ms=boot_ms, value=values[channel]))
        spool.commit({Stream.TELEMETRY: rows}, moment=Moment(boot=boot, boot_ms=rows[-1].boot_ms + 10))
    took_s = time.monotonic() - begun
    spool.close(Moment(boot=boot, boot_ms=clock.boot_ns() // 1_000_000))
    return took_s, max(held.last for held in spool.held())


class _Observer:
    """Watches hello and acks at the broker, as the center's client may."""

    def __init__(self, here: Town) -> None:
        self.settled = 0
        self.settled_s = 0.0
        self.hello_s = 0.0
        self._ready = threading.Event()
        keys = here.folder / "center-keys"
        context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
        context.load_cert_chain(str(keys / "client.crt"), str(keys / "client.key"))
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="observer")
        self._client.tls_set_context(context)
        self._client.on_message = self._take
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.connect("localhost", here.port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        self._client.subscribe([(topics.ack(CITY, NODE), 0), (topics.hello(CITY, NODE), 0)])
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        now_s = time.monotonic()
        if message.topic.endswith("hello"):
            self.hello_s = self.hello_s or now_s
            return
        fields = cbor.decode(cose.parts(bytes(message.payload)).payload)
        settled = fields[2] if isinstance(fields, dict) else ()
        most = max((int(item[2]) for item in settled if item[1] == Stream.TELEMETRY), default=0)
        if most > self.settled:
            self.settled, self.settled_s = most, now_s
