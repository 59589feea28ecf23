from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.serial.number import ONE, ZERO, Ratio, ratio, scaled, unscaled


def test_a_tenth_of_2393_prints_as_239_3() -> None:
    tenth = ratio("0.1")
    assert tenth is not None
    assert repr(scaled(Ratio(num=2393), tenth, ZERO)) == "239.3"


@pytest.mark.parametrize("text", ["", ".", "abc", "1,5", "0x10", "nan", "inf", "1e999", "--1", "1" * 40])
def test_what_is_no_decimal_number_is_none(text: str) -> None:
    assert ratio(text) is None


@given(
    raw=st.integers(-(2**31), 2**32),
    scale=st.decimals("-1000", "1000", places=4),
    offset=st.decimals(-50, 50, places=2),
)
def test_scaling_agrees_with_decimal_arithmetic(raw: int, scale: Decimal, offset: Decimal) -> None:
    by, more = ratio(str(scale)), ratio(str(offset))
    assert by is not None
    assert more is not None
    assert scaled(Ratio(num=raw), by, more) == float(raw * scale + offset)


def test_whole_numbers_stay_whole_and_exponents_are_read() -> None:
    assert scaled(Ratio(num=38), ONE, ZERO) == 38
    assert isinstance(scaled(Ratio(num=38), ratio("1e3") or ONE, ZERO), int)
    assert ratio(" -1.5e-3 ") == Ratio(num=-15, den=10000)
    assert unscaled(239.3, Ratio(num=1, den=10), ZERO) == 2393
