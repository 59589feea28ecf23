"""``gardu note``: who says what about which sensor, and where it is kept."""

import json
import os
import pwd
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.cli import noting
from agent.cli.main import main
from agent.cli.note import split
from agent.note_drop import NoteDrop
from agent.notes import read
from agent.wire.records import Note, Work

CONFIG = """
node = "dago-01"
city = "bandung"
[center]
url = "mqtt://127.0.0.1:1"
[spool]
folder = "{folder}/spool"
[run]
folder = "{folder}"
[host]
enabled = false
[sensor.air]
driver = "sds011"
port = "usb:1-1.2"
"""


@pytest.fixture
def args(tmp_path: Path) -> list[str]:
    path = tmp_path / "agent.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return ["--config", str(path)]


def waiting(folder: Path) -> list[Note]:
    return [note for _, note in NoteDrop(folder / "notes").waiting()]


@contextmanager
def agent(folder: Path, answer: bytes | None) -> Iterator[list[Note]]:
    """An agent's socket that gives one client an answer, or ends before it does."""
    heard: list[Note] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "notes.sock"))
        listener.listen()

        def work() -> None:
            client, _ = listener.accept()
            with client:
                heard.append(read(client.recv(5000).rstrip(b"\n")))
                client.sendall(answer or b"")

        thread = threading.Thread(target=work)
        thread.start()
        yield heard
        thread.join(5)


@pytest.mark.parametrize(
    ("words", "sensor", "text"),
    [
        (["air", "inlet", "brushed"], "air", "inlet brushed"),
        (["air"], "air", ""),
        (["padlock", "at", "air"], None, "padlock at air"),
        ([], None, ""),
    ],
)
def test_a_note_is_about_the_sensor_it_begins_with(words: list[str], sensor: str | None, text: str) -> None:
    assert split(words, ["air"]) == (sensor, text)


def test_without_an_agent_a_note_waits_and_the_person_is_told(
    tmp_path: Path, args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["note", "clean", "air", "inlet", "brushed", *args]) == 0
    (note,) = waiting(tmp_path)
    assert (note.work, note.sensor, note.text, note.by) == (Work.CLEAN, "air", "inlet brushed", noting.author())
    assert note.at_utc_ms is not None
    assert "the agent does not run: it waits on disk" in capsys.readouterr().out


def test_a_note_about_the_box_may_begin_like_a_sensor(tmp_path: Path, args: list[str]) -> None:
    assert main(["note", "--box", "visit", "air", "is", "hot", *args]) == 0
    assert [(note.sensor, note.text) for note in waiting(tmp_path)] == [(None, "air is hot")]


@pytest.mark.parametrize("found", [("disk", 0, "signed and on disk"), ("memory", 1, "card refuses")])
def test_with_an_agent_the_person_hears_where_the_note_is(
    tmp_path: Path, args: list[str], capsys: pytest.CaptureFixture[str], found: tuple[str, int, str]
) -> None:
    kept, code, told = found
    with agent(tmp_path, json.dumps({"kept": kept}).encode() + b"\n") as heard:
        assert main(["note", "clean", "air", "inlet", *args]) == code
    assert [(note.text, note.at_utc_ms) for note in heard] == [("inlet", None)]
    assert told in capsys.readouterr().out
    assert waiting(tmp_path) == []


@pytest.mark.parametrize("answer", [None, b'{"kept"', b"[]\n"])
def test_an_agent_that_ends_before_it_answers_costs_nothing_and_doubles_nothing(
    tmp_path: Path, args: list[str], answer: bytes | None
) -> None:
    with agent(tmp_path, answer) as heard:
        assert main(["note", "clean", "air", "inlet", *args]) == 0
    assert [note.id for note in waiting(tmp_path)] == [note.id for note in heard]


def test_what_the_agent_refuses_is_told(tmp_path: Path, args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with agent(tmp_path, b'{"refused": "too long"}\n'):
        assert main(["note", "clean", "air", *args]) == 1
    assert "too long" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["visit"], "says nothing"),
        (["clean", "air", "x" * 501], "501 bytes"),
        (["clean", "air", "a\nb"], "one plain line"),
    ],
)
def test_what_cannot_be_said_is_refused_before_anybody_is_asked(
    tmp_path: Path, args: list[str], capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert main(["note", *words, *args]) == 1
    assert told in capsys.readouterr().err
    assert waiting(tmp_path) == []


def test_a_folder_that_refuses_says_what_to_do(
    args: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: NoteDrop, _note: Note) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(NoteDrop, "keep", refuse)
    assert main(["note", "clean", "air", *args]) == 1
    assert "Permission denied; use sudo" in capsys.readouterr().err


def test_who_may_not_speak_to_the_agent_is_told_how(
    args: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, _note: Note) -> dict[str, str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(noting, "_ask", refuse)
    assert main(["note", "clean", "air", *args]) == 1
    assert "join its group" in capsys.readouterr().err


def test_programs_get_an_object(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["note", "swap", "air", "new", "fan", "--json", *args]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"work": "swap", "by": noting.author(), "sensor": "air", "text": "new fan", "kept": "folder"}


@pytest.mark.parametrize("text", [None, "node = 1", "node ="])
def test_a_configuration_that_cannot_be_used_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    path = tmp_path / "bad.toml"
    if text is not None:
        path.write_text(text)
    assert main(["note", "visit", "x", "--config", str(path)]) == 2
    assert capsys.readouterr().err.startswith("gardu note: ")


def test_behind_sudo_the_person_speaks_and_never_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "asep")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert noting.author() == "asep"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # then the variable is anybody's
    assert noting.author() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    assert noting.author() == "uid 4000000"
