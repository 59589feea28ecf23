"""What `gardu run` costs that watches only a hotspot, with a broker and a center beside it as at home.

Runs as ``python -m tests.hotspot.measure FOLDER HOTSPOT SECONDS`` in the namespace of the box; HOTSPOT is a file with
the section. Prints a line of JSON: resident memory in MB, CPU seconds per hour in each fifth of the time, rows at the
center.
"""

import json
import sys
from pathlib import Path

from benchmarks.processes import gardu, running
from benchmarks.steady import _watch
from benchmarks.town import living_center, town

_SETTLE_S = 15.0


def _main(folder: Path, hotspot: Path, seconds: float) -> None:
    folder.mkdir()
    with town(folder) as here, living_center(here):
        config = here.config(sensors=0)
        with config.open("a") as text:
            text.write(hotspot.read_text())
        with running(gardu("run", "--config", str(config)), folder / "agent.log") as process:
            found = _watch(process.pid, _SETTLE_S, seconds)
        rows = here.count("SELECT count(*) FROM readings")
    said = {"rss_mb": found.rss_mb, "cpu_s_per_hour": found.cpu_s_per_hour, "rows": rows}
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
