"""What the probe `host` delivers, and the names of its channels. Pure.

The fast ones come with each look, the slow ones about once a minute.
"""

import re
from collections.abc import Sequence

from drivers.driver import Channel, DriverInfo

_SLOW_DISK = ("used", "free")
_SLOW_INTERFACE = ("rx-packets", "tx-packets", "rx-errors", "tx-errors", "rx-drops", "tx-drops")
_LONGEST_DISK = 32 - len("disk-") - len("-used")
_LONGEST_INTERFACE = 32 - len("-rx-packets")

FAST = (
    Channel(name="cpu", unit="%", low=0, high=100, change=10.0, doc="processor busy since the look before, all cores"),
    Channel(name="load1", unit="1", low=0, doc="runnable tasks, mean of 1 minute"),
    Channel(name="mem-used", unit="B", low=0, doc="memory in use: total less available"),
    Channel(name="mem-available", unit="B", low=0, doc="memory that programs can still get"),
    Channel(name="temp", unit="Cel", low=-40, high=110, doc="temperature of the processor"),
    Channel(name="clock-synced", unit="1", kind="state", doc="true when a time service keeps the clock"),
    Channel(name="clock-offset", unit="s", doc="correction the clock still has to make; only while it is synchronised"),
    Channel(name="own-rss", unit="B", low=0, change=float(1 << 20), doc="memory of the agent itself"),
    Channel(name="own-cpu", unit="s", low=0, kind="counter", doc="processor time of the agent itself"),
)
SLOW = (
    Channel(name="load5", unit="1", low=0, doc="runnable tasks, mean of 5 minutes"),
    Channel(name="load15", unit="1", low=0, doc="runnable tasks, mean of 15 minutes"),
    Channel(name="swap-used", unit="B", low=0, doc="swap in use"),
    Channel(
        name="clock-error",
        unit="s",
        low=0,
        change=0.5,
        doc="the most by which the clock may be wrong; only while it is synchronised",
    ),
    Channel(name="uptime", unit="s", low=0, kind="counter", doc="time since the node started"),
)


def disk_channel(mount: str, what: str) -> str:
    """Return the name of a channel of a mount: ``/`` is ``disk-root-free``, ``/var/log`` is ``disk-var-log-free``."""
    name = _name(mount.strip("/").replace("/", "-") or "root")
    return f"disk-{name[-_LONGEST_DISK:].lstrip('-_')}-{what}"


def interface_channel(interface: str, what: str) -> str:
    """Return the name of a channel of an interface, e.g. ``eth0-rx``."""
    return f"{_name(interface)[:_LONGEST_INTERFACE].lstrip('-_')}-{what}"


def channels(disks: Sequence[str], interfaces: Sequence[str]) -> tuple[Channel, ...]:
    """Return the channels for these mount points and interfaces."""
    found = {channel.name: channel for channel in (*FAST, *SLOW)}
    for mount in disks:
        for what in _SLOW_DISK:
            name = disk_channel(mount, what)
            found[name] = Channel(name=name, unit="B", low=0, doc=f"{what} on {mount}")
    for interface in interfaces:
        for what in ("rx", "tx"):
            name = interface_channel(interface, what)
            found[name] = Channel(name=name, unit="B", low=0, kind="counter", doc=f"bytes on {interface} since start")
        for what in _SLOW_INTERFACE:
            name = interface_channel(interface, what)
            doc = f"{what.replace('-', ' ')} on {interface} since start"
            found[name] = Channel(name=name, unit="count", low=0, kind="counter", doc=doc)
    return tuple(found.values())


def describe(disks: Sequence[str] = ("/",), interfaces: Sequence[str] = ()) -> DriverInfo:
    """Return the description of the probe for these mount points and interfaces."""
    return DriverInfo(
        name="host",
        title="Health of the node itself",
        family="host",
        line=None,
        mode="poll",
        channels=channels(disks, interfaces),
        every_s=10.0,
        min_every_s=1.0,
        stale_after_s=180.0,
        source="proc(5), sysfs, statvfs(3), adjtimex(2)",
    )


def _name(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "-", text.lower()) or "x"


INFO = describe()
"""The probe on a node whose disks and interfaces are not known yet."""
