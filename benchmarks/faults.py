"""What the fault campaigns found, read from their result file: only they can say what is lost or doubled."""

from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parent.parent / "tests" / "faults" / "RESULTS.md"
_COLUMNS = ("lost", "twice")


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Sums over all runs of all campaigns whose table has the columns ``lost`` and ``twice``."""

    tables: int
    lost: int
    twice: int


def faults(path: Path = RESULTS) -> Faults | None:
    """Read the file; None where it is not there or tells of neither."""
    if not path.exists():
        return None
    tables = lost = twice = 0
    at: tuple[int, int] | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            at = None
        elif set(_COLUMNS) <= set(cells):
            at = cells.index("lost"), cells.index("twice")
            tables += 1
        elif at is not None and set(cells) != {"---"}:
            lost += int(cells[at[0]].replace(",", ""))
            twice += int(cells[at[1]].replace(",", ""))
    return Faults(tables=tables, lost=lost, twice=twice) if tables else None
