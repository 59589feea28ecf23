import pytest

from agent.quota import Allowed, Quota, Used


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
