from hypothesis import given
from hypothesis import strategies as st

from center.dating import Dating


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 10**6)), min_size=1), st.integers(0, 1200))
def test_the_nearest_mapping_dates_a_moment(mappings: list[tuple[int, int]], moment: int) -> None:
    mappings = sorted(mappings, key=lambda mapping: mapping[0])
    distance = min(abs(boot_ms - moment) for boot_ms, _ in mappings)
    first = {boot_ms: utc - boot_ms for boot_ms, utc in reversed(mappings)}
    allowed = {offset for boot_ms, offset in first.items() if abs(abs(boot_ms - moment) - distance) <= 1}
    assert Dating(mappings).offset_ms(moment) in allowed


def test_mappings_that_agree_date_a_boot_with_one_number() -> None:
    assert Dating([(0, 100), (50, 150)]).constant == 100
    assert Dating([(0, 100), (50, 151)]).constant is None


def test_of_two_mappings_of_one_moment_the_first_stays() -> None:
    assert Dating([(5, 105), (5, 999)]).constant == 100
