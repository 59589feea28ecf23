from pathlib import Path

import pytest

from agent.demo.errors import Impossible
from agent.demo.folders import folders


def test_nothing_stays_behind() -> None:
    with folders(None) as made:
        (made.kept / "file").write_text("x", "utf-8")
        (made.short / "file").write_text("x", "utf-8")
    assert not made.kept.exists()
    assert not made.short.exists()


def test_a_kept_folder_stays_and_only_its_owner_looks_in(tmp_path: Path) -> None:
    with folders(tmp_path / "new" / "folder") as made:
        (made.kept / "file").write_text("x", "utf-8")
    assert (tmp_path / "new" / "folder" / "file").read_text("utf-8") == "x"
    assert made.kept.stat().st_mode & 0o077 == 0
    assert not made.short.exists()


def test_a_folder_with_something_in_it_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x", "utf-8")
    with pytest.raises(Impossible, match="not empty"), folders(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", "utf-8")
    with pytest.raises(Impossible, match="file"), folders(tmp_path / "file" / "below"):
        pass


def test_sockets_have_room_even_where_temporary_folders_have_long_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with folders(None) as made:
        assert made.kept.is_relative_to(long)
        assert len(str(made.short / "readings.sock")) < 100
