"""Print the kit as a table: families by checks. Run by `make conformance`; the exit status says whether all is well."""

import sys
from collections.abc import Iterable

from drivers.conformance.floods import FLOODS, flood
from drivers.conformance.kit import KIT, Result, check
from drivers.conformance.strength import GRAMMARS, MEGABYTE, at_most, believed_per_mb, strength_bits, taken_per_mb
from drivers.conformance.subject import Subject
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


def noise_lines(rows: Iterable[Subject]) -> list[str]:
    """What a megabyte of each kind of noise did: values that were read, and those that nobody doubted, by kind."""
    found = [f"{'noise':20} {'bits':>5} {'declared':>10}  {'  '.join(f'{kind:>12}' for kind in FLOODS)}"]
    for subject in rows:
        info = subject.info()
        tolls = [flood(subject, kind, MEGABYTE) for kind in FLOODS]
        declared = f"{at_most(taken_per_mb(info), MEGABYTE)}/{at_most(believed_per_mb(info), MEGABYTE)}"
        counts = "  ".join(f"{f'{toll.taken}/{toll.believed}':>12}" for toll in tolls)
        found.append(
            f"{info.name:20} {strength_bits(info):5.0f} {declared:>10}  {counts}  {GRAMMARS[info.family].words}"
        )
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
    own_code = {row: subject for (row, _), subject in reversed(subjects().items()) if row == subject.info().family}
    print("\n".join(["", *noise_lines(own_code[row] for row in sorted(own_code)), ""]))
    failed = sum(result.outcome == "fail" for _, result in results)
    print(f"{len(table)} families and profiles, {len(results)} checks, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
