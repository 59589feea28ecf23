from hypothesis import given
from hypothesis import strategies as st

from agent.wire.ack import Range
from agent.wire.batch import NO_HASH
from center.chains import RANGES, ChainState, Hole, Link


def name(n: int) -> bytes:
    return n.to_bytes(32) if n else NO_HASH


def link(n: int) -> Link:
    return Link(n=n, hash=name(n), prev=name(n - 1))


def hole(first: int, last: int) -> Hole:
    return Hole(first=first, last=last, prev=name(first - 1), hash=name(last))


_steps = st.lists(
    st.one_of(
        st.integers(1, 40).map(link),
        st.tuples(st.integers(1, 40), st.integers(0, 6)).map(lambda span: hole(span[0], span[0] + span[1])),
    ),
    max_size=40,
)


def play(steps: list[Link | Hole]) -> tuple[ChainState, list[int]]:
    state, faults = ChainState(), []
    for step in steps:
        faults += state.store(step) if isinstance(step, Link) else state.excuse(step)
    return state, faults


@given(_steps)
def test_settled_is_the_unbroken_beginning_whatever_the_order(steps: list[Link | Hole]) -> None:
    state, faults = play(steps)
    known = {n for s in steps for n in ([s.n] if isinstance(s, Link) else range(s.first, s.last + 1))}
    wanted = next(n for n in range(100) if n + 1 not in known)
    assert state.n == wanted
    assert state.hash == name(wanted)
    assert faults == []
    assert play(steps[::-1])[0].n == wanted


@given(_steps, st.integers(0, 45))
def test_ranges_name_only_what_is_settled_and_end_at_stored_batches(steps: list[Link | Hole], cap: int) -> None:
    state, _ = play(steps)
    stored = {s.n for s in steps if isinstance(s, Link)}
    known = stored | {n for s in steps if isinstance(s, Hole) for n in range(s.first, s.last + 1)}
    for limit in (None, cap):
        ranges = state.ranges(limit)
        named = {n for r in ranges for n in range(r.first, r.last + 1)}
        assert named <= known
        assert all(r.last in stored and r.hash == name(r.last) for r in ranges)
        above = {n for n in stored if n > state.n and (limit is None or n <= limit)}
        assert above <= named
        assert all(n > state.n for n in named)
        assert list(ranges) == sorted(ranges, key=lambda r: r.first)


@given(_steps)
def test_a_state_read_again_from_the_store_is_the_same(steps: list[Link | Hole]) -> None:
    state, _ = play(steps)
    again = ChainState(state.n, state.hash)
    again.load([s for s in steps if isinstance(s, Link)], [s for s in steps if isinstance(s, Hole)])
    assert (again.n, again.hash, again.ranges()) == (state.n, state.hash, state.ranges())


def test_a_prev_that_does_not_fit_is_reported_once_and_settles() -> None:
    state = ChainState()
    assert state.store(link(3)) == []
    assert state.store(Link(n=2, hash=name(2), prev=name(9))) == []
    assert state.store(link(1)) == [2]
    assert state.n == 3


def test_the_first_of_two_at_one_n_counts() -> None:
    state = ChainState()
    state.store(link(2))
    assert state.store(Link(n=2, hash=name(77), prev=name(1))) == []
    state.store(link(1))
    assert state.hash == name(2)
    assert state.store(Link(n=2, hash=name(77), prev=name(1))) == []


def test_a_gap_that_does_not_fit_its_neighbours_is_reported() -> None:
    state = ChainState()
    state.store(link(1))
    assert state.excuse(Hole(first=2, last=4, prev=name(9), hash=name(4))) == [2]
    state = ChainState()
    state.store(link(4))
    assert state.excuse(Hole(first=1, last=4, prev=NO_HASH, hash=name(9))) == [4]
    assert state.hash == name(4)


def test_a_gap_already_settled_or_told_twice_changes_nothing() -> None:
    state = ChainState()
    state.store(link(1))
    assert state.excuse(hole(1, 1)) == []
    state.excuse(hole(3, 4))
    state.excuse(hole(3, 4))
    state.store(link(2))
    assert (state.n, state.ranges()) == (4, ())


def test_no_more_ranges_than_an_ack_carries() -> None:
    state = ChainState()
    for n in range(2, 200, 2):
        state.store(link(n))
    ranges = state.ranges()
    assert len(ranges) == RANGES
    assert ranges[0] == Range(first=2, last=2, hash=name(2))
