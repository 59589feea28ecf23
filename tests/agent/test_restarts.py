from pathlib import Path

import pytest

from agent.restarts import Restarts


def begun(folder: Path) -> Restarts:
    restarts = Restarts(folder)
    restarts.begin()
    return restarts


def test_starts_are_counted_until_one_leaves_something(tmp_path: Path) -> None:
    assert [begun(tmp_path).before for _ in range(3)] == [0, 1, 2]
    begun(tmp_path).left_something()
    assert begun(tmp_path).before == 0


def test_leaving_something_is_written_once(tmp_path: Path) -> None:
    restarts = begun(tmp_path)
    restarts.left_something()
    (tmp_path / "restarts").write_text("7")
    restarts.left_something()
    assert (tmp_path / "restarts").read_text() == "7"


def test_without_a_folder_nobody_counts_and_nothing_fails(tmp_path: Path) -> None:
    restarts = begun(tmp_path / "missing")
    assert restarts.before == 0
    restarts.left_something()


def test_a_place_that_cannot_be_read_gives_no_number(tmp_path: Path) -> None:
    (tmp_path / "restarts").mkdir()
    assert begun(tmp_path).before is None


@pytest.mark.parametrize("content", [b"", b"many", b"-3"])
def test_a_damaged_count_begins_at_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "restarts").write_bytes(content)
    assert begun(tmp_path).before == 0
