from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.wire.spans import Spans

_NUMBERS = st.integers(1, 12)  # few, so that spans meet and overlap
_PAIRS = st.lists(st.tuples(_NUMBERS, _NUMBERS), max_size=12)


def _set(pairs: list[tuple[int, int]]) -> set[int]:
    return {number for first, last in pairs for number in range(first, last + 1)}


@given(pairs=_PAIRS)
def test_spans_hold_what_a_set_would_hold(pairs: list[tuple[int, int]]) -> None:
    spans, truth = Spans(pairs), _set(pairs)
    assert _set(list(spans)) == truth
    assert len(spans) == len(truth)
    assert bool(spans) == bool(truth)
    assert [number in spans for number in range(14)] == [number in truth for number in range(14)]


@given(pairs=_PAIRS)
def test_spans_are_sorted_and_never_touch(pairs: list[tuple[int, int]]) -> None:
    found = list(Spans(pairs))
    assert all(first <= last for first, last in found)
    assert all(left[1] + 1 < right[0] for left, right in pairwise(found))


@given(pairs=_PAIRS, first=_NUMBERS, last=_NUMBERS)
def test_missing_is_the_rest_of_what_was_asked_for(pairs: list[tuple[int, int]], first: int, last: int) -> None:
    holes = Spans(pairs).missing(first, last)
    assert _set(holes) == set(range(first, last + 1)) - _set(pairs)
    assert holes == list(Spans(holes))


@given(pairs=_PAIRS, first=_NUMBERS)
def test_a_run_ends_before_the_first_hole(pairs: list[tuple[int, int]], first: int) -> None:
    truth, end = _set(pairs), first - 1
    while end + 1 in truth:
        end += 1
    assert Spans(pairs).run_from(first) == end


def test_an_empty_span_changes_nothing() -> None:
    spans = Spans([(3, 5)])
    spans.add(9, 8)
    assert list(spans) == [(3, 5)]


@given(pairs=_PAIRS)
def test_the_order_of_adding_does_not_matter(pairs: list[tuple[int, int]]) -> None:
    assert list(Spans(pairs)) == list(Spans(reversed(pairs)))
