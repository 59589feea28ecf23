"""A private system bus, and daemons on it that a function answers for."""

import contextlib
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from jeepney import HeaderFields, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection

Said = tuple[str, tuple[object, ...]]  # signature and body
Answer = Callable[[str, str, tuple[object, ...]], Said | str | None]
"""Path, member and arguments to an answer, the name of an error, or None: silence."""

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path={socket}</listen>{auth}<servicedir>{services}</servicedir>
<policy context="default">
<allow send_destination="*"/><allow receive_type="method_return"/><allow receive_type="method_call"/>
<allow receive_type="error"/><allow receive_type="signal"/><allow own="*"/></policy>
</busconfig>"""


def bus_config(socket: Path, *, auth: str = "EXTERNAL") -> str:
    """Return the configuration of a bus."""
    return _CONFIG.format(socket=socket, services=socket.parent, auth=f"<auth>{auth}</auth>")


@contextlib.contextmanager
def bus(folder: Path, *, auth: str = "EXTERNAL") -> Iterator[str]:
    """Run a bus that can start the daemons of ``*.service`` files in the folder; give the path of its socket."""
    socket = folder / "bus"
    config = folder / "bus.conf"
    config.write_text(bus_config(socket, auth=auth))
    command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--print-address=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert str(socket) in process.stdout.readline()
            yield str(socket)
        finally:
            process.kill()


class Daemon:
    """Owns a name on a bus and answers each call in a thread of its own.

    Attributes:
        asked: Members that were called, in order.
    """

    def __init__(self, socket: str, name: str, answer: Answer) -> None:
        self.asked: list[str] = []
        self._answer = answer
        self._connection: DBusConnection = open_dbus_connection(f"unix:path={socket}")
        assert Proxy(message_bus, self._connection).RequestName(name) == (1,)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Leave the bus."""
        self._connection.sock.shutdown(2)
        self._thread.join()
        self._connection.close()

    def _serve(self) -> None:
        while True:
            try:
                message = self._connection.receive()
            except (OSError, EOFError):
                return
            if message.header.message_type is not MessageType.method_call:
                continue
            fields = message.header.fields
            member = fields[HeaderFields.member]
            self.asked.append(member)
            said = self._answer(fields[HeaderFields.path], member, message.body)
            if isinstance(said, str):
                self._connection.send(new_error(message, said))
            elif said is not None:
                self._connection.send(new_method_return(message, *said))


@contextlib.contextmanager
def daemon(socket: str, name: str, answer: Answer) -> Iterator[Daemon]:
    """Run a daemon on a bus."""
    one = Daemon(socket, name, answer)
    try:
        yield one
    finally:
        one.close()


UNIT = "/org/freedesktop/systemd1/unit/"


def systemd(units: dict[str, dict[str, str | int]], *, failed: int = 0) -> Answer:
    """Answer as systemd does: units by name, each with LoadState, ActiveState, SubState and, a service, NRestarts."""
    paths = {UNIT + name.replace(".", "_2e").replace("-", "_2d").replace("@", "_40"): name for name in units}

    def answer(path: str, member: str, arguments: tuple[object, ...]) -> Said | str | None:
        match member, arguments:
            case "ListUnitsByNames", (list() as names,):
                return "a(ssssssouso)", ([_row(name, units.get(name, {})) for name in names],)
            case "Get", ("org.freedesktop.systemd1.Manager", "NFailedUnits"):
                return "v", (("u", failed),)
            case "Get", ("org.freedesktop.systemd1.Service", "NRestarts") if path in paths:
                restarts = units[paths[path]].get("NRestarts")
                return "org.freedesktop.DBus.Error.UnknownInterface" if restarts is None else ("v", (("u", restarts),))
        return "org.freedesktop.DBus.Error.UnknownMethod"

    return answer


def _row(name: str, unit: dict[str, str | int]) -> tuple[object, ...]:
    states = [unit.get("LoadState", "not-found"), unit.get("ActiveState", "inactive"), unit.get("SubState", "dead")]
    escaped = name.replace(".", "_2e").replace("-", "_2d").replace("@", "_40")
    return (name, name, *states, "", UNIT + escaped, 0, "", "/")
