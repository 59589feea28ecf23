"""What a sensor says: one value of one channel at one moment."""

from dataclasses import dataclass
from enum import StrEnum


class Quality(StrEnum):
    """A doubt about a reading. No flag means good; flagged values are kept and sent with their flags."""

    WARMING_UP = "warming_up"
    STALE = "stale"
    OUT_OF_RANGE = "out_of_range"
    STEP = "step"
    SUSPECT_ZERO = "suspect_zero"
    STUCK = "stuck"
    UNCONFIRMED = "unconfirmed"
    NO_TARGET = "no_target"
    SATURATED = "saturated"
    DEVICE_ERROR = "device_error"
    END_OF_LIFE = "end_of_life"
    IDENTITY_CHANGED = "identity_changed"


GOOD: frozenset[Quality] = frozenset()
NOT_MEASURED = frozenset({Quality.NO_TARGET, Quality.SATURATED, Quality.DEVICE_ERROR})
"""With one of these from the driver a value was not measured: it is compared with nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One value of one channel.

    Attributes:
        sensor: Name from the config, e.g. ``"air"``.
        channel: What was measured, e.g. ``"pm2_5"``.
        value: In ``unit``. A float is finite; a str is enumerated or at most 256 bytes of UTF-8.
        unit: SenML symbol (RFC 8428, RFC 8798) or else UCUM, e.g. ``"ug/m3"``.
        boot_ns: CLOCK_BOOTTIME of the last byte of its frame, in ns.
        quality: Flags; empty means good.
    """

    sensor: str
    channel: str
    value: int | float | bool | str
    unit: str
    boot_ns: int
    quality: frozenset[Quality] = GOOD
