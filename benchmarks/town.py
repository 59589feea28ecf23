"""A small town on one machine: a broker with mutual TLS, a center, a node's keys, sensors on serial lines."""

import contextlib
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from agent.wire import topics
from benchmarks.processes import center, gardu, running, until
from center.broker import ACL, broker_config

CITY, NODE = "bandung", "dago-01"
SENSORS = 8

_TIMERS_MS = {
    "center": {
        "resend_after": 10_000,
        "resend_at_most": 120_000,
        "backoff_base": 4_000,
        "backoff_cap": 300_000,
        "progress_within": 300_000,
        "keepalive": 60_000,
    },
    "spool": {"durable_within": 10_000},
    "seal": {"live": 10_000, "metered": 60_000, "offline": 600_000, "empty_after": 60_000},
}
"""Defaults of config/agent.toml."""
_LEAST_MS = {"keepalive": 1_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """Where everything is."""

    folder: Path
    port: int
    broker_pid: int = 0

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

    def config(self, *, sensors: int, faster: int = 1) -> Path:
        """Write the node's configuration: defaults everywhere but the folders and the spread of a whole city.

        Args:
            sensors: How many, each on a line of its own.
            faster: What the timers of link, seal and spool are divided by, down to the least that is allowed.
        """
        text = f"""
node = "{NODE}"
city = "{CITY}"
[center]
url = "mqtts://localhost:{self.port}"
first_spread = "0 s"
{_timers("center", faster)}
[keys]
folder = "{self.node_keys}"
[spool]
folder = "{self.spool}"
{_timers("spool", faster)}
[seal]
{_timers("seal", faster)}
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
    here = Town(folder=folder, port=free_port())
    keys = folder / "center-keys"
    _do(center("keys", "init", str(keys), "--city", CITY, "--host", "localhost"))
    new = ["nodes", "add", NODE, "--store", f"sqlite:{here.store}", "--city", CITY]
    _do(center(*new, "--new", str(here.node_keys), "--keys", str(keys)))
    conf = broker_config(folder / "broker", port=here.port, city=CITY, keys=keys)
    with conf.with_name(ACL).open("a") as rules:
        rules.write(f"topic read {topics.ack(CITY, NODE)}\n")  # for who watches the drain
    with running([mosquitto(), "-c", str(conf)], folder / "broker.log") as broker:
        until(lambda: listens(here.port), 5, "broker")
        yield replace(here, broker_pid=broker.pid)


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


def mosquitto() -> str:
    """Return the path of the broker. Raises SystemExit where there is none."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if found is None:
        raise SystemExit("mosquitto is not installed: sudo apt install mosquitto")
    return found


def _timers(section: str, faster: int) -> str:
    if faster == 1:
        return ""
    timers = _TIMERS_MS[section].items()
    return "\n".join(f'{key} = "{max(_LEAST_MS.get(key, 1), wait_ms // faster)} ms"' for key, wait_ms in timers)


def _do(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Tell whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
