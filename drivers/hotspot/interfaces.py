"""The kernel's counters of each network interface: /proc/net/dev. Pure.

Source: Linux net/core/net-procfs.c (dev_seq_printf_stats): eight columns received, eight sent.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from drivers.probe import AnswerError, Facts

_COLUMNS = 16
_HEAD_LINES = 2
_SENT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic(Facts):
    """Counters of one interface since it was made."""

    rx_bytes: int
    rx_packets: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interfaces(Facts):
    """/proc/net/dev."""

    interfaces: Mapping[str, Traffic]

    def said(self) -> dict[str, object]:
        """Return the counters by interface."""
        return {name: asdict(traffic) for name, traffic in self.interfaces.items()}


def parse_interfaces(raw: bytes) -> Interfaces:
    """Read /proc/net/dev."""
    lines = [line.strip() for line in raw.decode("ascii", "replace").splitlines()]
    if len(lines) < _HEAD_LINES or not lines[0].startswith("Inter-|") or not lines[1].endswith("compressed"):
        raise AnswerError("the two head lines of /proc/net/dev are expected")
    found = {}
    for line in filter(None, lines[_HEAD_LINES:]):
        name, _, rest = line.partition(":")
        columns = rest.split()
        if len(columns) != _COLUMNS or not all(column.isdigit() for column in columns):
            raise AnswerError("lines with an interface and sixteen numbers are expected")
        sent = columns[_SENT:]
        found[name] = Traffic(
            rx_bytes=int(columns[0]),
            rx_packets=int(columns[1]),
            tx_bytes=int(sent[0]),
            tx_packets=int(sent[1]),
            tx_errors=int(sent[2]),
        )
    return Interfaces(interfaces=found)
