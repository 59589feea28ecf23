"""Power cuts at the level of files: what POSIX promises, on any machine."""

import random
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.faults.powercut.conftest import Campaign
from tests.faults.powercut.models import Model
from tests.faults.powercut.recording import record_files
from tests.faults.powercut.replay import Outcome, replay_files

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]

_TITLE = "Power cuts at the level of files"
_NOTE = """\
The same three runs, recorded at their calls (create, write, fsync, truncate, rename, unlink, fsync of the folder) and
cut before and behind each: an honest card keeps what an fsync of that file, or of the folder for its names, covered,
and of everything else any part. Weaker than any one file system; needs neither root nor FUSE. Columns as above."""
_SYSTEM = "what POSIX promises"
_HISTORIES = 4


def _states(
    model: Model,
    states: int,
    chance: random.Random,
    work: Path,
    *,
    disk: str = "sound",
    phase: str | None = None,
) -> Generator[Outcome]:
    histories = _HISTORIES if states >= 100 * _HISTORIES else 1
    for at in range(histories):
        folder = work / f"history-{at}"
        folder.mkdir()
        history = record_files(folder, seed=chance.getrandbits(32), disk=disk)
        yield from replay_files(history, model, states // histories, chance, work, phase=phase)


@pytest.mark.parametrize("model", [Model.PREFIX, Model.REORDER])
def test_no_promised_row_is_lost_at_any_cut(
    *,
    work: Path,
    chance: random.Random,
    counted: Campaign,
    model: Model,
    full: bool,
) -> None:
    outcomes = _states(model, 1000 if full else 100, chance, work)
    tally = counted(_TITLE, _NOTE, outcomes, card=model, spool="sound", system=_SYSTEM)
    assert (tally.lost, tally.wrong, tally.manual) == (0, 0, 0), tally.story()
    assert tally.unclean == tally.due, tally.story()
    assert tally.knew == tally.emptied == 0, tally.story()
    assert tally.taken_over
    assert tally.in_gaps
    assert tally.damage, "no cut tore a frame"


@pytest.mark.parametrize("model", [Model.LYING, Model.ROT])
def test_files_that_were_forgotten_or_went_bad_are_never_believed_and_need_no_person(
    *,
    work: Path,
    chance: random.Random,
    counted: Campaign,
    model: Model,
    full: bool,
) -> None:
    outcomes = _states(model, 400 if full else 40, chance, work)
    tally = counted(_TITLE, _NOTE, outcomes, card=model, spool="sound", system=_SYSTEM)
    assert (tally.wrong, tally.manual) == (0, 0), tally.story()
    assert tally.unclean == tally.due, tally.story()
    assert tally.told == tally.knew, tally.story()
    assert tally.lost


def test_a_spool_that_skips_its_syncs_is_caught(
    *,
    work: Path,
    chance: random.Random,
    counted: Campaign,
    full: bool,
) -> None:
    states = 200 if full else 20
    outcomes = _states(Model.REORDER, states, chance, work, disk="skips syncs")
    tally = counted(_TITLE, _NOTE, outcomes, card=Model.REORDER, spool="skips its syncs", system=_SYSTEM)
    assert tally.losing > states // 4, tally.story()


def test_a_spool_that_removes_segments_before_their_gap_is_synced_is_caught(
    *,
    work: Path,
    chance: random.Random,
    counted: Campaign,
    full: bool,
) -> None:
    spool = "removes before the gap is synced"
    outcomes = _states(Model.REORDER, 400 if full else 200, chance, work, disk="removes first", phase="making room")
    tally = counted(_TITLE, _NOTE, outcomes, card=Model.REORDER, spool=spool, system=_SYSTEM)
    assert tally.losing
    assert tally.manual == 0, tally.story()
