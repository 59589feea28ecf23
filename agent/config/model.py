"""The configuration of one node, checked: what the rest of the agent reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agent.reserve import Limit
from agent.rule import Hours
from drivers.driver import Line, OptionValue
from drivers.host.settings import HostSettings
from drivers.hotspot.settings import HotspotSettings
from drivers.kiosk.settings import KioskSettings
from drivers.reading import Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Center:
    """The way to the command center.

    Attributes:
        url: As written.
        host: Of the broker.
        tcp_port: Of the broker.
        tls: Mutual TLS; False means plain TCP.
        insecure: Plain TCP to another machine is allowed.
        protocol: Version of MQTT.
        metered: The link is paid by the byte.
        window_bytes: Most bytes under way without an ack.
        resend_after_s: Send again after this time without an ack.
        resend_at_most_s: The time between two sends doubles up to this.
        backoff_base_s: First wait after a lost connection.
        backoff_cap_s: Longest wait between two connections.
        first_spread_s: Time over which a city's nodes spread their first connection.
        progress_within_s: Acks must advance within this time.
        keepalive_s: Longest silence on the link.
        quota_bytes: Most bytes a month, both ways; None means any.
        quota_reserve: Share of it that only alarms may use.
        quota_counts: Interface all of whose bytes count against it; None counts the agent's own connections.
        sim_expires: Last day of the SIM, as in ``2027-01-31``; None where nobody said.
    """

    url: str
    host: str
    tcp_port: int
    tls: bool
    insecure: bool
    protocol: Literal["5", "3.1.1"]
    metered: bool
    window_bytes: int
    resend_after_s: float
    resend_at_most_s: float
    backoff_base_s: float
    backoff_cap_s: float
    first_spread_s: float
    progress_within_s: float
    keepalive_s: float
    quota_bytes: int | None
    quota_reserve: float
    quota_counts: str | None = None
    sim_expires: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spool:
    """The log on disk.

    Attributes:
        folder: Its folder.
        durable_within_s: Routine rows are on disk within this time.
        telemetry_cap_bytes: Most disk for routine rows.
        alarm_cap_bytes: Most disk for alarms.
        free_disk_bytes: Always left free.
        segment_bytes: Size of one file.
        memory_bytes: Most memory for rows while the disk refuses them.
    """

    folder: str
    durable_within_s: float
    telemetry_cap_bytes: int
    alarm_cap_bytes: int
    free_disk_bytes: int
    segment_bytes: int
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """When rows are sealed.

    Attributes:
        live_s: Time between two batches while the link is up.
        metered_s: ... while it is up and metered.
        offline_s: ... while it is down.
        rows: Seal at this many rows in any case.
        plain_bytes: Seal at this size before compression in any case.
        empty_after_s: An empty batch leaves after this silence.
    """

    live_s: float
    metered_s: float
    offline_s: float
    rows: int
    plain_bytes: int
    empty_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The probe of this box.

    Attributes:
        enabled: Whether it runs.
        every_s: Time between two readings.
        disks: Mount points.
        interfaces: Network interfaces; None means all physical ones.
        probes: What its other probes ask.
    """

    enabled: bool
    every_s: float
    disks: tuple[str, ...]
    interfaces: tuple[str, ...] | None
    probes: HostSettings = field(default_factory=HostSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOverride:
    """What is believable of one channel at this place; None leaves it to the driver.

    Attributes:
        low: Lowest believable value, in the channel's unit.
        high: Highest believable value, in the channel's unit.
        max_step_per_s: Fastest believable change per second, in the channel's unit.
        stuck_after_s: Identical values for this long are doubted.
        zero: Whether an exact 0 is doubted.
        change: Difference, in the channel's unit, from the last value kept that makes a number worth keeping.
        at_least_every_s: Longest time between two kept readings.
    """

    low: float | None = None
    high: float | None = None
    max_step_per_s: float | None = None
    stuck_after_s: float | None = None
    zero: Literal["ok", "suspect"] | None = None
    change: float | None = None
    at_least_every_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """One thing wired to the node.

    Attributes:
        name: From its section.
        driver: Driver, profile or model, as written.
        port: Normal form of the port's name; equal names share a bus. Empty for a probe of the node itself.
        every_s: Time between two readings; None leaves it to the driver.
        line: Serial line; None leaves it to the driver.
        options: The driver's own keys, as written.
        channels: What is believable, by channel.
        silent_means: What it means when the unit is silent.
        silent_when: The alarm that explains its silence.
    """

    name: str
    driver: str
    port: str
    every_s: float | None = None
    line: Line | None = None
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    channels: Mapping[str, ChannelOverride] = field(default_factory=dict)
    silent_means: str | None = None
    silent_when: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One step of an alarm.

    Attributes:
        name: As the center and people call it.
        threshold: In the channel's unit.
    """

    name: str
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One rule.

    Attributes:
        name: From its section.
        sensor: Watched sensor.
        channel: Watched channel of it; empty where ``silence_of`` says what is watched.
        unit: The channel's unit, which is that of the thresholds.
        levels: From mild to severe.
        falling: The alarm rises when the value falls.
        states: What raises it where the channel is a state or a text; then there is one level.
        rise_within_s: How much a counter rose within this time is compared; None where values are.
        silence_of: Sensors whose common silence it is about.
        for_s: A level must be passed for this long.
        hysteresis: How far the value must come back, in the channel's unit.
        hold_off_s: No alarm in this time after a start.
        unknown_is: Level that counts while the value is not known.
        unknown_after_s: Silence after which it is not known; None leaves it to the rule.
        accept: Flags with which a reading still counts.
        mute_when: Alarms that explain this one.
        hours: Part of the day in which it is awake; None means always.
        is_default: It came with a section; then what was never reported is not missed.
        may_lack: There is a value only sometimes; it is not missed while the alarm is clear.
    """

    name: str
    sensor: str
    channel: str
    unit: str
    levels: tuple[Level, ...]
    falling: bool = False
    states: tuple[str | bool, ...] = ()
    rise_within_s: float | None = None
    silence_of: tuple[str, ...] = ()
    for_s: float = 10.0
    hysteresis: float = 0.0
    hold_off_s: float = 0.0
    unknown_is: str | None = None
    unknown_after_s: float | None = None
    accept: frozenset[Quality] = frozenset()
    mute_when: tuple[str, ...] = ()
    hours: Hours | None = None
    is_default: bool = False
    may_lack: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of it.

    Attributes:
        node: Name of this box.
        city: Name of the city.
        site: The place, for people.
        center: The way to the center.
        keys_folder: Keys and certificates.
        spool: The log on disk.
        seal: When rows are sealed.
        run_folder: What lives as long as the machine is up.
        host: The probe of this box.
        hotspot: What its probes ask; None where there is no hotspot.
        kiosk: What its probes ask; None where there is no kiosk.
        probes: What is believable and worth keeping of the box's own probes, by sensor and channel.
        sensors: In the order of the files.
        alarms: In the order of the files, then what silences mean.
        defaults: Alarms that came with the probes and that no alarm of the files replaces; part of the version, so
            neither hash nor redacted text holds them.
        battery: When the box is powered off; None means never.
        log_level: Least that is logged: debug, info, warning or error.
        allowed_drivers: Drivers of third parties whose code may run here.
        hash: SHA-256 of the effective configuration, in hex; the same under other comments, order or units.
        redacted: The effective configuration as JSON text, without secrets.
    """

    node: str
    city: str
    site: str | None
    center: Center
    keys_folder: str
    spool: Spool
    seal: Seal
    run_folder: str
    host: Host
    sensors: tuple[Sensor, ...]
    alarms: tuple[Alarm, ...]
    log_level: str
    hotspot: HotspotSettings | None = None
    kiosk: KioskSettings | None = None
    probes: Mapping[str, Mapping[str, ChannelOverride]] = field(default_factory=dict)
    battery: Limit | None = None
    allowed_drivers: tuple[str, ...] = ()
    defaults: tuple[Alarm, ...] = ()
    hash: str = ""
    redacted: str = ""
