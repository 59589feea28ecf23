import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

GARDU = (sys.executable, "-sP", "-m", "agent")


def children_of(pid: int) -> dict[int, str]:
    """Living processes that a process started, with their command lines."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            stat = (path / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
            if int(stat[1]) == pid and stat[0] != "Z":
                found[int(path.name)] = (path / "cmdline").read_text("utf-8", "replace").replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def child(pid: int, words: str) -> int:
    """Wait for a child whose command line has the words."""
    end_s = time.monotonic() + 20
    while time.monotonic() < end_s:
        for one, line in children_of(pid).items():
            if words in line and "leash" not in line:
                return one
        time.sleep(0.05)
    raise AssertionError(words)


def started(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = (*GARDU, "demo", *words)
    return subprocess.Popen(
        command, cwd="/", env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.parametrize("broker", ["mosquitto", pytest.param("amqtt", marks=pytest.mark.campaign)])
def test_the_demo_proves_that_nothing_is_lost_or_doubled(tmp_path: Path, broker: str) -> None:
    folder = tmp_path / "two words"
    folder.mkdir()
    process = started(folder, "--for", "20s", "--json", "--broker", broker)
    out, log = process.communicate(timeout=100)
    assert process.returncode == 0, log
    result = json.loads(out)
    assert result["taken"] > 500
    assert result["taken"] == result["settled"]
    assert {name: result[name] for name in ("held", "in_gaps", "lost", "twice", "unverified", "chain")} == {
        "held": 0,
        "in_gaps": 0,
        "lost": 0,
        "twice": 0,
        "unverified": 0,
        "chain": "ok",
    }
    assert len(result["sensors"]) >= 5
    assert len(result["protocols"]) >= 4
    assert result["taken_while_cut"] > 0
    assert result["predecessor"]["clean"] is False
    assert result["alarms"] > 0
    assert result["broker"].startswith(broker)
    assert list(folder.iterdir()) == []


@pytest.mark.broker
@pytest.mark.slow
def test_a_child_that_dies_is_named_and_nothing_stays_behind(tmp_path: Path) -> None:
    process = started(tmp_path, "--for", "20s")
    child(process.pid, "agent run")
    os.kill(child(process.pid, "center.cli.main run"), signal.SIGKILL)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "gardu-center ended by itself, by SIGKILL" in told
    assert "center.log" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_a_demo_that_is_ended_takes_everything_with_it(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = started(tmp_path, "--for", "20s")
    child(process.pid, "agent run")
    family = children_of(process.pid)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    assert not [pid for pid in family if Path(f"/proc/{pid}").exists()]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["5s", "2h", "soon", "-1", "4000s"])
def test_a_length_that_cannot_be_shown_is_refused(text: str) -> None:
    result = subprocess.run((*GARDU, "demo", f"--for={text}"), capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 2
    assert text in result.stderr


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x", "utf-8")
    result = subprocess.run(
        (*GARDU, "demo", "--keep", str(tmp_path)), capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 2
    assert "not empty" in result.stderr
