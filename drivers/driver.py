"""What a driver is: a pure object that takes bytes and time and returns events.

Time is CLOCK_BOOTTIME in ns, always an argument. A driver opens nothing, sleeps never, logs nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from drivers.reading import Reading

OptionValue = str | int | float | bool | Sequence["OptionValue"] | Mapping[str, "OptionValue"]
"""A TOML value as the technician wrote it. Quantities arrive as text with their unit: ``"4.20 m"``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One quantity that a driver can deliver.

    Attributes:
        name: ``[a-z0-9][a-z0-9_-]{0,31}``.
        unit: SenML symbol, else UCUM; ``"1"`` for plain numbers and states.
        low: Lowest believable value in ``unit``; None where there is none.
        high: Highest believable value in ``unit``.
        max_step_per_s: Fastest believable change in ``unit`` per second; None means no limit.
        zero: ``suspect`` where an exact 0 more likely means a fault than a measurement.
        stuck_after_s: Seconds of identical values after which they are doubted; None means never.
        kind: What arithmetic makes sense on it.
        doc: One line for people.
        change: Difference in ``unit`` from the last value kept that makes a number worth keeping; None and a time below
            keep numbers by that time only. Another state or text is always worth it.
        at_least_every_s: Seconds after which a value is kept in any case; None keeps every reading.
    """

    name: str
    unit: str
    low: float | None = None
    high: float | None = None
    max_step_per_s: float | None = None
    zero: Literal["ok", "suspect"] = "ok"
    stuck_after_s: float | None = None
    kind: Literal["gauge", "counter", "state", "angle", "text"] = "gauge"
    doc: str = ""
    change: float | None = None
    at_least_every_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Settings of a serial line, e.g. 9600 8N1.

    DTR and RTS say whether these outputs are held up while the port is open; some cables feed on them.
    """

    baud: int = 9600
    data_bits: int = 8
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: int = 1
    dtr: bool = True
    rts: bool = True

    def __str__(self) -> str:
        down = "".join(f" no {name}" for name, up in (("DTR", self.dtr), ("RTS", self.rts)) if not up)
        return f"{self.baud} {self.data_bits}{self.parity}{self.stop_bits}{down}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One key that a sensor section may hold for this driver.

    Attributes:
        name: Key in TOML.
        kind: ``text``, ``integer``, ``number``, ``boolean``, ``quantity`` (text with a unit), ``list`` or ``table``.
        unit: The unit a quantity is converted to, e.g. ``"m"``.
        choices: Allowed texts; empty means any.
        low: Lowest allowed number or quantity, in ``unit``.
        high: Highest allowed.
        default: As it would stand in TOML; None means the option may be absent.
        required: The driver cannot work without it.
        doc: One line for people.
        example: TOML text of a value.
    """

    name: str
    kind: Literal["text", "integer", "number", "boolean", "quantity", "list", "table"]
    unit: str = ""
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    default: OptionValue | None = None
    required: bool = False
    doc: str = ""
    example: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """How what a unit measures becomes a height of water: ``level = mount_height + sign * raw``.

    Attributes:
        raw: Channel of what the unit measures, in m; kept beside the level.
        sign: -1 where the unit looks down on the water, +1 where it hangs in it.
        level: Channel of the height above level zero, in m.
        option: Option that holds the height of the unit above level zero, in m.
    """

    raw: str
    sign: Literal[-1, 1]
    level: str = "level"
    option: str = "mount_height"

    def mount_height_m(self, raw_m: float, staff_m: float) -> float:
        """Height of the unit above the zero of a staff that shows ``staff_m`` while the unit measures ``raw_m``."""
        return staff_m - self.sign * raw_m


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverInfo:
    """What is known of a driver before it runs: for `gardu driver show`, the config check and quality.

    Attributes:
        name: The driver's or profile's name, as in ``driver = "..."``.
        title: What it is, for people.
        family: Name of the driver that does the work (a profile's is ``modbus``).
        models: Other names it answers to (devices of the same protocol).
        line: Default serial line; None for probes of the node itself.
        mode: ``stream`` (the unit talks by itself) or ``poll`` (it is asked).
        shares_bus: True when several units may stand on one port.
        channels: What it delivers. Empty when the options decide (``line``, bare ``modbus``).
        options: Keys it takes besides driver, port and every.
        every_s: Default seconds between two polls; for streams, between two kept readings.
        min_every_s: Fastest polling the unit allows.
        warmup_s: Seconds after power-on in which values are doubted.
        stale_after_s: Silence after which the unit counts as stale.
        integrity: The check that guards a frame.
        confirm: Frames that must agree before an alarm may use a value.
        proves: What its identity proves: the one unit, by a number of its own, or only its kind.
        lifetime_h: Working hours after which its data sheet promises no more; None where it names no end.
        gauge: How it gives a height of water; None when it gives none.
        source: Document the decoder was built from.
    """

    name: str
    title: str
    family: str
    models: tuple[str, ...] = ()
    line: Line | None = None
    mode: Literal["stream", "poll"] = "stream"
    shares_bus: bool = False
    channels: tuple[Channel, ...] = ()
    options: tuple[Option, ...] = ()
    every_s: float = 1.0
    min_every_s: float = 0.1
    warmup_s: float = 0.0
    stale_after_s: float = 60.0
    integrity: Literal["crc16", "sum8", "sum16", "xor", "none"] = "none"
    confirm: int = 1
    proves: Literal["kind", "unit"] = "kind"
    lifetime_h: float | None = None
    gauge: Gauge | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Bytes to write to the wire now."""

    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Bytes that were dropped: a frame that failed a check, or noise.

    Attributes:
        sensor: Who was listening.
        reason: Constant text, e.g. ``"checksum"``; groups well in a counter.
        raw: The bytes, at most 64 of them.
        bytes_dropped: How many bytes of the stream it stands for.
    """

    sensor: str
    reason: str
    raw: bytes = b""
    bytes_dropped: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A unit cannot do what was asked: silent, an exception reply, a fault state.

    Reported on change only: ``ok`` True says that the trouble named by ``code`` has ended.
    """

    sensor: str
    code: str
    detail: str = ""
    ok: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """A unit has proven who it is (serial number, type, or its first valid frame)."""

    sensor: str
    identity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSeen:
    """A unit that follows a true clock said what time it is.

    Attributes:
        sensor: Who.
        boot_ns: CLOCK_BOOTTIME of the moment, in ns.
        utc_ms: The same moment in UTC.
        uncertainty_ms: Half width of what it may be off.
    """

    sensor: str
    boot_ns: int
    utc_ms: int
    uncertainty_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a match found in the bytes since the request.

    Attributes:
        events: What the reply means; empty for a refusal.
        used: Bytes of the buffer it took, from the start, junk before the reply included.
        silent: A gateway's words for the unit behind it that does not answer; then this is no answer of the unit.
    """

    used: int
    events: tuple["Event", ...] = ()
    silent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One question on a shared bus.

    Attributes:
        sensor: Who asks.
        request: Bytes to write.
        match: Looks for the answer in all bytes received since the request; None means not yet. It must skip
            what is not the answer (noise, an echo of the request, another unit's reply), one byte at a time.
        timeout_ns: Longest wait for the answer, on the driver's own line.
        wire_bytes: Bytes of question and answer, which a slower line carries for longer.
        gap_ns: Silence on the line before the next request.
        not_before_ns: Moment before which it must not be sent.
    """

    sensor: str
    request: bytes
    match: Callable[[bytes, int], Verdict | None]
    timeout_ns: int = 300_000_000
    wire_bytes: int = 0
    gap_ns: int = 5_000_000
    not_before_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A bus driver hands its transaction to the bus of its port. Never leaves the bus."""

    transaction: Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """The bus tells a driver that its question got no answer. Never leaves the bus."""

    sensor: str
    request: bytes


Event = Reading | Send | Ask | Rejected | Problem | Identified | TimeSeen


class Driver(Protocol):
    """Five calls, each returning events. The bus of a port has the same five, so I/O knows one shape only."""

    info: DriverInfo
    sensor: str

    def start(self, now_ns: int) -> list[Event]:
        """Begin, or begin again after the port was lost."""
        ...

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        """Take bytes as they come, cut anywhere; return what they complete. The buffer stays bounded."""
        ...

    def tick(self, now_ns: int) -> list[Event]:
        """Do what is due at or before now."""
        ...

    def deadline(self) -> int | None:
        """Moment of the next tick that matters; None when only bytes matter."""
        ...

    def lost(self, now_ns: int) -> list[Event]:
        """The port is gone: forget half frames and what was asked."""
        ...


@dataclass(slots=True, kw_only=True)
class Counters:
    """What a port or driver counts; read by status and the log, never reset."""

    frames: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    junk_bytes: int = 0
    timeouts: int = 0

    def reject(self, event: Rejected) -> None:
        """Count one rejection by its reason."""
        self.rejected[event.reason] = self.rejected.get(event.reason, 0) + 1
        self.junk_bytes += event.bytes_dropped
