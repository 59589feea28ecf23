import contextlib
import logging
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.faults.powercut.models import Model
from tests.faults.powercut.replay import Outcome
from tests.faults.powercut.tally import COLUMNS, KEYS, Tally
from tests.faults.results import write_rows

_MEMORY = Path("/dev/shm")  # noqa: S108 - images in memory, each in a folder of its own

Campaign = Callable[..., Tally]


@pytest.fixture
def work() -> Iterator[Path]:
    """A folder in memory where there is one: a card is written anew for every state."""
    with tempfile.TemporaryDirectory(prefix="gardu-powercut-", dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def counted(
    *,
    campaign_seed: int,
    show: Callable[[str, str], None],
    caplog: pytest.LogCaptureFixture,
    full: bool,
) -> Campaign:
    """Count outcomes, show their row at the end of the run, and keep it in RESULTS.md when all is run."""

    def count(title: str, note: str, outcomes: Generator[Outcome], *, card: Model, spool: str, system: str) -> Tally:
        began = time.monotonic()
        quiet = caplog.at_level(logging.CRITICAL)  # each state's spool would tell of its own damage
        with contextlib.closing(outcomes), quiet:
            tally = Tally.of(outcomes)
        row = tally.row(card, spool, system, seconds=time.monotonic() - began, seed=campaign_seed)
        show(title, "; ".join(f"{name}: {cell}" for name, cell in zip(COLUMNS, row, strict=True)))
        if full:
            write_rows(title, note, COLUMNS, [row], keys=KEYS)
        return tally

    return count
