"""The daemon keeps who each unit is, and holds back the values of a unit that is another sensor's."""

import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sensor_book import FILE, SensorBook
from drivers.io.pty import serve
from drivers.io.simulators import simulator
from tests.agent import test_app as daemon


@pytest.fixture
def box(tmp_path: Path) -> Iterator[daemon.Box]:
    made = daemon.Box(tmp_path)
    yield made
    made.systemd.close()
    for process in made.processes:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def plugged(link: Path, seed: int) -> Iterator[None]:
    stop, ready = threading.Event(), threading.Event()
    unit = simulator("sds011", seed=seed, every_s=0.1)
    thread = threading.Thread(
        target=lambda: serve(unit, link=link, ready=lambda _: ready.set(), stopped=stop.is_set), daemon=True
    )
    thread.start()
    assert ready.wait(5)
    yield
    stop.set()
    thread.join(5)


@pytest.mark.slow
def test_a_unit_in_the_wrong_socket_is_known_after_a_restart(box: daemon.Box) -> None:
    one, two, book = box.folder / "one", box.folder / "two", box.folder / FILE
    box.sensor("one", f"path:{one}")
    box.sensor("two", f"path:{two}")
    with plugged(one, 1), plugged(two, 2):
        process = box.started()
        daemon.until(lambda: (box.folder / "run/restarts").read_text() == "0", "a run that left something")
        log = box.ended(process, signal.SIGTERM)
    assert "trouble" not in log
    assert _identities(book) == {"one": "sds011 bc01", "two": "sds011 bc02"}
    box.facts.clear()
    with plugged(one, 2), plugged(two, 1):
        process = box.started()
        # A second command at work: the daemon takes what it accepts, and never writes over it.
        command = SensorBook(book)
        command.add_hours("one", 3.5)
        command.save()
        daemon.until(lambda: '"offered"' in book.read_text(), "the book names who is there instead")
        log = box.ended(process, signal.SIGTERM)
    assert process.returncode == 0, log
    for sensor, other, number in (("one", "two", 2), ("two", "one", 1)):
        assert f"sensor={sensor} code=wrong_unit detail=this is {other}'s unit (sds011 bc0{number})" in log
    assert _identities(book) == {"one": "sds011 bc01", "two": "sds011 bc02"}
    assert SensorBook(book).known("one").offered == "sds011 bc02"
    assert SensorBook(book).hours("one") == 3.5


def _identities(book: Path) -> dict[str, str]:
    return {sensor: page["identity"] for sensor, page in json.loads(book.read_bytes()).items()}
