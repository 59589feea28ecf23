from pathlib import Path

import pytest

from agent.boots import Boots
from drivers.driver import Event
from drivers.reading import Reading


class Box:
    """A box that starts again and again; its time is believed when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "boots"
        self.utc_s: float | None = None
        self.number = 0

    def start(self) -> Boots:
        self.number += 1
        return Boots(self.path, f"{self.number:032x}", lambda: None if self.utc_s is None else int(self.utc_s * 1000))

    def lives(self, utc_s: float | None, up_s: float = 30.0) -> int | None:
        """Start, look once when the box has been up for a while, and end; return the count."""
        boots = self.start()
        self.utc_s = utc_s
        found = count(boots.collect(int(up_s * 1e9)))
        boots.save()
        return found


def count(events: list[Event]) -> int | None:
    found = [event.value for event in events if isinstance(event, Reading) and event.channel == "boots"]
    return int(found[0]) if found else None


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_starts_of_the_last_hour_are_counted(box: Box) -> None:
    assert [box.lives(1_000_000.0 + 900 * n) for n in range(7)] == [1, 2, 3, 4, 4, 4, 4]


def test_without_a_believed_time_nothing_is_told(box: Box) -> None:
    assert box.lives(None) is None


def test_starts_too_short_to_learn_the_time_count_after_one_that_did(box: Box) -> None:
    assert box.lives(1_000_000.0) == 1
    assert [box.lives(None) for _ in range(2)] == [None, None]
    assert box.lives(1_000_600.0) == 4
    assert box.lives(1_010_000.0) == 1, "an hour later nobody knows that they were lately"


def test_a_restart_of_the_agent_is_no_start_of_the_box(box: Box) -> None:
    assert box.lives(1_000_000.0) == 1
    box.number -= 1
    boots = box.start()
    assert not boots.is_due, "nothing is written"
    assert count(boots.collect(60 * 10**9)) == 1


def test_a_start_is_written_at_once_and_again_when_it_has_a_date(box: Box) -> None:
    boots = box.start()
    due = []
    for look, utc_s in enumerate((None, 1_000_000.0, 1_000_060.0)):
        box.utc_s = utc_s
        boots.collect(look * 10**9)
        due.append(boots.is_due)
        boots.save()
    assert due == [True, True, False]


@pytest.mark.parametrize("text", ["", "{}", '[["a"], 7, [1, 2], ["b", "x"]]', "[[", "\xff"])
def test_a_file_that_cannot_be_read_counts_as_none(box: Box, text: str) -> None:
    box.path.write_text(text, "latin-1")
    assert box.lives(1_000_000.0) == 1


def test_the_file_never_grows(box: Box) -> None:
    for n in range(40):
        box.lives(1_000_000.0 + n)
    assert box.path.stat().st_size < 1000
