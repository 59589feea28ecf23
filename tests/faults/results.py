"""The writer of RESULTS.md: each campaign has a section of its own; running one leaves the others alone."""

import datetime as dt
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
_TITLE = "# Results of the fault campaigns\n\nWritten by `make test-faults FULL=1`; each section says when and where.\n"
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)


def write_section(title: str, body: str, *, path: Path = RESULTS) -> None:
    """Put a section in place of the one with this title, or add it; sections stand in order of their titles.

    Args:
        title: One line.
        body: Markdown; without a heading of level 1 or 2.
        path: The file.
    """
    sections = _read(path) | {title: f"{_where()}\n\n{body.strip()}"}
    text = "".join(f"\n## {name}\n\n{sections[name]}\n" for name in sorted(sections))
    path.write_text(_TITLE + text, encoding="utf-8")


def write_rows(
    title: str, note: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, keys: int, path: Path = RESULTS
) -> None:
    """Put rows into a section's table; of the rows that are there, those with the same first cells give way.

    Args:
        title: Of the section.
        note: What stands before the table.
        columns: Its head; a table with another one gives way as a whole.
        rows: Cells as text.
        keys: How many first cells tell rows apart.
        path: The file.
    """
    old = [_cells(line) for line in _read(path).get(title, "").splitlines() if line.startswith("| ")]
    kept = {tuple(row[:keys]): row for row in old[2:]} if old and old[0] == list(columns) else {}
    kept |= {tuple(row[:keys]): list(row) for row in rows}
    write_section(title, f"{note}\n\n{table(columns, [kept[key] for key in sorted(kept)])}", path=path)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    _, *parts = _SECTION.split(path.read_text(encoding="utf-8"))
    return {title: body.strip() for title, body in zip(parts[::2], parts[1::2], strict=True)}


def _where() -> str:
    now = f"{dt.datetime.now(dt.UTC):%F %H:%M} UTC"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}"
    return f"{now}; {machine}, Python {platform.python_version()}"
