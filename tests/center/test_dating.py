from hypothesis import given
from hypothesis import strategies as st

from center.dating import Dating, Mapping, disagree

SMALL = st.builds(
    lambda boot_ms, correction: Mapping(boot_ms, 10**6 + boot_ms + correction),
    st.integers(0, 1000),
    st.integers(0, 999),
)


def at(*mappings: tuple[int, int]) -> list[Mapping]:
    return [Mapping(*one) for one in mappings]


@given(st.lists(SMALL, min_size=1), st.integers(0, 1200))
def test_the_nearest_mapping_dates_a_moment(mappings: list[Mapping], moment: int) -> None:
    mappings = sorted(mappings, key=lambda mapping: mapping.boot_ms)
    distance = min(abs(one.boot_ms - moment) for one in mappings)
    first = {one.boot_ms: one.offset_ms for one in reversed(mappings)}
    allowed = {offset for boot_ms, offset in first.items() if abs(abs(boot_ms - moment) - distance) <= 1}
    dating = Dating(mappings)
    assert dating.offset_ms(moment) in allowed
    assert dating.spread(moment) == [moment + dating.offset_ms(moment)]


def test_mappings_that_agree_date_a_boot_with_one_number() -> None:
    assert Dating(at((0, 100), (50, 150))).constant == 100
    assert Dating(at((0, 100), (50, 151))).constant is None


def test_of_two_mappings_of_one_moment_the_first_stays() -> None:
    assert Dating(at((5, 105), (5, 999))).constant == 100


def test_rows_before_a_step_keep_the_mapping_before_it_and_all_rows_know_both() -> None:
    dating = Dating(at((1000, 1000), (9000, 69_000), (10_000, 70_010)))
    assert [dating.offset_ms(boot_ms) for boot_ms in (0, 1000, 8999, 9000, 10_000)] == [0, 0, 0, 60_000, 60_010]
    assert dating.spread(8999) == [8999, 68_999]
    assert dating.spread(9900) == [9900, 69_910]


def test_a_first_mapping_dates_all_that_was_before_it() -> None:
    assert Dating(at((9000, 69_000))).offset_ms(0) == 60_000


def test_there_and_back_are_two_steps() -> None:
    dating = Dating(at((0, 0), (1000, 61_000), (2000, 2000)))
    assert [dating.offset_ms(boot_ms) for boot_ms in (500, 1500, 2500)] == [0, 60_000, 0]
    assert sorted(set(dating.spread(1500))) == [1500, 61_500]


def test_what_a_kernel_may_slew_is_no_step() -> None:
    day = 86_400_000
    assert not disagree(Mapping(0, 0), Mapping(day, day + day // 2000 + 1000))
    assert disagree(Mapping(0, 0), Mapping(day, day + day // 2000 + 1001))
    assert not disagree(Mapping(0, 0, 700), Mapping(1000, 3000, 300))
    assert disagree(Mapping(0, 0, 700), Mapping(1000, 3001, 300))


@given(st.lists(st.builds(Mapping, st.integers(0, 1000), st.integers(0, 10**6)), min_size=1), st.integers(0, 1200))
def test_pieces_say_the_same_as_the_dating_of_each_moment(mappings: list[Mapping], moment: int) -> None:
    dating = Dating(sorted(mappings, key=lambda mapping: mapping.boot_ms))
    piece = next(offset for offset, last_ms in dating.pieces() if last_ms is None or moment <= last_ms)
    assert piece == dating.offset_ms(moment)
    assert moment + piece in dating.spread(moment)
