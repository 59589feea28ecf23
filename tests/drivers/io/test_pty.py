import fcntl
import os
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from drivers.io.pty import _write, opened, serve
from drivers.io.simulators import simulator


@contextmanager
def _served(name: str, link: Path | None) -> Iterator[str]:
    stop, ready, paths = threading.Event(), threading.Event(), list[str]()

    def told(path: str) -> None:
        paths.append(path)
        ready.set()

    thread = threading.Thread(
        target=serve,
        args=(simulator(name, every_s=0.05),),
        kwargs={"link": link, "ready": told, "stopped": stop.is_set},
    )
    thread.start()
    try:
        assert ready.wait(10)
        yield paths[0]
    finally:
        stop.set()
        thread.join(10)


def _read(path: str, wanted: bytes, ask: bytes = b"") -> bytes:
    port = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        if ask:
            os.write(port, ask)
        heard, until = b"", time.monotonic() + 10
        while wanted not in heard and time.monotonic() < until:
            try:
                heard += os.read(port, 4096)
            except BlockingIOError:
                time.sleep(0.01)
        return heard
    finally:
        os.close(port)


def test_a_talking_unit_is_heard_through_its_link_which_goes_with_it(tmp_path: Path) -> None:
    link = tmp_path / "air"
    with _served("sds011", link) as path:
        assert path == str(link)
        assert b"\xaa\xc0" in _read(path, b"\xaa\xc0")
    assert not link.is_symlink()


def test_a_polled_unit_answers() -> None:
    with _served("senseair_s8", None) as path:
        assert b"\xfe\x04\x02" in _read(path, b"\xfe\x04\x02", ask=bytes.fromhex("fe0400030001d5c5"))


def test_what_nobody_reads_is_lost_and_not_kept_for_later() -> None:
    with opened() as (ours, theirs, path):
        for step in range(100):
            before = _unread(theirs)
            _write(ours, theirs, [bytes((65 + step % 26,)) * 100])
            _until(partial(_has, theirs, 100 if before > 1024 else before + 100))
        port = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        waiting = os.read(port, 65536)
        os.close(port)
    assert 0 < len(waiting) <= 1024 + 100
    assert waiting.endswith(b"V" * 100)


def _has(theirs: int, count: int) -> bool:
    return _unread(theirs) == count


def _unread(theirs: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(theirs, termios.FIONREAD, b"\0" * 4))[0])


def _until(condition: Callable[[], bool]) -> None:
    """The kernel hands bytes over in its own time."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def test_an_old_link_is_replaced_but_a_file_is_not(tmp_path: Path) -> None:
    link = tmp_path / "air"
    link.symlink_to("/nowhere")
    with opened(link) as (_, _, path):
        assert Path(path).resolve() == link.resolve()
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(FileExistsError), opened(file):
        pass
    assert file.read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
