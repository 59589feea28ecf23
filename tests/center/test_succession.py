import random

from center.succession import Following, Succession

HOUR = 3_600_000


def boot(number: int) -> bytes:
    return number.to_bytes(16)


def follows(before: int, before_ms: int, after: int, *, received_ms: int, utc_ms: int | None = None) -> Following:
    return Following(
        before=boot(before),
        before_ms=before_ms,
        before_utc_ms=utc_ms,
        boot=boot(after),
        boot_ms=1000,
        received_ms=received_ms,
    )


def of(*starts: Following, **offsets: tuple[int, int]) -> Succession:
    """Boots named ``b1=...`` have mappings: lowest and highest offset."""
    known = {boot(int(name[1:])): bounds for name, bounds in offsets.items()}

    def find(one: bytes, at_ms: int) -> tuple[int, int] | None:
        return None if one not in known else (known[one][0] + at_ms, known[one][1] + at_ms)

    return Succession(starts, find)


def test_a_boot_without_mapping_lies_between_its_neighbours() -> None:
    found = of(
        follows(1, HOUR, 2, received_ms=99 * HOUR),
        follows(2, 5 * HOUR, 3, received_ms=99 * HOUR),
        b1=(0, 0),
        b3=(10 * HOUR, 10 * HOUR),
    )
    assert (found.low_ms(boot(2), 7), found.high_ms(boot(2), 7)) == (HOUR + 7, 5 * HOUR + 7)


def test_the_time_a_start_names_bounds_where_no_mapping_came() -> None:
    found = of(follows(1, HOUR, 2, received_ms=99 * HOUR, utc_ms=77))
    assert (found.low_ms(boot(2), 7), found.high_ms(boot(2), 7)) == (84, None)
    assert found.high_ms(boot(1), HOUR) == 99 * HOUR - 1000


def test_a_node_that_nobody_ever_told_the_time_has_no_lower_bound() -> None:
    assert of(follows(1, HOUR, 2, received_ms=99 * HOUR)).low_ms(boot(2), 7) is None
    assert of().low_ms(boot(2), 7) is None


def test_runs_of_one_boot_bound_nothing() -> None:
    assert of(follows(1, HOUR, 1, received_ms=99 * HOUR, utc_ms=77)).low_ms(boot(1), 7) is None


def test_contradicting_mappings_bound_by_their_far_ends() -> None:
    found = of(
        follows(1, HOUR, 2, received_ms=99 * HOUR),
        follows(2, HOUR, 3, received_ms=99 * HOUR),
        b1=(0, 3 * HOUR),
        b3=(8 * HOUR, 9 * HOUR),
    )
    assert (found.low_ms(boot(2), 0), found.high_ms(boot(2), 0)) == (HOUR, 8 * HOUR)


def test_two_boots_that_name_one_predecessor_both_follow_it() -> None:
    found = of(
        follows(1, 2 * HOUR, 2, received_ms=99 * HOUR), follows(1, HOUR, 3, received_ms=99 * HOUR), b3=(4 * HOUR,) * 2
    )
    assert found.high_ms(boot(1), 0) == 3 * HOUR


def test_thousands_of_boots_without_a_clock_stay_in_order_and_hold_the_truth() -> None:
    chance = random.Random(3)  # noqa: S311 - lengths of boots
    starts: list[Following] = []
    truth = [0]
    for number in range(3000):
        length = chance.randrange(1000, HOUR)
        truth.append(truth[-1] + length + chance.randrange(HOUR))
        starts.append(follows(number, length, number + 1, received_ms=10**12))
    found = of(*starts, b0=(0, 0))
    before = -1
    for number in range(1, 3001):
        low, high = found.low_ms(boot(number), 0), found.high_ms(boot(number), 0)
        assert low is not None
        assert before < low <= truth[number]
        assert high is None or truth[number] <= high
        before = low


def test_a_ring_that_no_true_record_makes_ends() -> None:
    found = of(follows(1, HOUR, 2, received_ms=50 * HOUR), follows(2, HOUR, 1, received_ms=60 * HOUR))
    assert found.low_ms(boot(1), 0) is None
    high = found.high_ms(boot(1), 0)
    assert high is not None
    assert high <= 49 * HOUR
