from pathlib import Path

from tests.faults.results import write_rows, write_section


def test_a_section_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    write_section("b", "old", path=path)
    write_section("a", "first\n\n### part", path=path)
    write_section("b", "new", path=path)
    text = path.read_text(encoding="utf-8")
    assert "old" not in text
    assert text.index("## a") < text.index("### part") < text.index("## b") < text.index("new")


def test_rows_of_a_table_are_kept_until_the_same_one_is_measured_anew(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    columns = ("card", "states", "lost")
    write_rows("cuts", "note", columns, [["reorder", "10", "3"]], keys=1, path=path)
    write_rows("cuts", "note", columns, [["prefix", "10", "0"], ["reorder", "20", "0"]], keys=1, path=path)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert lines[2:] == ["| prefix | 10 | 0 |", "| reorder | 20 | 0 |"]


def test_a_table_with_other_columns_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    write_rows("cuts", "note", ("card", "states"), [["reorder", "10"]], keys=1, path=path)
    write_rows("cuts", "note", ("card", "lost"), [["prefix", "0"]], keys=1, path=path)
    assert "reorder" not in path.read_text(encoding="utf-8")
