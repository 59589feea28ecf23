"""docs/drivers.md is what it says: its commands run in order, its files are those of the example, its table is true."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from drivers.io.catalog import registry
from tests.project.drivers_table import PAGE, TRAPS, with_table
from tests.vendor.played import PACKAGE, speaking

TEXT = PAGE.read_text(encoding="utf-8")
_WITHIN_S = 60


class Block(NamedTuple):
    kind: str
    more: str
    text: str


BLOCKS = [Block(*found) for found in re.findall(r"^```(\w+) ?([^\n]*)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)]


def shell(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    path = f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "GARDU_DRIVERS": str(folder / "added")}
    command = ["bash", "-euo", "pipefail", "-c", text]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=_WITHIN_S
    )


@pytest.mark.slow
def test_the_page_can_be_followed_from_its_first_command_to_its_last(tmp_path: Path) -> None:
    sudo = tmp_path / "bin" / "sudo"
    sudo.parent.mkdir()
    sudo.write_text('#!/bin/sh\nexec "$@"\n', encoding="utf-8")
    sudo.chmod(0o755)
    said = ""
    with speaking(tmp_path / "port") as port:
        for block in BLOCKS:
            if block.kind != "sh":
                (tmp_path / block.more).write_text(block.text, encoding="utf-8")
                continue
            done = shell(tmp_path, block.text.replace("usb:1-1.2", port))
            wanted = int(block.more.removeprefix("exit=") or 0)
            assert done.returncode == wanted, f"{block.text}{done.stdout}{done.stderr}"
            said += done.stdout + done.stderr
    assert said.count("all that applies passes") == 2
    assert "says nothing yet: write in decoded what its source says it means" in said
    assert "sensor board: mcu680 of package mcu680 0.1" in said
    assert '{"n": "temperature", "u": "Cel", "v": 24.29}' in said


def test_every_block_of_the_page_is_a_command_or_a_file() -> None:
    assert {block.kind for block in BLOCKS} == {"sh", "toml", "json", "python"}
    assert all(block.more for block in BLOCKS if block.kind != "sh")
    assert len(BLOCKS) == TEXT.count("```") // 2
    assert sum(block.text.count("gardu ") for block in BLOCKS if block.kind == "sh") >= 15


@pytest.mark.parametrize("file", ["mcu680/__init__.py", "mcu680/vectors.json"])
def test_the_example_of_the_page_is_the_package_that_is_tested(file: str) -> None:
    (shown,) = (block.text for block in BLOCKS if block.more == f"mcu680/{file}")
    assert shown == (PACKAGE / file).read_text(encoding="utf-8")


def test_the_table_says_what_the_drivers_say_of_themselves() -> None:
    assert with_table(TEXT) == TEXT, "run .venv/bin/python -m tests.project.drivers_table"


def test_every_family_has_its_traps_and_no_other() -> None:
    drivers = registry()
    assert set(TRAPS) == {drivers.info(name).family for name in drivers.names()}
