from drivers.backoff import Backoff


def test_the_bound_doubles_up_to_the_cap() -> None:
    backoff = Backoff(base_s=4, cap_s=30, random=lambda: 1.0)
    assert [backoff.next_s() for _ in range(6)] == [4, 8, 16, 30, 30, 30]


def test_full_jitter_may_be_nothing() -> None:
    assert Backoff(base_s=4, cap_s=30, random=lambda: 0.0).next_s() == 0


def test_reset_begins_at_the_base_again() -> None:
    backoff = Backoff(base_s=1, cap_s=100, random=lambda: 1.0)
    backoff.next_s()
    backoff.next_s()
    backoff.reset()
    assert backoff.next_s() == 1


def test_only_the_very_first_wait_is_spread() -> None:
    backoff = Backoff(base_s=4, cap_s=300, random=lambda: 0.5, first_spread_s=60)
    assert [backoff.next_s(), backoff.next_s(), backoff.next_s()] == [30, 2, 4]
    backoff.reset()
    assert backoff.next_s() == 2


def test_a_base_above_the_cap_is_capped() -> None:
    assert Backoff(base_s=10, cap_s=3, random=lambda: 1.0).next_s() == 3
