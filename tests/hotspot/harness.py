"""The daemon's own wiring without its waits: real programs are asked at simulated moments.

Runs as ``python -m tests.hotspot.harness CONFIG`` in the namespace of the box. Its clock moves in steps of ten seconds
from collection to collection, so ten hours take minutes. Each line of its input is a number of seconds to live through,
or ``cost N`` to measure N cycles; it answers each with a line of JSON.
"""

import asyncio
import json
import logging
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path

from agent import settings
from agent.alarms import Alarms
from agent.by_exception import ByException
from agent.config.load import Parsed, parse
from agent.pipeline import Pipeline
from agent.privacy import Veil
from agent.probing import _within
from agent.quality import Judge
from agent.wire.batch import Stream
from agent.wire.senml import Row
from drivers.io import icmp
from drivers.io.catalog import registry
from drivers.probe import Moment
from drivers.probes import collector
from drivers.reading import Reading
from tests.hotspot.box import Lived

STEP_S = 10
_NS = 1_000_000_000
_MINUTE_S = 60
_SPACING_S = 0.002  # between echoes; the pace of the daemon would make ten hours last ten minutes longer


class _Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Box:
    """A node that lives in simulated time."""

    def __init__(self, parsed: Parsed) -> None:
        assert parsed.config is not None, parsed.problems
        config, equipped = parsed.config, parsed.equipped
        self._now_s = 0
        self._began = time.time()
        self._collectors = [collector(one.kind, one.settings) for one in equipped]
        self._due_s = dict.fromkeys(range(len(self._collectors)), 0.0)
        paces = settings.paces(parsed.fitted, equipped, config.host)
        show = Veil(config.hotspot).show
        self._alarms = Alarms([settings.rule(alarm, paces, show) for alarm in (*config.alarms, *config.defaults)])
        self._pipeline = Pipeline(
            Judge(settings.probe_rules(config, equipped)),
            self._alarms,
            keep=self._keep,
            publish=self._publish,
            boot_ns=lambda: self._now_s * _NS,
            show=show,
            kept=ByException(settings.keeps(config, parsed.fitted, equipped)),
        )
        self._told: list[str] = []
        self._values: dict[str, float | str] = {}
        self._rows = 0
        self._log = _Log()
        logging.getLogger("agent").addHandler(self._log)
        logging.getLogger("agent").setLevel(logging.INFO)

    async def live(self, for_s: int) -> Lived:
        """Live through some time."""
        self._told, self._rows, self._log.lines = [], 0, []
        for _ in range(for_s // STEP_S):
            due = [number for number, due_s in self._due_s.items() if due_s <= self._now_s]
            for number in due:
                self._due_s[number] = self._now_s + self._collectors[number].every_s
            for events in await asyncio.gather(*(_within(self._collectors[number], self._moment()) for number in due)):
                for event in events:
                    self._pipeline.take(event)
            self._now_s += STEP_S
            self._pipeline._notice_silence()
        states = self._alarms.states()
        return Lived(
            told=self._told,
            standing={name: each.state for name, each in states.items() if each.state != "clear"},
            hidden={name: each.hidden_by for name, each in states.items() if each.hidden_by},
            values=self._values,
            rows=self._rows,
            said=self._log.lines,
        )

    async def cost(self, cycles: int) -> dict[str, float]:
        """Return the CPU time of a collection in ms by probe, the median of some cycles of a minute."""
        spent: dict[str, list[float]] = {each.probe.info.name: [] for each in self._collectors}
        for _ in range(cycles):
            self._now_s += _MINUTE_S
            for each in self._collectors:
                before = time.process_time()
                await _within(each, self._moment())
                spent[each.probe.info.name].append((time.process_time() - before) * 1000)
        return {name: statistics.median(each) for name, each in spent.items()}

    def close(self) -> None:
        """Leave the sources."""
        for each in self._collectors:
            each.close()

    def _moment(self) -> Moment:
        return Moment(boot_ns=self._now_s * _NS, utc_s=self._began + self._now_s)

    def _publish(self, reading: Reading) -> None:
        self._values[f"{reading.sensor}/{reading.channel}"] = reading.value

    def _keep(self, row: Row, stream: Stream) -> None:
        if stream is Stream.TELEMETRY:
            self._rows += 1
        elif row.path.startswith("alarm/"):
            self._told.append(f"{row.path.removeprefix('alarm/')} {row.value}")


async def _serve(box: Box) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    while line := await reader.readline():
        words = line.decode().split()
        said = await box.cost(int(words[1])) if words[0] == "cost" else asdict(await box.live(int(words[0])))
        print(json.dumps(said), flush=True)
    box.close()


async def _main(config: bytes) -> None:
    icmp.echoes.__kwdefaults__ = {**(icmp.echoes.__kwdefaults__ or {}), "spacing_s": _SPACING_S}
    await _serve(Box(parse([("agent.toml", config)], registry())))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]).read_bytes()))
