"""What a hotspot finds behind its uplink: names, pages that answer 204, the portal's pages. Told by lines how to fail.

Runs as ``python -m tests.hotspot.internet`` in the namespace that owns the addresses below. Each line of its input is
``WHAT HOW``; it answers each with a line.

- ``dns``: well, slow, silent, dead, hijacked (every name has an address)
- ``web``: online, captive, intercepted, down
- ``portal``: well, down, wrong (a page where the interface of RFC 8908 should be)
"""

import asyncio
import struct
import sys

DNS = "203.0.113.53"
RADIUS = "203.0.113.18"
CHECKS = {"one.example": "203.0.113.1", "two.example": "203.0.113.2"}
PORTAL = {"portal.example": "203.0.113.80"}
ADDRESSES = (DNS, RADIUS, *CHECKS.values(), *PORTAL.values())
WELL = {"dns": "well", "web": "online", "portal": "well"}
_NAMES = CHECKS | PORTAL
_ADS = "203.0.113.99"
_SLOW_S = 0.6
_A, _NO_SUCH_NAME = 1, 3
_HTML = "text/html", b"<html>Pay here first</html>"
_CAPTIVE = "application/captive+json", b'{"captive": true, "user-portal-url": "https://portal.example/"}'


class Names(asyncio.DatagramProtocol):
    """A DNS server that caches forget at once."""

    def __init__(self) -> None:
        self.how = "well"
        self.transport: asyncio.DatagramTransport | None = None

    async def be(self, how: str) -> None:
        """Behave so from now on; dead means that nobody listens."""
        self.how = how
        if self.transport is not None:
            self.transport.close()
            await asyncio.sleep(0)  # it is closed by then
        if how != "dead":
            loop = asyncio.get_running_loop()
            self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(DNS, 53))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.how == "silent" or self.transport is None:
            return
        wait_s = _SLOW_S if self.how == "slow" else 0
        asyncio.get_running_loop().call_later(
            wait_s, self.transport.sendto, _answer(data, lies=self.how == "hijacked"), addr
        )


def _answer(query: bytes, *, lies: bool) -> bytes:
    labels, at = [], 12
    while size := query[at]:
        labels.append(query[at + 1 : at + 1 + size].decode("ascii").lower())
        at += 1 + size
    (kind,) = struct.unpack_from(">H", query, at + 1)
    address = _NAMES.get(".".join(labels), _ADS if lies else None)
    found = address is not None and kind == _A
    flags = 0x8180 | (0 if address else _NO_SUCH_NAME)
    head = query[:2] + struct.pack(">HHHHH", flags, 1, int(found), 0, 0) + query[12 : at + 5]
    if address is None or not found:
        return head
    return head + b"\xc0\x0c" + struct.pack(">HHIH", _A, 1, 0, 4) + bytes(int(part) for part in address.split("."))


class Web:
    """The pages on some addresses."""

    def __init__(self, addresses: tuple[str, ...], how: str) -> None:
        self._addresses = addresses
        self._how = how
        self._servers: list[asyncio.Server] = []

    async def be(self, how: str) -> None:
        """Behave so from now on; down means that nobody listens."""
        self._how = how
        for server in self._servers:
            server.close()
        self._servers = []
        if how != "down":
            self._servers = [await asyncio.start_server(self._serve, address, 80) for address in self._addresses]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(_page(self._how, head.split()[1].decode("ascii")))
        await writer.drain()
        writer.close()


def _page(how: str, path: str) -> bytes:
    match how, path:
        case "online", _:
            return _reply("204 No Content", "", b"")
        case "captive", _:
            return _reply("302 Found", "", b"", "Location: http://carrier.example/login?who=you\r\n")
        case "well", "/api":
            return _reply("200 OK", *_CAPTIVE)
        case _:
            return _reply("200 OK", *_HTML)


def _reply(status: str, kind: str, body: bytes, more: str = "") -> bytes:
    about = f"Content-Type: {kind}\r\n" if kind else ""
    return f"HTTP/1.1 {status}\r\n{more}{about}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


async def _run() -> None:
    loop = asyncio.get_running_loop()
    web, portal = Web(tuple(CHECKS.values()), "online"), Web(tuple(PORTAL.values()), "well")
    await web.be("online")
    await portal.be("well")
    names = Names()
    await names.be("well")
    behaves = {"dns": names.be, "web": web.be, "portal": portal.be}
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    while line := await reader.readline():
        what, how = line.decode().split()
        await behaves[what](how)
        print("ready", flush=True)


if __name__ == "__main__":
    asyncio.run(_run())
