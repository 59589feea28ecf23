"""Eight sensors at 1 Hz and the host's health each 10 s, over mutual TLS: memory, processor, switches, start, bytes."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.spool import frames
from agent.wire.batch import Kind, Stream
from benchmarks.processes import Cost, cost, gardu, running, until
from benchmarks.town import CITY, NODE, SENSORS, Town, living_center, sensors

_HOUR_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """What a process costs while nothing happens but its work.

    Attributes:
        rss_mb: Memory at the end.
        cpu_s_per_hour: Processor time.
        switches_per_s: Voluntary context switches.
        start_s: From exec to the first durable reading; None where nothing is ever durable.
        live_bytes: Bytes a reading on the wire, payload and topic, in live batches; None where there are none.
        live_rows: Readings in such a batch, on average.
    """

    rss_mb: float
    cpu_s_per_hour: float
    switches_per_s: float
    start_s: float | None = None
    live_bytes: float | None = None
    live_rows: float = 0


def agent(here: Town, settle_s: float, measure_s: float) -> Steady:
    """Measure the agent."""
    with living_center(here), sensors(here, SENSORS):
        config = here.config(sensors=SENSORS)
        command = gardu("run", "--config", str(config))
        begun = time.monotonic()
        with running(command, here.folder / "agent.log") as process:
            until(lambda: _has_rows(here.spool), 20, "first durable reading", look_s=0.005)
            start_s = time.monotonic() - begun
            time.sleep(settle_s)
            before = cost(process.pid)
            time.sleep(measure_s)
            after = cost(process.pid)
    sizes, rows = _live(here.spool)
    found = _steady(before, after, measure_s)
    return Steady(
        rss_mb=found.rss_mb,
        cpu_s_per_hour=found.cpu_s_per_hour,
        switches_per_s=found.switches_per_s,
        start_s=start_s,
        live_bytes=sum(sizes) / sum(rows),
        live_rows=sum(rows) / len(rows),
    )


def yardstick(here: Town, settle_s: float, measure_s: float) -> Steady:
    """Measure the script of thirty lines at the same work."""
    lines = [str(here.line(number)) for number in range(1, SENSORS + 1)]
    script = Path(__file__).with_name("yardstick.py")
    command = [sys.executable, "-sP", str(script), "localhost", str(here.port), str(here.node_keys), *lines]
    with sensors(here, SENSORS), running(command, here.folder / "yardstick.log") as process:
        time.sleep(settle_s)
        before = cost(process.pid)
        time.sleep(measure_s)
        return _steady(before, cost(process.pid), measure_s)


def _steady(before: Cost, after: Cost, seconds: float) -> Steady:
    return Steady(
        rss_mb=after.rss_mb,
        cpu_s_per_hour=(after.cpu_s - before.cpu_s) * _HOUR_S / seconds,
        switches_per_s=(after.switches - before.switches) / seconds,
    )


def batches(spool: Path) -> list[tuple[frames.BatchFacts, bytes]]:
    """Return facts and message of every batch of readings in the telemetry of a spool."""
    found: list[tuple[frames.BatchFacts, bytes]] = []
    for path in sorted(spool.glob("*.seg")):
        name = frames.parse_name(path.name)
        if name is None or name.stream is not Stream.TELEMETRY:
            continue
        for frame in frames.frames(path.read_bytes()):
            if frame.kind == frames.FrameKind.BATCH:
                facts = frames.batch_facts(frame.body)
                if facts.kind is Kind.READINGS and facts.count:
                    found.append((facts, frames.message_of(frame)))
    return found


def bytes_per_reading(found: Sequence[tuple[frames.BatchFacts, bytes]], lane: str) -> float:
    """Return MQTT payload and topic per reading."""
    topic = len(f"gardu/v1/{CITY}/{NODE}/up/{lane}")
    return sum(len(message) + topic for _, message in found) / sum(facts.count for facts, _ in found)


def _live(spool: Path) -> tuple[list[int], list[int]]:
    found = batches(spool)[1:-1]  # the first is sealed at once, the last on the way out
    topic = len(f"gardu/v1/{CITY}/{NODE}/up/live")
    return [len(message) + topic for _, message in found], [facts.count for facts, _ in found]


def _has_rows(spool: Path) -> bool:
    kinds = (frames.FrameKind.ROWS, frames.FrameKind.BATCH)
    for path in spool.glob("*telemetry*.seg"):
        for frame in frames.frames(path.read_bytes()):
            if frame.kind in kinds and (frame.kind == frames.FrameKind.ROWS or frames.batch_facts(frame.body).count):
                return True
    return False
