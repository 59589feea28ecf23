"""`gardu alarms`: what stands and why, and when nothing can be said."""

import json
import os
from pathlib import Path

import pytest

from agent import clock
from agent.alarm import State
from agent.alarm_board import Board
from agent.alarm_book import FILE, AlarmBook
from agent.cli.main import main
from agent.rule import Rule
from tests.agent.alarm_rig import state_rule

MINUTE = 60_000_000_000


class Box:
    """A configuration, its run folder, and what the daemon left there."""

    def __init__(self, folder: Path) -> None:
        self.run = folder / "run"
        self.run.mkdir()
        self.config = folder / "agent.toml"
        self.config.write_text(
            f'node = "n1"\ncity = "c1"\n[center]\nurl = "mqtts://c:8883"\n[run]\nfolder = "{self.run}"\n'
        )

    def shows(self, states: dict[str, State], boot: bytes | None = None) -> None:
        rules = [state_rule(name, "ap/up") for name in states]
        book = AlarmBook(self.run / "card" / FILE)
        Board(self.run, clock.boot_id() if boot is None else boot, rules, book).show(states)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def say(box: Box, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["alarms", "--config", str(box.config), *words])
    heard = capsys.readouterr()
    return code, heard.out, heard.err


def state(text: str, why: str = "because", **more: object) -> State:
    given: dict[str, object] = {
        "severity": None,
        "since_ns": clock.boot_ns() - 5 * MINUTE,
        "flapping": False,
        "beneath": text,
        **more,
    }
    return State(state=text, why=why, **given)  # type: ignore[arg-type]  # each as its field wants it


def states() -> dict[str, State]:
    return {
        "ap-down": state("alarm", "false: for 120 s", severity="alarm", flapping=True),
        "dns-dead": state("clear", beneath="alarm", hidden_by="wan-down"),
        "flood": state("unknown", "the sensor is silent", severity="siaga2"),
        "clients-none": state("clear", asleep=True),
        "disk-worn": state("unknown", "", since_ns=None),
        "calm": state("clear", "5 ms: usable readings for 10 s"),
    }


def test_what_stands_comes_first_with_since_and_why(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.shows(states())
    code, text, _ = say(box, capsys)
    assert code == 1
    assert text.splitlines() == [
        "ap-down: alarm, flapping, 5 min ago",
        "    ap/up: false: for 120 s",
        "dns-dead: alarm, hidden by wan-down, 5 min ago",
        "    ap/up: because",
        "flood: unknown, counts as siaga2, 5 min ago",
        "    ap/up: the sensor is silent",
        "3 alarms are clear, asleep or not reported; --all shows them",
    ]


def test_all_shows_the_clear_the_sleeping_and_those_that_never_spoke(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    box.shows(states())
    _, text, _ = say(box, capsys, "--all")
    assert "calm: clear, 5 min ago\n    ap/up: 5 ms: usable readings for 10 s\n" in text
    assert "clients-none: asleep" in text
    assert "disk-worn: not reported\n    ap/up: there was no reading yet\n" in text
    assert "--all" not in text


def test_the_moment_is_told_where_the_time_was_believed(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    (box.run / "card").mkdir()
    (box.run / "card" / FILE).write_text('{"ap-down": {"state": "alarm", "utc_ms": 1800000000000}}')
    box.shows({"ap-down": state("alarm", since_ns=None)})
    _, text, _ = say(box, capsys)
    assert text.startswith("ap-down: alarm since 2027-01-15T08:00:00Z\n")


def test_with_all_clear_it_says_so_and_exits_0(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.shows({"calm": states()["calm"]})
    assert say(box, capsys)[:2] == (0, "1 alarm is clear, asleep or not reported; --all shows them\n")


def test_programs_get_every_alarm(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.shows(states())
    code, text, _ = say(box, capsys, "--json")
    lines = json.loads(text)["alarms"]
    assert code == 1
    assert {line["name"] for line in lines} == set(states())
    assert lines[0]["state"] == "alarm"
    assert {"severity", "since_boot_ms", "since_utc_ms", "why", "hidden_by", "beneath", "watches"} <= set(lines[0])


def test_a_configuration_without_alarms_says_so(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.shows({})
    assert say(box, capsys)[:2] == (0, "this configuration has no alarm\n")


def test_a_daemon_that_never_ran_is_told(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, error = say(box, capsys)
    assert (code, text) == (2, "")
    assert "gardu run is not running, or only just began" in error


def test_what_stands_from_another_boot_is_no_answer(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.shows(states(), boot=bytes(16))
    code, text, error = say(box, capsys, "--json")
    assert code == 2
    assert json.loads(text)["alarms"] is None
    assert "from before this machine started" in error


def test_what_a_daemon_left_that_is_gone_is_no_answer(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.shows(states())
    shown = json.loads((box.run / FILE).read_text())
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    (box.run / FILE).write_text(json.dumps(shown | {"pid": child}))
    code, _, error = say(box, capsys)
    assert code == 2
    assert "gardu run is not running" in error


@pytest.mark.parametrize("text", ["", "[]", '{"boot": "x", "pid": 1, "alarms": [{"name": "a"}]}'])
def test_a_damaged_snapshot_is_no_answer(box: Box, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (box.run / FILE).write_text(text)
    assert say(box, capsys)[0] == 2


def test_a_configuration_that_cannot_be_used_is_told(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.config.write_text("x")
    assert "gardu check says why" in say(box, capsys)[2]
    box.config.unlink()
    assert say(box, capsys)[0] == 2


def test_the_rule_of_a_silence_is_shown_by_what_is_silent() -> None:
    levels = (("alarm", 1.0),)
    rule = Rule(name="mains-lost", sensor="a", channel="", unit="1", levels=levels, silence_of=("a", "b"))
    assert rule.watched == "silence of a and b"
