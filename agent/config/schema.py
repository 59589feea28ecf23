"""Every key a configuration may hold: its kind, its default and what it means. `config/agent.toml` shows them all."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from drivers.host.settings import HostSettings
from drivers.hotspot.settings import HotspotSettings
from drivers.kiosk.settings import KioskSettings
from drivers.setting import settings_of

_MOST = 1_000_000  # of anything that a probe counts

Kind = Literal["text", "name", "time", "size", "share", "integer", "boolean", "texts", "table", "any"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of one section.

    Attributes:
        name: As it stands in TOML.
        kind: ``text``; ``name`` (of a node, a city); ``time``, ``size`` and ``share`` (text with a unit);
            ``integer``; ``boolean``; ``texts`` (a list); ``table``; ``any`` (its own module checks it).
        default: As it would stand in TOML; None means there is none.
        required: Nothing works without it.
        choices: Allowed texts; empty means any.
        low: Lowest allowed value: text with a unit, or an integer.
        high: Highest allowed value.
        doc: What it means, for people.
    """

    name: str
    kind: Kind
    default: str | int | bool | tuple[str, ...] | None = None
    required: bool = False
    choices: tuple[str, ...] = ()
    low: str | int | None = None
    high: str | int | None = None
    doc: str


def _time(name: str, default: str | None, low: str, high: str, doc: str) -> Key:
    return Key(name=name, kind="time", default=default, low=low, high=high, doc=doc)


def _size(name: str, default: str | None, low: str, high: str, doc: str) -> Key:
    return Key(name=name, kind="size", default=default, low=low, high=high, doc=doc)


def _text(name: str, default: str | None, doc: str, *, required: bool = False, choices: tuple[str, ...] = ()) -> Key:
    return Key(name=name, kind="text", default=default, required=required, choices=choices, doc=doc)


def _flag(name: str, *, default: bool, doc: str) -> Key:
    return Key(name=name, kind="boolean", default=default, doc=doc)


def _without(example: str) -> Key:
    doc = f"alarms that come with this section and are not wanted, such as {example}"
    return Key(name="without", kind="texts", default=(), doc=doc)


def _settings(section: type) -> tuple[Key, ...]:
    """Return the keys that the probes of a section declare."""
    kinds: dict[type, Kind] = {str: "text", bool: "boolean", int: "integer", tuple: "texts"}
    return tuple(
        Key(
            name=each.name,
            kind=kinds[type(each.default)],
            default=each.default,
            choices=each.choices,
            low=0 if type(each.default) is int else None,
            high=_MOST if type(each.default) is int else None,
            doc=each.doc,
        )
        for each in settings_of(section)
    )


_TOP = (
    Key(name="node", kind="name", required=True, doc="name of this box; one in its city"),
    Key(name="city", kind="name", required=True, doc="name of the city"),
    _text("site", None, "the place, for people"),
    Key(name="center", kind="table", required=True, doc="the way to the command center"),
    Key(name="keys", kind="table", doc="where the keys and certificates are"),
    Key(name="spool", kind="table", doc="the log on disk"),
    Key(name="seal", kind="table", doc="when rows are sealed under one signature"),
    Key(name="run", kind="table", doc="what lives as long as the machine is up"),
    Key(name="host", kind="table", doc="the health of this box"),
    Key(name="hotspot", kind="table", doc="the public hotspot that this box gives or guards"),
    Key(name="kiosk", kind="table", doc="the kiosk that this box stands in"),
    Key(name="power", kind="table", doc="when the box ends before its battery is empty"),
    Key(name="drivers", kind="table", doc="drivers of third parties"),
    Key(name="sensor", kind="table", doc="what is wired to this box, one section each"),
    Key(name="probe", kind="table", doc="what is believable and worth keeping of this box's own probes"),
    Key(name="alarm", kind="table", doc="what to raise an alarm on, one section each"),
    Key(name="log", kind="table", doc="the agent's own log"),
)

_CENTER = (
    _text("url", None, "broker of the center: mqtts://host:port, or mqtt://127.0.0.1:port", required=True),
    _flag("insecure", default=False, doc="allow plain TCP to another machine; anyone on the way reads along"),
    _text("protocol", "5", "version of MQTT", choices=("5", "3.1.1")),
    _flag("metered", default=False, doc="the link is paid by the byte: seal and send less often"),
    _size("window", "256 KiB", "8 KiB", "64 MiB", "most bytes under way without an ack; the center may say less"),
    _time("resend_after", "10 s", "50 ms", "1 h", "send the same bytes again after this time without an ack"),
    _time("resend_at_most", "120 s", "50 ms", "24 h", "the time between two sends doubles up to this"),
    _time("backoff_base", "4 s", "10 ms", "1 h", "first wait after a lost connection; doubles, at random below"),
    _time("backoff_cap", "300 s", "10 ms", "24 h", "longest wait between two connections"),
    _time("first_spread", "60 s", "0 s", "1 h", "after a boot or a lost broker nodes connect spread over this time"),
    _time("progress_within", "5 min", "100 ms", "24 h", "acks must advance within this time, or the link is rebuilt"),
    _time("keepalive", "60 s", "1 s", "18 h", "longest silence on the link; MQTT keep alive"),
    _size("monthly_quota", None, "1 MB", "100 GB", "most bytes a month both ways, all headers counted; without it any"),
    Key(name="quota_reserve", kind="share", default="10 %", low="0 %", high="90 %", doc="part of it only for alarms"),
    _text("quota_counts", None, "interface all of whose bytes count, guests' too; without it what the agent sends"),
    Key(name="sim_expires", kind="any", doc="last day on which the SIM works, such as 2027-01-31"),
)

_SPOOL = (
    _text("folder", "/var/lib/gardu/spool", "folder of the log"),
    _time("durable_within", "10 s", "0 s", "10 min", "routine rows are on disk within this time; alarms at once"),
    _size("telemetry_cap", "64 MiB", "32 KiB", "1024 GiB", "most disk for routine rows"),
    _size("alarm_cap", "16 MiB", "32 KiB", "1024 GiB", "most disk for alarms"),
    _size("free_disk", "64 MiB", "0 B", "1024 GiB", "always left free for the rest of the machine"),
    _size("segment", "1 MiB", "16 KiB", "1 MiB", "size of one file of the log"),
    _size("memory", "4 MiB", "256 KiB", "256 MiB", "most memory for rows while the disk refuses them"),
)

_SEAL = (
    _time("live", "10 s", "50 ms", "1 h", "rows are sealed this often while the link is up"),
    _time("metered", "60 s", "50 ms", "24 h", "... while the link is up and paid by the byte"),
    _time("offline", "600 s", "50 ms", "24 h", "... while the link is down"),
    Key(name="rows", kind="integer", default=500, low=1, high=10_000, doc="seal at this many rows in any case"),
    _size("bytes", "64 KiB", "1 KiB", "192 KiB", "seal at this size before compression in any case"),
    _time("empty_after", "60 s", "50 ms", "24 h", "with nothing to say an empty batch still proves the node is there"),
)

_HOST = (
    _flag(
        "enabled", default=True, doc="read processor, memory, disks, temperature, network, clock and the agent itself"
    ),
    _time("every", "10 s", "1 s", "1 h", "time between two readings"),
    Key(name="disks", kind="texts", default=("/",), doc="mount points whose free space is read"),
    Key(name="interfaces", kind="texts", doc="network interfaces that are counted; without it all physical ones"),
    *_settings(HostSettings),
    _without("disk-writes"),
)

_HOTSPOT = (
    *_settings(HotspotSettings),
    Key(name="open_hours", kind="any", doc="local time in which guests are expected; without it nobody is missed"),
    _without("clients-weak"),
)

_SENSOR = (
    _text("driver", None, "driver, profile or model; `gardu driver list` shows them", required=True),
    _text("port", None, "where it is plugged in"),
    _time("every", None, "1 ms", "24 h", "time between two readings; without it the driver's own"),
    _text("silent_means", None, "what it means when the unit falls silent, e.g. mains lost; an alarm tells it"),
    _text("silent_when", None, "the alarm that explains its silence, e.g. mains lost"),
    _text("line", None, "serial line, e.g. 9600 8N1; without it the driver's own"),
    Key(name="channel", kind="table", doc="what is believable at this place, one section for each channel"),
)

_CHANNEL = (
    Key(name="range", kind="any", doc="lowest and highest believable value; others are flagged out_of_range"),
    Key(name="max_step_per_s", kind="any", doc="fastest believable change in one second; faster is flagged step"),
    _time("stuck_after", None, "1 s", "365 d", "identical values for this long are flagged stuck"),
    _text("zero", None, "suspect: an exact 0 more likely means a fault", choices=("ok", "suspect")),
    Key(name="change", kind="any", doc="keep a number only when it differs so much from the last one kept"),
    _time("at_least_every", None, "1 s", "24 h", "... or when this time has passed; without it 15 min"),
)

_ALARM = (
    _text("watch", None, "sensor/channel", required=True),
    Key(name="levels", kind="any", doc="thresholds by name, from mild to severe; or is"),
    Key(name="is", kind="any", doc="states that raise it, where the channel is one: a list of texts, true or false"),
    Key(name="level", kind="name", default="alarm", doc="name of the one level that is has"),
    _flag("falling", default=False, doc="the alarm rises when the value falls"),
    _time("rise_within", None, "1 s", "7 d", "levels are of how much a counter rose in this time"),
    _time("for", "10 s", "0 s", "24 h", "a level must be passed for this long"),
    Key(name="hysteresis", kind="any", doc="how far the value must come back before a level clears; without it 0"),
    _time("hold_off", "0 s", "0 s", "1 h", "no alarm in this time after a start; 0 for what protects life"),
    _text("unknown_is", None, "level that counts when the value is not known"),
    _time(
        "unknown_after", None, "1 s", "24 h", "silence after which the value is not known; without it 3 x for + 60 s"
    ),
    Key(name="accept", kind="texts", default=(), doc="flags with which a reading still counts"),
    Key(name="mute_when", kind="texts", default=(), doc="alarms that explain this one; while one stands, it is hidden"),
    Key(name="hours", kind="any", doc="local time in which it is awake; without it always"),
)

_POWER = (
    _text("watch", None, "sensor/channel of what runs out, such as the charge of a UPS", required=True),
    Key(name="shutdown_below", kind="any", required=True, doc="the box is powered off below this"),
    _time("for", "60 s", "0 s", "1 h", "it must have been below for this long"),
    _text("and_on", None, "sensor/channel that is true while the mains is away; without it the value alone decides"),
    _time("not_before", "10 min", "0 s", "24 h", "never so soon after a start, unless the value was above since"),
)

SECTIONS = MappingProxyType(
    {
        "": _TOP,
        "center": _CENTER,
        "keys": (_text("folder", "/var/lib/gardu/keys", "signing.pem, tls.key, tls.crt, ca.crt, center.pem"),),
        "spool": _SPOOL,
        "seal": _SEAL,
        "run": (_text("folder", "/run/gardu", "socket of the readings, count of restarts; gone after a reboot"),),
        "host": _HOST,
        "hotspot": _HOTSPOT,
        "kiosk": (*_settings(KioskSettings), _without("door-open")),
        "power": _POWER,
        "drivers": (
            Key(name="allow", kind="texts", default=(), doc="drivers of third parties whose code may run; local only"),
        ),
        "sensor.NAME": _SENSOR,
        "sensor.NAME.channel.CHANNEL": _CHANNEL,
        "probe.NAME": (Key(name="channel", kind="table", doc="one section for each channel, as below a sensor"),),
        "probe.NAME.channel.CHANNEL": _CHANNEL,
        "alarm.NAME": _ALARM,
        "log": (_text("level", "info", "least that is logged", choices=("debug", "info", "warning", "error")),),
    }
)
"""Keys by section; the words in capitals stand for any name, the empty name for the top of the file."""


def homes(name: str) -> tuple[str, ...]:
    """Return the sections that know a key of this name."""
    return tuple(section for section, keys in SECTIONS.items() if any(key.name == name for key in keys))
