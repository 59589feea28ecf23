"""A card that rots: whatever happens to old bytes, the next start comes up and the record says what is missing."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.spool.frames import FrameKind, parse_name
from agent.wire.batch import Stream
from tests.agent.spool.rig import ALARM, TELEMETRY, Audit, Rig, collect, run_id, scan


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """Three runs over many segments: one that lost power with rows unsealed, one that took them over, one closed."""
    rig = Rig(tmp_path_factory.mktemp("damage") / "spool")
    for turn in range(30):
        rig.commit(17, 2 if turn % 3 == 0 else 0, seal=[ALARM])
    rig.commit(9, 1)
    rig.restart()
    for turn in range(25):
        rig.commit(15, 1 if turn % 4 == 0 else 0, seal=Stream if turn % 5 == 0 else ())
    rig.commit(4, 1)
    rig.restart()
    for _ in range(15):
        rig.commit(12, 1)
    rig.close()
    return rig


@pytest.fixture
def rig(old: Rig, tmp_path: Path) -> Rig:
    return old.fork(tmp_path / "spool")


def comes_up(rig: Rig) -> Audit:
    """Start, take a row of each stream, and hold everything against the truth; the start after it finds no more."""
    rig.start()
    rig.commit(1, 1)
    found = rig.audit(lossless=False)
    rig.restart()
    rig.commit(1, 1)
    again = rig.audit(lossless=False)
    assert len(again.gaps) == len(found.gaps), "the same damage is told twice"
    return again


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x55
    path.write_bytes(data)


def offsets(path: Path, *kinds: FrameKind) -> Iterator[int]:
    return (frame.offset for frame in scan(path).frames if frame.kind in kinds)


def safe_bytes(rig: Rig, path: Path) -> int:
    """Return how many bytes of a segment may rot without looking like a torn tail of the newest run."""
    name = parse_name(path.name)
    assert name is not None
    found = scan(path)
    newest = path == rig.segments(name.stream)[-1]
    return found.frames[-1].offset if newest else found.end


def test_nothing_wrong_leaves_no_gap(rig: Rig) -> None:
    assert not comes_up(rig).gaps


@pytest.mark.parametrize("stream", list(Stream))
def test_one_bad_byte_in_any_frame_is_stepped_over(old: Rig, tmp_path: Path, stream: Stream) -> None:
    for number, path in enumerate(old.segments(stream)[:-1:2]):
        for at in [*offsets(path, *FrameKind)][::3]:
            rig = old.fork(tmp_path / f"{number}-{at}")
            flip(rig.folder / path.name, at + 10)
            found = comes_up(rig)
            start = found.starts[run_id(4), TELEMETRY]
            assert start.damaged_frames + start.torn_bytes > 0


def test_a_bad_batch_whose_rows_survive_is_sealed_again(rig: Rig) -> None:
    for path in rig.segments(TELEMETRY):
        rows = [*offsets(path, FrameKind.ROWS)]
        batches = [at for at in offsets(path, FrameKind.BATCH) if rows and at > rows[0]]
        if len(batches) > 1 and parse_name(path.name).run == run_id(2):  # type: ignore[union-attr]  # it is a segment
            flip(path, batches[1] + 20)
            break
    found = comes_up(rig)
    taken = [batch for batch in found.of((run_id(4), TELEMETRY)) if batch.header.origin == run_id(2)]
    assert sum(batch.header.count for batch in taken) > 4
    assert any(gap.reason == "damaged" and gap.chains for _, gap in found.gaps)


def test_a_bad_batch_of_rows_that_were_taken_over_is_sealed_again_under_the_first_origin(rig: Rig) -> None:
    path = next(path for path in rig.segments(TELEMETRY) if run_id(2).hex() in path.name)
    flip(path, [*offsets(path, FrameKind.BATCH)][1] + 30)
    found = comes_up(rig)
    taken = [batch for batch in found.of((run_id(4), TELEMETRY)) if batch.header.origin == run_id(1)]
    assert sum(batch.header.count for batch in taken) > 0
    assert found.in_batches[run_id(1), TELEMETRY].total() == 30 * 17 + 9


def test_rows_taken_over_from_a_run_that_is_gone_and_then_lost_are_in_a_gap(rig: Rig) -> None:
    path = next(path for path in rig.segments(TELEMETRY) if run_id(2).hex() in path.name)
    flip(path, [*offsets(path, FrameKind.BATCH)][1] + 30)
    for one in rig.segments(TELEMETRY):
        if run_id(1).hex() in one.name:
            one.unlink()
    rig.start()
    rig.commit(1)
    found = collect(rig.folder)
    lost = [span for _, gap in found.gaps for span in gap.rows if span.origin == run_id(1)]
    assert lost == list(found.starts[run_id(2), TELEMETRY].taken_over)


@pytest.mark.parametrize("number", [1, 3])
def test_a_segment_that_vanished_from_the_middle_is_in_a_gap(rig: Rig, number: int) -> None:
    rig.segments(TELEMETRY)[number].unlink()
    found = comes_up(rig)
    assert any(gap.chains and gap.reason == "damaged" for _, gap in found.gaps)


def test_the_last_segment_of_an_old_run_that_vanished_is_known_from_the_start_behind_it(rig: Rig) -> None:
    [path for path in rig.segments(TELEMETRY) if run_id(1).hex() in path.name][-1].unlink()
    found = comes_up(rig)
    assert any(gap.chains for _, gap in found.gaps)


def test_a_batch_lost_at_the_end_of_a_segment_is_known_from_the_head_behind_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "spool")
    rig.commit(1, seal=[TELEMETRY])
    before = 0
    while before < 2 or len(rig.segments()) == before:  # until rows, and no batch, begin a segment
        rig.commit(1, seal=[TELEMETRY])
        before = len(rig.segments())
        rig.commit(19)
    end = rig.spool.held()[0].last
    rig.crash()
    path = rig.segments()[-2]
    flip(path, [*offsets(path, FrameKind.BATCH)][-1] + 30)
    found = comes_up(rig)
    previous = found.starts[run_id(2), TELEMETRY].previous
    assert previous is not None
    assert previous.telemetry.n == end


def test_a_damaged_head_is_rebuilt(old: Rig, tmp_path: Path) -> None:
    for number, path in enumerate(old.segments()):
        rig = old.fork(tmp_path / str(number))
        flip(rig.folder / path.name, 12)
        comes_up(rig)


def test_a_segment_whose_first_half_is_zeroed_tells_all_that_stood_there(old: Rig, tmp_path: Path) -> None:
    for number, path in enumerate(old.segments()):
        rig = old.fork(tmp_path / str(number))
        data = bytearray(path.read_bytes())
        half = min(safe_bytes(old, path), len(data) // 2)
        data[:half] = bytes(half)
        (rig.folder / path.name).write_bytes(data)
        comes_up(rig)


def test_an_old_segment_that_was_cut_short_tells_what_is_missing(old: Rig, tmp_path: Path) -> None:
    for number, path in enumerate(old.segments(TELEMETRY)[:-1]):
        rig = old.fork(tmp_path / str(number))
        (rig.folder / path.name).write_bytes(path.read_bytes()[: path.stat().st_size // 3])
        comes_up(rig)


_ROT = st.tuples(st.integers(0, 2**32), st.integers(0, 2**32), st.sampled_from([1, 4, 64, 512]), st.booleans())


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(_ROT, min_size=1, max_size=5))
@example(
    places=[(357693979, 2967, 512, False), (24402492, 287, 1, False), (1610, 162, 1, False)]
)  # an end and its heirs
def test_any_rot_in_any_place_is_survived_and_told(old: Rig, places: list[tuple[int, int, int, bool]]) -> None:
    segments = old.segments()
    with tempfile.TemporaryDirectory() as folder:
        rig = old.fork(Path(folder) / "spool")
        for which, where, length, zero in places:
            path = segments[which % len(segments)]
            most = safe_bytes(old, path)
            at = where % most
            end = min(at + length, most)
            content = bytearray((rig.folder / path.name).read_bytes())
            content[at:end] = bytes(end - at) if zero else bytes(b ^ 0xA5 for b in content[at:end])
            (rig.folder / path.name).write_bytes(content)
        comes_up(rig)


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_folder_full_of_rubbish_does_not_stop_a_start(old: Rig, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rig = old.fork(Path(folder) / "spool")
        for path in rig.segments():
            kind = data.draw(st.sampled_from(["keep", "empty", "rubbish", "gone"]), label=path.name)
            if kind == "empty":
                path.write_bytes(b"")
            elif kind == "rubbish":
                path.write_bytes(data.draw(st.binary(max_size=300)))
            elif kind == "gone":
                path.unlink()
        rig.start()
        rig.commit(1, 1)
        rig.restart()
        rig.commit(1, 1)
        shutil.rmtree(rig.folder)
