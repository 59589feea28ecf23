"""A full cycle of the default probes: each asks once, in one loop, while the real programs of a hotspot answer.

hostapd, dnsmasq and the internet stand in network namespaces, as in `tests/hotspot`; systemd is answered for on a
private bus. Runs as ``python -m benchmarks.cycle CONFIG CYCLES`` in the namespace of the box, where it prints JSON.
"""

import asyncio
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from agent.config.load import parse
from agent.config.section import HOST
from agent.probing import _within
from drivers.hotspot.settings import HotspotSettings
from drivers.io.catalog import registry
from drivers.io.host import HostProbe
from drivers.probe import Collector, Moment
from drivers.probes import KINDS, collector

_NS = 1_000_000_000
_MINUTE_NS = 60 * _NS
_PROGRAMS = ("dbus-daemon", "dnsmasq", "freeradius", "hostapd", "iptables-legacy", "opennds", "udhcpc")
_INTERFACES = ("wan0", "wlan0")  # a box has no cables to its guests
_UNITS = ("hostapd.service", "dnsmasq.service")
_CONFIG = """node = "gate-1"
city = "bandung"
[center]
url = "mqtt://127.0.0.1:1"
[host]
bus = "{bus}"
{hotspot}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """Processor time of a cycle, in ms.

    Attributes:
        default_ms: Of all default probes together, side by side as the daemon asks them; one value a cycle.
        probes_ms: Of each probe alone, also of those that are no default; the median.
    """

    default_ms: tuple[float, ...]
    probes_ms: dict[str, float]


def cycle(cycles: int = 30) -> Cycle | None:
    """Measure; None where this is not root or a program is missing."""
    if os.geteuid() != 0 or not all(
        shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin") for name in _PROGRAMS
    ):
        return None
    from tests.hotspot.box import hotspot_of  # noqa: PLC0415 - not everywhere are the programs that it starts
    from tests.hotspot.city import City  # noqa: PLC0415
    from tests.hotspot.programs import Program  # noqa: PLC0415
    from tests.node.system_bus import daemon, systemd  # noqa: PLC0415

    states: dict[str, str | int] = {
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
        "NRestarts": 0,
    }
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        city = City(folder)
        stack.callback(city.close)
        city.start_bus()
        stack.enter_context(daemon(city.bus, "org.freedesktop.systemd1", systemd(dict.fromkeys(_UNITS, states))))
        city.start()
        config = folder / "agent.toml"
        config.write_text(_CONFIG.format(bus=city.bus, hotspot=hotspot_of(city)))
        command = [sys.executable, "-m", "benchmarks.cycle", str(config), str(cycles)]
        measure = Program(folder / "cycle.log", city.gateway, command, talks=True)
        stack.callback(measure.stop)
        found = json.loads(measure.hears())
    return Cycle(default_ms=tuple(found["default_ms"]), probes_ms=found["probes_ms"])


class _Box:
    """All probes of a configuration, asked at moments a minute apart."""

    def __init__(self, config: bytes) -> None:
        parsed = parse([("agent.toml", config)], registry())
        if parsed.config is None:
            raise ValueError(parsed.problems)
        self._now_ns = 0
        self._began = time.time()
        self._collectors = {one.kind.name: collector(one.kind, one.settings) for one in parsed.equipped}
        self._host = HostProbe(HOST, interfaces=_INTERFACES)

    def measure(self, cycles: int) -> dict[str, object]:
        """Measure so many cycles, after one that opens and loads what stays."""
        default = [each for name, each in self._collectors.items() if name in _default()]
        with asyncio.Runner() as runner:
            runner.run(self._together(list(self._collectors.values())))
            found = [runner.run(self._together(default)) for _ in range(cycles)]
            alone: dict[str, list[float]] = {name: [] for name in (*self._collectors, HOST)}
            for _ in range(cycles):
                for name, each in self._collectors.items():
                    alone[name].append(runner.run(self._together([each], host=False)))
                alone[HOST].append(runner.run(self._together([])))
            for each in self._collectors.values():
                each.close()
        return {"default_ms": found, "probes_ms": {name: statistics.median(each) for name, each in alone.items()}}

    async def _together(self, collectors: list[Collector], *, host: bool = True) -> float:
        self._now_ns += _MINUTE_NS
        now = Moment(boot_ns=self._now_ns, utc_s=self._began + self._now_ns / _NS)
        before = time.process_time_ns()
        if host:
            self._host.collect(now.boot_ns)
        await asyncio.gather(*(_within(each, now) for each in collectors))
        return (time.process_time_ns() - before) / 1_000_000


def _default() -> set[str]:
    """Return the probes of ``[host]`` and ``[hotspot]`` where nobody wrote anything else."""
    hotspot = HotspotSettings()
    return {
        kind.name for kind in KINDS if kind.section == "host" or (kind.section == "hotspot" and kind.serves(hotspot))
    }


if __name__ == "__main__":
    print(json.dumps(_Box(Path(sys.argv[1]).read_bytes()).measure(int(sys.argv[2]))), flush=True)
