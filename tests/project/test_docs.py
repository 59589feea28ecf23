import re
from pathlib import Path

import pytest

from agent.cli.main import COMMANDS
from center.cli.main import COMMANDS as CENTER_COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def code(page: Path) -> str:
    """All code of a page, fenced or in backticks, one piece a line."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    return "\n".join([*fenced, *spans])


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_named_exists(page: Path) -> None:
    text = code(page)
    assert set(re.findall(r"^ *(?:\$ )?make ([a-z-]+)", text, re.MULTILINE)) <= targets()
    assert set(re.findall(r"(?<![\w/.-])gardu ([a-z]+)", text)) <= set(COMMANDS)
    assert set(re.findall(r"(?<![\w/.-])gardu-center ([a-z]+)", text)) <= set(CENTER_COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    dead = [
        link
        for link in links
        if not re.match(r"[a-z]+:", link) and not (page.parent / (link.partition("#")[0] or page.name)).exists()
    ]
    assert dead == []


def test_the_readme_gives_the_two_commands() -> None:
    lines = code(ROOT / "README.md").splitlines()
    assert any(line.startswith("make demo") for line in lines)
    assert any(line.startswith("make test") for line in lines)


def test_every_target_of_make_says_what_it_does() -> None:
    described = re.findall(r"^([a-z-]+):.* ## \S", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(described) == targets()
