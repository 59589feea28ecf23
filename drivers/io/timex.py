"""What the kernel says of its wall clock, by adjtimex(2) without changing anything. Source: adjtimex(2), timex.h."""

import ctypes
from functools import cache

from drivers.host import parse
from drivers.host.sample import Clock

_SPARE_BYTES = 256  # more than the rest of struct timex has on any machine


class _Timex(ctypes.Structure):
    """The beginning of struct timex; the rest is room for what the kernel writes behind it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("spare", ctypes.c_byte * _SPARE_BYTES),
    )


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def clock_state() -> Clock | None:
    """Ask the kernel how it keeps the wall clock; None when it does not say."""
    said = _ask()
    return said and parse.clock(said[0], status=said[1], offset=said[2], max_error_us=said[3])


def clock_words() -> bytes:
    """Ask the kernel and return ``state status offset maxerror``; empty when it does not say."""
    return b"%d %d %d %d" % said if (said := _ask()) else b""


def _ask() -> tuple[int, int, int, int] | None:
    timex = _Timex()
    try:
        state = int(_libc().adjtimex(ctypes.byref(timex)))
    except AttributeError:  # a C library without it
        return None
    return state, timex.status, timex.offset, timex.maxerror
