"""How long a unit has worked, and what is said of one that is worn out."""

from pathlib import Path

import pytest

from agent.sensor_book import SensorBook
from agent.wear import Hours
from drivers.driver import Channel
from drivers.reading import Quality
from tests.agent.judging import SECOND, Book, judge_of, reading

HOUR_S = 3600
CHANNEL = Channel(name="c", unit="ug/m3")


def worn(book: Hours, *at_s: float, lifetime_h: float | None = 1.0) -> list[bool]:
    judge = judge_of(CHANNEL, stale_after_s=30, lifetime_h=lifetime_h, book=book)
    return [Quality.END_OF_LIFE in judge.judge(reading(1.0, each)).quality for each in at_s]


def test_hours_count_while_readings_flow_and_are_told_in_minutes() -> None:
    book = Book()
    worn(book, *range(0, 601, 10))
    assert book.kept == pytest.approx(600 / HOUR_S)
    assert len(book.added) == 10


def test_a_silence_counts_for_nothing() -> None:
    book = Book()
    worn(book, *range(0, 61, 10), *range(HOUR_S, HOUR_S + 61, 10))
    assert book.kept == pytest.approx(120 / HOUR_S)


def test_several_channels_of_one_moment_and_late_readings_count_once() -> None:
    book = Book()
    worn(book, 0, 0, 20, 10, 20, 40, 60, 60, 50)
    assert book.kept == pytest.approx(60 / HOUR_S)


def test_a_unit_past_its_life_is_flagged_from_the_minute_on_in_which_it_passes() -> None:
    flagged = worn(Book(1 - 0.99 / 60), 0, 20, 40, 60, 80)
    assert flagged == [False, False, False, True, True]


def test_a_unit_that_was_worn_out_before_the_start_is_flagged_at_once() -> None:
    assert worn(Book(1.0), 0) == [True]


def test_a_replaced_unit_is_believed_at_its_next_reading() -> None:
    book = Book(5.0)
    judge = judge_of(CHANNEL, lifetime_h=1.0, book=book)
    assert judge.judge(reading(1.0, 0)).quality == {Quality.END_OF_LIFE}
    book.kept = 0.0
    assert judge.judge(reading(1.0, 1)).quality == frozenset()


def test_another_unit_in_its_place_does_not_wear_it() -> None:
    book = Book()
    judge = judge_of(CHANNEL, lifetime_h=1.0, book=book)
    for at_s in range(0, 601, 10):
        judge.judge(reading(1.0, at_s, Quality.IDENTITY_CHANGED))
    assert book.added == []


def test_nothing_is_counted_where_no_lifetime_is_known_or_nobody_keeps_it() -> None:
    book = Book(9.0)
    assert not any(worn(book, *range(0, 601, 10), lifetime_h=None))
    assert book.added == []
    judge = judge_of(CHANNEL, lifetime_h=0.0)
    assert judge.judge(reading(1.0, 0)).quality == frozenset()


def test_the_flag_stands_beside_the_others() -> None:
    judge = judge_of(CHANNEL, lifetime_h=1.0, book=Book(1.0), warmup_s=10)
    assert judge.judge(reading(1.0, 0)).quality == {Quality.END_OF_LIFE, Quality.WARMING_UP}


def test_hours_outlive_the_process_and_a_swap_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "sensors.json"
    first = SensorBook(path)
    first.accept("s", "unit 1", "sds011")
    worn(first, *range(0, HOUR_S // 2 + 1, 10))
    first.save()
    second = SensorBook(path)
    assert worn(second, *range(0, HOUR_S // 2 + 61, 10))[-1]
    second.save()
    third = SensorBook(path)
    assert worn(third, 0) == [True]
    third.forget("s")
    assert worn(third, 1, SECOND) == [False, False]
