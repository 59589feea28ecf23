"""What people may say in a note, and how it is kept while no agent runs: whole, once, whatever breaks."""

import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import note_drop
from agent.note_drop import NoteDrop
from agent.notes import BY_BYTES, LINE_BYTES, TEXT_BYTES, NoteError, checked, read
from agent.wire.records import Note, Work

NOTE = Note(work=Work.CLEAN, by="asep", sensor="air", text="inlet brushed", id=b"i" * 16)


# -- what may be said -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"id": None}, "no id"),
        ({"id": b"short"}, "no id"),
        ({"sensor": "../air"}, "no name of a sensor"),
        ({"sensor": None, "text": ""}, "says nothing"),
        ({"text": "x" * (TEXT_BYTES + 1)}, "501 bytes, at most 500"),
        ({"text": "é" * 251}, "502 bytes"),
        ({"text": "two\nlines"}, "cannot be shown"),
        ({"text": "\x1b[31mred"}, "cannot be shown"),
        ({"text": "turned \u202e round"}, "cannot be shown"),
        ({"by": "a" * (BY_BYTES + 1)}, "65 bytes"),
        ({"by": "as\0ep"}, "cannot be shown"),
        ({"by": " "}, "nobody says"),
    ],
)
def test_a_note_that_may_not_be_kept_says_why(changes: dict[str, object], told: str) -> None:
    with pytest.raises(NoteError, match=told):
        checked(replace(NOTE, **changes))  # type: ignore[arg-type]  # fields of Note


@pytest.mark.parametrize(
    "note",
    [
        NOTE,
        replace(NOTE, text=""),
        replace(NOTE, sensor=None),
        replace(NOTE, at_utc_ms=5),
        replace(NOTE, text="é" * 250),
    ],
)
def test_a_note_comes_out_of_its_line_as_it_went_in(note: Note) -> None:
    assert read(note.encode()) == note


def test_the_longest_note_fits_into_a_line() -> None:
    worst = replace(NOTE, text='"' * TEXT_BYTES, by='"' * BY_BYTES, sensor="s" * 32, at_utc_ms=2**53 - 1)
    assert len(checked(worst).encode()) < LINE_BYTES


@given(st.binary(max_size=80))
def test_any_other_line_is_refused(line: bytes) -> None:
    with pytest.raises(NoteError):
        read(line)


# -- the folder -------------------------------------------------------------------------------------------------------


@pytest.fixture
def drop(tmp_path: Path) -> NoteDrop:
    return NoteDrop(tmp_path / "notes")


def test_notes_wait_in_their_order_and_leave_one_by_one(drop: NoteDrop) -> None:
    notes = [replace(NOTE, id=bytes([9 - n]) * 16) for n in range(3)]
    for number, note in enumerate(notes):
        os.utime(drop.keep(note), ns=(number, number))
    assert [note for _, note in drop.waiting()] == notes
    assert drop.forget(drop.waiting()[0][0])
    assert [note for _, note in drop.waiting()] == notes[1:]


def test_only_the_owner_reads_what_waits_whatever_the_umask_says(drop: NoteDrop) -> None:
    before = os.umask(0o777)
    try:
        path = drop.keep(NOTE)
    finally:
        os.umask(before)
    assert (path.stat().st_mode & 0o777, drop.folder.stat().st_mode & 0o777) == (0o600, 0o700)


def test_what_root_leaves_belongs_to_the_owner_of_the_folder_above(drop: NoteDrop) -> None:
    owner = (1234, 1235) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(drop.folder.parent, *owner)
    path = drop.keep(NOTE)
    assert [(one.stat().st_uid, one.stat().st_gid) for one in (drop.folder, path)] == [owner] * 2


@pytest.mark.parametrize("step", ["open", "fchmod", "fsync", "replace", "sync"])
def test_a_disk_that_refuses_leaves_a_whole_note_or_none(
    drop: NoteDrop, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    drop.keep(replace(NOTE, id=b"a" * 16))

    def refuse(*_args: object, **_more: object) -> int:
        raise OSError(28, "No space left on device")

    target = {"replace": (Path, "replace"), "sync": (note_drop, "_sync")}.get(step, (os, step))
    with monkeypatch.context() as bent:
        bent.setattr(*target, refuse)
        with pytest.raises(OSError, match="No space"):
            drop.keep(NOTE)
    assert {note.id for _, note in drop.waiting()} <= {b"a" * 16, NOTE.id}
    assert not list(drop.folder.glob("*.new"))


def test_half_a_note_of_a_power_cut_is_no_note(drop: NoteDrop) -> None:
    path = drop.keep(NOTE)
    path.with_suffix(".new").write_bytes(b'{"by"')
    assert [note for _, note in drop.waiting()] == [NOTE]


def test_what_is_no_note_is_set_aside_and_told_once(drop: NoteDrop, caplog: pytest.LogCaptureFixture) -> None:
    drop.keep(NOTE).write_bytes(b"rubbish")
    with caplog.at_level(logging.WARNING):
        assert drop.waiting() == drop.waiting() == []
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["note set aside"]
    assert [path.suffix for path in drop.folder.iterdir()] == [".bad"]


def test_a_link_is_no_note(drop: NoteDrop, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(NOTE.encode())
    drop.keep(replace(NOTE, id=b"a" * 16))
    (drop.folder / "b.note").symlink_to(tmp_path / "elsewhere")
    assert len(drop.waiting()) == 1


def test_the_folder_never_grows_without_bound(drop: NoteDrop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(note_drop, "MOST", 2)
    for number in range(2):
        drop.keep(replace(NOTE, id=bytes([number]) * 16))
    with pytest.raises(NoteError, match="start the agent"):
        drop.keep(NOTE)


def test_a_note_that_cannot_be_read_now_stays(
    drop: NoteDrop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    drop.keep(NOTE)

    def refuse(*_args: object, **_more: object) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as bent:
        bent.setattr(Path, "open", refuse)
        assert drop.waiting() == []
    assert "Input/output error" in caplog.text
    assert len(drop.waiting()) == 1


def test_without_a_folder_nothing_waits(drop: NoteDrop) -> None:
    assert drop.waiting() == []


def test_a_file_that_cannot_leave_is_no_error(drop: NoteDrop, tmp_path: Path) -> None:
    assert not drop.forget(tmp_path / "missing/one.note")
