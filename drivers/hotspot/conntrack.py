"""The kernel's table of connections: how full it is and what it had to drop. Pure.

Source: Linux net/netfilter/nf_conntrack_standalone.c (ct_cpu_seq_show): hexadecimal columns, one row per processor,
of which ``entries`` is one number for all and stands in each row.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from drivers.driver import Channel, DriverInfo, Event
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source

INFO = DriverInfo(
    name="conntrack",
    title="Table of connections of the uplink",
    family="conntrack",
    mode="poll",
    channels=(
        Channel(name="conntrack-used", unit="/", low=0, high=1, doc="share of the table in use"),
        Channel(name="conntrack-drops", unit="count", low=0, kind="counter", doc="connections dropped since boot"),
    ),
    every_s=60.0,
    stale_after_s=300.0,
    source="Linux nf_conntrack_standalone.c",
)
_DROPS = ("drop", "early_drop", "insert_failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatistics(Facts):
    """/proc/net/stat/nf_conntrack: connections now, and since boot how many were lost in which way."""

    entries: int
    drop: int | None
    early_drop: int | None
    insert_failed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSize(Facts):
    """/proc/sys/net/netfilter/nf_conntrack_max: connections the table can hold."""

    max: int


def parse_statistics(raw: bytes) -> TableStatistics:
    """Read /proc/net/stat/nf_conntrack by the names in its first line, which changed over the years."""
    head, *rows = [line.split() for line in raw.decode("ascii", "replace").splitlines() if line.strip()] or [[]]
    if "entries" not in head or not rows or any(len(row) != len(head) for row in rows):
        raise AnswerError("a line of names and rows as long as it are expected")
    try:
        columns = {name: [int(row[at], 16) for row in rows] for at, name in enumerate(head)}
    except ValueError:
        raise AnswerError("a column is not hexadecimal") from None
    sums = {name: sum(columns[name]) if name in columns else None for name in _DROPS}
    return TableStatistics(entries=columns["entries"][0], **sums)


def parse_size(raw: bytes) -> TableSize:
    """Read /proc/sys/net/netfilter/nf_conntrack_max."""
    text = raw.strip()
    if not text.isdigit() or int(text) == 0:
        raise AnswerError("a number above 0 is expected")
    return TableSize(max=int(text))


class Conntrack(Probe):
    """Sensor ``wan``: needs the size once, then the statistics."""

    sources = (
        Source(name="conntrack-size", title="/proc/sys/net/netfilter/nf_conntrack_max", parse=parse_size),
        Source(name="conntrack-statistics", title="/proc/net/stat/nf_conntrack", parse=parse_statistics),
    )

    def __init__(self, _settings: HotspotSettings) -> None:
        super().__init__(INFO, "wan")
        self._max: int | None = None

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        """Give the share in use and the sum of drops."""
        match facts:
            case TableSize():
                self._max = facts.max
            case TableStatistics():
                if self._max:
                    yield from self.reading("conntrack-used", round(facts.entries / self._max, 4), now)
                drops = [getattr(facts, name) for name in _DROPS]
                known = [each for each in drops if each is not None]
                yield from self.reading("conntrack-drops", sum(known) if known else None, now)
            case _:
                raise TypeError(facts)
