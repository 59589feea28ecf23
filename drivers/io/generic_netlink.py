"""Asks the kernel over generic netlink. Blocks, for as long as a driver takes to answer: run it aside of the loop."""

import errno
import os
import socket
from collections.abc import Iterator, Mapping

from drivers.hotspot.netlink import DONE, DUMP, ERROR, family_number, family_request, messages, request
from drivers.probe import ANSWER_BYTES, AnswerError

_NETLINK_GENERIC = 16  # include/uapi/linux/netlink.h
_DATAGRAM_BYTES = 65_536  # the kernel fills at most 32 KiB


def dump(family: str, command: int, attributes: Mapping[int, bytes], *, within_s: float) -> bytes:
    """Return all messages of the answer to a command that dumps, the one that ends it included.

    Args:
        family: Its name, ``"nl80211"``.
        command: Number of the command.
        attributes: What it is about.
        within_s: Longest silence of the kernel.

    Raises:
        OSError: The kernel refuses; ENOENT: it has no such family.
        AnswerError: It says something else.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_GENERIC) as line:
        line.settimeout(within_s)
        line.bind((0, 0))
        line.send(family_request(family, 1))
        kind = _family(line)
        line.send(request(kind, command, flags=DUMP, number=2, attributes=attributes))
        return b"".join(_answer(line, number=2))


def _family(line: socket.socket) -> int:
    for message in messages(b"".join(_answer(line, number=1))):
        number = family_number(message)
        if number is not None:
            return number
    raise AnswerError("the kernel names no number of the family")


def _answer(line: socket.socket, *, number: int) -> Iterator[bytes]:
    """Give the datagrams of one answer up to its end; an error that it ends with is raised."""
    left = ANSWER_BYTES
    while left > 0:
        raw = line.recv(_DATAGRAM_BYTES)
        left -= len(raw)
        yield raw
        for message in messages(raw):
            if message.kind in (ERROR, DONE) and message.number == number:
                if message.errno:
                    raise OSError(message.errno, os.strerror(message.errno))
                return
    raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
