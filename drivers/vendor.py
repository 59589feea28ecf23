"""What a class of a third party must be to serve as a driver. Pure.

`docs/drivers.md` is the contract for people; this is its check, made when a sensor names the driver and never before.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from drivers.driver import Driver, DriverInfo, OptionValue
from drivers.errors import AddedError, DriverError
from drivers.serial.decoded import Decoded

API = 1
"""Major version of what a class of a third party relies on; it grows when a class that worked would work no more."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""Names a driver of a third party may have: they are Python names too."""

_CHANNEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_CALLS = ("start", "receive", "tick", "deadline", "lost", "decode")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A class of a third party that was found right.

    Attributes:
        info: What it says of itself.
        commands: Patterns of all it may ever write to the wire.
        construct: The class; takes sensor, options and seconds between two readings.
    """

    info: DriverInfo
    commands: tuple[re.Pattern[bytes], ...]
    construct: Callable[[str, Mapping[str, OptionValue], float | None], Driver]

    def make(self, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Driver:
        """Make the driver of one sensor.

        Raises:
            OptionError: An option cannot be used.
            AddedError: Its own code failed.
        """
        try:
            return self.construct(sensor, options, every_s)
        except DriverError:
            raise
        except Exception as error:
            raise own_fault(self.info.name, error) from error

    def decode(self, options: Mapping[str, OptionValue], frames: Sequence[bytes]) -> Decoded:
        """Say what frames mean.

        Raises:
            OptionError: An option cannot be used.
            AddedError: Its own code failed.
        """
        driver = self.make(self.info.name, options, None)
        decode: Callable[[Sequence[bytes]], Decoded] = getattr(driver, "decode")  # noqa: B009 - no driver of ours has it
        try:
            return decode(frames)
        except Exception as error:
            raise own_fault(self.info.name, error) from error

    def may_send(self, data: bytes) -> bool:
        """Whether a write is declared."""
        return any(command.fullmatch(data) for command in self.commands)


def accept(name: str, found: object) -> Vendor:
    """Check what an entry point names.

    Raises:
        AddedError: It is no driver of this interface.
    """
    if not isinstance(found, type):
        raise _refused(name, f"its entry point names {found!r:.80}, which is no class")
    api = getattr(found, "api", None)
    if api != API:
        said = "says no api" if api is None else f"is made for api {api!r:.20}"
        raise AddedError(f"driver {name} {said}, this Gardu has api {API}", "get the version of it for this Gardu")
    info = getattr(found, "info", None)
    if not isinstance(info, DriverInfo):
        raise _refused(name, "it has no info of the class DriverInfo")
    if info.name != name or info.family != name:
        raise _refused(name, f"its info says name {info.name!r} and family {info.family!r}; both must be {name!r}")
    if info.line is None:
        raise _refused(name, "its info names no line; a driver that was added reads a serial line")
    if bad := [channel.name for channel in info.channels if not _CHANNEL.fullmatch(channel.name)]:
        raise _refused(name, f"channel {bad[0]!r} is no name of a-z, 0-9, _ and -")
    if lacking := [call for call in _CALLS if not callable(getattr(found, call, None))]:
        raise _refused(name, f"it lacks {', '.join(lacking)}")
    return Vendor(info=info, commands=_commands(name, getattr(found, "commands", None)), construct=found)


def own_fault(name: str, error: BaseException) -> AddedError:
    """Say that the code of a driver failed, and where."""
    return AddedError(f"driver {name}: its own code failed: {told(error)}", "tell its maker")


def told(error: BaseException) -> str:
    """An exception in a line, with the place it came from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})"
    return f"{type(error).__name__}: {str(error)[:200]}{place}"


def _refused(name: str, why: str) -> AddedError:
    return AddedError(f"driver {name}: {why}", "tell its maker")


def _commands(name: str, said: object) -> tuple[re.Pattern[bytes], ...]:
    patterns = tuple(said) if isinstance(said, tuple | list) else None
    if patterns is None or not all(isinstance(one, bytes) for one in patterns):
        raise _refused(name, "its commands are no tuple of patterns in bytes; a driver that only listens has none: ()")
    try:
        return tuple(re.compile(one, re.DOTALL) for one in patterns)
    except re.error as error:
        raise _refused(name, f"one of its commands is no pattern: {error}") from error
