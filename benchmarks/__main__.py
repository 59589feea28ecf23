"""``make bench``: runs every row and writes benchmarks/RESULTS.md. Everything at its default takes about 12 minutes."""

import argparse
import datetime as dt
import os
import platform
import subprocess
import sys
import tempfile
import threading
from importlib import metadata
from pathlib import Path

from benchmarks import card, cycle, drain, faults, frozen, full, peers, steady
from benchmarks.table import Found, Row, budgets, found, peers_table
from benchmarks.town import mosquitto, town

_RESULTS = Path(__file__).with_name("RESULTS.md")
_PARTS = ("gardu", "aiomqtt", "paho-mqtt", "cbor2", "cryptography", "psutil", "pyserial", "tomli")
_LOCK = Path(__file__).parent.parent / "requirements" / "node.lock"
_MB = 2**20
_DRAINS = 5
_PEER_S = 60
_CARD_TURNS = 3
_REFERENCE_BLOCK, _CARD_BLOCK = 1024, 4096
_CARDS = (
    ("10 s", 40, 36, card.Use(durable_within_s=10, online=True), "live"),
    ("10 s", 40, 36, card.Use(durable_within_s=10, online=False), "offline"),
    ("60 s", 12, 8, card.Use(durable_within_s=60, online=True, metered=True), "live, metered"),
    ("60 s", 12, 8, card.Use(durable_within_s=60, online=False), "offline"),
)


def main() -> int:
    """Measure, print, write."""
    args = _arguments()
    with tempfile.TemporaryDirectory() as folder, town(Path(folder)) as here:
        _say("steady work, the agent ...")
        agent = steady.agent(here, args.settle, args.measure)
        _say("steady work, the yardstick ...")
        other = steady.yardstick(here, args.settle, args.measure)
    drains: list[drain.Drain] = []
    for turn in range(1, _DRAINS + 1):
        with tempfile.TemporaryDirectory() as folder, town(Path(folder)) as here:
            _say(f"backlog, {turn} of {_DRAINS} ...")
            drains.append(drain.drain(here))
    with tempfile.TemporaryDirectory() as folder, town(Path(folder)) as here:
        _say("start with a full spool ...")
        filled = full.full(here)
    _say("a full cycle of the probes ...")
    round_ = cycle.cycle()
    stiff = _Frozen(args.frozen)  # nothing below is a matter of speed
    cards = _card_rows(args.card)
    _say(f"frozen broker, {args.frozen:.0f} s in all ...")
    iced = stiff.result()
    rows = [
        *_steady_rows(agent, other),
        _full_row(filled),
        _cycle_row(round_),
        *_wire_rows(agent, drains),
        *cards,
        *_drain_rows(drains),
        *_fault_rows(iced),
        *_installed_rows(),
    ]
    lines = [*_head(args.measure), *budgets(rows), "", *_footnotes(drains, filled, iced)]
    if args.peers:
        others = peers.peers(args.settle, min(args.measure, _PEER_S), _say)
        lines += ["", "## Peers", "", *peers_table(_own_cells(agent, drains, iced), others), "", *_peer_notes()]
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    _RESULTS.write_text(text + _notes(keep_peers=not args.peers))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--settle", type=float, default=20, metavar="S", help="seconds before a measurement")
    parser.add_argument("--measure", type=float, default=120, metavar="S", help="seconds of a measurement")
    parser.add_argument(
        "--frozen", type=float, default=300, metavar="S", help="seconds of a frozen broker; the budget's row wants 900"
    )
    parser.add_argument(
        "--card", type=float, default=8, metavar="H", help="hours of a day that the card is counted, three times"
    )
    parser.add_argument("--peers", action="store_true", help="measure others at the same work, too; 12 minutes more")
    return parser.parse_args()


class _Frozen:
    """The frozen broker takes its time beside rows that count bytes."""

    def __init__(self, seconds: float) -> None:
        self._found: frozen.Frozen | None = None
        self._error: BaseException | None = None
        self._seconds = seconds
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def result(self) -> frozen.Frozen:
        """Wait for it."""
        self._thread.join()
        if self._found is None:
            raise RuntimeError("the frozen broker could not be measured") from self._error
        return self._found

    def _run(self) -> None:
        try:
            with tempfile.TemporaryDirectory() as folder, town(Path(folder)) as here:
                self._found = frozen.frozen(here, self._seconds)
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits
            self._error = error


# -- rows -------------------------------------------------------------------------------------------------------------


def _steady_rows(agent: steady.Steady, other: steady.Steady) -> list[Row]:
    return [
        Row(what="memory (RSS)", unit="MB", found=found(agent.rss_mb), must=46, goal=41, yardstick=found(other.rss_mb)),
        Row(
            what="processor time per hour",
            unit="s",
            found=found(*agent.cpu_s_per_hour),
            must=15,
            goal=9,
            yardstick=found(*other.cpu_s_per_hour),
        ),
        Row(
            what="voluntary context switches",
            unit="/s",
            found=found(*agent.switches_per_s),
            must=15,
            goal=12,
            yardstick=found(*other.switches_per_s),
        ),
        Row(what="start to first durable reading", unit="s", found=found(*agent.start_s), must=1.2, goal=0.8),
    ]


def _full_row(filled: full.Full) -> Row:
    return Row(what="... with a full spool", unit="s", found=found(filled.start_s), note=1)


def _cycle_row(measured: cycle.Cycle | None) -> Row:
    times_ms = found(*measured.default_ms) if measured else None
    return Row(what="full cycle of the default probes, processor time", unit="ms", found=times_ms, must=3, goal=2.5)


def _wire_rows(agent: steady.Steady, drains: list[drain.Drain]) -> list[Row]:
    live = found(agent.live_bytes)
    history = found(*(one.history_bytes for one in drains))
    return [
        Row(what=f"bytes per reading, live ({agent.live_rows:.0f} a batch)", unit="B", found=live, must=12, goal=10),
        Row(what="bytes per reading, history (500 a batch)", unit="B", found=history, must=7, goal=6),
    ]


def _card_rows(hours: float) -> list[Row]:
    rows: list[Row] = []
    for durable, must, goal, use, how in _CARDS:
        _say(f"bytes to the card, durable within {durable}, {how} ...")
        for block_bytes in (_REFERENCE_BLOCK, _CARD_BLOCK):
            reference = block_bytes == _REFERENCE_BLOCK
            rows.append(
                Row(
                    what=f"disk a day, durable within {durable}, {how}, ext4 blocks of {block_bytes // 1024} KiB",
                    unit="MB",
                    found=_card(use, block_bytes, hours),
                    must=must if reference else None,
                    goal=goal if reference else None,
                    note=2,
                )
            )
    return sorted(rows, key=lambda row: row.must is None)


def _card(use: card.Use, block_bytes: int, hours: float) -> Found | None:
    """Return MB a day; several fresh file systems, because it matters where ext4 puts a folder."""
    if not card.can_mount():
        return None
    days: list[float] = []
    for _ in range(_CARD_TURNS):
        with tempfile.TemporaryDirectory() as folder:
            days.append(card.day(Path(folder), use, block_bytes=block_bytes, hours=hours).device_bytes / 1e6)
    return found(*days)


def _drain_rows(drains: list[drain.Drain]) -> list[Row]:
    acked = found(*(one.acked_per_s for one in drains))
    queryable = found(*(one.queryable_per_s for one in drains))
    return [
        Row(what="backlog of 100 000 to acked", unit="/s", found=acked, must=100_000, goal=150_000, least=True),
        Row(what="... to queryable rows", unit="/s", found=queryable, must=50_000, goal=100_000, least=True),
    ]


def _fault_rows(iced: frozen.Frozen) -> list[Row]:
    known = faults.faults()
    return [
        Row(
            what="lost, in every fault run", unit="", found=found(known.lost) if known else None, must=0, goal=0, note=3
        ),
        Row(
            what="twice, in every fault run",
            unit="",
            found=found(known.twice) if known else None,
            must=0,
            goal=0,
            note=3,
        ),
        Row(
            what=f"broker frozen {iced.seconds / 60:.0f} min, timers divided by {frozen.FASTER}: memory growth",
            unit="MB",
            found=found(max(0.0, iced.growth_mb)),
            must=2,
            goal=0,
            note=4,
        ),
    ]


def _installed_rows() -> list[Row]:
    size_mb, packages = _installed()
    return [
        Row(what="installed size on the node", unit="MB", found=found(size_mb), must=45, goal=35),
        Row(what="packages on the node", unit="", found=found(packages), must=14, goal=12),
    ]


# -- words ------------------------------------------------------------------------------------------------------------


def _head(measure_s: float) -> list[str]:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _PARTS)
    return [
        "# Results",
        "",
        f"- date: {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        f"- machine: {platform.machine()}, {os.cpu_count()} cores, {_cpu()}, Linux {platform.release()}",
        f"- Python {platform.python_version()}, {_mosquitto()}; {versions}",
        f"- command: `make bench`; steady work measured for {measure_s:.0f} s, mutual TLS, everything on one machine",
        "",
        "Work: 8 SDS011 at 1 Hz on serial lines (16 readings a second) and the host's health each 10 s.",
        "Where a row was measured more than once it shows the median, then least and most.",
        "The yardstick is `benchmarks/yardstick.py`: paho and pyserial, no signature, no store, no host health.",
        "",
    ]


def _footnotes(drains: list[drain.Drain], filled: full.Full, iced: frozen.Frozen) -> list[str]:
    seal_s = found(*(one.seal_s for one in drains)).value
    known = faults.faults()
    told = (
        f"Sums over {known.campaigns} campaigns that `tests/faults/RESULTS.md` tells of."
        if known
        else "See `make test-faults`: there is no result file yet."
    )
    return [
        (
            f"[1] {filled.size_mb:.0f} MiB, {filled.readings:,} readings, files dropped from the cache; "
            f"memory then {filled.rss_mb:.1f} MB."
        ),
        "",
        (
            "[2] Sectors that the loop device under a fresh ext4 counts, journal and metadata included, in a day of "
            "0.8 readings/s: the real spool and real syncs, a clock that jumps. The budget was set on an image of 256 "
            'MiB, which mke2fs gives blocks of 1 KiB; the card of a Pi has 4 KiB. "-" where this is not root.'
        ),
        "",
        f"[3] {told}",
        "",
        (
            f"[4] Before {iced.before_mb:.1f} MB, at most {iced.most_mb:.1f} MB; after the thaw the center counts "
            f"lost {iced.lost}, twice {iced.twice}."
        ),
        "",
        (
            f"Writing the backlog (numbered, sealed, signed, synced) took {seal_s:.2f} s "
            f"= {drain.READINGS / seal_s:,.0f} readings/s."
        ),
    ]


def _own_cells(agent: steady.Steady, drains: list[drain.Drain], iced: frozen.Frozen) -> list[str]:
    size_mb, packages = _installed()
    acked = found(*(one.acked_per_s for one in drains)).value
    return [
        "Gardu [5]",
        f"{agent.rss_mb:.3g}",
        f"{found(*agent.cpu_s_per_hour).value:.3g}",
        f"{found(*agent.switches_per_s).value:.3g}",
        f"{iced.lost} / {iced.twice} [6]",
        f"{acked:,.0f}",
        f"{found(*agent.start_s).value:.2g}",
        f"{size_mb:.3g} / {packages}",
    ]


def _peer_notes() -> list[str]:
    return [
        (
            "[5] With mutual TLS, signatures, and a center that verifies and commits; the peers speak plain MQTT to a "
            "broker and a subscriber that counts. Start: to the first durable reading; the peers': to the first value "
            "at the subscriber."
        ),
        "",
        "[6] Of the frozen broker; the fault runs are above.",
        "",
        (
            "The gateway runs from PyPI with its serial connector and SQLite storage, defaults but for log level, "
            "remote configuration and addresses; the connector cannot cut SDS011 frames, so its sensors speak lines of "
            "text. The subscriber answers its question for limits as a ThingsBoard server without limits. Its "
            "processor time includes what its threads poll. It keeps one value a millisecond and channel; two that "
            "reach it within one, at 100 frames a second and line, count as lost here."
        ),
    ]


def _notes(*, keep_peers: bool) -> str:
    """Keep what people wrote below the tables, and the peers where they were not measured this time."""
    text = _RESULTS.read_text() if _RESULTS.exists() else ""
    kept = ""
    for part in text.split("\n## ")[1:]:
        if part.startswith("Notes") or (keep_peers and part.startswith("Peers")):
            kept += f"\n## {part.strip()}\n"
    return kept


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
    shown = subprocess.run([mosquitto(), "-h"], check=False, capture_output=True, text=True).stdout
    return shown.partition("\n")[0].replace(" version", "")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
