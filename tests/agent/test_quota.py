from datetime import datetime

import pytest

from agent.quota import Allowed, Quota, Total, Used, month_of


@pytest.mark.parametrize(
    ("used", "allowed"), [(0, "all"), (899, "all"), (900, "alarms"), (999, "alarms"), (1000, "nothing")]
)
def test_the_last_part_of_a_quota_is_for_alarms(used: int, allowed: Allowed) -> None:
    quota = Quota(1000, 0.1, Used())
    quota.count(used, "2026-11")
    assert quota.allowed == allowed


def test_bytes_add_up_over_restarts() -> None:
    quota = Quota(1000, 0.1, Used(month="2026-11", used_bytes=600))
    quota.count(200, "2026-11")
    quota.count(100, "2026-11")
    assert quota.used == Used(month="2026-11", used_bytes=900)


def test_another_month_begins_at_nothing() -> None:
    quota = Quota(1000, 0.1, Used(month="2026-11", used_bytes=1000))
    quota.count(7, "2026-12")
    assert quota.used == Used(month="2026-12", used_bytes=7)
    assert quota.allowed == "all"


def test_while_no_clock_is_believed_the_month_goes_on() -> None:
    quota = Quota(1000, 0.1, Used(month="2026-11", used_bytes=950))
    quota.count(7, "")
    assert quota.used == Used(month="2026-11", used_bytes=957)


def test_what_was_used_before_any_clock_was_believed_counts_for_the_first_month() -> None:
    quota = Quota(1000, 0.1, Used())
    quota.count(500, "")
    quota.count(1, "2026-11")
    assert quota.used == Used(month="2026-11", used_bytes=501)


@pytest.mark.parametrize(
    ("before", "now", "cost"),
    [
        (None, Total(life="a", size_bytes=700), 0),
        (Total(life="a", size_bytes=700), Total(life="a", size_bytes=900), 200),
        (Total(life="a", size_bytes=700), Total(life="a", size_bytes=700), 0),
        (Total(life="a", size_bytes=700), Total(life="a", size_bytes=50), 50),
        (Total(life="a", size_bytes=700), Total(life="b", size_bytes=900), 900),
    ],
    ids=["first look", "it goes on", "nothing", "counters fell", "another boot"],
)
def test_an_interface_costs_what_it_carried_since_the_last_look(before: Total | None, now: Total, cost: int) -> None:
    assert now.since(before) == cost


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text + "+00:00").timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "pace"),
    [
        ("2026-11-01T00:00", None),
        ("2026-11-03T23:59", None),
        ("2026-11-04T00:00", 4.0),
        ("2026-11-16T00:00", 0.8),
        ("2026-12-16T12:00", 0.8),
        ("2028-02-15T12:00", 0.8),
    ],
)
def test_the_pace_is_the_share_at_the_end_of_the_month(now: str, pace: float | None) -> None:
    quota = Quota(1000, 0.1, Used(month=now[:7], used_bytes=400))
    found = quota.pace(ms(now))
    assert found == (None if pace is None else pytest.approx(pace))


def test_without_a_believed_clock_there_is_no_pace_and_no_month() -> None:
    assert Quota(1000, 0.1, Used(used_bytes=900)).pace(None) is None
    assert month_of(None) == ""
    assert month_of(ms("2026-11-30T23:59")) == "2026-11"


def test_the_share_goes_beyond_one() -> None:
    assert Quota(1000, 0.1, Used(used_bytes=1500)).share == 1.5
