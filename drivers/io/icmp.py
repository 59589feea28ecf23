"""Echoes over ICMP datagram sockets, which need no privilege where the kernel lets the service's group use them.

The kernel stamps each reply, so nobody has to wake up for it: all are read when the next echo is due.
Source: Linux Documentation/networking/ip-sysctl.rst (ping_group_range, for IPv6 too), timestamping.rst
(SO_TIMESTAMPNS), include/uapi/asm-generic/socket.h.
"""

import asyncio
import ipaddress
import random
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.hotspot import echo

COUNT = 5
"""Echoes of a round."""

_AT_ONCE = 3  # waking up costs more than sending
_SPACING_S = 0.3
_WAIT_S = 1.0  # after the last one
_READ_BYTES = 2048
_MOST_READ = 64  # at once, whoever floods us
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")
_ANCILLARY_BYTES = 64
_SEQUENCES = 1 << 16
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Who is asked.

    Attributes:
        address: IPv4 or IPv6.
        interface: Where a link-local IPv6 address is.
    """

    address: str
    interface: str = ""


async def echoes(
    targets: Sequence[Target], *, count: int = COUNT, spacing_s: float = _SPACING_S, wait_s: float = _WAIT_S
) -> list[list[float | None]]:
    """Send echoes to all targets side by side; return their round trips in ms in the order sent, None for a lost one.

    Raises:
        PermissionError: The kernel does not let this group send echoes.
        OSError: It has no such sockets.
    """
    lines: list[_Line] = []
    try:
        for target in targets:
            lines.append(_Line(target, count))  # noqa: PERF401 - those made are closed when the next one fails
        for first in range(0, count, _AT_ONCE):
            for line in lines:
                for number in range(first, min(first + _AT_ONCE, count)):
                    line.send(number)
            await asyncio.sleep(spacing_s)
            for line in lines:
                line.read()
        waited_s = spacing_s
        while waited_s < wait_s and not all(line.is_complete for line in lines):
            await asyncio.sleep(spacing_s)
            waited_s += spacing_s
            for line in lines:
                line.read()
    finally:
        for line in lines:
            line.close()
    return [line.round_trips_ms for line in lines]


class _Line:
    """One socket, connected to one target."""

    def __init__(self, target: Target, count: int) -> None:
        self.round_trips_ms: list[float | None] = [None] * count
        self._sent_ns: list[int] = []
        self._first = random.randrange(_SEQUENCES)  # noqa: S311 - no secret
        try:
            self._address = ipaddress.ip_address(target.address)
        except ValueError:
            raise OSError(0, "an address is needed here, not a name") from None
        self._text = str(self._address)
        self._v6 = self._address.version == 6  # noqa: PLR2004
        family, protocol = (
            (socket.AF_INET6, socket.IPPROTO_ICMPV6) if self._v6 else (socket.AF_INET, socket.IPPROTO_ICMP)
        )
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, protocol)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            scope = socket.if_nametoindex(target.interface) if self._v6 and target.interface else 0
            self._socket.connect((target.address, 0, 0, scope) if self._v6 else (target.address, 0))
        except OSError:  # no way there now: every echo is lost
            self._socket.close()

    @property
    def is_complete(self) -> bool:
        """Whether nothing more can come."""
        return None not in self.round_trips_ms or self._socket.fileno() < 0

    def send(self, number: int) -> None:
        """Send one echo; one that cannot leave is lost."""
        self._sent_ns.append(time.time_ns())
        try:
            self._socket.send(echo.request((self._first + number) % _SEQUENCES, v6=self._v6))
        except OSError:
            return

    def read(self) -> None:
        """Take what has come since the last time."""
        for _ in range(_MOST_READ):
            try:
                raw, stamps, _, peer = self._socket.recvmsg(_READ_BYTES, _ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError:  # a router says that there is no way, once for each echo
                if self._socket.fileno() < 0:
                    return
                continue
            sequence = echo.answered(raw, v6=self._v6)
            stamp = next((data for _, kind, data in stamps if kind == _SO_TIMESTAMPNS), None)
            if sequence is None or stamp is None or not self._is_peer(peer[0]):
                continue
            number = (sequence - self._first) % _SEQUENCES
            if number < len(self._sent_ns) and self.round_trips_ms[number] is None:
                seconds, ns = _TIMESPEC.unpack(stamp)
                took_ns = seconds * _SECOND_NS + ns - self._sent_ns[number]
                if took_ns >= 0:  # else the clock was set back meanwhile
                    self.round_trips_ms[number] = round(took_ns / 1_000_000, 3)

    def _is_peer(self, address: str) -> bool:
        return address == self._text or ipaddress.ip_address(address.partition("%")[0]) == self._address

    def close(self) -> None:
        """Give back the socket."""
        self._socket.close()
