"""One GET as a guest's phone would send it: no redirect is followed, no body is kept longer than needed.

Source: RFC 9110; RFC 9112, sections 2 and 6.
"""

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from drivers.io.names import Names

BODY_BYTES = 65_536
"""Most of a body that is read."""

_HEAD_BYTES = 16_384
_CHUNK = 4096
_PORTS = {"http": 80, "https": 443}
_FIRST = re.compile(r"HTTP/1\.\d (\d{3})(?: .*)?", re.ASCII)
_LENGTH = re.compile(r"\d{1,12}", re.ASCII)
_NO_BODY = (204, 304)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a server said.

    Attributes:
        status: Of the answer.
        headers: Names in lower case.
        body: As much of it as was wanted.
        head: As it came, with the empty line that ends it.
        ms: From the first packet to the end of the head, in ms.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    head: bytes
    ms: float


async def get(
    url: str, names: Names, *, tls: ssl.SSLContext | None = None, accept: str = "*/*", body_bytes: int = BODY_BYTES
) -> Reply:
    """Get a page. The caller sets the deadline.

    Args:
        url: What to get, http or https.
        names: Finds its host.
        tls: Whom to trust; the system's authorities when left out.
        accept: Media types to ask for.
        body_bytes: Most of the body that is read.

    Raises:
        OSError: Nobody answers, or what answers speaks no HTTP.
    """
    try:
        parts = urlsplit(url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise OSError(0, "its address is none") from None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: gardu\r\nAccept: {accept}\r\n"
    request = f"{head}Connection: close\r\n\r\n".encode()
    address = await names.address(host)
    if secure:
        return await _over_tls((address, port, host), tls or ssl.create_default_context(), request, body_bytes)
    began = time.monotonic()
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as line:  # half of what streams cost
        await loop.sock_connect(line, (address, port))
        await loop.sock_sendall(line, request)
        return await _reply(_Plain(line), began, body_bytes)


async def _over_tls(where: tuple[str, int, str], context: ssl.SSLContext, request: bytes, body_bytes: int) -> Reply:
    address, port, host = where
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=host, limit=_HEAD_BYTES)
    try:
        writer.write(request)
        await writer.drain()
        return await _reply(reader, began, body_bytes)
    finally:
        writer.close()


class _Reader(Protocol):
    """What is needed of `asyncio.StreamReader`."""

    async def readuntil(self, separator: bytes) -> bytes: ...

    async def readexactly(self, n: int) -> bytes: ...

    async def read(self, n: int) -> bytes: ...


class _Plain:
    """Reads a socket as a stream is read."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._held = b""

    async def readuntil(self, separator: bytes) -> bytes:
        while (at := self._held.find(separator)) < 0 and len(self._held) <= _HEAD_BYTES:
            await self._more(len(separator))
        if not 0 <= at <= _HEAD_BYTES:
            raise asyncio.LimitOverrunError("too long", len(self._held))
        return self._take(at + len(separator))

    async def readexactly(self, n: int) -> bytes:
        while len(self._held) < n:
            await self._more(n)
        return self._take(n)

    async def read(self, n: int) -> bytes:
        if self._held:
            return self._take(n)
        return await asyncio.get_running_loop().sock_recv(self._line, n)

    async def _more(self, wanted: int) -> None:
        chunk = await asyncio.get_running_loop().sock_recv(self._line, _CHUNK)
        if not chunk:
            raise asyncio.IncompleteReadError(self._held, wanted)
        self._held += chunk

    def _take(self, n: int) -> bytes:
        taken, self._held = self._held[:n], self._held[n:]
        return taken


async def _reply(reader: _Reader, began: float, body_bytes: int) -> Reply:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise OSError(0, "what answers speaks no HTTP") from None
    ms = round((time.monotonic() - began) * 1000, 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    found = _FIRST.fullmatch(first)
    if found is None:
        raise OSError(0, "what answers speaks no HTTP")
    status = int(found[1])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = b"" if status in _NO_BODY else await _body(reader, headers, body_bytes)
    return Reply(status=status, headers=headers, body=body, head=head, ms=ms)


async def _body(reader: _Reader, headers: Mapping[str, str], most: int) -> bytes:
    """Read a body by its length, in chunks, or to the end of the connection."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _chunks(reader, most)
    length = headers.get("content-length", "")
    wanted = min(int(length), most) if _LENGTH.fullmatch(length) else most
    found = bytearray()
    while len(found) < wanted and (piece := await reader.read(wanted - len(found))):
        found += piece
    if _LENGTH.fullmatch(length) and len(found) < wanted:
        raise OSError(0, "its answer ends in the middle")
    return bytes(found)


async def _chunks(reader: _Reader, most: int) -> bytes:
    found = bytearray()
    try:
        while len(found) < most and (size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)):
            found += await reader.readexactly(min(size, most))
            await reader.readexactly(2)
    except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise OSError(0, "its answer ends in the middle") from None
    return bytes(found)
