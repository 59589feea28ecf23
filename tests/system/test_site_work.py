"""A technician at a real node: notes, a calibration and a swap become part of the signed record at a real center."""

import contextlib
import io
import json
import os

import pytest

from agent.cli.main import main
from agent.cli.noting import author
from center.cli.main import main as center_main
from tests.center.processes import until
from tests.system.lines import Water
from tests.system.town import NODE, RIVER, Town

pytestmark = pytest.mark.broker

DISTANCE_M = 3.0


def gardu(town: Town, *words: str) -> dict[str, object]:
    """Run a command of the technician for programs; it must succeed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main([*words, "--json", "--config", str(town.node.config)])
    assert code == 0, out.getvalue()
    return dict(json.loads(out.getvalue()))


def center(town: Town, *words: str) -> list[dict[str, object]]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert center_main([*words, "--store", f"sqlite:{town.store}", "--json"]) == 0
    return [json.loads(line) for line in out.getvalue().splitlines()]


def works(town: Town) -> list[tuple[object, object]]:
    return [(one["work"], one["sensor"]) for one in center(town, "notes")]


def test_what_a_technician_does_arrives_signed_and_once(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "asep")
    who = "asep" if os.geteuid() == 0 else author()
    town.fit({"river": (Water(lambda _: DISTANCE_M, every_s=0.1), RIVER + "blind_zone = '5 cm'  # spider\n")})
    assert gardu(town, "note", "visit", "padlock", "replaced")["kept"] == "folder"
    waiting = town.folder / "notes"
    assert len(list(waiting.iterdir())) == 1

    town.broker.start()
    town.center.start()
    town.node.start()
    until("the note that waited is at the center", lambda: works(town) == [("visit", None)])
    until("and has left the folder", lambda: not list(waiting.iterdir()))
    assert gardu(town, "note", "clean", "river", "lens", "wiped")["kept"] == "disk"

    found = gardu(town, "calibrate", "river", "--staff", "124 cm", "--samples", "5", "--yes")
    assert (found["old_m"], found["new_m"], found["jump_m"], found["note"]) == (4.2, 4.24, 0.04, "disk")
    assert found["channel"] == "distance"
    town.node.stop()
    town.node.start()
    until("the new height is read", lambda: levels(town) == {1.2, 1.24})

    swap = gardu(town, "swap", "river", "--driver", "maxbotix_hrxl", "--yes")
    assert (swap["note"], swap["dropped"]) == ("disk", {"blind_zone": "'5 cm'"})
    assert town.node.config.read_text().count("blind_zone") == 0
    until(
        "all notes are at the center",
        lambda: works(town) == [("visit", None), ("clean", "river"), ("calibrate", "river"), ("swap", "river")],
    )
    notes = center(town, "notes", "--node", NODE)
    assert {one["by"] for one in notes} == {who}
    assert str(notes[2]["text"]).startswith("staff 1.240 m; mount_height 4.200 m -> 4.240 m")
    assert str(notes[3]["text"]).startswith("driver a02yyuw -> maxbotix_hrxl; unit ")
    assert [one["said_utc_ms"] is not None for one in notes] == [True, False, False, False]
    town.drain()
    assert center(town, "audit"), "the audit exits with 0, as every command here must"


def levels(town: Town) -> set[object]:
    """What the center was told of the level so far."""
    return {value for identity, value in town.at_center().items() if "river/level" in identity}
