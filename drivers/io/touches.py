"""Notices that input devices were touched, and keeps nothing else of what they said.

Source: Linux include/uapi/linux/input.h (struct input_event), Documentation/input/event-codes.rst (EV_KEY, EV_ABS,
SYN_DROPPED, INPUT_PROP_DIRECT).
"""

import os
import struct
from pathlib import Path

_EVENT = struct.Struct("@llHHi")
_AT_ONCE = 64 * _EVENT.size
_MOST_READS = 64  # more than any device's buffer holds
_KEY, _ABS = 1, 3
_DROPPED = (0, 3)  # EV_SYN, SYN_DROPPED: so many events that the kernel threw some away
_DIRECT = 1 << 1


class Touches:
    """The input devices, open between two looks; one that vanished is opened again when it is back.

    Args:
        folder: Where they are, ``/dev/input``.
        classes: Where the kernel describes them, ``/sys/class/input``.
        device: Path of one; ``any`` takes every touch screen.
    """

    def __init__(self, folder: Path, classes: Path, device: str) -> None:
        self._folder = folder
        self._classes = classes
        self._device = device
        self._open: dict[Path, int] = {}

    def look(self) -> bool:
        """Return whether a device was touched since the look before; at the first, False.

        Raises:
            OSError: There is no device, or none may be read.
        """
        was_touched = [self._drain(path) for path in tuple(self._open)]
        error: OSError | None = None
        for path in self._wanted():
            if path not in self._open:
                try:
                    self._open[path] = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                except OSError as found:
                    error = found
        if not self._open:
            raise error or FileNotFoundError(2, "no touch screen")
        return any(was_touched)

    def close(self) -> None:
        """Give the devices back."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _wanted(self) -> list[Path]:
        if self._device != "any":
            return [Path(self._device)]
        return [path for path in sorted(self._folder.glob("event*")) if self._is_direct(path.name)]

    def _is_direct(self, name: str) -> bool:
        try:
            words = (self._classes / name / "device/properties").read_text("ascii").split()
            return bool(int(words[-1], 16) & _DIRECT)
        except (OSError, ValueError, IndexError):
            return False

    def _drain(self, path: Path) -> bool:
        """Read and forget what a device said; return whether somebody touched it."""
        found = False
        try:
            for _ in range(_MOST_READS):
                raw = os.read(self._open[path], _AT_ONCE)
                if not raw:
                    break
                whole = len(raw) - len(raw) % _EVENT.size
                for _, _, kind, code, _ in _EVENT.iter_unpack(raw[:whole]):
                    found = found or kind in {_KEY, _ABS} or (kind, code) == _DROPPED
        except BlockingIOError:
            pass
        except OSError:  # unplugged
            os.close(self._open.pop(path))
        return found
