"""How often an alarm may say that it changed."""

from itertools import pairwise

from agent.alarms import Alarms
from drivers.reading import Reading
from tests.agent.flood_rules import SECOND, feed, flood, held, pass_time, reading, told


def swing(from_s: int, to_s: int, period_s: int = 2) -> list[Reading]:
    """Above and below the mildest level in turn, once a second."""
    return [reading(2.6 if at_s % period_s == 0 else 1.0, at_s) for at_s in range(from_s, to_s + 1)]


def test_an_alarm_that_changes_more_than_six_times_in_ten_minutes_is_slowed_to_one_all_clear_a_minute() -> None:
    alarms = Alarms([flood(for_s=0)])
    changes = feed(alarms, *swing(0, 300))
    marked = [change for change in changes if "flapping" in change.why]
    assert marked == [changes[6]]
    assert alarms.states()["banjir"].flapping
    later = changes[7:]
    clears = [change.boot_ns for change in later if change.state == "clear"]
    assert len(clears) >= 3
    assert all(b - a >= 60 * SECOND for a, b in pairwise(clears))


def test_a_flapping_alarm_still_tells_at_once_when_it_gets_worse() -> None:
    alarms = Alarms([flood(for_s=0)])
    feed(alarms, *swing(0, 8))
    assert alarms.states()["banjir"].flapping
    assert told(feed(alarms, reading(3.1, 9), reading(3.6, 9.5))) == [("siaga2", 9), ("siaga1", 9.5)]
    assert told(feed(alarms, *held(3.1, 10, 80))) == [("siaga2", 69.5)]


def test_a_flapping_alarm_that_goes_blind_and_returns_raised_is_not_delayed() -> None:
    alarms = Alarms([flood(for_s=0)])
    feed(alarms, *swing(0, 8))
    assert alarms.source_lost("sungai", 9 * SECOND, "unplugged") == []
    assert told(pass_time(alarms, 100)) == [("unknown", 66)]
    assert told(feed(alarms, reading(2.6, 67))) == [("siaga3", 67)]


def test_a_flapping_alarm_that_is_found_raised_is_told_at_once_even_when_its_unknown_weighed_more() -> None:
    alarms = Alarms([flood(for_s=0, unknown_is="siaga1")])
    feed(alarms, *swing(0, 8))
    assert told(alarms.source_lost("sungai", 9 * SECOND, "unplugged")) == [("unknown", 9)]
    assert told(feed(alarms, reading(2.6, 10))) == [("siaga3", 10)]


def test_calm_ends_the_flapping_and_it_can_be_marked_again() -> None:
    alarms = Alarms([flood(for_s=0)])
    feed(alarms, *swing(0, 8), *held(1.0, 9, 800))
    assert not alarms.states()["banjir"].flapping
    again = feed(alarms, *swing(1000, 1008))
    assert sum("flapping" in change.why for change in again) == 1


def test_an_all_clear_that_waits_is_dropped_when_the_alarm_returns() -> None:
    alarms = Alarms([flood(for_s=0)])
    feed(alarms, *swing(0, 8))
    assert alarms.states()["banjir"].state == "siaga3"
    assert feed(alarms, reading(1.0, 9), *held(2.6, 10, 200)) == []


def test_an_all_clear_that_waits_is_not_told_while_the_newest_reading_is_high() -> None:
    alarms = Alarms([flood()])
    feed(alarms, *held(2.6, 0, 10))
    alarms.source_lost("sungai", 15 * SECOND, "unplugged")
    feed(alarms, *held(2.6, 16, 26))  # siaga3 again at 26
    alarms.source_lost("sungai", 27 * SECOND, "unplugged")  # waits until 36
    assert alarms.states()["banjir"].state == "siaga3"
    assert told(feed(alarms, *held(1.0, 28, 60))) == [("unknown", 36), ("clear", 46)]
    feed(alarms, *held(2.6, 61, 71), reading(1.0, 72))
    assert alarms.states()["banjir"].state == "siaga3"


def test_a_change_waits_until_the_time_of_the_rule_has_passed_since_the_last() -> None:
    alarms = Alarms([flood()])
    feed(alarms, *held(2.6, 0, 10))
    assert alarms.source_lost("sungai", 12 * SECOND, "unplugged") == []
    assert alarms.deadline() == 20 * SECOND
    assert told(pass_time(alarms, 50)) == [("unknown", 20)]


def test_a_waiting_all_clear_gives_way_to_a_rise_that_is_being_weighed() -> None:
    rule = flood(for_s=1, levels=(("siaga3", 2.5),))
    alarms = Alarms([rule])
    feed(alarms, *[reading(2.6 if at_s // 2 % 2 else 1.0, at_s) for at_s in range(28)])
    assert alarms.states()["banjir"].flapping
    assert alarms.states()["banjir"].state == "siaga3"
    since_ns = alarms.states()["banjir"].since_ns
    assert since_ns is not None
    due_s = since_ns // SECOND + 60
    assert feed(alarms, *held(1.0, 28, due_s - 2)) == []
    late = feed(alarms, *[reading(2.6, due_s - 1.5)], *held(1.0, due_s + 5, due_s + 5))
    assert told(late) == [("clear", due_s + 5)]


def test_two_changes_never_share_a_millisecond() -> None:
    alarms = Alarms([flood(for_s=0)])
    feed(alarms, reading(1.0, 1))
    assert alarms.take(reading(3.6, 1)) == []
    assert alarms.deadline() == SECOND + 1_000_000
    assert told(pass_time(alarms, 2)) == [("siaga1", 1.001)]


def test_a_reading_older_than_the_newest_moment_counts_as_of_then() -> None:
    alarms = Alarms([flood(for_s=0)])
    alarms.tick(100 * SECOND)
    (change,) = alarms.take(reading(1.0, 99))
    assert change.boot_ns == 100 * SECOND
    assert change.cause == reading(1.0, 99)
