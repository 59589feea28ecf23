import io
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from agent import logs

log = logging.getLogger("agent.somewhere")


@pytest.fixture
def stderr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    """Standard error in a real file; the root logger is put back in order afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with (tmp_path / "stderr").open("w+") as stream:
        monkeypatch.delenv("JOURNAL_STREAM", raising=False)
        yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def begin(level: str, stream: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream)  # here, for pytest sets its own before the body of a test
    logs.set_up(level)


def written(stream: TextIO) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()


def journal(stream: TextIO) -> str:
    found = os.fstat(stream.fileno())
    return f"{found.st_dev}:{found.st_ino}"


def test_people_get_time_level_and_module(stderr: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    begin("info", stderr, monkeypatch)
    log.warning("port down: port=%s", "usb:1")
    log.debug("not told")
    line = written(stderr)
    assert line[2] == line[5] == ":"
    assert line[8:] == " warning agent.somewhere: port down: port=usb:1\n"


@pytest.mark.parametrize(
    ("level", "mark"),
    [
        (logging.DEBUG, "<7>"),
        (logging.INFO, "<6>"),
        (logging.WARNING, "<4>"),
        (logging.ERROR, "<3>"),
        (logging.CRITICAL, "<2>"),
        (25, "<5>"),
    ],
)
def test_journald_gets_the_priority_in_front(
    stderr: TextIO, monkeypatch: pytest.MonkeyPatch, level: int, mark: str
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", journal(stderr))
    begin("debug", stderr, monkeypatch)
    log.log(level, "two\nlines")
    assert written(stderr) == f"{mark}agent.somewhere: two\\nlines\n"


def test_a_traceback_stays_one_event_for_journald(stderr: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", journal(stderr))
    begin("info", stderr, monkeypatch)
    try:
        int("x")
    except ValueError:
        log.exception("bug")
    (line,) = written(stderr).splitlines()
    assert line.startswith("<3>agent.somewhere: bug\\nTraceback")


def test_a_shell_that_inherited_the_variable_is_no_journal(stderr: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    begin("info", stderr, monkeypatch)
    log.info("hello")
    assert written(stderr)[0] != "<"


def test_a_stream_without_a_file_is_no_journal(stderr: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = io.StringIO()
    assert not written(stderr)
    begin("info", memory, monkeypatch)
    log.info("hello")
    assert memory.getvalue().endswith(" info    agent.somewhere: hello\n")
