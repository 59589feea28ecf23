"""The range of addresses that a hotspot gives to its guests. Pure."""

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """First and last IPv4 address of a DHCP range, as numbers."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many addresses it has."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{ipaddress.IPv4Address(self.first)}-{ipaddress.IPv4Address(self.last)}"

    def __contains__(self, address: int) -> bool:
        return self.first <= address <= self.last


def pool(text: str) -> Pool | None:
    """Read ``first-last``; None for an empty text.

    Raises:
        ValueError: It is no range of IPv4 addresses; the text says what is wrong and how it is written.
    """
    if not text.strip():
        return None
    first, _, last = text.partition("-")
    try:
        found = Pool(first=int(ipaddress.IPv4Address(first.strip())), last=int(ipaddress.IPv4Address(last.strip())))
    except ipaddress.AddressValueError:
        found = None
    if found is None or found.size < 1:
        raise ValueError("write the pool as first-last, such as 10.20.0.2-10.20.0.254")
    return found
