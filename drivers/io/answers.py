"""Brings answers to probes: a file, a reply of a UNIX socket. Weather becomes a reason in words, never an exception."""

import asyncio
import errno
import os
import socket
import ssl
from pathlib import Path

from drivers.driver import Event
from drivers.probe import ANSWER_BYTES, Moment, Probe

_CHUNK = 16_384
_REASONS = {
    errno.ENOENT: "not there",
    errno.EACCES: "no permission: let the service's group read it",
    errno.EPERM: "no permission: let the service's group read it",
    errno.ECONNREFUSED: "nobody listens",
    errno.ETIMEDOUT: "no answer",
    errno.EHOSTUNREACH: "no way to it",
    errno.ENETUNREACH: "no way to it",
}


def reason(error: OSError) -> str:
    """Say in words why a source gave nothing."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):  # its numbers are OpenSSL's and not the kernel's
        return "its certificate or its TLS is not accepted"
    if not error.errno:
        return error.strerror or "cannot be read"
    return _REASONS.get(error.errno, os.strerror(error.errno))


def read(path: Path) -> bytes:
    """Return a file of the kernel or a daemon, at most `ANSWER_BYTES` of it.

    Raises:
        OSError: It cannot be read.
    """
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # a third of what a file object costs
    try:
        found = chunk = os.read(number, _CHUNK)
        while chunk and len(found) < ANSWER_BYTES:
            chunk = os.read(number, min(_CHUNK, ANSWER_BYTES - len(found)))
            found += chunk
    finally:
        os.close(number)
    return found


def file(probe: Probe, source: str, path: Path, now: Moment) -> list[Event]:
    """Hand a file to a probe as the answer of one of its sources."""
    try:
        raw = read(path)
    except OSError as error:
        return probe.silent(source, reason(error))
    return probe.answer(source, raw, now)


async def stream_reply(path: str, request: bytes) -> bytes:
    """Ask a daemon on a UNIX stream socket and return all it says until it closes, at most `ANSWER_BYTES`.

    The caller sets the deadline.

    Raises:
        OSError: Nobody answers there.
    """
    loop = asyncio.get_running_loop()
    found = bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as line:
        await loop.sock_connect(line, path)
        await loop.sock_sendall(line, request)
        while len(found) < ANSWER_BYTES and (chunk := await loop.sock_recv(line, ANSWER_BYTES - len(found))):
            found += chunk
    return bytes(found)
