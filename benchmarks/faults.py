"""What the fault campaigns found, read from their result file: only they can say what is lost or doubled."""

import re
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parent.parent / "tests" / "faults" / "RESULTS.md"
_RUN = re.compile(r"\blost (\d+), twice (\d+)")
_SIMULATED = re.compile(
    r"^\| rows promised and lost \| (\d+) \|$.*?^\| rows twice at the center \| (\d+) \|$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Sums over all campaigns that count both: runs of real processes, and the simulated ones as one."""

    campaigns: int
    lost: int
    twice: int


def faults(path: Path = RESULTS) -> Faults | None:
    """Read the file; None where it is not there or tells of neither."""
    if not path.exists():
        return None
    text = path.read_text(encoding="utf-8")
    found = [(int(lost), int(twice)) for one in (_RUN, _SIMULATED) for lost, twice in one.findall(text)]
    if not found:
        return None
    return Faults(campaigns=len(found), lost=sum(one[0] for one in found), twice=sum(one[1] for one in found))
