"""The example of a third party's package, from its source to readings: built, added, listed, checked, tested, run."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent.test_app import Box, until
from tests.vendor.played import PACKAGE, speaking

_WITHIN_S = 60
CONFIG = """\
node = "n1"
city = "c1"
[center]
url = "mqtts://center:8883"
[host]
enabled = false
[sensor.board]
driver = "mcu680"
port = "{port}"
"""

Gardu = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the example, made offline."""
    folder = tmp_path_factory.mktemp("wheel")
    command: list[str | Path] = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
    subprocess.run(command, cwd=PACKAGE, check=True, capture_output=True, timeout=_WITHIN_S)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture
def gardu(tmp_path: Path) -> Gardu:
    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-sP", "-m", "agent", *words],
            env={**os.environ, "GARDU_DRIVERS": str(tmp_path / "added")},
            capture_output=True,
            text=True,
            check=False,
            timeout=_WITHIN_S,
        )

    return run


@pytest.fixture
def board(tmp_path: Path) -> Iterator[str]:
    with speaking(tmp_path / "board") as port:
        yield port


@pytest.mark.slow
def test_its_wheel_is_added_listed_allowed_proved_and_read(
    wheel: Path, gardu: Gardu, board: str, tmp_path: Path
) -> None:
    assert gardu("driver", "add", wheel).returncode == 0
    listed = next(line for line in gardu("driver", "list").stdout.splitlines() if line.startswith("mcu680"))
    assert "package mcu680 0.1, not imported" in listed
    config = tmp_path / "agent.toml"
    config.write_text(CONFIG.format(port=board), encoding="utf-8")
    refused = gardu("check", config)
    assert refused.returncode == 1
    assert "code of package mcu680 0.1, which may not run here" in refused.stdout
    config.write_text('drivers = { allow = ["mcu680"] }\n' + CONFIG.format(port=board), encoding="utf-8")
    checked = gardu("check", config)
    assert checked.returncode == 0
    assert "sensor board: mcu680 of package mcu680 0.1, path:" in checked.stdout
    tested = gardu("driver", "test", "mcu680")
    assert (tested.returncode, tested.stdout.count(" ok "), tested.stdout.count("FAIL")) == (0, 15, 0)
    read = gardu("read", "--config", config, "board")
    assert "pressure" in read.stdout, read.stderr
    assert "1012" in read.stdout


@pytest.mark.slow
def test_the_daemon_keeps_what_it_reads(gardu: Gardu, board: str, tmp_path: Path) -> None:
    assert gardu("driver", "add", PACKAGE).returncode == 0
    folder = tmp_path / "node"
    folder.mkdir()
    box = Box(folder)
    box.text += '[drivers]\nallow = ["mcu680"]\n'
    box.sensor("board", board, driver="mcu680")
    try:
        process = box.started(GARDU_DRIVERS=str(tmp_path / "added"))
        until(lambda: any(b"board" in path.read_bytes() for path in box.segments()), "a row of the board on disk")
        process.terminate()
        assert "Traceback" not in process.communicate(timeout=_WITHIN_S)[1]
    finally:
        box.systemd.close()
        for one in box.processes:
            one.kill()
            one.communicate()


def test_without_the_allow_list_the_daemon_does_not_import_it(gardu: Gardu, board: str, tmp_path: Path) -> None:
    source = tmp_path / "loud"
    source.mkdir()
    text = (PACKAGE / "mcu680" / "__init__.py").read_text(encoding="utf-8")
    (source / "mcu680").mkdir()
    (source / "mcu680" / "__init__.py").write_text(f"{text}\nopen({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
    for name in ("pyproject.toml", "mcu680/vectors.json"):
        (source / name).write_bytes((PACKAGE / name).read_bytes())
    config = tmp_path / "agent.toml"
    config.write_text(CONFIG.format(port=board), encoding="utf-8")
    assert gardu("driver", "add", source).returncode == 0
    gardu("driver", "list")
    gardu("check", config)
    assert not (tmp_path / "ran").exists()
    gardu("driver", "show", "mcu680")
    assert (tmp_path / "ran").exists()
