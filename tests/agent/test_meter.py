import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.meter import Meter
from agent.quota import Total

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


class Interface:
    """An interface whose counters a test sets."""

    def __init__(self) -> None:
        self.total: Total | None = Total(life="boot1-3", size_bytes=5_000)

    def __call__(self) -> Total | None:
        return self.total

    def carries(self, size_bytes: int, *, life: str = "boot1-3") -> None:
        self.total = Total(life=life, size_bytes=size_bytes)


def counting(folder: Path, interface: Interface) -> Meter:
    return Meter(folder / "quota", QUOTA, 0.1, lambda: NOVEMBER_MS, interface=interface)


def test_where_an_interface_is_counted_connections_cost_nothing_more(tmp_path: Path) -> None:
    one = counting(tmp_path, wwan := Interface())
    one.look()
    one.begin()
    assert one.see(400_000) == "all"
    wwan.carries(505_000)
    one.look()
    one.see(450_000)
    assert one.used.used_bytes == 500_000


def test_counters_that_begin_anew_lose_nothing(tmp_path: Path) -> None:
    one = counting(tmp_path, wwan := Interface())
    for size_bytes, life in ((5_000, "boot1-3"), (6_000, "boot1-3"), (200, "boot1-3"), (9_000, "boot1-7")):
        wwan.carries(size_bytes, life=life)
        one.look()
    assert one.used.used_bytes == 1_000 + 200 + 9_000


def test_an_interface_that_goes_and_comes_back_the_same_counts_once(tmp_path: Path) -> None:
    one = counting(tmp_path, wwan := Interface())
    one.look()
    wwan.total = None
    assert one.look() == "all"
    wwan.carries(6_000)
    one.look()
    assert one.used.used_bytes == 1_000


def test_a_restart_of_the_agent_counts_what_went_by_meanwhile(tmp_path: Path) -> None:
    one = counting(tmp_path, wwan := Interface())
    one.look()
    wwan.carries(105_000)
    one.look()
    one.save()
    wwan.carries(125_000)
    again = counting(tmp_path, wwan)
    again.look()
    assert again.used.used_bytes == 120_000


def test_a_reboot_counts_from_the_boot_on(tmp_path: Path) -> None:
    one = counting(tmp_path, wwan := Interface())
    one.look()
    wwan.carries(105_000)
    one.look()
    one.save()
    wwan.carries(200_000, life="boot2-3")
    again = counting(tmp_path, wwan)
    again.look()
    assert again.used.used_bytes == 300_000


def test_another_life_of_the_counters_is_worth_saving_once(tmp_path: Path) -> None:
    one = counting(tmp_path, wwan := Interface())
    one.see()
    one.save()
    one.look()
    assert one.due(300)
    one.save()
    wwan.carries(5_100)
    one.look()
    assert not one.due(10_000)
