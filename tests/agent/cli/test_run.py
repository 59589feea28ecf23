import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import app
from agent.cli.main import main
from agent.cli.run import UNREADABLE
from agent.config.load import Parsed
from agent.errors import KeyFileError
from agent.sdnotify import Notifier

GOOD = 'node = "dago-01"\ncity = "bandung"\n[center]\nurl = "mqtt://127.0.0.1"\n[log]\nlevel = "warning"\n'


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Put the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def run(folder: Path, text: str) -> int:
    (folder / "agent.toml").write_text(text)
    return main(["run", "--config", str(folder / "agent.toml")])


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--config", str(tmp_path / "nothing.toml")]) == UNREADABLE == 2
    assert str(tmp_path / "nothing.toml") in capsys.readouterr().err


def test_a_wrong_configuration_is_told_with_every_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, 'node = "Dago 1"\ncolour = "red"\n') == 1
    text = capsys.readouterr().err
    assert "gardu check" in text
    assert "agent.toml:1" in text
    assert "agent.toml:2" in text


def test_missing_keys_are_told_without_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, f'{GOOD}[keys]\nfolder = "{tmp_path}/keys"\n') == UNREADABLE
    text = capsys.readouterr().err
    assert f"{tmp_path}/keys/signing.pem: the node's signing key is missing" in text
    assert "Traceback" not in text


def test_a_run_that_was_asked_to_end_ends_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Parsed] = []

    async def calm(parsed: Parsed, _: Notifier) -> None:
        seen.append(parsed)

    monkeypatch.setattr(app, "run", calm)
    assert run(tmp_path, GOOD) == 0
    assert seen[0].config is not None
    assert seen[0].config.node == "dago-01"
    assert logging.getLogger().level == logging.WARNING


def test_named_trouble_has_its_exit_code_and_a_bug_has_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Parsed, __: Notifier) -> None:
        raise KeyFileError("x")

    async def bug(_: Parsed, __: Notifier) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(app, "run", fail)
    assert run(tmp_path, GOOD) == UNREADABLE
    monkeypatch.setattr(app, "run", bug)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, GOOD)
