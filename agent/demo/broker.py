"""The demo's broker: mosquitto where it is installed, else amqtt, on a free port of the loopback, with mutual TLS."""

import asyncio
import getpass
import importlib.metadata
import importlib.util
import os
import re
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.demo.errors import DemoError, Impossible
from agent.demo.processes import PYTHON, Process, run

_SBIN = ("/usr/sbin", "/usr/local/sbin", "/sbin")  # Debian keeps mosquitto there, off the PATH of ordinary accounts
_TRIES = 3
_START_S = 20.0
_LOOK_S = 0.05
_MISSING = (
    "no broker is installed: `sudo apt install mosquitto`, or the demo's own packages: `make install`, "
    'which is pip install "gardu[demo]"'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Which broker.

    Attributes:
        name: With its version, for people.
        protocol: Newest version of MQTT it speaks.
        program: Path of mosquitto; None for amqtt.
    """

    name: str
    protocol: Literal["5", "3.1.1"]
    program: str | None


async def choose(wanted: str = "auto") -> Kind:
    """Return the broker to use: ``auto``, ``mosquitto`` or ``amqtt``. Raises Impossible when it is not installed."""
    program = None if wanted == "amqtt" else _mosquitto()
    if program is not None:
        found = re.search(r"version ([0-9][0-9.]*)", await run("mosquitto", (program, "-h"), accept=range(4)))
        return Kind(name=f"mosquitto {found[1] if found else '?'}", protocol="5", program=program)
    if wanted == "mosquitto" or importlib.util.find_spec("amqtt") is None:
        raise Impossible(_MISSING)
    return Kind(name=f"amqtt {importlib.metadata.version('amqtt')}", protocol="3.1.1", program=None)


def _mosquitto() -> str | None:
    return shutil.which("mosquitto", path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_SBIN)))


async def start(kind: Kind, process: Process, folder: Path, keys: Path) -> int:
    """Start a broker and wait until it answers; return its port. Raises DemoError.

    Args:
        kind: Which.
        process: To start it in.
        folder: For its configuration.
        keys: The center's key folder, which holds the broker's certificate too.
    """
    for _ in range(_TRIES):  # another program may take the free port first
        port = _free_port()
        if kind.program is None:
            await process.start((*PYTHON, "agent.demo.amqtt_broker", str(port), str(keys)))
        else:
            conf = folder / "mosquitto.conf"
            conf.write_text(configuration(port, keys), "utf-8")
            await process.start((kind.program, "-c", str(conf)))
        if await _answers(process, port):
            return port
    raise DemoError(f"{kind.name} does not start; {process.told()}")


def configuration(port: int, keys: Path) -> str:
    """Return mosquitto.conf: only who shows a certificate of the city's own authority gets in."""
    return "\n".join(
        (
            f"listener {port} 127.0.0.1",
            f"cafile {keys / 'ca.crt'}",
            f"certfile {keys / 'server.crt'}",
            f"keyfile {keys / 'server.key'}",
            "require_certificate true",
            "use_identity_as_username true",
            "persistence false",
            "max_queued_messages 20000",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            f"user {getpass.getuser()}",
            "",
        )
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _answers(process: Process, port: int) -> bool:
    loop = asyncio.get_running_loop()
    end_s = loop.time() + _START_S
    while process.running and loop.time() < end_s:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(_LOOK_S)
            continue
        writer.close()
        return process.running
    await process.stop()
    return False
