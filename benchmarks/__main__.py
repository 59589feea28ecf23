"""``make bench``: runs every row and writes benchmarks/RESULTS.md."""

import argparse
import datetime as dt
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks import drain, steady
from benchmarks.town import town

_RESULTS = Path(__file__).with_name("RESULTS.md")
_PARTS = ("gardu", "aiomqtt", "paho-mqtt", "cbor2", "cryptography", "psutil", "pyserial", "tomli")
_LOCK = Path(__file__).parent.parent / "requirements" / "node.lock"
_MB = 2**20
_DRAINS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; ``least`` rows must be at or above their bounds, the others at or below."""

    what: str
    unit: str
    found: float
    must: float
    goal: float
    yardstick: float | None = None
    least: bool = False

    def verdict(self) -> str:
        """Say how it stands against must and goal."""
        reaches: Callable[[float], bool] = (
            (lambda bound: self.found >= bound) if self.least else (lambda bound: self.found <= bound)
        )
        return "goal" if reaches(self.goal) else "must" if reaches(self.must) else "**over**"

    def line(self) -> str:
        """Return the line in Markdown."""
        other = "-" if self.yardstick is None else f"{self.yardstick:,.4g}"
        return (
            f"| {self.what} | {self.found:,.4g} {self.unit} | {self.must:,g} | {self.goal:,g} | {self.verdict()} "
            f"| {other} |"
        )


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--settle", type=float, default=20, metavar="S", help="seconds before a measurement")
    parser.add_argument("--measure", type=float, default=120, metavar="S", help="seconds of a measurement")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as one, town(Path(one)) as here:
        _say("steady work, the agent ...")
        agent = steady.agent(here, args.settle, args.measure)
        _say("steady work, the yardstick ...")
        other = steady.yardstick(here, args.settle, args.measure)
    drains: list[drain.Drain] = []
    for turn in range(1, _DRAINS + 1):
        with tempfile.TemporaryDirectory() as two, town(Path(two)) as here:
            _say(f"backlog, {turn} of {_DRAINS} ...")
            drains.append(drain.drain(here))
    backlog = sorted(drains, key=lambda one: one.acked_per_s)[_DRAINS // 2]
    size_mb, packages = _installed()
    rows = [
        Row(what="memory (RSS)", unit="MB", found=agent.rss_mb, must=46, goal=41, yardstick=other.rss_mb),
        Row(
            what="processor time per hour",
            unit="s",
            found=agent.cpu_s_per_hour,
            must=15,
            goal=9,
            yardstick=other.cpu_s_per_hour,
        ),
        Row(
            what="voluntary context switches",
            unit="/s",
            found=agent.switches_per_s,
            must=15,
            goal=12,
            yardstick=other.switches_per_s,
        ),
        Row(what="start to first durable reading", unit="s", found=agent.start_s or 0, must=1.2, goal=0.8),
        Row(
            what=f"bytes per reading, live ({agent.live_rows:.0f} a batch)",
            unit="B",
            found=agent.live_bytes or 0,
            must=12,
            goal=10,
        ),
        Row(what="bytes per reading, history (500 a batch)", unit="B", found=backlog.history_bytes, must=7, goal=6),
        Row(
            what="backlog of 100 000 to acked",
            unit="/s",
            found=backlog.acked_per_s,
            must=100_000,
            goal=150_000,
            least=True,
        ),
        Row(
            what="... to queryable rows",
            unit="/s",
            found=backlog.queryable_per_s,
            must=50_000,
            goal=100_000,
            least=True,
        ),
        Row(what="installed size on the node", unit="MB", found=size_mb, must=45, goal=35),
        Row(what="packages on the node", unit="", found=packages, must=14, goal=12),
    ]
    table = _table(rows, backlog, args.measure)
    sys.stdout.write(table)
    _RESULTS.write_text(table + _notes())
    return 0


def _table(rows: list[Row], backlog: drain.Drain, measure_s: float) -> str:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _PARTS)
    head = [
        "# Results",
        "",
        f"- date: {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        f"- machine: {platform.machine()}, {os.cpu_count()} cores, {_cpu()}, Linux {platform.release()}",
        f"- Python {platform.python_version()}, {_mosquitto()}; {versions}",
        f"- command: `make bench`; steady work measured for {measure_s:.0f} s, mutual TLS, everything on one machine",
        "",
        "Work: 8 SDS011 at 1 Hz on serial lines (16 readings a second) and the host's health each 10 s.",
        "The yardstick is `benchmarks/yardstick.py`: paho and pyserial, no signature, no store, no host health.",
        "",
        "| what | measured | must | goal | reached | yardstick |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    tail = [
        "",
        (
            f"Writing the backlog (numbered, sealed, signed, synced) took {backlog.seal_s:.2f} s "
            f"= {drain.READINGS / backlog.seal_s:,.0f} readings/s. "
            f"The backlog is the median of {_DRAINS} runs."
        ),
        "",
    ]
    return "\n".join([*head, *(row.line() for row in rows), *tail])


def _notes() -> str:
    """Keep what people wrote below the table."""
    marker = "\n## Notes"
    text = _RESULTS.read_text() if _RESULTS.exists() else ""
    return text[text.index(marker) :] if marker in text else ""


def _installed() -> tuple[float, int]:
    """Return size in MB and number of the packages that a node installs, Gardu itself included."""
    names = [line.split("==")[0] for line in _LOCK.read_text().splitlines() if "==" in line]
    size = 0
    for name in names:
        for file in metadata.files(name) or ():
            path = Path(str(file.locate()))
            size += path.stat().st_size if path.is_file() else 0
    root = Path(__file__).parent.parent
    for folder in ("agent", "drivers", "center"):
        size += sum(path.stat().st_size for path in (root / folder).rglob("*") if path.suffix in {".py", ".toml"})
    return size / _MB, len(names) + 1


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return "unknown processor"


def _mosquitto() -> str:
    found = subprocess.run(["/usr/sbin/mosquitto", "-h"], check=False, capture_output=True, text=True).stdout
    return found.partition("\n")[0].replace(" version", "")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
