"""Acks: what they free, and what they do not."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.spool.shelf import Ref
from agent.wire.ack import Range, Refused
from tests.agent.spool.rig import TELEMETRY, ChainKey, Rig, run_id


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path / "spool")
    rig.commit(190)  # a start and nine batches
    return rig


@pytest.fixture
def key(rig: Rig) -> ChainKey:
    return rig.run, TELEMETRY


def own(rig: Rig, n: int) -> bytes:
    stored = rig.spool.read(Ref(run=rig.run, stream=TELEMETRY, n=n))
    assert stored is not None
    return stored.hash


def state(rig: Rig) -> tuple[int, tuple[tuple[int, int], ...]]:
    (held,) = rig.spool.held()
    return held.settled, held.ranges


def test_all_up_to_n_is_settled_when_the_hash_is_ours(rig: Rig, key: ChainKey) -> None:
    found = rig.ack(key, 4, own(rig, 4))
    assert [(one.key, one.n, one.ranges) for one in found.progress] == [(key, 4, ())]
    assert state(rig) == (4, ())


def test_another_hash_frees_nothing_and_is_told_once(rig: Rig, key: ChainKey) -> None:
    assert rig.ack(key, 4, b"\x01" * 32).conflicts == ((key, 4),)
    assert rig.ack(key, 4, b"\x01" * 32).conflicts == ()
    assert state(rig) == (0, ())


def test_an_unknown_chain_is_passed_over(rig: Rig) -> None:
    found = rig.ack((b"\xee" * 16, TELEMETRY), 4, own(rig, 4))
    assert (found.progress, found.conflicts, state(rig)) == ((), (), (0, ()))


@pytest.mark.parametrize("n", [11, 12, 2**53 - 1])
def test_an_n_beyond_the_end_frees_nothing(rig: Rig, key: ChainKey, n: int) -> None:
    for hello in (False, True):
        assert rig.ack(key, n, own(rig, 10), hello=hello).progress == ()
    assert state(rig) == (0, ())


def test_a_range_is_settled_when_the_hash_of_its_last_is_ours(rig: Rig, key: ChainKey) -> None:
    rig.ack(
        key, 2, own(rig, 2), ranges=[Range(first=5, last=6, hash=own(rig, 6)), Range(first=8, last=8, hash=b"x" * 32)]
    )
    assert state(rig) == (2, ((5, 6),))


def test_a_range_that_meets_n_moves_n(rig: Rig, key: ChainKey) -> None:
    rig.ack(key, ranges=[Range(first=3, last=5, hash=own(rig, 5))])
    assert state(rig) == (0, ((3, 5),))
    rig.ack(key, 2, own(rig, 2))
    assert state(rig) == (5, ())


def test_a_range_beyond_the_end_frees_nothing(rig: Rig, key: ChainKey) -> None:
    rig.ack(key, ranges=[Range(first=3, last=11, hash=own(rig, 10))])
    assert state(rig) == (0, ())


def test_n_moves_back_only_in_the_answer_to_a_hello(rig: Rig, key: ChainKey) -> None:
    rig.ack(key, 8, own(rig, 8))
    rig.ack(key, 3, own(rig, 3))
    assert state(rig) == (8, ())
    assert [one.n for one in rig.ack(key, 3, own(rig, 3), hello=True).progress] == [3]
    assert state(rig) == (3, ())
    rig.ack(key, 0, hello=True)
    assert state(rig) == (0, ())


def test_a_wrong_hash_below_n_does_not_move_it_back(rig: Rig, key: ChainKey) -> None:
    rig.ack(key, 8, own(rig, 8))
    assert rig.ack(key, 3, b"\x02" * 32, hello=True).conflicts == ((key, 3),)
    assert state(rig) == (8, ())


def test_the_answer_to_a_hello_replaces_the_ranges(rig: Rig, key: ChainKey) -> None:
    rig.ack(key, ranges=[Range(first=5, last=6, hash=own(rig, 6))])
    rig.ack(key, 0, hello=True, ranges=[Range(first=8, last=9, hash=own(rig, 9))])
    assert state(rig) == (0, ((8, 9),))


def test_a_refused_batch_is_held_on_and_told_once(rig: Rig, key: ChainKey) -> None:
    refused = Refused(run=rig.run, stream=TELEMETRY, n=4, hash=own(rig, 4), reason="body")
    assert rig.ack(key, refused=[refused]).refused == ((key, 4, "body"),)
    assert rig.ack(key, refused=[refused]).refused == ()
    (held,) = rig.spool.held()
    assert held.refused == {4}
    assert rig.deliver(key, 4) is not None


def test_a_refusal_of_another_batch_than_ours_is_passed_over(rig: Rig, key: ChainKey) -> None:
    wrong = [
        Refused(run=rig.run, stream=TELEMETRY, n=4, hash=own(rig, 5), reason="body"),
        Refused(run=rig.run, stream=TELEMETRY, n=40, hash=own(rig, 5), reason="body"),
        Refused(run=run_id(77), stream=TELEMETRY, n=4, hash=own(rig, 4), reason="body"),
    ]
    assert rig.ack(key, refused=wrong).refused == ()


def test_settled_ranges_survive_a_restart(rig: Rig, key: ChainKey) -> None:
    rig.ack(key, 2, own(rig, 2), ranges=[Range(first=5, last=6, hash=own(rig, 6))])
    rig.commit(1)
    rig.restart()
    assert state(rig) == (2, ((5, 6),))


def test_a_chain_that_moved_back_stays_so_after_a_restart(rig: Rig, key: ChainKey) -> None:
    rig.ack(key, 8, own(rig, 8))
    rig.commit(1)
    rig.ack(key, 3, own(rig, 3), hello=True)
    rig.commit(1)
    rig.restart()
    assert state(rig) == (3, ())


_ITEMS = st.tuples(st.integers(0, 14), st.booleans(), st.booleans())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acks=st.lists(_ITEMS, max_size=8))
def test_only_batches_whose_own_hash_was_repeated_are_ever_free(
    rig: Rig, key: ChainKey, acks: list[tuple[int, bool, bool]]
) -> None:
    rig.ack(key, 0, hello=True)
    n_wanted = 0
    for n, right, hello in acks:
        known = 0 < n <= 10
        rig.ack(key, n, own(rig, n) if right and known else bytes(32) if n == 0 else b"\x07" * 32, hello=hello)
        good = (right and known) or (n == 0 and hello)
        if good and (n > n_wanted or hello):
            n_wanted = n
        assert state(rig) == (n_wanted, ())
