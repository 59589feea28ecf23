"""The card does what a bad card does, to a program that has a file of it open."""

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.real.card import Card, needs_card

pytestmark = [pytest.mark.faults, needs_card]


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    with Card(tmp_path / "image", tmp_path / "card", size_bytes=4 * 2**20) as made:
        yield made


@pytest.fixture
def file(card: Card) -> Iterator[int]:
    """A file somebody has open, with something in it that is synced."""
    one = os.open(card.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    write(one)
    yield one
    os.close(one)


def write(file: int) -> None:
    os.write(file, b"x" * 3000)
    os.fdatasync(file)


def refused(file: int) -> int | None:
    try:
        write(file)
    except OSError as error:
        return error.errno
    return None


def test_a_full_card_takes_nothing_until_it_is_freed(card: Card, file: int) -> None:
    assert card.fill() > 2 * 2**20
    assert card.free_bytes() < 1024
    assert refused(file) == errno.ENOSPC
    card.free()
    assert refused(file) is None


@pytest.mark.parametrize(("fault", "code"), [("go_read_only", errno.EROFS), ("die", errno.EIO)])
def test_a_broken_card_refuses_open_files_too_and_put_in_again_it_has_what_was_synced(
    card: Card, file: int, fault: str, code: int
) -> None:
    getattr(card, fault)()
    assert refused(file) == code
    with pytest.raises(OSError, match=r"Read-only|Input/output"):
        (card.folder / "new").write_text("x")
    card.put_in()
    assert refused(file) == code  # who holds a file of the dead one must open it again
    (card.folder / "new").write_text("x")
    assert (card.folder / "log").read_bytes()[:3000] == b"x" * 3000


def test_a_stalled_card_lets_writes_wait(card: Card, file: int) -> None:
    done: list[float] = []

    def late() -> None:
        write(file)
        done.append(time.monotonic())

    with card.stalled():
        thread = threading.Thread(target=late)
        thread.start()
        time.sleep(0.3)
        assert not done
    thread.join(10)
    assert done


def test_nothing_of_a_broken_card_stays_behind(tmp_path: Path) -> None:
    with Card(tmp_path / "image", tmp_path / "card", size_bytes=4 * 2**20) as card:
        card.die()
        card.put_in()
        card.go_read_only()
        card.put_in()
    assert not (tmp_path / "image").exists()
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
