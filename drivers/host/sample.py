"""What one look at the node finds. A source that could not be read is None or absent, never 0."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """Processor time since boot over all cores, in s."""

    busy_s: float
    idle_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory in bytes, as /proc/meminfo defines the words."""

    total_bytes: int
    available_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """One mounted file system; ``free_bytes`` is what an ordinary user may still write."""

    used_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """Totals of one network interface since it came up."""

    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    rx_errors: int
    tx_errors: int
    rx_drops: int
    tx_drops: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What the kernel knows of its wall clock.

    Attributes:
        synchronised: A time service keeps it.
        offset_s: Correction still to be made.
        error_s: The most by which it may be wrong.
    """

    synchronised: bool
    offset_s: float
    error_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """This process: resident memory and processor time."""

    rss_bytes: int
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at the node.

    Attributes:
        boot_ns: CLOCK_BOOTTIME in ns; it is the uptime too.
        load: Mean number of runnable tasks over 1, 5 and 15 minutes.
        swap_used_bytes: Swap in use.
        temperature_cel: Of the processor, in degrees Celsius.
        disks: By mount point.
        interfaces: By the kernel's name.
    """

    boot_ns: int
    cpu: Cpu | None = None
    load: tuple[float, float, float] | None = None
    memory: Memory | None = None
    swap_used_bytes: int | None = None
    temperature_cel: float | None = None
    clock: Clock | None = None
    own: Own | None = None
    disks: Mapping[str, Disk] = field(default_factory=dict)
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
