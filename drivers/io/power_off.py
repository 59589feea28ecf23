"""Asks systemd's logind to power the box off; polkit decides who may. Source: org.freedesktop.login1(5), PowerOff."""

from drivers.io import dbus

_LOGIND = dbus.Interface(
    daemon="org.freedesktop.login1", path="/org/freedesktop/login1", name="org.freedesktop.login1.Manager"
)


async def power_off(bus: str) -> None:
    """Power the box off, as root's own `systemctl poweroff` does: every service ends first.

    Args:
        bus: Socket of the system bus.

    Raises:
        OSError: logind is not there, or polkit refuses.
    """
    async with dbus.connected(bus) as connection:
        await connection.call(_LOGIND, "PowerOff", "b", (False,), start=True)  # nobody stands by to be asked
