import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.cli.check import summarize
from agent.cli.config_files import read_files
from agent.cli.main import main
from agent.config.load import parse
from drivers.io.catalog import registry

GOOD = """\
node = "n1"
city = "c1"
[center]
url = "mqtts://center:8883"
[sensor.air]
driver = "sds011"
port = "usb:99-9.9"
[sensor.far]
driver = "sds011"
port = "tcp://10.0.0.9:4001"
[sensor.null]
driver = "sds011"
port = "path:/dev/null"
[alarm.dust]
watch = "air/pm10"
levels = { high = "150 ug/m3" }
"""
EXAMPLE = Path(__file__).parents[3] / "config" / "agent.toml"

_NOBODY = 65_534

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_main(text: str) -> Path:
        path = tmp_path / "agent.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_main


def test_a_right_configuration_is_summed_up(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(GOOD)
    assert main(["check", str(path)]) == 0
    told = capsys.readouterr().out
    assert f"{path}:13:8: warning: this port may be another one after a restart" in told
    assert f"{path}: fine: 0 problems, 1 warning\n" in told
    assert "sensor air: sds011, usb:99-9.9 (missing: not plugged in: no USB socket 99-9.9" in told
    assert "sensor far: sds011, tcp://10.0.0.9:4001 (a serial server, not asked), every 1 s, 2 rows/s" in told
    assert "sensor null: sds011, path:/dev/null (found: /dev/null)" in told
    assert "alarm dust: watches air/pm10" in told
    assert "spool: holds about" in told


def test_problems_are_told_with_place_and_cure_and_end_with_one(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(GOOD.replace('"sds011"\nport = "usb', '"sds11"\nport = "usb'))
    assert main(["check", str(path)]) == 1
    told = capsys.readouterr().out
    assert told.startswith(
        f'{path}:6:10: error: no driver, profile or model has this name (given "sds11"; '
        "allowed a name of `gardu driver list`)\n    cure: did you mean "
    )
    assert f"{path}: can be used without what is wrong: 1 problem, 1 warning" in told
    assert "sensor air" not in told


def test_a_configuration_without_a_center_cannot_be_used(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = write('node = "n1"\ncity = "c1"\n')
    assert main(["check", str(path)]) == 1
    assert capsys.readouterr().out.endswith(f"\n\n{path}: cannot be used: 1 problem, 0 warnings\n")


def test_a_box_that_reads_nothing_has_nothing_to_hold(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = write('node = "n1"\ncity = "c1"\n[center]\nurl = "mqtts://c"\n[host]\nenabled = false\n')
    assert main(["check", str(path)]) == 0
    told = capsys.readouterr().out
    assert "this box: no probes" in told
    assert "nothing to hold" in told


def test_json_holds_every_finding_and_the_summary(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(GOOD)
    assert main(["check", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (finding,) = told["findings"]
    assert set(finding) == {"file", "line", "column", "severity", "what", "given", "allowed", "cure"}
    assert (finding["file"], finding["line"], finding["column"]) == (str(path), 13, 8)
    summary = told["summary"]
    assert (summary["errors"], summary["warnings"], summary["usable"]) == (0, 1, True)
    assert [sensor["found"] for sensor in summary["sensors"]] == [False, None, True]
    assert summary["alarms"] == {"dust": "air/pm10"}
    assert summary["spool_days"] > 1


def test_json_of_what_cannot_be_used_has_the_same_keys(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", str(write(GOOD)), "--json"])
    good = json.loads(capsys.readouterr().out)
    assert main(["check", str(write("= 1")), "--json"]) == 1
    bad = json.loads(capsys.readouterr().out)
    assert set(bad["summary"]) == set(good["summary"])
    assert not bad["summary"]["usable"]


def test_files_of_conf_d_are_read_in_the_order_of_their_names(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(GOOD)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "20-b.toml").write_text("[sensor.b]\nx = 1\n")
    (tmp_path / "conf.d" / "10-a.toml").write_text("[sensor.air]\n")
    (tmp_path / "conf.d" / "note.txt").write_text("not read")
    assert main(["check", str(path), "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    files = list(dict.fromkeys(Path(finding["file"]).name for finding in findings))
    assert files == ["agent.toml", "10-a.toml", "20-b.toml"]


def test_a_missing_file_ends_with_two_and_a_cure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none.toml"
    assert main(["check", str(path)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        f"{path}: cannot be read: No such file or directory\n"
        "    cure: name the main file: gardu check FILE, or set GARDU_CONFIG\n"
    )


def test_a_missing_file_is_told_in_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path), "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["unreadable"]["reason"] == "Is a directory"
    assert told["findings"] == []


def test_the_environment_names_the_file_where_the_command_does_not(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GARDU_CONFIG", str(write(GOOD)))
    assert main(["check"]) == 0
    monkeypatch.setenv("GARDU_CONFIG", "/nonexistent/agent.toml")
    assert main(["check"]) == 2
    capsys.readouterr()


def test_a_file_of_somebody_else_ends_with_two_and_its_own_cure(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(GOOD)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(_NOBODY)  # root may read whatever the mode says
    try:
        code = main(["check", str(path)])
    finally:
        os.seteuid(user)
    assert code == 2
    assert capsys.readouterr().err == (
        f"{path}: cannot be read: Permission denied\n    cure: run it as root or as the agent's own user\n"
    )


def test_a_part_of_the_box_itself_has_no_port_to_look_for(write: Write) -> None:
    parsed = parse(read_files(write(GOOD)), registry())
    inner = replace(parsed.fitted[0], port=None, sensor=replace(parsed.fitted[0].sensor, port=""))
    (line, *_) = summarize(replace(parsed, fitted=(inner,)), registry()).sensors
    assert (line.found, line.where) == (None, "part of this box")


def test_the_example_that_is_shipped_passes_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "agent", "check", str(EXAMPLE)],
        check=False,
        capture_output=True,
        text=True,
        cwd=EXAMPLE.parents[1],
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 problems" in done.stdout


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    assert "gardu check /etc/gardu/agent.toml" in capsys.readouterr().out
