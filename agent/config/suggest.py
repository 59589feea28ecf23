"""The known word that a mistyped one is nearest to."""

from collections.abc import Iterable

_FARTHEST = 2  # more slips than this and the guess says more about us than about the writer


def near(word: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return the known words that ``word`` may have meant: the nearest, at most three that are equally near.

    A swap of neighbours, a wrong, a missing and an extra letter each count one; so does a wrong ``-`` or ``_``. A
    word of up to three letters may differ by one.
    """
    folded = _fold(word)
    allowed = 1 if len(folded) <= 3 else _FARTHEST  # noqa: PLR2004 - named above
    slips = {candidate: _distance(folded, _fold(candidate)) for candidate in known if candidate != word}
    fewest = min(slips.values(), default=allowed + 1)
    nearest = sorted(candidate for candidate, count in slips.items() if count == fewest)
    return tuple(nearest[:3]) if fewest <= allowed else ()


def choice(words: Iterable[str]) -> str:
    """Return words for a sentence: ``"a"``, ``"a" or "b"``, ``"a", "b" or "c"``; ``none`` without any."""
    quoted = [f'"{word}"' for word in words]
    if not quoted:
        return "none"
    return " or ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))


def _fold(word: str) -> str:
    return word.lower().replace("-", "_")


def _distance(one: str, other: str) -> int:
    """Return the optimal string alignment distance.

    Source: Damerau, "A technique for computer detection and correction of spelling errors", CACM 7(3), 1964.
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        oldest, before, row = before, row, [i]
        for j, right in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                cost = min(cost, oldest[j - 2] + 1)
            row.append(cost)
    return row[-1]
