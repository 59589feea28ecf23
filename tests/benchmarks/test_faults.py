"""What is lost or doubled stands in the result file of the fault campaigns, and nowhere else."""

from pathlib import Path

from benchmarks.faults import Faults, faults

_TEXT = """# Results

## Cuts

| model | states | lost | twice |
| --- | --- | --- | --- |
| honest | 1 000 | 0 | 0 |
| lying | 1 000 | 1,204 | 0 |

| readings | note |
| --- | --- |
| lost | not a column |

## Links

| fault | twice | lost |
| --- | --- | --- |
| half-open | 3 | 1 |
"""


def test_lost_and_twice_are_summed_over_every_table_that_has_both(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text(_TEXT)
    assert faults(path) == Faults(tables=2, lost=1205, twice=3)


def test_without_a_result_file_nothing_is_claimed(tmp_path: Path) -> None:
    assert faults(tmp_path / "RESULTS.md") is None


def test_a_result_file_that_counts_neither_claims_nothing(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text("# Results\n\nAll well.\n")
    assert faults(path) is None
