"""Real mosquitto, a real center process, and a node on paho that resends until the center has acked."""

import contextlib
import os
import queue
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.wire import topics
from agent.wire.ack import Ack, open_ack
from agent.wire.errors import WireError
from agent.wire.keys import Verifier
from center.broker import ACL, broker_config
from tests.center.fake_node import CITY, FakeNode

DEADLINE_S = 30.0


def until(what: str, condition: Callable[[], bool], *, deadline_s: float = DEADLINE_S) -> None:
    """Wait for real programs; they have no fake clock."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        time.sleep(0.01)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@dataclass(slots=True)
class Mosquitto:
    """One broker that can be killed and started again; ``more_rules`` are added to its access list."""

    folder: Path
    keys: Path | None = None
    more_rules: str = ""
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        conf = broker_config(self.folder, port=self.port, city=CITY, keys=self.keys)
        if self.more_rules:
            with conf.with_name(ACL).open("a") as rules:
                rules.write(self.more_rules)
        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") or "mosquitto"
        self.process = subprocess.Popen([program, "-c", str(conf)], stderr=subprocess.DEVNULL)
        until("mosquitto listens", lambda: listens(self.port))

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass(slots=True)
class CenterProcess:
    """``gardu-center run`` as a process."""

    store: Path
    keys: Path
    url: str
    more: tuple[str, ...] = ("--ack-every", "100ms")
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = ["run", "--store", f"sqlite:{self.store}", "--broker", self.url, "--city", CITY]
        words += ["--keys", str(self.keys), *self.more]
        command = [sys.executable, "-m", "center.cli.main", *words]
        with (self.store.parent / "center.log").open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(DEADLINE_S)
        self.process = None
        return code


@dataclass(slots=True)
class Speaker:
    """Speaks for a fake node over MQTT and remembers what acks freed."""

    node: FakeNode
    center: bytes
    port: int
    tls: ssl.SSLContext | None = None
    acked: dict[tuple[bytes, int], int] = field(default_factory=dict)
    inbox: queue.SimpleQueue[bytes] = field(default_factory=queue.SimpleQueue)
    client: paho.Client | None = None
    nonce: bytes = bytes(16)
    answered: bool = False

    def connect(self) -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, client_id=self.node.name)
        if self.tls is not None:
            client.tls_set_context(self.tls)
        client.on_message = lambda _client, _data, message: self.inbox.put(bytes(message.payload))
        host = "127.0.0.1" if self.tls is None else "localhost"
        client.connect(host, self.port, clean_start=True)
        client.loop_start()
        until("connected", client.is_connected)
        client.subscribe(topics.ack(CITY, self.node.name), qos=1)
        self.client = client
        self.hello()

    def hello(self) -> None:
        assert self.client is not None
        self.nonce, self.answered = os.urandom(16), False
        for page in self.node.hello(self.nonce):
            self.client.publish(page.topic, page.payload, qos=1)

    def close(self) -> None:
        if self.client is not None:
            self.client.disconnect()
            self.client.loop_stop()
            self.client = None

    def publish_unacked(self) -> None:
        assert self.client is not None
        for (run, stream), made in self.node.made.items():
            for one in made[self.acked.get((run, stream), 0) :][:40]:
                self.client.publish(topics.up(CITY, self.node.name, "history"), one.message, qos=1)

    def listen(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty, WireError):
                self._hear(self.read(self.inbox.get(timeout=left)))

    def read(self, payload: bytes) -> Ack:
        return open_ack(payload, city=CITY, node=self.node.name, center=[Verifier(self.center)])

    def _hear(self, ack: Ack) -> None:
        if ack.nonce != self.nonce:
            self.hello()
            return
        self.answered |= ack.answers_hello
        for settled in ack.settled:
            made = self.node.made.get((settled.run, settled.stream), [])
            if settled.n and made[settled.n - 1].hash == settled.hash:
                self.acked[settled.run, settled.stream] = max(
                    settled.n, self.acked.get((settled.run, settled.stream), 0)
                )

    @property
    def done(self) -> bool:
        return all(self.acked.get(name, 0) == len(made) for name, made in self.node.made.items())

    def drain(self, *, deadline_s: float = DEADLINE_S) -> None:
        end = time.monotonic() + deadline_s
        while not self.done:
            assert time.monotonic() < end, "the backlog was not acked in time"
            if self.client is None or not self.client.is_connected():
                self.close()
                with contextlib.suppress(OSError):
                    self.connect()
            else:
                self.publish_unacked()
            self.listen(0.3)


@contextlib.contextmanager
def running(*processes: Mosquitto | CenterProcess) -> Iterator[None]:
    try:
        for process in processes:
            process.start()
        yield
    finally:
        for process in reversed(processes):
            process.kill()
