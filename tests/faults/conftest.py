"""What the fault campaigns share: how much to run, by which seed, and a voice for what could not run."""

import os
import random
import secrets
from collections.abc import Callable

import pytest

_LOUD = pytest.StashKey[list[str]]()
_TABLES = pytest.StashKey[dict[str, list[str]]]()


@pytest.fixture(scope="session")
def full() -> bool:
    """Tell whether campaigns run in full (``FULL=1``), not a tenth."""
    return os.environ.get("FULL", "0") not in ("", "0")


@pytest.fixture(scope="session")
def campaign_seed() -> int:
    """Return the seed of all choices: GARDU_SEED, else a new one."""
    return int(os.environ.get("GARDU_SEED") or secrets.randbits(32))


@pytest.fixture
def chance(campaign_seed: int) -> random.Random:
    """Choose by the campaign's seed; each test from its beginning, so that one alone repeats."""
    print(f"choices: GARDU_SEED={campaign_seed}")
    return random.Random(campaign_seed)  # noqa: S311 - choices of a test, no secret


@pytest.fixture
def say_loudly(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Give a function for what everybody must read at the end of the run."""
    said = request.config.stash.setdefault(_LOUD, [])

    def say(text: str) -> None:
        if text not in said:
            said.append(text)

    return say


@pytest.fixture
def show(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Give a function that adds a line to a part of what is printed at the end of the run: title, line."""
    tables = request.config.stash.setdefault(_TABLES, {})
    return lambda title, line: tables.setdefault(title, []).append(line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for title, lines in sorted(config.stash.get(_TABLES, {}).items()):
        terminalreporter.section(title)
        for line in sorted(lines):
            terminalreporter.line(line)
    for text in config.stash.get(_LOUD, []):
        terminalreporter.section("NOT TESTED HERE", red=True, bold=True)
        terminalreporter.line(text, red=True, bold=True)
