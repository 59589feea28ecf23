"""What the demo shows and when: its sensors, its timeline, and the node's configuration. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

CITY, NODE, SITE = "bandung", "dago-01", "Simpang Dago"
SHORTEST_S = 20.0
"""Shortest demo: below it the steps run into one another."""

ALARM = "banjir"
NOISY, PULLED, RIVER = "gps", "air", "sungai"
"""Names of the sensors to which something happens."""
HOST = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """One sensor of the demo.

    Attributes:
        name: Of its section.
        driver: As in ``driver = "..."``.
        protocol: What it speaks, for the result.
        what: What it is, for people.
        port: Name of its pseudo-terminal; equal names share one.
        every_s: Time between two readings.
        options: Further lines of its section, as TOML.
        shown: Channels worth a place on the screen.
    """

    name: str
    driver: str
    protocol: str
    what: str
    port: str
    every_s: float
    options: tuple[str, ...] = ()
    shown: tuple[str, ...]


SENSORS = (
    Fitted(
        name="air",
        driver="sds011",
        protocol="sds011",
        what="dust, SDS011",
        port="air",
        every_s=1.0,
        shown=("pm2_5", "pm10"),
    ),
    Fitted(
        name="co2",
        driver="senseair_s8",
        protocol="modbus",
        what="CO2, Senseair S8",
        port="rs485",
        every_s=1.0,
        options=("unit = 104",),
        shown=("co2",),
    ),
    Fitted(
        name="gps",
        driver="nmea",
        protocol="nmea",
        what="position, NMEA 0183",
        port="gps",
        every_s=0.5,
        shown=("latitude", "longitude", "satellites"),
    ),
    Fitted(
        name="kabinet",
        driver="line",
        protocol="line",
        what="cabinet, lines of JSON",
        port="kabinet",
        every_s=0.5,
        options=(
            'format = "json"',
            'fields = { temperature = "t", humidity = "h", door = "door" }',
            'units = { temperature = "Cel", humidity = "%RH" }',
            'channel.temperature.range = ["-20 Cel", "80 Cel"]',
            'channel.humidity.range = ["0 %RH", "100 %RH"]',
        ),
        shown=("temperature", "humidity", "door"),
    ),
    Fitted(
        name="listrik",
        driver="pzem004t",
        protocol="modbus",
        what="mains, PZEM-004T",
        port="rs485",
        every_s=0.5,
        shown=("voltage", "current", "power"),
    ),
    Fitted(
        name="sungai",
        driver="a02yyuw",
        protocol="ultrasonic",
        what="river, A02YYUW",
        port="sungai",
        every_s=0.2,
        options=('mount_height = "4.20 m"',),
        shown=("level",),
    ),
)
UNITS: Mapping[str, int] = {"listrik": 1, "co2": 104}
"""Addresses on the RS-485 pair that both share."""

PORTS = tuple(dict.fromkeys(sensor.port for sensor in SENSORS))
PROTOCOLS: Mapping[str, str] = {sensor.name: sensor.protocol for sensor in SENSORS}
HOST_SHOWN = ("cpu", "mem-used", "load1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Moments of the story, in seconds from its begin; each begins no earlier."""

    noise_s: float
    strangers_s: float
    cut_s: float
    flood_s: float
    restore_s: float
    ebb_s: float
    pull_s: float
    plug_s: float
    kill_s: float
    start_s: float
    finish_s: float
    end_s: float


def timeline(for_s: float) -> Timeline:
    """Spread the story over a time; the last seconds are for the proof."""
    finish_s = for_s - min(5.0, 0.15 * for_s)
    return Timeline(
        noise_s=0.06 * finish_s,
        strangers_s=0.12 * finish_s,
        cut_s=0.20 * finish_s,
        flood_s=0.26 * finish_s,
        restore_s=0.46 * finish_s,
        ebb_s=0.52 * finish_s,
        pull_s=0.58 * finish_s,
        plug_s=0.69 * finish_s,
        kill_s=0.82 * finish_s,
        start_s=0.85 * finish_s,
        finish_s=finish_s,
        end_s=for_s,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Where the node finds things.

    Attributes:
        url: Of the link to the broker.
        protocol: Version of MQTT that the broker speaks.
        keys: Folder.
        spool: Folder.
        run: Folder.
        ports: Folder of the pseudo-terminals.
    """

    url: str
    protocol: Literal["5", "3.1.1"]
    keys: str
    spool: str
    run: str
    ports: str


def configuration(wiring: Wiring) -> str:
    """Return agent.toml: as in the field, with the waits of a minute instead of those of a year."""
    parts = [
        f"""\
node = {_text(NODE)}
city = {_text(CITY)}
site = {_text(SITE)}

[center]
url = {_text(wiring.url)}
protocol = {_text(wiring.protocol)}
resend_after = "2 s"
backoff_base = "400 ms"
backoff_cap = "1 s"
first_spread = "0 s"

[keys]
folder = {_text(wiring.keys)}

[spool]
folder = {_text(wiring.spool)}
durable_within = "1 s"
free_disk = "1 MiB"

[seal]
live = "1 s"
offline = "5 s"

[run]
folder = {_text(wiring.run)}

[host]
every = "5 s"
"""
    ]
    for sensor in SENSORS:
        lines = [
            f"[sensor.{sensor.name}]",
            f"driver = {_text(sensor.driver)}",
            f"port = {_text(f'path:{wiring.ports}/{sensor.port}')}",
            f'every = "{sensor.every_s:g} s"',
            *sensor.options,
        ]
        parts.append("\n".join(lines) + "\n")
    parts.append(
        f"""\
[alarm.{ALARM}]
watch = "{RIVER}/level"
levels = {{ siaga3 = "2.5 m", siaga2 = "3.0 m", siaga1 = "3.5 m" }}
for = "1 s"
hysteresis = "0.05 m"
unknown_is = "siaga2"
accept = ["step"]
"""
    )
    return "\n".join(parts)


def _text(value: str) -> str:
    """Quote text for TOML, whose basic strings know the escapes of JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
