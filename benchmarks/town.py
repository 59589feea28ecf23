"""A small town on one machine: a broker with mutual TLS, a center, a node's keys, sensors on serial lines."""

import contextlib
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.wire import topics
from benchmarks.processes import center, gardu, running, until
from center.broker import ACL, broker_config

CITY, NODE = "bandung", "dago-01"
SENSORS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """Where everything is."""

    folder: Path
    port: int

    @property
    def store(self) -> Path:
        """The center's store."""
        return self.folder / "center.db"

    @property
    def node_keys(self) -> Path:
        """The node's key folder."""
        return self.folder / "node-keys"

    @property
    def spool(self) -> Path:
        """The node's spool."""
        return self.folder / "spool"

    def line(self, number: int) -> Path:
        """Serial line of a sensor."""
        return self.folder / f"air{number}"

    def config(self, *, sensors: int) -> Path:
        """Write the node's configuration: defaults everywhere but the folders and the spread of a whole city."""
        text = f"""
node = "{NODE}"
city = "{CITY}"
[center]
url = "mqtts://localhost:{self.port}"
first_spread = "0 s"
[keys]
folder = "{self.node_keys}"
[spool]
folder = "{self.spool}"
[run]
folder = "{self.folder}"
[host]
enabled = {"true" if sensors else "false"}
"""
        for number in range(1, sensors + 1):
            text += f'[sensor.air{number}]\ndriver = "sds011"\nport = "path:{self.line(number)}"\n'
        path = self.folder / "agent.toml"
        path.write_text(text)
        return path

    def count(self, query: str) -> int:
        """Ask the center's store for a number; 0 before there is one."""
        with contextlib.suppress(sqlite3.OperationalError), self._open() as store:
            found = store.execute(query).fetchone()
            return int(found[0] or 0)
        return 0

    def _open(self) -> contextlib.closing[sqlite3.Connection]:
        return contextlib.closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True))


@contextlib.contextmanager
def town(folder: Path) -> Iterator[Town]:
    """Build a town with a broker and keys; nobody lives in it yet."""
    here = Town(folder=folder, port=_free_port())
    keys = folder / "center-keys"
    _do(center("keys", "init", str(keys), "--city", CITY, "--host", "localhost"))
    new = ["nodes", "add", NODE, "--store", f"sqlite:{here.store}", "--city", CITY]
    _do(center(*new, "--new", str(here.node_keys), "--keys", str(keys)))
    conf = broker_config(folder / "broker", port=here.port, city=CITY, keys=keys)
    with conf.with_name(ACL).open("a") as rules:
        rules.write(f"topic read {topics.ack(CITY, NODE)}\n")  # for who watches the drain
    with running([_mosquitto(), "-c", str(conf)], folder / "broker.log"):
        until(lambda: _listens(here.port), 5, "broker")
        yield here


@contextlib.contextmanager
def living_center(here: Town) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the center."""
    words = ["run", "--store", f"sqlite:{here.store}", "--broker", f"mqtts://localhost:{here.port}", "--city", CITY]
    with running(center(*words, "--keys", str(here.folder / "center-keys")), here.folder / "center.log") as process:
        yield process


@contextlib.contextmanager
def sensors(here: Town, count: int) -> Iterator[None]:
    """Put sensors at 1 Hz on serial lines."""
    with contextlib.ExitStack() as stack:
        for number in range(1, count + 1):
            words = ["driver", "simulate", "sds011", "--link", str(here.line(number)), "--seed", str(number)]
            stack.enter_context(running(gardu(*words), here.folder / "sensors.log"))
        until(lambda: all(here.line(number).exists() for number in range(1, count + 1)), 20, "sensors")
        yield


def _mosquitto() -> str:
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if found is None:
        raise SystemExit("mosquitto is not installed: sudo apt install mosquitto")
    return found


def _do(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
