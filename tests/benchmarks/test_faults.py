"""What is lost or doubled stands in the result file of the fault campaigns, and nowhere else."""

from pathlib import Path

from benchmarks.faults import Faults, faults

_TEXT = """# Results

## Real processes

| what | result |
| --- | --- |
| campaign, run 1 | 20 faults in 32 s, lost 3, twice 0, alarms first |
| card dead | 1500 rows, lost 0, twice 2 |
| card slow | 878 rows, lost 9 |

## Simulated runs

| what | number |
| --- | --- |
| rows promised | 70 |
| rows promised and lost | 1 |
| rows twice at the center | 4 |
"""


def test_lost_and_twice_are_summed_over_every_campaign_that_counts_both(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text(_TEXT)
    assert faults(path) == Faults(campaigns=3, lost=4, twice=6)


def test_the_committed_results_are_understood() -> None:
    found = faults()
    assert found is not None
    assert found.campaigns > 10
    assert (found.lost, found.twice) == (0, 0)


def test_without_a_result_file_nothing_is_claimed(tmp_path: Path) -> None:
    assert faults(tmp_path / "RESULTS.md") is None


def test_a_result_file_that_counts_neither_claims_nothing(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text("# Results\n\nAll well.\n")
    assert faults(path) is None
