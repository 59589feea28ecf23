"""One datagram there and one back, without blocking. The caller sets the deadline."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable

_LAST_PORT = 65_535
_DATAGRAM_BYTES = 65_536


async def ask(address: str, port: int, request: bytes, is_answer: Callable[[bytes], bool]) -> bytes:
    """Send a datagram and return the first one that comes back and is the answer; others are passed over.

    Args:
        address: IPv4 or IPv6 address; a name is refused, since looking it up would block.
        port: UDP port.
        request: The question.
        is_answer: Tells the answer from anything else.

    Raises:
        OSError: Nobody listens, or there is no way.
    """
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        raise OSError(0, "an address is needed here, not a name") from None
    if not 0 < port <= _LAST_PORT:
        raise OSError(0, "there is no such port")
    loop = asyncio.get_running_loop()
    family = socket.AF_INET if version == 4 else socket.AF_INET6  # noqa: PLR2004
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as line:
        line.connect((address, port))
        line.send(request)
        while True:
            answer = await loop.sock_recv(line, _DATAGRAM_BYTES)
            if is_answer(answer):
                return answer
            await asyncio.sleep(0)  # a flood of garbage must not keep the loop, and so the deadline, from its turn
