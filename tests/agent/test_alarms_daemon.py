"""Alarms of a running daemon: shown, kept over a restart, closed when their section is gone."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli.main import main
from tests.agent.test_app import Box, until

FAT = '[alarm.fat]\nwatch = "host/own-rss"\nlevels = { warning = "1 MB" }\nfor = "0 s"\n'


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    made.text = made.text.replace("enabled = false", 'enabled = true\nevery = "1 s"')
    yield made
    for process in made.processes:
        process.kill()
        process.communicate()
    made.systemd.close()


def say(box: Box, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["alarms", "--config", str(box.folder / "agent.toml"), *words])
    heard = capsys.readouterr()
    return code, heard.out, heard.err


def state_of(box: Box, capsys: pytest.CaptureFixture[str], name: str) -> str | None:
    text = say(box, capsys, "--json")[1]
    lines = (json.loads(text)["alarms"] if text else None) or []
    return next((line["state"] for line in lines if line["name"] == name), None)


def test_an_alarm_is_shown_survives_a_restart_untold_and_is_closed_with_its_section(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    without = box.text
    box.text += FAT
    process = box.started()
    until(lambda: state_of(box, capsys, "fat") == "warning", "the alarm")
    code, text, _ = say(box, capsys)
    assert code == 1
    assert "host/own-rss: " in text
    first = box.ended(process, signal.SIGTERM)
    assert "alarm: name=fat state=warning before=unknown" in first

    code, _, error = say(box, capsys)
    assert code == 2
    assert "gardu run is not running" in error

    process = box.started()
    until(lambda: state_of(box, capsys, "fat") == "warning", "the alarm after the restart")
    assert "alarm: name=fat" not in box.ended(process, signal.SIGTERM)

    box.text = without
    process = box.started()
    until(lambda: say(box, capsys)[0] == 0, "the daemon")
    assert "alarm: name=fat state=closed before=warning" in box.ended(process, signal.SIGTERM)
    assert "fat" not in json.loads((box.folder / "alarms.json").read_text())
