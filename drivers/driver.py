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


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Settings of a serial line, e.g. 9600 8N1."""

    baud: int = 9600
    data_bits: int = 8
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: int = 1

    def __str__(self) -> str:
        return f"{self.baud} {self.data_bits}{self.parity}{self.stop_bits}"


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
    """

    used: int
    events: tuple["Event", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One question on a shared bus.

    Attributes:
        sensor: Who asks.
        request: Bytes to write.
        match: Looks for the answer in all bytes received since the request; None means not yet. It must skip
            what is not the answer (noise, an echo of the request, another unit's reply), one byte at a time.
        timeout_ns: Longest wait for the answer.
        gap_ns: Silence on the line before the next request.
        not_before_ns: Moment before which it must not be sent.
    """

    sensor: str
    request: bytes
    match: Callable[[bytes, int], Verdict | None]
    timeout_ns: int = 300_000_000
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
