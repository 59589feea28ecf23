from drivers.io.turns import Turns


def test_a_source_is_due_at_its_own_pace_and_a_moment_early_is_on_time() -> None:
    turns = Turns()
    assert [s for s in range(0, 240, 10) if turns.due("wear", 60.0, s * 10**9)] == [0, 60, 120, 180]
    assert turns.due("other", 60.0, 5), "each source has its own"
    assert turns.due("other", 60.0, 60 * 10**9 - 5 * 10**8)
