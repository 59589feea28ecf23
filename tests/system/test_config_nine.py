"""A technician's file with nine different mistakes, through the program itself."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

NINE = """\
node = "Kiosk 1"
city = "bandung"

[center]
url = "mqtt://center.example:1883"
keepalve = "60 s"

[spool]
durable_within = 10

[sensor.air]
driver = "sds11"
port = "usb:1-1.2"

[sensor.river]
driver = "a02yyuw"
port = "usb:1-1.3"
mount_height = "4,20 m"

[sensor.river.channel.distance]
range = ["4 m", "0.1 m"]

[sensor.meter]
driver = "pzem004t"
port = "usb:1-1.4"

[sensor.meter2]
driver = "pzem004t"
port = "usb:1-1.4"

[alarm.flood]
watch = "river/levl"
levels = { a = "3 m" }
"""
CURES = {
    1: 'write "kiosk-1"',
    5: "write mqtts://",
    6: 'did you mean "keepalive"?',
    9: 'write the unit: "10 s"',
    12: 'did you mean "sds011"',
    18: 'write a point: "4.20 m"',
    21: 'write range = ["0.1 m", "4 m"]',
    28: "set the unit to an address of its own",
    32: 'did you mean "river/level"?',
}
"""By line: the begin of each cure."""
CURED = {
    'node = "Kiosk 1"': 'node = "kiosk-1"',
    "mqtt://": "mqtts://",
    "keepalve": "keepalive",
    "durable_within = 10": 'durable_within = "10 s"',
    '"sds11"': '"sds011"',
    '"4,20 m"': '"4.20 m"',
    '["4 m", "0.1 m"]': '["0.1 m", "4 m"]',
    "[sensor.meter2]": "[sensor.meter2]\nunit = 2",
    "river/levl": "river/level",
}


def check(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-sP", "-m", "agent", "check", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def nine(tmp_path: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(NINE)
    return path


def test_nine_mistakes_are_nine_findings_with_line_and_cure(nine: Path) -> None:
    done = check(str(nine))
    assert (done.returncode, done.stderr) == (1, "")
    found = re.findall(rf"^{re.escape(str(nine))}:(\d+):\d+: error: .*\n    cure: (.*)$", done.stdout, re.MULTILINE)
    assert [int(line) for line, _ in found] == list(CURES)
    assert all(cure.startswith(CURES[int(line)]) for line, cure in found)
    assert "cannot be used: 9 problems" in done.stdout


def test_nine_mistakes_are_nine_findings_for_programs(nine: Path) -> None:
    done = check(str(nine), "--json")
    assert (done.returncode, done.stderr) == (1, "")
    told = json.loads(done.stdout)
    assert [finding["line"] for finding in told["findings"]] == list(CURES)
    assert all(finding["cure"].startswith(CURES[finding["line"]]) for finding in told["findings"])
    assert told["summary"]["errors"] == 9


def test_the_cures_cure(nine: Path) -> None:
    text = NINE
    for wrong, right in CURED.items():
        assert text.count(wrong) == 1
        text = text.replace(wrong, right)
    nine.write_text(text)
    done = check(str(nine))
    assert done.returncode == 0, done.stdout
    assert "0 problems" in done.stdout


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_file_that_is_not_there_ends_with_two(tmp_path: Path, form: tuple[str, ...]) -> None:
    done = check(str(tmp_path / "none.toml"), *form)
    assert done.returncode == 2
    assert "No such file" in done.stdout + done.stderr
