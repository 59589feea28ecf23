"""``gardu-center notes``: every note once, under the header that signed it."""

import json
from pathlib import Path

import pytest

from agent.wire.batch import Kind, Stream
from agent.wire.records import Note, Work
from center.cli.main import main
from tests.center.fake_node import FakeNode
from tests.center.harness import Center

CLEAN = Note(work=Work.CLEAN, by="asep", sensor="air", text="inlet \x1b[31mbrushed", id=b"i" * 16)
VISIT = Note(work=Work.VISIT, by="budi", sensor=None, text="padlock", at_utc_ms=1_767_000_000_000)


@pytest.fixture
def told(center: Center, node: FakeNode) -> Path:
    """A store with two notes, of which one was sealed twice, among other batches."""
    center.know(node)
    batches = [node.start(Stream.ALARM)]
    for note in (CLEAN, VISIT, CLEAN):
        batches.append(node.seal(Kind.NOTE, note.encode(), stream=Stream.ALARM))
    batches += [node.start(), node.readings(3)]
    center.take(*[node.up(batch) for batch in batches])
    return center.path


def test_programs_get_each_note_once(told: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["notes", "--store", f"sqlite:{told}", "--json"]) == 0
    notes = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["work"], one["by"], one["sensor"], one["text"], one["said_utc_ms"], one["n"]) for one in notes] == [
        ("clean", "asep", "air", CLEAN.text, None, 2),
        ("visit", "budi", None, "padlock", 1_767_000_000_000, 3),
    ]


@pytest.mark.parametrize(
    ("words", "work"),
    [(["--sensor", "air"], ["clean"]), (["--node", "dago-01"], ["clean", "visit"]), (["--node", "other"], [])],
)
def test_notes_of_one_sensor_or_node_are_asked_for(
    told: Path, capsys: pytest.CaptureFixture[str], words: list[str], work: list[str]
) -> None:
    assert main(["notes", "--store", f"sqlite:{told}", "--json", *words]) == 0
    assert [json.loads(line)["work"] for line in capsys.readouterr().out.splitlines()] == work


def test_people_get_a_line_that_cannot_steer_their_terminal(told: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["notes", "--store", f"sqlite:{told}"]) == 0
    clean, visit = capsys.readouterr().out.splitlines()
    assert clean.endswith("Z  dago-01/air  clean by asep: inlet ?[31mbrushed")
    assert "(said 2025-12-29 09:20:00Z)  dago-01  visit by budi: padlock" in visit
