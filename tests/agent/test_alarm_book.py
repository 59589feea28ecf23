"""What was told last survives a restart: nothing is told twice, and what nobody watches any more is closed."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.alarm import Change
from agent.alarm_board import Board, read
from agent.alarm_book import FILE, AlarmBook, Told, keep
from agent.alarms import Alarms
from agent.own_alarms import OwnAlarms
from agent.rule import Hours, Rule
from drivers.reading import Reading
from tests.agent.alarm_rig import SECOND, feed, pass_time, reading, state_rule, told
from tests.agent.quick_loop import QuickLoop, run

BOOT = bytes(16)


def change(alarm: str, state: str) -> Change:
    return Change(alarm=alarm, state=state, severity=None, before="clear", boot_ns=1, cause=None, why="because")


def flood(**more: object) -> Rule:
    given: dict[str, object] = {"for_s": 0.0, "hysteresis": 0.5, **more}
    levels = (("siaga", 3.0), ("bahaya", 4.0))
    return Rule(name="banjir", sensor="sungai", channel="level", unit="m", levels=levels, **given)  # type: ignore[arg-type]


def level(value: float, at_s: float) -> Reading:
    return reading("sungai/level", value, at_s, unit="m")


# After a restart


def test_a_state_that_was_told_before_the_start_is_not_told_again() -> None:
    alarms = Alarms([flood()], {"banjir": "siaga"})
    assert alarms.states()["banjir"].state == "unknown"
    assert alarms.states()["banjir"].why == "not decided since the start; told before it: siaga"
    assert feed(alarms, level(3.2, 1), level(3.3, 2)) == []
    state = alarms.states()["banjir"]
    assert (state.state, state.severity, state.why) == ("siaga", "siaga", "3.2 m: usable readings for 0 s")
    assert told(feed(alarms, level(4.2, 3))) == [("banjir", "bahaya", 3)]


def test_a_state_that_is_another_after_the_start_is_told_with_the_one_before() -> None:
    alarms = Alarms([flood()], {"banjir": "siaga"})
    (first,) = feed(alarms, level(1.0, 1))
    assert (first.state, first.before) == ("clear", "siaga")


def test_the_way_back_of_a_level_holds_over_a_restart() -> None:
    alarms = Alarms([flood()], {"banjir": "siaga"})
    assert feed(alarms, level(2.7, 1)) == []
    assert alarms.states()["banjir"].state == "siaga"


def test_a_sensor_that_stays_silent_after_the_start_is_told_unless_that_was_told_before() -> None:
    alarms = Alarms([flood()], {"banjir": "siaga"})
    alarms.tick(0)
    assert told(pass_time(alarms, 1000)) == [("banjir", "unknown", 60)]
    before = Alarms([flood()], {"banjir": "unknown"})
    before.tick(0)
    assert pass_time(before, 1000) == []
    assert before.states()["banjir"].state == "unknown"


def test_a_level_that_the_rule_no_longer_has_is_told_away() -> None:
    alarms = Alarms([flood()], {"banjir": "awas"})
    (first,) = feed(alarms, level(3.5, 1))
    assert (first.state, first.before) == ("siaga", "awas")


def test_an_alarm_that_sleeps_since_the_start_ends_what_was_told_before() -> None:
    rule = state_rule("none", "clients/any", hours=Hours(from_min=60, to_min=120))
    alarms = Alarms([rule], {"none": "alarm"}, lambda now_ns: now_ns // (60 * SECOND) % 1440)
    assert told(alarms.tick(0)) == [("none", "clear", 0)]
    assert pass_time(alarms, 3599) == []


def test_an_alarm_that_nobody_watches_any_more_is_closed_once() -> None:
    alarms = Alarms([flood()], {"banjir": "clear", "gone": "alarm", "calm": "clear"})
    (closed,) = alarms.tick(SECOND)
    assert (closed.alarm, closed.state, closed.before, closed.severity) == ("gone", "closed", "alarm", None)
    assert closed.why == "nothing in the configuration watches it any more"
    assert alarms.tick(2 * SECOND) == []


# The book


def test_the_book_keeps_the_last_state_of_each_and_forgets_the_closed(tmp_path: Path) -> None:
    book = AlarmBook(tmp_path / FILE)
    book.note([change("a", "alarm"), change("b", "clear"), change("c", "alarm")], 1_800_000_000_000)
    book.note([change("c", "closed"), change("a", "clear")], None)
    assert book.is_due
    book.save()
    again = AlarmBook(tmp_path / FILE)
    assert again.states() == {"a": "clear", "b": "clear"}
    assert again.told("a") == Told(state="clear", utc_ms=None)
    assert again.told("b") == Told(state="clear", utc_ms=1_800_000_000_000)
    assert again.told("c") is None
    again.forget(["b", "x"])
    again.save()
    assert AlarmBook(tmp_path / FILE).states() == {"a": "clear"}


def test_a_book_without_changes_does_not_touch_the_card(tmp_path: Path) -> None:
    AlarmBook(tmp_path / FILE).save()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("", {}),
        ("[1]", {}),
        ('{"a": 1, "b": {"state": 3}, "c": {"state": "alarm", "utc_ms": true}}', {"c": "alarm"}),
        ("\xff", {}),
    ],
)
def test_a_damaged_book_costs_what_is_damaged(tmp_path: Path, text: str, states: dict[str, str]) -> None:
    (tmp_path / FILE).write_bytes(text.encode("latin-1"))
    assert AlarmBook(tmp_path / FILE).states() == states


def test_a_card_that_refuses_gets_the_book_later(tmp_path: Path) -> None:
    folder = tmp_path / "card"
    book = AlarmBook(folder / FILE)
    book.note([change("a", "alarm")], None)
    with pytest.raises(OSError, match="card"):
        book.save()
    folder.mkdir()
    (folder / f"{FILE}.new").write_text("left by a power cut")
    book.save()
    assert AlarmBook(folder / FILE).states() == {"a": "alarm"}


def test_the_task_saves_on_change_and_tells_once_of_a_card_that_refuses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book = AlarmBook(tmp_path / "card" / FILE)
    looks = 0

    async def durably(work: Callable[[], None]) -> None:
        work()

    async def wait() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            (tmp_path / "card").mkdir()
        if looks == 6:
            raise asyncio.CancelledError

    book.note([change("a", "alarm")], None)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(keep(book, durably, wait))
    assert AlarmBook(tmp_path / "card" / FILE).states() == {"a": "alarm"}
    assert [record.message.partition(":")[0] for record in caplog.records] == ["book of alarms not kept"]


# The daemon


def own(tmp_path: Path, *rules: Rule, utc_ms: int | None = 1_800_000_000_000) -> OwnAlarms:
    return OwnAlarms(rules, card=tmp_path, run=tmp_path / "run", boot=BOOT, utc_ms=lambda: utc_ms)


async def at_once(work: Callable[[], None]) -> None:
    work()


def in_time(work: Callable[[QuickLoop], Awaitable[None]]) -> None:
    async def whole(loop: QuickLoop) -> None:
        await work(loop)

    run(whole)


def test_what_is_told_is_on_the_card_within_seconds_and_shown_within_one(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()

    async def work(_: QuickLoop) -> None:
        alarms = own(tmp_path, flood())
        task = asyncio.ensure_future(alarms.keep(at_once))
        await asyncio.sleep(1)
        alarms.told(feed(alarms.alarms, level(1.0, 4)))
        alarms.told(feed(alarms.alarms, level(3.5, 5)))
        await asyncio.sleep(1.1)
        shown = read(tmp_path / "run")
        assert shown is not None
        (line,) = shown.lines
        assert (line.name, line.state, line.watches) == ("banjir", "siaga", "sungai/level")
        assert (line.since_utc_ms, line.since_boot_ms) == (1_800_000_000_000, 5000)
        await asyncio.sleep(11)
        task.cancel()
        assert AlarmBook(tmp_path / FILE).states() == {"banjir": "siaga"}

    in_time(work)


def test_a_clear_alarm_that_went_with_its_section_is_forgotten_without_a_word(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps({"old": {"state": "clear"}, "bad": {"state": "alarm"}}))

    async def work(_: QuickLoop) -> None:
        alarms = own(tmp_path, flood())
        changes = alarms.alarms.tick(0)
        alarms.told(changes)
        alarms.save()
        assert told(changes) == [("bad", "closed", 0)]
        assert AlarmBook(tmp_path / FILE).states() == {}

    in_time(work)


def test_the_hours_of_a_rule_are_those_of_the_local_clock_when_it_is_believed(tmp_path: Path) -> None:
    async def work(_: QuickLoop) -> None:
        rule = state_rule("none", "clients/any", hours=Hours(from_min=0, to_min=0))
        unsure = own(tmp_path, rule, utc_ms=None)
        unsure.alarms.tick(0)
        assert unsure.alarms.states()["none"].asleep
        sure = own(tmp_path, rule)
        sure.alarms.tick(0)
        assert not sure.alarms.states()["none"].asleep

    in_time(work)


def test_a_run_folder_that_refuses_is_told_once_and_costs_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alarms = Alarms([flood()])
    board = Board(tmp_path / "none", BOOT, [flood()], AlarmBook(tmp_path / FILE))
    board.show(alarms.states())
    board.show(alarms.states())
    assert [record.message.partition(":")[0] for record in caplog.records] == ["alarms not shown"]
    (tmp_path / "none").mkdir()
    board.show(alarms.states())
    assert read(tmp_path / "none") is not None


def test_the_board_is_written_only_when_something_is_another(tmp_path: Path) -> None:
    alarms = Alarms([flood()])
    board = Board(tmp_path, BOOT, [flood()], AlarmBook(tmp_path / "card" / FILE))
    board.show(alarms.states())
    inode = (tmp_path / FILE).stat().st_ino
    board.show(alarms.states())
    assert (tmp_path / FILE).stat().st_ino == inode
    feed(alarms, level(3.5, 1))
    board.show(alarms.states())
    assert (tmp_path / FILE).stat().st_ino != inode
