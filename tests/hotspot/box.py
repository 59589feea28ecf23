"""The node of the city as a test sees it: it lives through simulated time and says which alarms it told."""

import json
import sys
from dataclasses import dataclass

from tests.hotspot.city import GATEWAY, POOL, City
from tests.hotspot.internet import CHECKS, DNS, PORTAL, RADIUS
from tests.hotspot.programs import Program

CONFIG = """node = "gate-1"
city = "bandung"

[center]
url = "mqtt://127.0.0.1:1"

[host]
enabled = false

{hotspot}
"""
HOTSPOT = """[hotspot]
hostapd = "{folder}/hostapd"
leases = "{folder}/leases/dnsmasq.leases"
pool = "{pool}"
resolver = "{gateway}"
upstream = "{dns}"
dns_name = "one.example"
dnsmasq_bus = true
bus = "{bus}"
portal = "{portal_program}"
opennds = "{folder}/nds/ndsctl.sock"
portal_url = "http://{portal}/"
portal_api = "http://{portal}/api"
checks = {checks}
ping = {ping}
radius = "{radius}:1812"
radius_secret = "{folder}/secret"
run = "{folder}/run"
"""


def hotspot_of(city: City, *, portal: str = "none") -> str:
    """Return the section that watches the city."""
    return HOTSPOT.format(
        folder=city.folder,
        pool="-".join(POOL),
        gateway=GATEWAY,
        dns=DNS,
        bus=city.bus,
        portal_program=portal,
        portal=next(iter(PORTAL)),
        checks=json.dumps([f"http://{name}/generate_204" for name in CHECKS]),
        ping=json.dumps(list(CHECKS.values())),
        radius=RADIUS,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """What happened in a stretch of simulated time.

    Attributes:
        told: Changes of alarms as the center would hear them, in order: ``name state``.
        standing: Alarms that are not clear now, and what was told of them last.
        hidden: Alarms that are hidden now, by the one that explains them.
        values: What each channel gave last.
        rows: Rows of telemetry that were kept.
        said: Log lines.
    """

    told: list[str]
    standing: dict[str, str]
    hidden: dict[str, str]
    values: dict[str, float | str]
    rows: int
    said: list[str]


class Box:
    """One node, started now."""

    def __init__(self, city: City, *, portal: str = "none") -> None:
        config = city.folder / "agent.toml"
        config.write_text(CONFIG.format(hotspot=hotspot_of(city, portal=portal)))
        command = [sys.executable, "-m", "tests.hotspot.harness", str(config)]
        self._program = Program(city.folder / "box.log", city.gateway, command, talks=True)
        assert self._program.hears() == "ready"

    def live(self, *, minutes: int) -> Lived:
        """Live through some time."""
        return Lived(**self._program.asks(str(minutes * 60)))

    def cost(self, cycles: int) -> dict[str, float]:
        """Return the CPU time of a collection in ms by probe, the median of some cycles of a minute."""
        return self._program.asks(f"cost {cycles}")

    def close(self) -> None:
        """End it."""
        self._program.stop()
