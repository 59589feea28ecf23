"""What a kiosk is made of: section ``[kiosk]`` of the configuration."""

from dataclasses import dataclass

from drivers.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class KioskSettings:
    """One kiosk."""

    units: tuple[str, ...] = setting((), "systemd units that must run, such as the browser's and the print spooler's")
    bus: str = setting("/run/dbus/system_bus_socket", "socket of the system bus", kind="path")
    page: str = setting("", "local page that must answer", kind="url")
    screen: str = setting("", "connector of the screen as in /sys/class/drm, HDMI-A-1; any takes the first connected")
    usb: tuple[str, ...] = setting((), "devices that must be plugged in: name=vendor:product, scanner=1a86:7523")
    door: str = setting("", "line of the door contact: gpiochip0:17")
    door_open_is: str = setting("high", "level of that line while the door is open", choices=("high", "low"))
    door_pull: str = setting("up", "what holds that line while the contact is open", choices=("up", "down", "none"))
    touch: str = setting("", "input device of the touch screen, /dev/input/event0; any: every touch screen")
    every_metric: bool = setting(False, "also what the core set leaves out")
    proc: str = setting("/proc", "where /proc is", kind="path")
    sys: str = setting("/sys", "where /sys is", kind="path")
    dev: str = setting("/dev", "where /dev is", kind="path")
