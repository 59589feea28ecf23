"""One heap for all threads: each thread's own costs half a megabyte that a small box has better uses for."""

import ctypes
import os

_M_ARENA_MAX = -8
"""Source: mallopt(3), malloc.h of the GNU C Library."""


def share_one_heap() -> None:
    """Let threads that start from now on share one heap; a C library that knows no such thing goes on as before."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, 1)
