import asyncio
import json
import multiprocessing
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.sensor_book import FILE, HOURS_EVERY_S, Entry, SensorBook, keep


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE


def test_what_was_accepted_is_known_after_a_restart(path: Path) -> None:
    book = SensorBook(path)
    assert book.known("air") == Entry()
    book.accept("air", "sds011 a1", "sds011")
    book.add_hours("air", 1.25)
    book.save()
    again = SensorBook(path)
    assert again.known("air") == Entry(driver="sds011", identity="sds011 a1", hours_on=1.25)
    assert again.hours("air") == 1.25


def test_the_file_can_be_read_by_people(path: Path) -> None:
    book = SensorBook(path)
    book.accept("udara-é", "sds011 a1", "sds011")
    book.offer("udara-é", "sds011 b2")
    book.save()
    assert json.loads(path.read_bytes()) == {
        "udara-é": {"driver": "sds011", "identity": "sds011 a1", "offered": "sds011 b2", "hours_on": 0.0}
    }
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in path.parent.iterdir()] == [FILE]


def test_a_new_unit_begins_at_zero_hours_and_is_no_longer_offered(path: Path) -> None:
    book = SensorBook(path)
    book.accept("air", "sds011 a1", "sds011")
    book.add_hours("air", 8000)
    book.offer("air", "sds011 b2")
    book.save()
    book.add_hours("air", 1)
    book.accept("air", "sds011 b2", "sds011")
    book.add_hours("air", 0.5)
    assert book.known("air") == Entry(driver="sds011", identity="sds011 b2", hours_on=0.5)
    book.save()
    assert SensorBook(path).known("air") == Entry(driver="sds011", identity="sds011 b2", hours_on=0.5)


def test_a_unit_that_says_more_of_itself_keeps_its_hours(path: Path) -> None:
    book = SensorBook(path)
    book.accept("sun", "vedirect", "vedirect")
    book.add_hours("sun", 3)
    book.accept("sun", "vedirect HQ1", "vedirect", same_unit=True)
    assert book.known("sun") == Entry(driver="vedirect", identity="vedirect HQ1", hours_on=3)


def test_a_forgotten_unit_leaves_an_empty_page(path: Path) -> None:
    book = SensorBook(path)
    book.accept("air", "sds011 a1", "sds011")
    book.add_hours("air", 7)
    book.save()
    book.forget("air")
    book.save()
    assert SensorBook(path).known("air") == Entry()


def test_a_command_and_the_daemon_write_beside_each_other(path: Path) -> None:
    daemon = SensorBook(path)
    daemon.accept("air", "sds011 a1", "sds011")
    daemon.accept("river", "a02", "a02")
    daemon.save()
    daemon.add_hours("river", 2)
    command = SensorBook(path)
    command.accept("air", "sds011 b2", "sds011")
    command.add_hours("river", 3)
    command.save()
    assert daemon.known("air").identity == "sds011 a1"
    assert daemon.refresh()
    assert daemon.known("air").identity == "sds011 b2"
    assert daemon.hours("river") == 5
    daemon.save()
    assert not daemon.refresh()
    assert SensorBook(path).hours("river") == 5


def test_processes_that_save_at_once_lose_nothing(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_count, args=(path, f"s{number}")) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    book = SensorBook(path)
    assert [book.hours(f"s{number}") for number in range(4)] == [20] * 4
    assert book.hours("all") == 80


def _count(path: Path, sensor: str) -> None:
    book = SensorBook(path)
    for _ in range(20):
        book.add_hours(sensor, 1)
        book.add_hours("all", 1)
        book.save()


@pytest.mark.parametrize(
    "body",
    [b"", b"\0" * 64, b"{", b"[]", b'"x"', b'{"air": 7}', b'{"air": {"driver": 7}}', b'{"air": {"hours_on": "x"}}'],
)
def test_a_file_that_cannot_be_read_counts_as_absent(path: Path, body: bytes) -> None:
    path.write_bytes(body)
    book = SensorBook(path)
    assert book.known("air") == Entry()
    book.accept("air", "sds011 a1", "sds011")
    book.save()
    assert SensorBook(path).known("air").identity == "sds011 a1"


@pytest.mark.parametrize("hours", ["-1", "NaN", "Infinity", "true"])
def test_hours_that_cannot_be_are_none(path: Path, hours: str) -> None:
    path.write_text(f'{{"air": {{"driver": "d", "identity": "i", "hours_on": {hours}}}}}')
    assert SensorBook(path).known("air") == Entry(driver="d", identity="i")


def test_nothing_is_written_when_nothing_changed(path: Path) -> None:
    book = SensorBook(path)
    book.save()
    book.offer("air", "")
    book.add_hours("air", 0)
    assert not book.is_due(1e9)
    book.save()
    assert not path.exists()


def test_who_a_unit_is_is_saved_soon_and_hours_once_an_hour(path: Path) -> None:
    book = SensorBook(path)
    book.add_hours("air", 1)
    assert not book.is_due(100)
    assert not book.is_due(100 + HOURS_EVERY_S - 1)
    assert book.is_due(100 + HOURS_EVERY_S)
    book.accept("air", "sds011 a1", "sds011")
    assert book.is_due(100)
    book.save()
    book.saved(200)
    book.add_hours("air", 1)
    assert not book.is_due(200 + HOURS_EVERY_S - 1)
    assert book.is_due(200 + HOURS_EVERY_S)


def test_a_card_that_refuses_costs_nothing_and_is_asked_again_a_minute_later(path: Path) -> None:
    book = SensorBook(path)
    book.accept("air", "sds011 a1", "sds011")
    book.add_hours("air", 2)
    away = path.parent.rename(path.parent.with_name("away"))
    with pytest.raises(FileNotFoundError):
        book.save()
    book.saved(1000, ok=False)
    assert book.known("air") == Entry(driver="sds011", identity="sds011 a1", hours_on=2)
    assert not book.is_due(1059)
    assert book.is_due(1060)
    book.add_hours("air", 1)
    book.add_hours("river", 4)
    away.rename(path.parent)
    book.save()
    again = SensorBook(path)
    assert (again.hours("air"), again.hours("river")) == (3, 4)


def test_what_changes_while_the_card_refuses_counts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = SensorBook(path)
    book.accept("air", "sds011 a1", "sds011")
    book.add_hours("air", 50)

    def refuse(_fd: int) -> None:
        book.accept("air", "sds011 b2", "sds011")
        book.add_hours("air", 1)
        book.add_hours("river", 2)
        assert book.known("air") == Entry(driver="sds011", identity="sds011 b2", hours_on=1)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="Input"):
            book.save()
    book.save()
    again = SensorBook(path)
    assert again.known("air") == Entry(driver="sds011", identity="sds011 b2", hours_on=1)
    assert again.hours("river") == 2


def test_a_power_cut_in_a_save_leaves_the_book_of_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = SensorBook(path)
    book.accept("air", "sds011 a1", "sds011")
    book.save()
    book.accept("air", "sds011 b2", "sds011")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", _cut)
        with pytest.raises(OSError, match="cut"):
            book.save()
    again = SensorBook(path)
    assert again.known("air").identity == "sds011 a1"
    again.accept("air", "sds011 c3", "sds011")
    again.save()
    assert SensorBook(path).known("air").identity == "sds011 c3"


def _cut(_self: Path, _target: Path) -> Path:
    raise OSError(5, "cut")


def test_the_daemon_keeps_the_book_and_hears_of_commands(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    book = SensorBook(path)
    looks = 0
    refuses = True

    async def durably(work: Callable[[], None]) -> None:
        if refuses:
            raise OSError(28, "No space left on device")
        work()

    async def wait() -> None:
        nonlocal looks, refuses
        looks += 1
        if looks == 1:
            book.accept("air", "sds011 a1", "sds011")
        elif looks == 400:
            refuses = False
        elif looks == 800:
            assert SensorBook(path).known("air").identity == "sds011 a1"
            other = SensorBook(path)
            other.accept("air", "sds011 b2", "sds011")
            other.save()
        elif looks == 801:
            assert book.known("air").identity == "sds011 b2"
            raise asyncio.CancelledError

    def clock() -> float:
        return looks * 10.0

    async def scenario() -> None:
        await _cancelled(keep(book, durably, now_s=clock, wait=wait))

    asyncio.run(scenario())
    assert [record.getMessage() for record in caplog.records] == [
        "book of sensors not kept: [Errno 28] No space left on device"
    ]


async def _cancelled(work: Awaitable[None]) -> None:
    with pytest.raises(asyncio.CancelledError):
        await work
