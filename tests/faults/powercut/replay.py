"""Replaying: each state of a card is mounted and judged, as at the boot after a power cut."""

import contextlib
import mmap
import random
import traceback
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from agent.errors import SpoolError
from tests.faults.powercut.files import FileCuts, write_out
from tests.faults.powercut.history import History
from tests.faults.powercut.judge import Verdict, judge
from tests.faults.powercut.models import BlockCuts, Model, choose_cuts, phase_at
from tests.faults.powercut.mounts import check_ext4, loop, mount, unmount
from tests.faults.powercut.recording import SPOOL, Recorded

_STARTS = 3
"""Starts that a card gets, the file system repaired between them, before a person would be called."""

_THOROUGH = 10
"""Each so many cuts the center counts everything again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One state.

    Attributes:
        cut: Behind how many records the power went.
        phase: What was going on.
        verdict: What the next run made of it; None when no start of it came so far.
        repairs: Times that the file system was repaired.
        error: Why no start came so far.
    """

    cut: int
    phase: str
    verdict: Verdict | None
    repairs: int = 0
    error: str = ""


def replay_blocks(
    recorded: Recorded, model: Model, states: int, chance: random.Random, work: Path, *, phase: str | None = None
) -> Generator[Outcome]:
    """Yield what the next run makes of so many states of a recorded card.

    Args:
        recorded: The history.
        model: How the card behaves.
        states: How many.
        chance: Chooses cuts and what arrives.
        work: Folder for the image; best in memory.
        phase: Cut only while this goes on.

    Raises:
        OSError: from the loop device.
    """
    history = recorded.history
    cuts = BlockCuts(recorded.base, history, model, chance)
    image, folder = work / "cut.img", work / "cut"
    image.write_bytes(recorded.base)
    folder.mkdir(exist_ok=True)
    with loop(image) as device, image.open("r+b") as file, mmap.mmap(file.fileno(), 0) as card:
        for cut in choose_cuts(history, states, chance, phase=phase):
            card[:] = bytes(cuts.state(cut))
            yield _boot(device, folder, recorded, model, cut)


def _boot(device: Path, folder: Path, recorded: Recorded, model: Model, cut: int) -> Outcome:
    """Start as a Pi does: mount, and where that or the spool fails, repair the file system and start again."""
    error = ""
    repairs = 0
    for attempt in range(_STARTS):
        if attempt:
            repairs += 1
            try:
                check_ext4(device)
            except OSError as problem:
                error = str(problem)
                continue
        try:
            with _booted(device, folder, recorded.options):
                outcome = _outcome(folder / SPOOL, recorded.history, cut, model, attempt=attempt)
        except OSError as problem:
            error = f"mount: {problem}"
            continue
        if outcome.verdict is not None:
            return replace(outcome, repairs=repairs)
        error = outcome.error
    return Outcome(cut, phase_at(recorded.history, cut), None, repairs, error)


def _outcome(folder: Path, history: History, cut: int, model: Model, *, attempt: int) -> Outcome:
    phase = phase_at(history, cut)
    thorough = not cut % _THOROUGH
    try:
        verdict = judge(folder, history.said[cut], honest=model.honest, thorough=thorough, attempt=attempt)
    except (SpoolError, OSError) as problem:  # the disk refuses: a repair may help
        return Outcome(cut, phase, None, 0, f"{type(problem).__name__}: {problem}")
    except Exception as problem:  # noqa: BLE001 - whatever else a start raises is what this looks for
        where = traceback.extract_tb(problem.__traceback__)[-1]
        return Outcome(cut, phase, Verdict(wrong=[f"{type(problem).__name__} at {where.name}: {problem}"]))
    return Outcome(cut, phase, verdict)


@contextlib.contextmanager
def _booted(device: Path, folder: Path, options: str) -> Iterator[None]:
    mount(device, folder, "ext4", options)
    try:
        yield
    finally:
        unmount(folder)


def replay_files(
    history: History, model: Model, states: int, chance: random.Random, work: Path, *, phase: str | None = None
) -> Generator[Outcome]:
    """Yield what the next run makes of so many states of a folder; as ``replay_blocks``."""
    cuts = FileCuts(history, model, chance)
    folder = work / "cut-files"
    for cut in choose_cuts(history, states, chance, phase=phase):
        write_out(folder, cuts.state(cut))
        yield _outcome(folder, history, cut, model, attempt=0)
