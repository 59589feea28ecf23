"""What a network interface has carried, as the kernel counts it.

Source: Linux Documentation/ABI/testing/sysfs-class-net-statistics, Documentation/ABI/testing/sysfs-class-net.
"""

from pathlib import Path


def carried(sys_root: Path, interface: str) -> tuple[int, int] | None:
    """Return the interface's number and its bytes both ways since it has that number; None while it is not there.

    An interface that goes and comes back (a modem that resets) has another number, and counts from 0.
    """
    folder = sys_root / "class/net" / interface
    try:
        number, received, sent = (
            int((folder / name).read_text()) for name in ("ifindex", "statistics/rx_bytes", "statistics/tx_bytes")
        )
    except (OSError, ValueError):
        return None
    return number, received + sent
