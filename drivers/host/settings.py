"""Where the sources of the box itself are: the part of section ``[host]`` that its probes read."""

from dataclasses import dataclass

from drivers.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """The box: power, storage, time, services."""

    root: str = setting("/", "mount point of the root file system", kind="path")
    root_is_read_only: bool = setting(False, "the image is built so; then it is no fault")
    vcgencmd: str = setting("/usr/bin/vcgencmd", "program that asks a Raspberry Pi's firmware", kind="path")
    chronyc: str = setting("/usr/bin/chronyc", "program that asks chrony", kind="path")
    bus: str = setting("/run/dbus/system_bus_socket", "socket of the system bus", kind="path")
    every_metric: bool = setting(False, "also what the core set leaves out")
    proc: str = setting("/proc", "where /proc is", kind="path")
    sys: str = setting("/sys", "where /sys is", kind="path")
    run_state: str = setting("/run", "where /run is", kind="path")
