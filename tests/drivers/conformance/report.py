"""Print the kit as a table: families by checks. Run by `make conformance`; the exit status says whether all is well."""

import sys
from collections.abc import Iterable

from drivers.conformance.kit import KIT, Result, check
from tests.drivers.conformance.families import subjects

_SIGNS = {"pass": "ok", "n/a": "-", "fail": "FAIL"}
_WORST = ("fail", "pass", "n/a")


def rows(results: Iterable[tuple[str, Result]]) -> dict[str, dict[str, str]]:
    """One outcome for each family and check: a failure of any model counts, then a pass."""
    table: dict[str, dict[str, str]] = {}
    for row, result in results:
        known = table.setdefault(row, {})
        worst = min(known.get(result.check, "n/a"), result.outcome, key=_WORST.index)
        known[result.check] = worst
    return table


def lines(table: dict[str, dict[str, str]], reasons: dict[str, dict[str, list[str]]]) -> list[str]:
    """The table, and below it why a check does not apply or fails."""
    width = max(map(len, table))
    found = [" ".join([" " * width, *(f"{name:>4}" for name in KIT)])]
    for row, outcomes in sorted(table.items()):
        found.append(" ".join([f"{row:{width}}", *(f"{_SIGNS[outcomes[name]]:>4}" for name in KIT)]))
    for name in KIT:
        for words, where in reasons.get(name, {}).items():
            found.append(f"{name}: {words}  [{', '.join(dict.fromkeys(where))}]")
    return found


def main() -> int:
    """Run every check of every driver."""
    results: list[tuple[str, Result]] = []
    reasons: dict[str, dict[str, list[str]]] = {}
    for (row, name), subject in sorted(subjects().items()):
        for number in KIT:
            result = check(number, subject)
            results.append((row, result))
            if result.words:
                sign = _SIGNS[result.outcome]
                reasons.setdefault(number, {}).setdefault(f"{sign} {result.words}", []).append(name)
    table = rows(results)
    print("\n".join(lines(table, reasons)))
    failed = sum(result.outcome == "fail" for _, result in results)
    print(f"{len(table)} families and profiles, {len(results)} checks, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
