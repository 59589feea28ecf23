"""A broker that is frozen, not dead: its socket takes a connection and never answers. What the agent's memory does."""

import json
import os
import signal
import statistics
import subprocess
import time
from dataclasses import dataclass

from benchmarks.processes import center, cost, gardu, running, until
from benchmarks.town import SENSORS, Town, living_center, sensors

FASTER = 100
"""All timers of link, seal and spool are divided by this; sensors keep their pace."""
_WARM_S = 30
_LOOK_S = 5
_PACE_S = 3
_DRAIN_S = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """What came of it.

    Attributes:
        seconds: How long the broker was frozen.
        before_mb: Memory right before.
        most_mb: Most memory seen meanwhile.
        growth_mb: Growth of the memory, medians of the first and the last tenth of the freeze compared.
        lost: Rows that the center says are neither settled nor named by a gap, afterwards.
        twice: Rows the center counts twice, afterwards.
    """

    seconds: float
    before_mb: float
    most_mb: float
    growth_mb: float
    lost: int
    twice: int


def frozen(here: Town, seconds: float) -> Frozen:
    """Freeze the broker under a working agent, thaw it, and have the center count."""
    with living_center(here), sensors(here, SENSORS):
        config = here.config(sensors=SENSORS, faster=FASTER)
        with running(gardu("run", "--config", str(config)), here.folder / "agent.log") as process:
            until(lambda: _readings(here) > 0, 30, "readings at the center")
            time.sleep(_WARM_S)
            before_mb = cost(process.pid).rss_mb
            seen: list[float] = []
            os.kill(here.broker_pid, signal.SIGSTOP)
            try:
                end_s = time.monotonic() + seconds
                while time.monotonic() < end_s:
                    time.sleep(_LOOK_S)
                    if process.poll() is not None:
                        raise RuntimeError("the agent ended while its broker was frozen")
                    seen.append(cost(process.pid).rss_mb)
            finally:
                os.kill(here.broker_pid, signal.SIGCONT)
            held = _readings(here)
            until(lambda: _readings(here) > held, _DRAIN_S, "readings after the thaw")
            until(lambda: _keeps_pace(here), _DRAIN_S, "the backlog at the center")
        lost, twice = _audit(here)
    return Frozen(
        seconds=seconds,
        before_mb=before_mb,
        most_mb=max(seen),
        growth_mb=statistics.median(seen[-max(1, len(seen) // 10) :]) - before_mb,
        lost=lost,
        twice=twice,
    )


def _readings(here: Town) -> int:
    return here.count("SELECT count(*) FROM readings")


def _keeps_pace(here: Town) -> bool:
    """Tell whether readings come to the center no faster than they are taken: the backlog is gone."""
    before = _readings(here)
    time.sleep(_PACE_S)
    return _readings(here) - before < 2 * _PACE_S * (2 * SENSORS + 2)


def _audit(here: Town) -> tuple[int, int]:
    """Return lost and twice, as the center proves them."""
    words = center("audit", "--store", f"sqlite:{here.store}", "--json")
    totals = json.loads(subprocess.run(words, check=False, capture_output=True, text=True).stdout)["totals"]
    return int(totals["lost"]), int(totals["twice"])
