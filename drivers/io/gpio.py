"""Reads one line of a GPIO chip through the kernel's character device.

Source: Linux include/uapi/linux/gpio.h, version 2 (Linux 5.10), and Documentation/userspace-api/gpio/chardev.rst.
"""

import fcntl
import os
import struct
from pathlib import Path

# struct gpio_v2_line_request: offsets[64], consumer[32], config, num_lines, event_buffer_size, padding[5], fd
# struct gpio_v2_line_config: flags, num_attrs, padding[5], attrs[10] of {id, padding, value, mask}
_REQUEST = struct.Struct("=64I32sQI20x" + "IIQQ" * 10 + "II20xi")
_VALUES = struct.Struct("=QQ")  # struct gpio_v2_line_values: bits, mask
_GET_LINE = 0xC0000000 | _REQUEST.size << 16 | 0xB407  # _IOWR(0xB4, 0x07, struct gpio_v2_line_request)
_GET_VALUES = 0xC0000000 | _VALUES.size << 16 | 0xB40E  # _IOWR(0xB4, 0x0E, struct gpio_v2_line_values)
_INPUT = 1 << 2
_BIAS = {"up": 1 << 8, "down": 1 << 9, "none": 1 << 10}
_DEBOUNCE = 3
_DEBOUNCE_US = 20_000
_CONSUMER = b"gardu"


class GpioLine:
    """One line as an input; a contact that bounces is read when it has settled.

    Args:
        chip: Device of the chip.
        offset: Number of the line on it.
        pull: What holds it where nothing else does: ``up``, ``down`` or ``none``.
    """

    def __init__(self, chip: Path, offset: int, pull: str) -> None:
        self._chip = chip
        self._offset = offset
        self._pull = pull
        self._line: int | None = None

    def high(self) -> bool:
        """Return whether the line is high.

        Raises:
            OSError: There is no such chip or line, another program holds it, or it was taken away.
        """
        if self._line is None:
            self._line = self._request()
        values = bytearray(_VALUES.pack(0, 1))
        try:
            fcntl.ioctl(self._line, _GET_VALUES, values)
        except OSError:
            self.close()  # the chip may come back as another one
            raise
        bits, _ = _VALUES.unpack(values)
        return bool(bits & 1)

    def close(self) -> None:
        """Give the line back."""
        if self._line is not None:
            os.close(self._line)
            self._line = None

    def _request(self) -> int:
        debounce = (_DEBOUNCE, 0, _DEBOUNCE_US, 1)
        lines, others = [self._offset, *[0] * 63], [0] * 36
        request = bytearray(
            _REQUEST.pack(*lines, _CONSUMER, _INPUT | _BIAS[self._pull], 1, *debounce, *others, 1, 0, 0)
        )
        chip = os.open(self._chip, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(chip, _GET_LINE, request)
        finally:
            os.close(chip)
        line: int = _REQUEST.unpack(request)[-1]
        return line
