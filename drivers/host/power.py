"""What the box says of its own power: under-voltage, throttling, the voltage at its input. Pure.

Source: Linux drivers/hwmon/raspberrypi-hwmon.c (in0_lcrit_alarm); Raspberry Pi documentation, vcgencmd get_throttled
(bits) and pmic_read_adc (EXT5V_V, Raspberry Pi 5); Linux drivers/firmware/raspberrypi.c (get_throttled, "%x").
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Event
from drivers.host.settings import HostSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source

INFO = DriverInfo(
    name="power",
    title="Power of the box",
    family="power",
    mode="poll",
    channels=(
        Channel(name="undervolt-now", unit="1", kind="state", doc="true while the supply is too weak"),
        Channel(name="undervolt-ever", unit="1", kind="state", doc="true when it was too weak since the start"),
        Channel(name="throttled-now", unit="1", kind="state", doc="true while the processor is slowed down"),
        Channel(name="freqcap-now", unit="1", kind="state", doc="true while its frequency is capped; every_metric"),
        Channel(name="in-volt", unit="V", low=0, high=30, doc="voltage at the input, Raspberry Pi 5; every_metric"),
    ),
    every_s=10.0,
    stale_after_s=180.0,
    source="raspberrypi-hwmon.c; Raspberry Pi documentation, vcgencmd",
)
_THROTTLED = re.compile(rb"(throttled=0x)?([0-9a-fA-F]{1,8})")
_KNOWN_BITS = 0xF000F  # a bare number with others is something else
_INPUT = re.compile(rb"^\s*EXT5V_V volt\(\d+\)=(\d{1,3}\.\d+)V\s*$", re.MULTILINE)
_EVER = 16  # bits of now stand 16 places higher for "since the start"


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalAlarm(Facts):
    """in0_lcrit_alarm of the hwmon device rpi_volt: under-voltage now."""

    undervoltage_now: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttled(Facts):
    """What the firmware says of now and of the time since the start."""

    undervoltage_now: bool
    freq_capped_now: bool
    throttled_now: bool
    soft_temperature_limit_now: bool
    undervoltage_ever: bool
    freq_capped_ever: bool
    throttled_ever: bool
    soft_temperature_limit_ever: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Input(Facts):
    """Voltage at the 5 V input, measured by the power chip."""

    volt: float


def parse_critical(raw: bytes) -> CriticalAlarm:
    """Read in0_lcrit_alarm."""
    if raw.strip() not in (b"0", b"1"):
        raise AnswerError("0 or 1 is expected")
    return CriticalAlarm(undervoltage_now=raw.strip() == b"1")


def parse_throttled(raw: bytes) -> Throttled:
    """Read ``throttled=0x50005`` of vcgencmd, or the bare hexadecimal number of the old file in sysfs."""
    found = _THROTTLED.fullmatch(raw.strip())
    if found is None or (found[1] is None and int(found[2], 16) & ~_KNOWN_BITS):
        raise AnswerError("throttled=0x and a hexadecimal number are expected")
    bits = int(found[2], 16)
    now = [bool(bits & 1 << bit) for bit in range(4)]
    ever = [bool(bits & 1 << bit + _EVER) for bit in range(4)]
    return Throttled(
        undervoltage_now=now[0],
        freq_capped_now=now[1],
        throttled_now=now[2],
        soft_temperature_limit_now=now[3],
        undervoltage_ever=ever[0],
        freq_capped_ever=ever[1],
        throttled_ever=ever[2],
        soft_temperature_limit_ever=ever[3],
    )


def parse_input(raw: bytes) -> Input:
    """Read what ``vcgencmd pmic_read_adc`` prints."""
    found = _INPUT.search(raw)
    if found is None:
        raise AnswerError("a line EXT5V_V volt is expected")
    return Input(volt=float(found[1]))


class Power(Probe):
    """Sensor ``power``: the kernel's alarm counts for now, the firmware for the rest."""

    sources = (
        Source(name="power-hwmon", title="in0_lcrit_alarm of hwmon rpi_volt", parse=parse_critical),
        Source(name="power-throttled", title="vcgencmd get_throttled, or its old file in sysfs", parse=parse_throttled),
        Source(name="power-input", title="vcgencmd pmic_read_adc", parse=parse_input),
    )

    def __init__(self, settings: HostSettings) -> None:
        super().__init__(INFO, "power")
        self._every_metric = settings.every_metric
        self._kernel_says = False

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give the states."""
        match facts:
            case CriticalAlarm():
                self._kernel_says = True
                yield from self.reading("undervolt-now", facts.undervoltage_now, now)
            case Throttled():
                if not self._kernel_says:
                    yield from self.reading("undervolt-now", facts.undervoltage_now, now)
                yield from self.reading("undervolt-ever", facts.undervoltage_ever, now)
                yield from self.reading("throttled-now", facts.throttled_now, now)
                if self._every_metric:
                    yield from self.reading("freqcap-now", facts.freq_capped_now, now)
            case Input():
                yield from self.reading("in-volt", facts.volt, now)
            case _:
                raise TypeError(facts)

    def silent(self, source: str, why: str) -> list[Event]:
        """Take note; without the kernel's alarm the firmware's word on now counts again."""
        if source == "power-hwmon":
            self._kernel_says = False
        return super().silent(source, why)
