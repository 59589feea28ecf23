"""What the check says of a configuration: problems and warnings, each with its place and its cure."""

from dataclasses import dataclass
from typing import Literal

from agent.config.places import Place

Severity = Literal["error", "warning"]
_LONGEST_GIVEN = 80  # characters; a whole multi-line value would bury the message


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong or doubtful.

    Attributes:
        file: Name of the file, as it was handed in.
        line: Counts from 1.
        column: Counts from 1, in characters.
        severity: ``error`` keeps the section from being used; ``warning`` does not.
        what: What is wrong, in plain words.
        given: What was written; empty where something is missing.
        allowed: What may be written; empty where the cure says it all.
        cure: What to do.
    """

    file: str
    line: int
    column: int
    severity: Severity
    what: str
    given: str = ""
    allowed: str = ""
    cure: str

    def __str__(self) -> str:
        told = [f"given {self.given}"] * bool(self.given) + [f"allowed {self.allowed}"] * bool(self.allowed)
        detail = f" ({'; '.join(told)})" if told else ""
        where = f"{self.file}:{self.line}:{self.column}"
        return f"{where}: {self.severity}: {self.what}{detail}\n    cure: {self.cure}"


class Findings:
    """Collects findings while a configuration is read."""

    def __init__(self) -> None:
        self._found: list[Finding] = []
        self.errors = 0

    def error(self, file: str, place: Place, what: str, *, given: str = "", allowed: str = "", cure: str) -> None:
        """Note a problem; the section that holds it cannot be used."""
        self.errors += 1
        self._add(file, place, "error", what, given=given, allowed=allowed, cure=cure)

    def warning(self, file: str, place: Place, what: str, *, given: str = "", allowed: str = "", cure: str) -> None:
        """Note a doubt; nothing is left out for it."""
        self._add(file, place, "warning", what, given=given, allowed=allowed, cure=cure)

    def _add(
        self, file: str, place: Place, severity: Severity, what: str, *, given: str, allowed: str, cure: str
    ) -> None:
        self._found.append(
            Finding(
                file=file,
                line=place.line,
                column=place.column,
                severity=severity,
                what=what,
                given=_shorten(given),
                allowed=allowed,
                cure=cure,
            )
        )

    def in_order(self, files: tuple[str, ...]) -> tuple[Finding, ...]:
        """Return all, in the order of the files and of the places in them."""
        rank = {file: index for index, file in enumerate(files)}
        return tuple(sorted(self._found, key=lambda one: (rank.get(one.file, len(rank)), one.line, one.column)))


def _shorten(given: str) -> str:
    flat = " ".join(given.split())
    return flat if len(flat) <= _LONGEST_GIVEN else f"{flat[: _LONGEST_GIVEN - 3]}..."
