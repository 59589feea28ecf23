"""A node with every probe on, its default alarms, and a day in which all is well or one thing is not."""

import random
from collections.abc import Mapping

from agent import settings
from agent.alarm import Change
from agent.alarms import Alarms
from agent.config.load import parse
from agent.config.model import Alarm, Config
from agent.rule import Rule
from drivers.io.catalog import registry
from drivers.reading import Reading
from tests.agent.alarm_rig import SECOND, Value, pass_time

CONFIG = """
node = "n1"
city = "c1"
[center]
url = "mqtts://center:8883"
sim_expires = "2027-01-31"
monthly_quota = "1 GB"
[host]
every_metric = true
interfaces = ["eth0"]
[hotspot]
portal = "opennds"
pool = "10.20.0.2-10.20.0.254"
portal_url = "http://10.20.0.1/"
portal_api = "https://portal.example/api"
radius = "10.0.0.5:1812"
radius_secret = "/etc/gardu/radius-secret"
dnsmasq_bus = true
upstream = "9.9.9.9"
backup = ["wwan0"]
client_limit = 50
every_metric = true
open_hours = "00:00-24:00"
[kiosk]
units = ["kiosk-browser.service"]
page = "http://127.0.0.1:8080/"
screen = "any"
usb = ["scanner=1a86:7523"]
door = "gpiochip0:17"
touch = "any"
"""

USUAL: dict[str, tuple[float, float] | Value] = {
    "link/sim-days": (40, 200),
    "link/quota-used": (0.1, 0.6),
    "link/quota-allows": "all",
    "link/quota-pace": (0.5, 0.9),
    "host/boots": 1,
    "host/cpu": (2, 60),
    "host/mem-available": (2e8, 6e8),
    "host/temp": (40, 68),
    "host/own-rss": (3.5e7, 4.5e7),
    "storage/root-used": (0.3, 0.6),
    "storage/mmc-life": 0.2,
    "storage/mmc-preeol": "normal",
    "time/offset": (-0.05, 0.05),
    "time/sync": True,
    "ap/util": (0.05, 0.65),
    "ap/noise": (-97, -85),
    "clients/auth": (3, 30),
    "clients/pending": (0, 3),
    "clients/signal-p10": (-78, -60),
    "clients/ghosts": (0, 0.2),
    "clients/retry": (0.02, 0.3),
    "clients/fail": (0, 0.03),
    "dhcp/pool-used": (0.1, 0.7),
    "dns/fail": (0, 0.1),
    "dns/up-fail": (0, 0.1),
    "dns/local-ms": (1, 120),
    "dns/up-ms": (10, 300),
    "wan/state": "online",
    "wan/gw-rtt": (1, 60),
    "wan/gw-loss": (0, 0.15),
    "wan/net-rtt": (10, 200),
    "wan/net-jitter": (1, 40),
    "wan/net-loss": (0, 0.04),
    "wan/conntrack-used": (0.05, 0.6),
    "svc/failed": 0,
}
"""What channels say when all is well: a range, or one value. Other states are the good one, other counters rest."""


def config() -> Config:
    """Return the configuration."""
    parsed = parse([("agent.toml", CONFIG.encode())], registry())
    assert parsed.problems == ()
    assert parsed.config is not None
    return parsed.config


def paces() -> Mapping[str, float]:
    """Return the seconds between two readings of each channel."""
    parsed = parse([("agent.toml", CONFIG.encode())], registry())
    assert parsed.config is not None
    return settings.paces(parsed.fitted, parsed.equipped, parsed.config.host)


class Node:
    """Its default alarms and what its channels say."""

    def __init__(self, seed: int = 1, *extra: Rule) -> None:
        known, pace = config(), paces()
        self.alarms_of = {alarm.name: alarm for alarm in known.defaults}
        rules = [settings.rule(alarm, pace, lambda reading: reading) for alarm in known.defaults]
        self.alarms = Alarms([*rules, *extra], None, lambda now_ns: now_ns // (60 * SECOND) % 1440)
        self.units = {f"{alarm.sensor}/{alarm.channel}": alarm.unit for alarm in known.defaults}
        self.every_s = {
            path: round(max(pace.get(path, pace.get(path.partition("/")[0], 60)), 10)) for path in self.units
        }
        self.said: dict[str, Value | None] = {}
        self.now_s = 0
        self._chance = random.Random(seed)  # noqa: S311 - the same on each run
        self._counts = dict.fromkeys(self.units, 100.0) | {"storage/ext4-errors": 0.0}

    def says(self, path: str, value: Value | None) -> None:
        """Let a channel say this from now on; None takes it back."""
        self.said[path] = value

    def rises(self, path: str, by: float) -> None:
        """Let a counter rise once."""
        self._counts[path] += by

    def passes(self, seconds: int, step_s: int = 10) -> list[Change]:
        """Let time pass in steps."""
        changes: list[Change] = []
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += step_s
            changes += pass_time(self.alarms, self.now_s)
            for path, every_s in self.every_s.items():
                if self.now_s % every_s < step_s:
                    changes += self.alarms.take(self._reading(path))
        return changes

    def _reading(self, path: str) -> Reading:
        sensor, _, channel = path.partition("/")
        return Reading(
            sensor=sensor,
            channel=channel,
            value=self._value(path),
            unit=self.units[path],
            boot_ns=self.now_s * SECOND,
        )

    def _value(self, path: str) -> Value:
        if (said := self.said.get(path)) is not None:
            return said
        usual = USUAL.get(path)
        if isinstance(usual, tuple):
            return self._chance.uniform(*usual)
        if usual is not None:
            return usual
        watching = [alarm for alarm in self.alarms_of.values() if f"{alarm.sensor}/{alarm.channel}" == path]
        if watching[0].states:
            return good_state(watching[0])
        self._counts[path] += 0.01 if path == "host/own-cpu" else 0
        return self._counts[path]


def good_state(alarm: Alarm) -> str | bool:
    """Return a state that does not raise an alarm."""
    first = alarm.states[0]
    return not first if isinstance(first, bool) else "active"
