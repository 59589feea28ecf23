"""``--peers``: others at the same work, as their makers ship them: ThingsBoard's gateway, and a script of thirty lines.

Eight serial sensors at 1 Hz, two values each, MQTT QoS 1 to mosquitto on the same machine, no TLS. Then the broker is
stopped, 100 000 values are fed over the same lines, and the broker comes back empty.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import lines
from benchmarks.processes import cost, running, until
from benchmarks.receiver import Read, Receiver, Value, broker
from benchmarks.town import SENSORS, free_port

READINGS = 100_000
_FRAMES = READINGS // SENSORS // 2
_CHANNELS = ("pm2_5", "pm10")
_GATEWAY = "thingsboard-gateway"
_NEEDS = ("pyserial",)  # its serial connector installs this by itself at its first start
_VENVS = Path(__file__).parent.parent / ".venv" / "peers"
_HOUR_S = 3600
_MB = 2**20
_BACK_S = 300  # longest wait for a backlog
_QUIET_S = 15  # longer than any of them pauses


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What one of them did.

    Attributes:
        name: Who.
        start_s: From exec to its first value at the receiver.
        rss_mb: Memory in steady work.
        cpu_s_per_hour: Processor time.
        switches_per_s: Voluntary context switches.
        drain_per_s: Values a second, first to last of the backlog, once the broker was back.
        lost: Of 100 000.
        twice: Of 100 000.
        size_mb: Installed, what it needs included.
        packages: Installed.
    """

    name: str
    start_s: float
    rss_mb: float
    cpu_s_per_hour: float
    switches_per_s: float
    drain_per_s: float
    lost: int
    twice: int
    size_mb: float
    packages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """How to run one."""

    name: str
    command: Sequence[str]
    frame: Callable[[int], bytes]
    read: Read
    folder: Path
    installed: tuple[float, int]
    environ: dict[str, str] = field(default_factory=dict)


def peers(settle_s: float, measure_s: float, say: Callable[[str], None]) -> list[Peer]:
    """Install and measure them."""
    found: list[Peer] = []
    for make in (_gateway, _script):
        with tempfile.TemporaryDirectory() as folder:
            port = free_port()
            kind = make(Path(folder), port)
            say(f"peer: {kind.name} ...")
            found.append(_measure(kind, port, settle_s, measure_s))
    return found


def links(folder: Path) -> list[Path]:
    """Return the lines of the sensors."""
    return [folder / f"air{number}" for number in range(1, SENSORS + 1)]


def _measure(kind: _Kind, port: int, settle_s: float, measure_s: float) -> Peer:
    with ExitStack() as stack:
        first_broker = ExitStack()
        stack.enter_context(first_broker)
        first_broker.enter_context(broker(kind.folder, port))
        receiver = stack.enter_context(Receiver(port, kind.read))
        speaking = stack.enter_context(lines.Lines(links(kind.folder), kind.frame))
        os.chdir(kind.folder)
        stack.callback(os.chdir, Path(__file__).parent.parent)
        begun_s = time.monotonic()
        environ = dict(os.environ) | kind.environ
        process = stack.enter_context(running(kind.command, kind.folder / "peer.log", environ=environ))
        until(lambda: receiver.newest_s > 0, 60, f"first value of {kind.name}")
        start_s = receiver.oldest_s - begun_s
        time.sleep(settle_s)
        before = cost(process.pid)
        time.sleep(measure_s)
        after = cost(process.pid)
        first_broker.close()
        first = speaking.feed(_FRAMES)
        time.sleep(_QUIET_S)  # what it read is where it keeps it
        receiver.begin()
        stack.enter_context(broker(kind.folder, port))
        receiver.connect()
        receiver.settled(_QUIET_S, _BACK_S)
    wanted = {
        (link.name, channel, number)
        for link in links(kind.folder)
        for channel in _CHANNELS
        for number in range(first, first + _FRAMES)
    }
    came = sum(receiver.seen[value] > 0 for value in wanted)
    took_s = receiver.newest_s - receiver.oldest_s
    return Peer(
        name=kind.name,
        start_s=start_s,
        rss_mb=after.rss_mb,
        cpu_s_per_hour=(after.cpu_s - before.cpu_s) * _HOUR_S / measure_s,
        switches_per_s=(after.switches - before.switches) / measure_s,
        drain_per_s=came / took_s if took_s else 0.0,
        lost=len(wanted) - came,
        twice=sum(receiver.seen[value] > 1 for value in wanted),
        size_mb=kind.installed[0],
        packages=kind.installed[1],
    )


# -- ThingsBoard's gateway --------------------------------------------------------------------------------------------


def _gateway(folder: Path, port: int) -> _Kind:
    """Prepare the gateway: its serial connector cannot decode SDS011 frames, so its sensors speak lines of text."""
    venv = _venv("thingsboard", [_GATEWAY, *_NEEDS])
    shipped = next(venv.glob("lib/*/site-packages/thingsboard_gateway/config"))
    config = folder / "config"
    config.mkdir()
    (folder / "data").mkdir()
    (folder / "logs").mkdir()
    logs = json.loads((shipped / "logs.json").read_text())
    for logger in logs["loggers"].values():
        logger["level"] = "WARNING"
    (config / "logs.json").write_text(json.dumps(logs))
    general = json.loads((shipped / "tb_gateway.json").read_text())
    general["thingsboard"] |= {"host": "127.0.0.1", "port": port, "remoteConfiguration": False}
    general["thingsboard"]["security"] = {"accessToken": "gateway"}
    general["storage"] = {"type": "sqlite", "data_file_path": "./data/"}
    serial = {"type": "serial", "name": "lines", "configuration": "serial.json", "class": "SerialConnector"}
    general["connectors"] = [serial]
    (config / "tb_gateway.json").write_text(json.dumps(general))
    values = [{"type": "float", "key": "pm2_5", "toByte": 7}, {"type": "float", "key": "pm10", "fromByte": 8}]
    devices = [
        {
            "name": link.name,
            "type": "default",
            "port": str(link),
            "baudrate": 9600,
            "converter": "SerialUplinkConverter",
            "telemetry": values,
        }
        for link in links(folder)
    ]
    (config / "serial.json").write_text(json.dumps({"name": "lines", "logLevel": "ERROR", "devices": devices}))
    return _Kind(
        name=f"ThingsBoard IoT Gateway {_version(venv, _GATEWAY)}",
        command=[str(venv / "bin" / _GATEWAY)],
        frame=lines.text,
        read=_read_gateway,
        folder=folder,
        installed=_size(venv),
        environ={"TB_GW_CONFIG_DIR": str(config)},
    )


def _read_gateway(topic: str, payload: bytes) -> list[Value]:
    if topic != "v1/gateway/telemetry":
        return []
    return [
        (sensor, channel, round(value * 10))
        for sensor, entries in json.loads(payload).items()
        for entry in entries
        for channel, value in entry["values"].items()
    ]


# -- the script of thirty lines ---------------------------------------------------------------------------------------


def _script(folder: Path, port: int) -> _Kind:
    venv = _venv("script", ["paho-mqtt", "pyserial"])
    script = str(Path(__file__).with_name("yardstick.py"))
    words = ["localhost", str(port), "-", *map(str, links(folder))]
    return _Kind(
        name="paho and pyserial, 30 lines",
        command=[str(venv / "bin" / "python"), "-sP", script, *words],
        frame=lines.sds011,
        read=_read_script,
        folder=folder,
        installed=_size(venv),
    )


def _read_script(_topic: str, payload: bytes) -> list[Value]:
    reading = json.loads(payload)
    return [(Path(reading["sensor"]).name, reading["channel"], round(reading["value"] * 10))]


# -- installing -------------------------------------------------------------------------------------------------------


def _venv(name: str, packages: Sequence[str]) -> Path:
    """Return an environment of its own with packages of the index that pip knows; kept for the next time."""
    venv = _VENVS / name
    done = venv / ".done"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        subprocess.run([str(venv / "bin" / "pip"), "install", "-q", *packages], check=True)
        done.touch()
    return venv


def _version(venv: Path, package: str) -> str:
    shown = subprocess.run([str(venv / "bin" / "pip"), "show", package], check=True, capture_output=True, text=True)
    return next(line.split()[1] for line in shown.stdout.splitlines() if line.startswith("Version:"))


def _size(venv: Path) -> tuple[float, int]:
    """Return MB and number of what is installed, without pip and what compiles to."""
    (packages,) = venv.glob("lib/*/site-packages")
    size = sum(
        file.stat().st_size
        for entry in packages.iterdir()
        if not entry.name.startswith(("pip", "setuptools", "_distutils", "pkg_resources"))
        for file in ([entry] if entry.is_file() else entry.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    )
    listed = subprocess.run([str(venv / "bin" / "pip"), "list", "--format=json"], check=True, capture_output=True)
    names = [entry["name"] for entry in json.loads(listed.stdout) if entry["name"] not in {"pip", "setuptools"}]
    return size / _MB, len(names)
