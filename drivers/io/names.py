"""Finds the address of a host without the C library, whose lookups block and hide who is to blame.

An address that was found once stays known: a probe of the way to the internet must not fail because names do.
"""

import asyncio
import ipaddress
import random
import time
from collections.abc import Callable
from pathlib import Path

from drivers.hotspot import dns_message
from drivers.io import udp
from drivers.probe import AnswerError

_DNS_PORT = 53
_USUAL = "127.0.0.1"
_WITHIN_S = 2.0


class Names:
    """Addresses of hosts, asked of one server.

    Args:
        server: Address of the DNS server, ``address`` or ``address:port``; empty takes the system's first.
        resolv_conf: Where the system's servers stand.
        number: Draws the number of a question.
        within_s: Longest wait for the server before an address known from before is taken.
        keep_s: How long an address that was found is taken without asking again.
        now_s: A clock that never goes back.

    Attributes:
        work: False after a look-up that found nothing.
    """

    def __init__(
        self,
        server: str = "",
        *,
        resolv_conf: Path = Path("/etc/resolv.conf"),
        number: Callable[[], int] = lambda: random.randrange(1 << 16),  # noqa: S311 - no secret
        within_s: float = _WITHIN_S,
        keep_s: float = 0.0,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._resolv_conf = resolv_conf
        self._number = number
        self._within_s = within_s
        self._keep_s = keep_s
        self._now_s = now_s
        self._known: dict[str, str] = {}
        self._found_s: dict[str, float] = {}
        self._from_memory = ""
        self.work = True

    async def address(self, host: str) -> str:
        """Return the address of a host; the one it had before when nobody says now. The caller sets the deadline.

        Raises:
            OSError: Nobody ever said.
        """
        plain = host.strip("[]")
        self.work = True
        self._from_memory = ""
        if plain == "localhost":
            return _USUAL
        try:
            return str(ipaddress.ip_address(plain))
        except ValueError:
            pass
        if plain in self._found_s and self._now_s() - self._found_s[plain] < self._keep_s:
            self._from_memory = plain
        else:
            await self._look_up(plain)
        if plain not in self._known:
            raise OSError(0, "its name is not found")
        return self._known[plain]

    async def still_work(self) -> bool:
        """Return whether names work now, when the address that `address` gave was of no use: it may be an old one."""
        if self._from_memory:
            await self._look_up(self._from_memory)
            self._from_memory = ""
        return self.work

    async def _look_up(self, plain: str) -> None:
        self._found_s.pop(plain, None)
        try:
            async with asyncio.timeout(self._within_s):
                found = await self.ask(plain)
        except (OSError, AnswerError):
            found = None
        self.work = found is not None and bool(found.addresses)
        if found is not None and found.addresses:
            self._known[plain] = found.addresses[0]
            self._found_s[plain] = self._now_s()

    def known(self, host: str) -> str:
        """Return the address that a host had at the last lookup; empty when it was never found."""
        return self._known.get(host.strip("[]"), "")

    async def ask(self, host: str) -> dns_message.Reply:
        """Ask the server for the IPv4 address of a host. The caller sets the deadline.

        Raises:
            OSError: It does not answer.
            AnswerError: It answers something else.
        """
        system = (*servers(self._resolv_conf), _USUAL)
        server, port = endpoint(self._server, _DNS_PORT) if self._server else (system[0], _DNS_PORT)
        number = self._number()
        try:
            request = dns_message.question(host, number=number)
        except ValueError:
            raise OSError(0, "its name is no name of a host") from None
        return dns_message.reply(await udp.ask(server, port, request, lambda data: dns_message.answers(data, number)))


def endpoint(text: str, usual_port: int) -> tuple[str, int]:
    """Split ``host``, ``host:port``, ``[v6]:port`` or a bare IPv6 address."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, int(port.removeprefix(":") or usual_port)
    host, colon, port = text.rpartition(":")
    if colon and ":" not in host and port.isdigit():
        return host, int(port)
    return text, usual_port


def servers(resolv_conf: Path) -> tuple[str, ...]:
    """Return the addresses of the system's DNS servers, in its order; none where it does not say."""
    try:
        lines = resolv_conf.read_text("ascii", "replace").splitlines()
    except OSError:
        return ()
    named = (words[1] for line in lines if len(words := line.split()) > 1 and words[0] == "nameserver")
    return tuple(address for address in named if _is_address(address))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
