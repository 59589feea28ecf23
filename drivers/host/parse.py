"""Text and numbers of the kernel, read. Pure."""

import re
from collections.abc import Mapping

from drivers.host.sample import Clock

_KIB = 1024
_MEMINFO = re.compile(rb"^(\w+):\s+(\d+) kB$", re.MULTILINE)

# Source: adjtimex(2), and timex.h of Linux
_STA_UNSYNC = 0x0040
_STA_NANO = 0x2000
_TIME_ERROR = 5

_COLDEST_CEL = -40.0  # outside of these a zone is not connected, or is no temperature
_HOTTEST_CEL = 150.0
_PROCESSOR = ("cpu", "soc", "pkg", "core")  # parts of the names that zones of processors have


def swap_used_bytes(meminfo: bytes) -> int | None:
    """Return swap in use, in bytes, from /proc/meminfo; None when it does not say."""
    fields = {name: int(value) for name, value in _MEMINFO.findall(meminfo)}
    total, free = fields.get(b"SwapTotal"), fields.get(b"SwapFree")
    if total is None or free is None:
        return None
    return (total - free) * _KIB


def temperature_cel(zones: Mapping[str, bytes]) -> float | None:
    """Return the temperature of the processor from thermal zones: name of a zone to its millidegrees.

    The hottest zone that names a processor; without one, the hottest of all; None when there is none.
    """
    believable = {name: value for name, text in zones.items() if (value := _degrees(text)) is not None}
    processors = [value for name, value in believable.items() if any(part in name.lower() for part in _PROCESSOR)]
    return max(processors or believable.values(), default=None)


def _degrees(text: bytes) -> float | None:
    try:
        value = int(text) / 1000
    except ValueError:
        return None
    return round(value, 1) if _COLDEST_CEL <= value <= _HOTTEST_CEL and value else None


def clock(state: int, *, status: int, offset: int, max_error_us: int) -> Clock | None:
    """Return the state of the clock from what adjtimex gave; None when the call failed.

    Args:
        state: What adjtimex returned.
        status: ``timex.status``.
        offset: ``timex.offset``, in ns when the status says so, else in us.
        max_error_us: ``timex.maxerror``.
    """
    if state < 0:
        return None
    per_s = 1_000_000_000 if status & _STA_NANO else 1_000_000
    return Clock(
        synchronised=state != _TIME_ERROR and not status & _STA_UNSYNC,
        offset_s=round(offset / per_s, 6),
        error_s=round(max_error_us / 1_000_000, 3),
    )
