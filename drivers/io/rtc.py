"""The battery-backed clock of the board, only read. Source: Linux, ABI/testing/sysfs-class-rtc (since_epoch)."""

from pathlib import Path

_FILE = Path("/sys/class/rtc/rtc0/since_epoch")


def since_epoch_s(file: Path = _FILE) -> int | None:
    """Return the clock's whole seconds since 1970, taken as UTC; None where there is no clock or it is not set."""
    try:
        return int(file.read_bytes())
    except (OSError, ValueError):  # none, a dead one, or one whose battery died
        return None
