import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.meter import Meter

NOVEMBER_MS = 1_795_000_000_000
DECEMBER_MS = NOVEMBER_MS + 20 * 86_400_000
QUOTA = 1_000_000


def meter(folder: Path, utc_ms: Callable[[], int | None] = lambda: NOVEMBER_MS) -> Meter:
    return Meter(folder / "quota", QUOTA, 0.1, utc_ms)


def test_each_connection_counts_from_its_own_beginning(tmp_path: Path) -> None:
    one = meter(tmp_path)
    for total in (100, 100, 350):
        one.see(total)
    one.begin()
    one.see(50)
    assert one.used.used_bytes == 400


def test_a_restart_forgets_nothing_that_was_saved(tmp_path: Path) -> None:
    one = meter(tmp_path)
    one.see(905_000)
    one.save()
    again = meter(tmp_path)
    assert (again.used.month, again.used.used_bytes) == ("2026-11", 905_000)
    assert again.see() == "alarms"


@pytest.mark.parametrize("text", ["", "x", "00000000 {}", '0 {"month": "2026-11"}', "zz\xff"])
def test_a_file_that_cannot_be_believed_counts_as_absent(tmp_path: Path, text: str) -> None:
    (tmp_path / "quota").write_text(text, "latin-1")
    assert meter(tmp_path).used.used_bytes == 0


def test_a_cut_file_counts_as_absent(tmp_path: Path) -> None:
    one = meter(tmp_path)
    one.see(905_000)
    one.save()
    whole = (tmp_path / "quota").read_bytes()
    (tmp_path / "quota").write_bytes(whole[: len(whole) // 2])
    assert meter(tmp_path).used.used_bytes == 0


def test_a_card_that_refuses_stops_nothing(tmp_path: Path) -> None:
    one = meter(tmp_path / "not-there")
    one.see(905_000)
    one.save()
    assert one.see() == "alarms"


def test_the_month_ends_and_everything_leaves_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = [NOVEMBER_MS]
    one = meter(tmp_path, lambda: now[0])
    allowed = [one.see(total) for total in (100, 950_000, 960_000, 1_000_000, 1_100_000)]
    assert allowed == ["all", "alarms", "alarms", "nothing", "nothing"]
    now[0] = DECEMBER_MS
    assert one.see() == "all"
    said = [record.getMessage() for record in caplog.records]
    assert [text.split(":")[0] for text in said] == [
        "quota used up but for the reserve, only alarms leave until the month ends",
        "quota and its reserve used up, nothing leaves until the month ends",
        "quota",
    ]


def test_the_card_is_written_rarely_and_only_for_what_is_worth_it(tmp_path: Path) -> None:
    one = meter(tmp_path)
    one.see(100)
    assert one.due(300)  # the first of a month: it has begun
    one.save()
    one.see(900)
    assert not one.due(10_000)
    one.see(5000)
    assert not one.due(500)
    assert one.due(500, is_end=True)
    one.save()
    one.see(10_000)
    assert not one.due(799)
    assert one.due(800)
