"""A whole town as real processes: mosquitto with mutual TLS and an access list, ``gardu-center run``, ``gardu run``."""

import contextlib
import io
import json
import queue
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.wire.keys import Signer, Verifier, private_from_pem
from agent.wire.senml import Scalar
from center.cli.main import main as center_main
from drivers.simulate.simulator import Simulator
from tests.center.fake_node import CITY
from tests.center.processes import DEADLINE_S, CenterProcess, Mosquitto, until
from tests.system import ledger
from tests.system.ledger import Identity, Spooled
from tests.system.lines import Socket

NODE, VANDAL = "dago-01", "vandal"
VANDAL_RULES = f"user {VANDAL}\ntopic readwrite gardu/#\n"
"""Rights that no certificate has in the field: to write and read everything."""

_STEADY_S = 1.5
"""Longer than rows wait in memory: what has been equal for so long stays equal."""
TIMERS = """\
[center]
url = "{url}"
resend_after = "1 s"
resend_at_most = "4 s"
backoff_base = "200 ms"
backoff_cap = "1 s"
first_spread = "0 s"
[spool]
folder = "{spool}"
durable_within = "500 ms"
free_disk = "1 MiB"
segment = "64 KiB"
[seal]
live = "1 s"
offline = "1 s"
rows = 60
bytes = "16 KiB"
[host]
enabled = false
"""
COUNTER = """\
driver = "line"
every = "0.1 s"
format = "json"
fields = { count = "n", half = "half" }
"""
RIVER = """\
driver = "a02yyuw"
every = "0.1 s"
mount_height = "4.20 m"
"""
DUST = """\
driver = "sds011"
every = "1 s"
"""
FLOOD = """\
[alarm.flood]
watch = "river/level"
levels = { high = "3 m" }
for = "0 s"
accept = ["step"]
"""


@dataclass(slots=True)
class NodeProcess:
    """``gardu run`` as a process."""

    config: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-sP", "-m", "agent", "run", "--config", str(self.config)]
        with self.log.open("ab") as log:
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

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it stand still meanwhile, as a machine that sleeps."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def told(self, pattern: str) -> list[str]:
        """Lines of the log in which a pattern is found."""
        return lines(self.log, pattern)


def lines(log: Path, pattern: str) -> list[str]:
    """Lines of a log in which a pattern is found."""
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    return [line for line in text.splitlines() if re.search(pattern, line)]


@dataclass(slots=True)
class Town:
    """One broker, one center, one node with its sensors; nobody runs yet."""

    folder: Path
    broker: Mosquitto
    center: CenterProcess
    node: NodeProcess
    sockets: dict[str, Socket] = field(default_factory=dict)

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def store(self) -> Path:
        return self.center.store

    @property
    def center_log(self) -> Path:
        return self.folder / "center.log"

    @property
    def key(self) -> Verifier:
        return Verifier(self.signer(NODE).public)

    def keys_of(self, name: str) -> Path:
        return self.folder / f"{name}.keys"

    def signer(self, name: str) -> Signer:
        return Signer(private_from_pem((self.keys_of(name) / "signing.pem").read_text()))

    def tls(self, name: str) -> ssl.SSLContext:
        folder = self.keys_of(name)
        context = ssl.create_default_context(cafile=folder / "ca.crt")
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        return context

    def fit(
        self,
        sensors: Mapping[str, tuple[Simulator, str]],
        more: str = "",
        *,
        timers: str = TIMERS,
        port: int | None = None,
    ) -> None:
        """Plug units in and write the node's configuration: what each is, and what else it says.

        Args:
            sensors: Unit and section of each, by name.
            more: Further sections.
            timers: How often and how much, with places for ``url`` and ``spool``.
            port: Where the node finds the broker, when there is something in between.
        """
        text = f'node = "{NODE}"\ncity = "{CITY}"\n'
        text += timers.format(url=f"mqtts://localhost:{port or self.broker.port}", spool=self.spool)
        text += f'[keys]\nfolder = "{self.keys_of(NODE)}"\n[run]\nfolder = "{self.folder}"\n'
        for name, (unit, section) in sensors.items():
            link = self.folder / f"tty-{name}"
            text += f"[sensor.{name}]\n{section}port = {json.dumps(f'path:{link}')}\n"
            self.sockets[name] = Socket(unit, link)
            self.sockets[name].plug()
        self.node.config.write_text(text + more)

    def pull_all(self) -> None:
        for socket in self.sockets.values():
            socket.pull()

    def spooled(self) -> Spooled:
        return ledger.read(ledger.freeze(self.spool), city=CITY, node=NODE, key=self.key)

    def at_center(self) -> dict[Identity, Scalar]:
        return ledger.center_rows(self.store, NODE)

    def alive(self) -> None:
        """Nothing that should run has ended by itself."""
        for one in (self.broker, self.center, self.node):
            process, tail = one.process, lines(self.node.log, "") + lines(self.center_log, "")
            assert process is None or process.poll() is None, f"{one} has ended: {tail[-20:]}"

    def drain(self, *, deadline_s: float = 60.0) -> None:
        """Pull the sensors and wait until the center has what the node has, and that has lasted."""
        self.pull_all()
        equal_s: float | None = None
        end_s = time.monotonic() + deadline_s
        while equal_s is None or time.monotonic() - equal_s < _STEADY_S:
            self.alive()
            here, there = self.spooled().rows, self.at_center()
            equal_s = None if here != there else equal_s or time.monotonic()
            if time.monotonic() > end_s:
                missing, strange = here.keys() - there.keys(), there.keys() - here.keys()
                raise AssertionError(
                    f"after {deadline_s:g} s: {len(here)} rows on the node, {len(there)} at the center;"
                    f" not at the center {len(missing)}: {sorted(missing)[:3]};"
                    f" not on the node {len(strange)}: {sorted(strange)[:3]}"
                )
            time.sleep(0.1)

    def end(self) -> None:
        self.pull_all()
        self.node.kill()
        self.center.kill()
        self.broker.kill()


def found(folder: Path) -> Town:
    """Make a town with keys for its node and for a vandal whose certificate may write anything anywhere."""
    keys, store = folder / "center-keys", folder / "center.db"
    with contextlib.redirect_stdout(io.StringIO()):
        assert center_main(["keys", "init", str(keys), "--city", CITY, "--host", "localhost"]) == 0
        for name in (NODE, VANDAL):
            new = ["--new", str(folder / f"{name}.keys"), "--keys", str(keys)]
            assert center_main(["nodes", "add", name, "--store", f"sqlite:{store}", "--city", CITY, *new]) == 0
    broker = Mosquitto(folder / "broker", keys, more_rules=VANDAL_RULES)
    return Town(
        folder=folder,
        broker=broker,
        center=CenterProcess(store, keys, f"mqtts://localhost:{broker.port}"),
        node=NodeProcess(config=folder / "agent.toml", log=folder / "node.log"),
    )


class Vandal:
    """A client whose certificate the broker lets write and read everything; it comes back when the broker does.

    Attributes:
        acks: How many it heard.
        returns: How often it began to listen.
    """

    def __init__(self, town: Town) -> None:
        self._heard: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self.acks = 0
        self.returns = 0
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, client_id=VANDAL)
        client.tls_set_context(town.tls(VANDAL))
        client.on_message = lambda _client, _data, message: self._hear(message.topic, bytes(message.payload))
        client.on_connect = lambda client, *_: client.subscribe("gardu/#", qos=1)
        client.on_subscribe = lambda *_: self._come_back()
        client.reconnect_delay_set(max_delay=1)
        client.connect("localhost", town.broker.port, clean_start=True)
        client.loop_start()
        until("the vandal listens", lambda: self.returns == 1)
        self._client = client

    def _hear(self, topic: str, payload: bytes) -> None:
        self._heard.put((topic, payload))
        self.acks += topic.endswith("/ack")

    def _come_back(self) -> None:
        self.returns += 1

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish and wait until the broker has it."""
        self._client.publish(topic, payload, qos=1).wait_for_publish(DEADLINE_S)

    def all_heard(self) -> list[tuple[str, bytes]]:
        """What came since the last call."""
        return [self._heard.get() for _ in range(self._heard.qsize())]

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
