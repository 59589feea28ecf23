"""Starts a program that dies with the process that started it, however that one ends. Linux only.

Run as ``python -m agent.demo.leash PARENT PROGRAM [ARGUMENT...]``. Doing this in a process of its own, before exec,
needs no code between fork and exec of a program with threads. Source: prctl(2), PR_SET_PDEATHSIG; kept across exec.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Tie this process to its parent and become the program. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:  # it was gone before the leash held
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
