"""The tables of RESULTS.md."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.peers import Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was measured: the median, and least and most where it was measured more than once."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        spread = "" if self.low == self.high else f" ({_short(self.low)}..{_short(self.high)})"
        return _short(self.value) + spread


def found(*values: float) -> Found:
    """Return what several measurements give."""
    return Found(value=statistics.median(values), low=min(values), high=max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table of budgets.

    Attributes:
        what: The work.
        unit: Of all numbers in the line.
        found: None where it could not be measured.
        must: Bound; None where there is none.
        goal: Bound.
        yardstick: The script of thirty lines at the same work.
        least: True where the bounds are the least, not the most.
        note: Number of a footnote; 0 for none.
    """

    what: str
    unit: str
    found: Found | None
    must: float | None = None
    goal: float | None = None
    yardstick: Found | None = None
    least: bool = False
    note: int = 0

    def verdict(self) -> str:
        """Say how it stands against must and goal."""
        if self.found is None or self.must is None or self.goal is None:
            return "-"
        value = self.found.value
        reaches: Callable[[float], bool] = (
            (lambda bound: value >= bound) if self.least else (lambda bound: value <= bound)
        )
        return "goal" if reaches(self.goal) else "must" if reaches(self.must) else "**over**"

    def line(self) -> str:
        """Return the line in Markdown."""
        unit = f", {self.unit}" if self.unit else ""
        mark = f" [{self.note}]" if self.note else ""
        cells = [f"{self.what}{unit}{mark}", _cell(self.found), _bound(self.must), _bound(self.goal)]
        return "| " + " | ".join([*cells, self.verdict(), _cell(self.yardstick)]) + " |"


def budgets(rows: Sequence[Row]) -> list[str]:
    """Return the table of budgets."""
    return ["| what | measured | must | goal | reached | yardstick |", "| --- | --- | --- | --- | --- | --- |"] + [
        row.line() for row in rows
    ]


def peers_table(agent: Sequence[str], peers: Sequence[Peer]) -> list[str]:
    """Return the table of peers; ``agent`` holds the cells of this agent."""
    head = [
        "",
        "RSS MB",
        "CPU s/h",
        "switches/s",
        "backlog lost / twice",
        "drain readings/s",
        "start s",
        "MB / packages",
    ]
    lines = [head, ["---"] * len(head), list(agent)]
    lines += [
        [
            peer.name,
            _short(peer.rss_mb),
            _short(peer.cpu_s_per_hour),
            _short(peer.switches_per_s),
            f"{peer.lost:,} / {peer.twice:,}",
            _short(peer.drain_per_s),
            _short(peer.start_s),
            f"{_short(peer.size_mb)} / {peer.packages}",
        ]
        for peer in peers
    ]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _cell(what: Found | None) -> str:
    return "-" if what is None else str(what)


def _bound(bound: float | None) -> str:
    return "-" if bound is None else f"{bound:,g}"


def _short(value: float) -> str:
    """Return three digits, or all in front of the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
