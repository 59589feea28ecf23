"""300 seeded runs of 20 faults on fake clock and wire, over the real spool files, sync and center store."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.faults.results import table, write_section
from tests.faults.simulation import campaign
from tests.faults.simulation.broken import MUTATIONS, Mutation
from tests.faults.simulation.campaign import Result

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
TITLE = "Simulated runs: real spool, sync and center store on fake clock and wire"
_RUNS = 300
_SEEDS_A_MUTATION = 4
_HERE = Path(__file__).parents[3]


def _runs(*, full: bool) -> int:
    return int(os.environ.get("GARDU_RUNS") or (_RUNS if full else _RUNS // 10))


def test_runs_of_twenty_faults_lose_nothing_double_nothing_and_drain(
    campaign_seed: int,
    full: bool,  # noqa: FBT001 - a fixture
    show: Callable[[str, str], None],
    tmp_path: Path,
) -> None:
    """Seeds follow one another, so the seed that a failure prints repeats that one run."""
    began_s = time.monotonic()
    results: list[Result] = []
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for result in pool.map(campaign.run, range(campaign_seed, campaign_seed + _runs(full=full))):
            if result.wrong:
                pool.shutdown(wait=False, cancel_futures=True)
            assert not result.wrong, _told(result, tmp_path / f"{result.seed}.trace")
            results.append(result)
    rows = _rows(results)
    for what, number in rows:
        show(TITLE, f"{what}: {number}")
    if full:
        took = f"Seeds from {campaign_seed}, in {time.monotonic() - began_s:.0f} s."
        write_section(TITLE, f"{took}\n\n{table(('what', 'number'), rows)}")


def _told(result: Result, trace: Path) -> str:
    trace.write_text("\n".join(result.trace), encoding="utf-8")
    return f"{result}\ntrace: {trace}"


def _rows(results: list[Result]) -> list[tuple[str, str]]:
    faults = Counter(fault.name for result in results for fault in result.faults)
    given, promised, excused = (sum(result.rows[at] for result in results) for at in range(3))
    found: list[tuple[str, float]] = [
        ("runs", len(results)),
        ("faults", sum(faults.values())),
        ("kinds of faults", len(faults)),
        ("hours simulated", sum(result.hours for result in results)),
        ("rows given", given),
        ("rows promised: their write returned", promised),
        ("rows promised whose last copy went with rot, a restored image or backup, a box switched off", excused),
        ("rows promised and lost", 0),
        ("rows twice at the center", 0),
        ("rows at the center that nobody gave", 0),
        ("batches of history begun while an alarm waited", 0),
        ("longest time from the last fault to an empty backlog, s", max(result.drained_s for result in results)),
        ("most log lines in a run", max(result.log_lines for result in results)),
    ]
    return [(what, f"{number:.0f}") for what, number in found]


def test_a_seed_repeats_its_run_to_the_last_packet_in_another_process(campaign_seed: int) -> None:
    program = "import sys; from tests.faults.simulation import campaign; print(campaign.run(int(sys.argv[1])).digest)"
    seen = [
        subprocess.run(
            [sys.executable, "-c", program, str(campaign_seed)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=_HERE,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert seen[0] == seen[1]
    assert seen[0].strip() == campaign.run(campaign_seed).digest
    assert seen[0].strip() != campaign.run(campaign_seed + 1).digest


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_system_that_breaks_a_promise_is_found_within_a_few_seeds(name: str, chance: random.Random) -> None:
    mutation = MUTATIONS[name]
    seeds = [chance.randrange(2**32) for _ in range(_SEEDS_A_MUTATION)]
    assert any(mutation.says in line for seed in seeds for line in _broken(mutation, seed)), f"{name}: {seeds}"


def _broken(mutation: Mutation, seed: int) -> tuple[str, ...]:
    with pytest.MonkeyPatch.context() as patch:
        return campaign.run(seed, lambda world: mutation.change(patch, world), kinds=mutation.kinds).wrong
