"""Eight sensors at 1 Hz and the host's health each 10 s, over mutual TLS: memory, processor, switches, start, bytes."""

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from agent.spool import frames
from agent.wire.batch import Kind, Stream
from benchmarks.processes import cost, gardu, running, until
from benchmarks.town import CITY, NODE, SENSORS, Town, living_center, sensors

_HOUR_S = 3600
_SLICES = 5
_STARTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """What a process costs while nothing happens but its work.

    Attributes:
        rss_mb: Memory at the end.
        cpu_s_per_hour: Processor time, of each slice of the measurement.
        switches_per_s: Voluntary context switches, the same.
        start_s: From exec to the first durable reading; empty where nothing is ever durable.
        live_bytes: Bytes a reading on the wire, payload and topic, in live batches; 0 where there are none.
        live_rows: Readings in such a batch, on average.
    """

    rss_mb: float
    cpu_s_per_hour: tuple[float, ...]
    switches_per_s: tuple[float, ...]
    start_s: tuple[float, ...] = ()
    live_bytes: float = 0
    live_rows: float = 0


def agent(here: Town, settle_s: float, measure_s: float) -> Steady:
    """Measure the agent; it is started a few times, each time with an empty spool, and stays the last time."""
    starts: list[float] = []
    with living_center(here), sensors(here, SENSORS):
        command = gardu("run", "--config", str(here.config(sensors=SENSORS)))
        for _ in range(_STARTS - 1):
            with running(command, here.folder / "agent.log"):
                starts.append(until(lambda: has_rows(here.spool), 20, "first durable reading", look_s=0.005))
            shutil.rmtree(here.spool)
        with running(command, here.folder / "agent.log") as process:
            starts.append(until(lambda: has_rows(here.spool), 20, "first durable reading", look_s=0.005))
            found = _watch(process.pid, settle_s, measure_s)
    sizes, rows = _live(here.spool)
    return replace(found, start_s=tuple(starts), live_bytes=sum(sizes) / sum(rows), live_rows=sum(rows) / len(rows))


def yardstick(here: Town, settle_s: float, measure_s: float) -> Steady:
    """Measure the script of thirty lines at the same work."""
    lines = [str(here.line(number)) for number in range(1, SENSORS + 1)]
    script = Path(__file__).with_name("yardstick.py")
    command = [sys.executable, "-sP", str(script), "localhost", str(here.port), str(here.node_keys), *lines]
    with sensors(here, SENSORS), running(command, here.folder / "yardstick.log") as process:
        return _watch(process.pid, settle_s, measure_s)


def _watch(pid: int, settle_s: float, measure_s: float) -> Steady:
    time.sleep(settle_s)
    looks = [cost(pid)]
    slice_s = measure_s / _SLICES
    for _ in range(_SLICES):
        time.sleep(slice_s)
        looks.append(cost(pid))
    pairs = list(pairwise(looks))
    return Steady(
        rss_mb=looks[-1].rss_mb,
        cpu_s_per_hour=tuple((after.cpu_s - before.cpu_s) * _HOUR_S / slice_s for before, after in pairs),
        switches_per_s=tuple((after.switches - before.switches) / slice_s for before, after in pairs),
    )


def batches(spool: Path) -> list[tuple[frames.BatchFacts, bytes]]:
    """Return facts and message of every batch of readings in the telemetry of a spool."""
    found: list[tuple[frames.BatchFacts, bytes]] = []
    for path in sorted(spool.glob("*.seg")):
        name = frames.parse_name(path.name)
        if name is None or name.stream is not Stream.TELEMETRY:
            continue
        for frame in frames.frames(name, path.read_bytes()):
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
    every = batches(spool)
    found = every[1:-1] or every  # the first is sealed at once, the last on the way out
    topic = len(f"gardu/v1/{CITY}/{NODE}/up/live")
    return [len(message) + topic for _, message in found], [facts.count for facts, _ in found]


def has_rows(spool: Path) -> bool:
    """Tell whether a reading is on disk."""
    kinds = (frames.FrameKind.ROWS, frames.FrameKind.BATCH)
    for path in spool.glob("*telemetry*.seg"):
        name = frames.parse_name(path.name)
        for frame in frames.frames(name, path.read_bytes()) if name is not None else ():
            if frame.kind in kinds and (frame.kind == frames.FrameKind.ROWS or frames.batch_facts(frame.body).count):
                return True
    return False
