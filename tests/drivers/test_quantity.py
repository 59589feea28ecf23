from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.quantity import Quantity, QuantityError, amount, convert, example, parse


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("4.20 m", "m", "4.20"),
        ("420 cm", "m", "4.20"),
        ("4200mm", "m", "4.2"),
        ("10 s", "s", "10"),
        ("250 ms", "s", "0.25"),
        ("5 min", "s", "300"),
        ("12 h", "s", "43200"),
        ("2 d", "h", "48"),
        ("64 MiB", "B", "67108864"),
        ("1 MB", "B", "1000000"),
        ("1 kbit/s", "bit/s", "1000"),
        ("36 km/h", "m/s", "10"),
        ("3.6 mm/h", "mm/s", "0.001"),
        ("35 µg/m³", "ug/m3", "35"),
        ("0.1 %", "ppm", "1000"),
        ("80 %", "%RH", "80"),
        ("25 °C", "Cel", "25"),
        ("300 K", "Cel", "26.85"),
        ("-40 °", "deg", "-40"),
        (".5 m", "m", "0.5"),
        ("1e3 m", "km", "1"),
        ("3", "1", "3"),
        ("3", "/", "3"),
        ("7 widgets", "widgets", "7"),
        ("0e999 s", "s", "0"),
    ],
)
def test_a_quantity_is_read_exactly_in_the_unit_asked_for(text: str, unit: str, number: str) -> None:
    assert amount(text, unit) == Decimal(number)


def test_a_difference_of_temperature_has_no_zero_point() -> None:
    assert amount("1 K", "Cel", span=True) == 1


@pytest.mark.parametrize(
    ("text", "unit", "reason", "cure"),
    [
        ("10", "s", "the unit is missing", 'write the unit: "10 s"'),
        ("80", "%RH", "the unit is missing", 'write the unit: "80 %"'),
        ("4,20 m", "m", "a comma in the number", 'write a point: "4.20 m"'),
        ("nan s", "s", "not a finite number", "write a finite number and its unit"),
        ("-Infinity m", "m", "not a finite number", "write a finite number and its unit"),
        ("1e99 s", "s", "a number beyond all measure", "write a number of a believable size"),
        ("ten s", "s", "not a number with a unit", 'write a number and its unit, such as "10 s"'),
        ("", "s", "not a number with a unit", 'write a number and its unit, such as "10 s"'),
        ("1" * 49 + " s", "s", "not a number with a unit", 'write a number and its unit, such as "10 s"'),
        ("5 m", "s", '"m" is not a unit of time', 'm is metres; for minutes write "5 min"'),
        ("5 menit", "s", '"menit" is not a unit of time', 'write "5 min"'),
        ("64 mb", "B", '"mb" is not a unit of size', 'write "64 MiB"'),
        ("3 V", "m", '"V" is not a unit of length', 'write it in one of mm, cm, dm, m, km, such as "4.20 m"'),
        ("3 s", "count", '"s" is not the unit count', 'write the number in count, such as "1.5 count"'),
        ("3 s", "1", '"s" is not a unit of ratio', 'write it in one of 1, /, %, ppm, ppb, such as "1.5"'),
        ("3 s", "%RH", '"s" is not the unit %RH', 'write the number in %RH, such as "1.5 %"'),
    ],
)
def test_what_is_no_such_quantity_is_refused_with_a_cure(text: str, unit: str, reason: str, cure: str) -> None:
    with pytest.raises(QuantityError) as caught:
        amount(text, unit)
    assert (caught.value.reason, caught.value.cure) == (reason, cure)


@given(st.text(max_size=60))
def test_any_text_is_a_quantity_or_refused(text: str) -> None:
    try:
        quantity = parse(text)
    except QuantityError:
        return
    assert quantity.number.is_finite()


@given(st.decimals(min_value=-(10**6), max_value=10**6, places=3), st.sampled_from(("mm", "cm", "m", "km")))
def test_a_length_survives_the_way_to_another_unit_and_back(number: Decimal, unit: str) -> None:
    metres = convert(Quantity(number=number, unit=unit), "m")
    assert convert(Quantity(number=metres, unit="m"), unit) == number


@pytest.mark.parametrize("unit", ["s", "m", "B", "ug/m3", "%RH", "1", "never-seen"])
def test_every_example_is_a_quantity_of_its_unit(unit: str) -> None:
    assert amount(example(unit), unit).is_finite()
