"""Power cuts under a real file system: what no honest card may lose, and what a lying one may not make us say."""

import random
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.faults.powercut import mounts
from tests.faults.powercut.conftest import Campaign
from tests.faults.powercut.files import whole
from tests.faults.powercut.history import BlockWrite, Flush, Note, rows_of
from tests.faults.powercut.models import Model
from tests.faults.powercut.recording import SPOOL, Recorded, record_blocks
from tests.faults.powercut.replay import Outcome, replay_blocks
from tests.faults.results import write_section

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]

_TITLE = "Power cuts under a file system"
_NOTE = """\
Three runs of the real spool on an ext4 (4 KiB blocks, 4 MiB journal) whose every block write and flush was recorded
through FUSE; then so many states of the card, each mounted, opened by the next run of the spool and audited by row.
`prefix` and `reorder` are honest cards, `lying` forgets any of the last 64 writes although it was flushed, `rot` loses
one sector later. "wrong" counts states with a row that was never given, a batch with two contents, a start record that
does not say what is there, or an exception. Spools with a deliberate fault show that the test can fail."""
_DEFAULT, _WRITEBACK = "", "data=writeback"
_HISTORIES = 4


@pytest.fixture
def recording(
    *,
    work: Path,
    chance: random.Random,
    say_loudly: Callable[[str], None],
    full: bool,
) -> Callable[[str, str], Recorded]:
    """Record a history; where that cannot be done, say so for everybody to read."""
    lacks = mounts.missing()
    if lacks is not None:
        text = f"power cuts under a file system: {lacks}; the cuts at the level of files ran"
        say_loudly(text)
        if full:
            write_section(_TITLE, f"**Not run on this machine**: {lacks}.")
        pytest.skip(text)

    def record(disk: str, options: str) -> Recorded:
        folder = work / f"history-{chance.getrandbits(32):08x}"
        folder.mkdir()
        try:
            return record_blocks(folder, seed=chance.getrandbits(32), disk=disk, options=options)
        except subprocess.CalledProcessError as error:
            pytest.fail(f"the workload ended with {error.returncode}: {error.stderr[-2000:]}")

    return record


def _states(
    record: Callable[[str, str], Recorded],
    model: Model,
    states: int,
    chance: random.Random,
    work: Path,
    *,
    disk: str = "sound",
    options: str = _DEFAULT,
    phase: str | None = None,
) -> Generator[Outcome]:
    """Yield outcomes over several histories; few states need only one."""
    histories = _HISTORIES if states >= 100 * _HISTORIES else 1
    for _ in range(histories):
        recorded = record(disk, options)
        yield from replay_blocks(recorded, model, states // histories, chance, work, phase=phase)


@pytest.mark.parametrize(
    ("model", "options", "states"),
    [
        (Model.PREFIX, _DEFAULT, 1000),
        (Model.REORDER, _DEFAULT, 1000),
        (Model.PREFIX, _WRITEBACK, 400),
        (Model.REORDER, _WRITEBACK, 400),
    ],
)
def test_an_honest_card_loses_no_promised_row_at_any_cut(
    *,
    recording: Callable[[str, str], Recorded],
    work: Path,
    chance: random.Random,
    counted: Campaign,
    model: Model,
    options: str,
    states: int,
    full: bool,
) -> None:
    outcomes = _states(recording, model, states if full else states // 10, chance, work, options=options)
    system = f"ext4 {options}".strip()
    tally = counted(_TITLE, _NOTE, outcomes, card=model, spool="sound", system=system)
    assert (tally.lost, tally.wrong, tally.manual) == (0, 0, 0), tally.story()
    assert tally.unclean == tally.due, tally.story()
    assert tally.knew == tally.emptied == 0, tally.story()
    assert tally.taken_over, "no cut left rows to take over"
    assert tally.in_gaps, "no cut came after the cap was reached"
    assert set(tally.phases) == {"starting", "taking", "making room", "taking over", "closing"}


@pytest.mark.parametrize("model", [Model.LYING, Model.ROT])
def test_a_card_that_lies_or_rots_is_never_believed_and_needs_no_person(
    *,
    recording: Callable[[str, str], Recorded],
    work: Path,
    chance: random.Random,
    counted: Campaign,
    model: Model,
    full: bool,
) -> None:
    outcomes = _states(recording, model, 400 if full else 40, chance, work)
    tally = counted(_TITLE, _NOTE, outcomes, card=model, spool="sound", system="ext4")
    assert (tally.wrong, tally.manual) == (0, 0), tally.story()
    assert tally.unclean == tally.due, tally.story()
    assert tally.told == tally.knew, tally.story()
    assert tally.lost, "the card kept all: it did not misbehave"


@pytest.mark.parametrize("model", [Model.PREFIX, Model.REORDER])
def test_a_spool_that_skips_its_syncs_is_caught(
    *,
    recording: Callable[[str, str], Recorded],
    work: Path,
    chance: random.Random,
    counted: Campaign,
    model: Model,
    full: bool,
) -> None:
    states = 200 if full else 20
    outcomes = _states(recording, model, states, chance, work, disk="skips syncs")
    tally = counted(_TITLE, _NOTE, outcomes, card=model, spool="skips its syncs", system="ext4")
    assert tally.losing > states // 4, tally.story()


@pytest.mark.parametrize("model", [Model.PREFIX, Model.REORDER])
def test_a_spool_that_removes_segments_before_their_gap_is_synced_is_caught(
    *,
    recording: Callable[[str, str], Recorded],
    work: Path,
    chance: random.Random,
    counted: Campaign,
    model: Model,
    full: bool,
) -> None:
    states = 400 if full else 200
    outcomes = _states(recording, model, states, chance, work, disk="removes first", phase="making room")
    tally = counted(_TITLE, _NOTE, outcomes, card=model, spool="removes before the gap is synced", system="ext4")
    assert tally.losing
    assert tally.manual == 0, tally.story()


def test_every_promise_stands_behind_a_flush_that_reached_the_card(
    recording: Callable[[str, str], Recorded],
) -> None:
    history = recording("sound", _DEFAULT).history
    flushed, durable = False, history.said[0].durable
    promises = 0
    for record in history.records:
        if isinstance(record, Note):
            rows = rows_of(record.durable)
            if rows != durable:
                assert flushed, f"rows promised {record.phase} without a flush"
                promises += 1
            flushed, durable = False, rows
        elif isinstance(record, Flush):
            flushed = True
        elif isinstance(record, BlockWrite):
            flushed = False
    assert promises > 100


def test_a_recorded_history_gives_the_files_that_were_written(
    recording: Callable[[str, str], Recorded], work: Path
) -> None:
    recorded = recording("sound", _DEFAULT)
    image, folder = work / "whole.img", work / "whole"
    image.write_bytes(recorded.base)
    with image.open("r+b") as file:
        for record in recorded.history.records:
            if isinstance(record, BlockWrite):
                file.seek(record.offset)
                file.write(record.data)
    folder.mkdir()
    with mounts.loop(image) as device, mounts.mounted(device, folder):
        found = {path.name: path.read_bytes() for path in (folder / SPOOL).iterdir()}
    assert found == whole(recorded.history)
