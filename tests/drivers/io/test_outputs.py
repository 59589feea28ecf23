import fcntl
import os
import pty
import struct
import termios
from pathlib import Path

import pytest

from drivers.driver import Line
from drivers.io.opening import open_line
from drivers.port import Port

_IOCTL = fcntl.ioctl


@pytest.mark.parametrize(
    ("line", "dtr", "rts"),
    [(Line(), True, True), (Line(rts=False), True, False), (Line(dtr=False), False, True)],
)
def test_the_outputs_of_a_line_are_set_as_its_unit_wants_them(
    monkeypatch: pytest.MonkeyPatch, line: Line, *, dtr: bool, rts: bool
) -> None:
    """A pseudo-terminal has no outputs, so what would reach the driver of a real line is noted on the way."""
    outputs: dict[int, bool] = {}

    def ioctl(fd: int, request: int, argument: bytes | int = 0, *more: bool) -> object:
        if request in (termios.TIOCMBIS, termios.TIOCMBIC):
            assert isinstance(argument, bytes)
            outputs[struct.unpack("I", argument)[0]] = request == termios.TIOCMBIS
            return 0
        return _IOCTL(fd, request, argument, *more)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    controller, terminal = pty.openpty()
    try:
        device = os.ttyname(terminal)
        os.close(open_line(Port(name="ups", kind="path", value=device), Path(device), line))
    finally:
        os.close(controller)
        os.close(terminal)
    assert outputs == {termios.TIOCM_DTR: dtr, termios.TIOCM_RTS: rts}


def test_a_line_without_outputs_opens_all_the_same() -> None:
    controller, terminal = pty.openpty()
    try:
        device = os.ttyname(terminal)
        os.close(open_line(Port(name="ups", kind="path", value=device), Path(device), Line(rts=False)))
    finally:
        os.close(controller)
        os.close(terminal)
