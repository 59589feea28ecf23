"""Frames are bound to their segment: in a file system that was repaired, those of another one are damage."""

import errno
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from agent.spool import frames
from agent.spool.frames import Frame, FrameKind, Name, parse_name
from agent.spool.shelf import Ref
from agent.wire.batch import Kind, Stream
from tests.agent.spool.rig import ALARM, TELEMETRY, Rig, run_id, scan
from tests.agent.spool.test_full import NOTE, TIGHT, fill

OTHERS: dict[str, Callable[[Name], Name]] = {
    "other stream": lambda name: replace(name, stream=ALARM if name.stream is TELEMETRY else TELEMETRY),
    "other run": lambda name: replace(name, run=run_id(2 if name.run == run_id(1) else 1)),
    "other counter": lambda name: replace(name, counter=name.counter + 1),
    "other first row": lambda name: replace(name, seq0=name.seq0 + 1),
}
"""The segment whose frame gets into one: how little its name may differ."""


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """Two runs with every kind of frame on disk; the second one lost power with rows unsealed."""
    rig = Rig(tmp_path_factory.mktemp("binding") / "spool", settings=TIGHT)
    for _ in range(2):
        rig.commit(7, 3)
        rig.record(Kind.NOTE, NOTE, TELEMETRY)
        rig.commit(20, 2, seal=Stream)
        rig.settle((rig.run, ALARM))
        fill(rig, 150)
        rig.close()
        rig.start()
    for _ in range(60):
        rig.commit(9, 1)
    rig.settle((rig.run, TELEMETRY), 3)
    rig.commit(9, 1)
    rig.audit(lossless=False)
    rig.crash()
    return rig


def named(path: Path) -> Name:
    name = parse_name(path.name)
    assert name is not None
    return name


def size_of(frame: Frame) -> int:
    return frames.HEADER_BYTES + len(frame.body)


def bodies(rig: Rig) -> dict[int, bytes]:
    """Return what a frame of each kind says."""
    return {frame.kind: frame.body for path in rig.segments() for frame in scan(path).frames}


def in_the_middle(rig: Rig) -> Path:
    """Return a segment of the newest run with rows and batches, neither its first nor its last."""
    return [path for path in rig.segments(TELEMETRY) if named(path).run == rig.run][1]


def foreign(rig: Rig, path: Path, how: str) -> Iterator[bytes]:
    """Yield a frame of each kind as another segment holds it."""
    other = OTHERS[how](named(path))
    for kind, body in sorted(bodies(rig).items()):
        yield frames.bind(other, [frames.encode(FrameKind(kind), body)])


def test_the_crc_goes_over_the_name_of_the_file_and_all_of_the_frame_behind_it() -> None:
    name = Name(counter=7, run=run_id(3), stream=ALARM, seq0=5)
    behind = b"\x02\x00\x00\x00\x06hi"
    text = f"0000000007-{3:032x}-alarm-0000000000000005.seg"
    frame = zlib.crc32(text.encode() + behind).to_bytes(4, "little") + behind
    assert frames.bind(name, [frames.encode(FrameKind.END, b"hi")]) == frame
    assert frames.frame_at(name, frame) == Frame(FrameKind.END, b"hi", 0)
    assert frames.frame_at(name, zlib.crc32(behind).to_bytes(4, "little") + behind) is None


def test_every_kind_of_frame_is_tried(old: Rig) -> None:
    assert bodies(old).keys() == set(FrameKind)


@pytest.mark.parametrize("how", OTHERS)
def test_a_frame_of_another_segment_that_got_between_two_is_damage(old: Rig, how: str) -> None:
    path = in_the_middle(old)
    name, data, found = named(path), path.read_bytes(), scan(path)
    whole = [(frame.kind, frame.body) for frame in found.frames]
    for strange in foreign(old, path, how):
        for at in [*(frame.offset for frame in found.frames), found.end]:
            mixed = frames.scan(name, data[:at] + strange + data[at:])
            assert [(frame.kind, frame.body) for frame in mixed.frames] == whole
            torn = at == found.end
            assert (mixed.damaged, mixed.torn_bytes) == ((0, len(strange)) if torn else (1, 0))


@pytest.mark.parametrize("how", OTHERS)
def test_a_frame_of_another_segment_that_was_written_over_some_costs_these_and_no_more(old: Rig, how: str) -> None:
    path = in_the_middle(old)
    name, data, found = named(path), path.read_bytes(), scan(path)
    for strange in foreign(old, path, how):
        for at in range(0, len(data) - len(strange), 7):
            end = at + len(strange)
            left = [one for one in found.frames if one.offset >= end or one.offset + size_of(one) <= at]
            assert list(frames.scan(name, data[:at] + strange + data[end:]).frames) == left


def test_no_segment_is_read_under_the_name_of_another_one(old: Rig) -> None:
    for path, other in permutations(old.segments(), 2):
        assert not frames.scan(named(path), other.read_bytes()).frames


@pytest.mark.parametrize("how", OTHERS)
def test_a_start_takes_nothing_from_the_frames_of_another_segment(old: Rig, tmp_path: Path, how: str) -> None:
    clean, mixed = old.fork(tmp_path / "clean"), old.fork(tmp_path / "mixed")
    clean.settings = mixed.settings = replace(TIGHT, telemetry_cap=2**20, alarm_cap=2**20)  # nothing has to leave
    for path in old.segments():
        data, strange = path.read_bytes(), b"".join(foreign(old, path, how))
        cuts = [frame.offset for frame in scan(path).frames]
        pieces = [data[at:end] for at, end in zip(cuts, [*cuts[1:], len(data)], strict=True)]
        (mixed.folder / path.name).write_bytes(strange + strange.join(pieces) + strange)
    for rig in (clean, mixed):
        rig.start()
    assert mixed.spool.held() == clean.spool.held()
    for rig in (clean, mixed):
        rig.commit(1, 1)
    found, wanted = mixed.audit(lossless=False), clean.audit(lossless=False)
    start, clean_start = found.starts[mixed.run, TELEMETRY], wanted.starts[clean.run, TELEMETRY]
    assert start.damaged_frames > clean_start.damaged_frames == 0
    assert (start.taken_over, start.previous) == (clean_start.taken_over, clean_start.previous)
    assert found.in_batches == wanted.in_batches
    assert len(found.gaps) == len(wanted.gaps)


def test_a_batch_of_another_segment_in_the_place_of_one_is_not_given_away(old: Rig, tmp_path: Path) -> None:
    rig = old.fork(tmp_path / "spool")
    rig.start()
    path, other = rig.segments(TELEMETRY)[-3:-1]
    mine, its = ([one for one in scan(where).frames if one.kind == FrameKind.BATCH] for where in (path, other))
    data, strange = path.read_bytes(), other.read_bytes()[its[0].offset :][: size_of(its[0])]
    at = mine[0].offset
    path.write_bytes(data[:at] + strange + data[at + len(strange) :])
    ref = Ref(run=named(path).run, stream=TELEMETRY, n=frames.batch_facts(mine[0].body).n)
    assert rig.spool.read(ref) is None


def test_old_frames_in_the_space_that_was_reserved_are_never_taken(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "spool")
    rig.commit(20, seal=[TELEMETRY])
    for _ in range(30):
        rig.commit(4)
    rig.restart()
    rig.commit(4)
    (rig.folder / "telemetry.reserve").write_bytes(rig.segments(TELEMETRY)[0].read_bytes())
    rig.card.error, appended = errno.ENOSPC, rig.card.calls["append"]
    rig.card.fails = lambda call: call == "append" and rig.card.calls[call] == appended + 1
    rig.commit(4)
    assert rig.card.calls["create_reserved"] == 1
    rig.crash(lambda most: most)
    rig.start()
    rig.commit(1)
    assert rig.audit().starts[rig.run, TELEMETRY].damaged_frames == 1
