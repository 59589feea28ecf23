import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli

from agent.config.load import parse
from agent.config.schema import SECTIONS, Key, homes
from drivers.io.catalog import registry
from drivers.quantity import amount

FOLDER = Path(__file__).parents[3] / "config"
TEXT = (FOLDER / "agent.toml").read_text(encoding="utf-8")
_LINE = re.compile(r"#?(\[[a-z_.]+\]|[a-z_]+ = )")
_OF_A_DRIVER = {"sensor.NAME": {"mount_height"}}
_UNITS = {"time": "s", "size": "B", "share": "1"}

KEYS = [(section, key) for section, keys in SECTIONS.items() for key in keys if key.kind != "table"]


def documented() -> Iterator[tuple[str, str, str, str]]:
    """Yield section, key, text of the value and rest of the line of everything agent.toml shows, switched on or off."""
    section = ""
    for line in TEXT.splitlines():
        if not _LINE.match(line):
            continue
        shown = line.removeprefix("#")
        if shown.startswith("["):
            section = re.sub(r"\.(?:river|ups|flood|time|intercepted|drops)\b", ".NAME", shown[1 : shown.index("]")])
            section = re.sub(r"\.channel\..*", ".channel.CHANNEL", section)
            continue
        name, _, rest = shown.partition(" = ")
        value, _, told = rest.partition("   # ") if "   # " in rest else rest.partition(" # ")
        yield section, name, value.strip(), told


SHOWN = {(section, name): (value, told) for section, name, value, told in documented()}


def test_agent_toml_shows_every_key_and_no_other() -> None:
    known = {(section, key.name) for section, key in KEYS}
    of_drivers = {(section, name) for section, names in _OF_A_DRIVER.items() for name in names}
    assert set(SHOWN) - of_drivers == known


@pytest.mark.parametrize(("section", "key"), KEYS, ids=[f"{section}.{key.name}" for section, key in KEYS])
def test_every_key_is_shown_with_its_default_and_its_meaning(section: str, key: Key) -> None:
    value, told = SHOWN[section, key.name]
    assert told
    written = tomli.loads(f"x = {value}")["x"]
    if key.required or key.name == "port":
        assert "Required" in told
    elif key.default in (None, (), ""):
        assert "efault" in told or section.endswith(".channel.CHANNEL")
    elif isinstance(key.default, tuple):
        assert tuple(written) == key.default
    else:
        assert written == key.default


def test_with_every_line_switched_on_it_is_right_too() -> None:
    text = re.sub(r"(?m)^#(?=\[|[a-z_]+ = )", "", TEXT)
    parsed = parse([("agent.toml", text.encode())], registry())
    assert parsed.problems == ()
    assert parsed.config is not None
    assert parsed.config.sensors[0].channels["distance"].high == 4.2


@pytest.mark.parametrize("name", ["agent.toml", "hotspot.toml", "kiosk.toml"])
def test_the_configurations_that_are_shipped_have_no_problem(name: str) -> None:
    parsed = parse([(name, (FOLDER / name).read_bytes())], registry())
    assert parsed.problems == ()
    assert parsed.config is not None
    assert parsed.config.alarms


@pytest.mark.parametrize(("section", "key"), KEYS, ids=[f"{section}.{key.name}" for section, key in KEYS])
def test_every_default_lies_in_its_range(section: str, key: Key) -> None:
    assert key.name in {other.name for other in SECTIONS[section]}
    assert key.doc
    if key.kind in _UNITS:
        low, high = (amount(str(end), _UNITS[key.kind]) for end in (key.low, key.high))
        default = amount(str(key.default), _UNITS[key.kind]) if key.default is not None else low
        assert low <= default <= high
    if key.choices and key.default is not None:
        assert key.default in key.choices


def test_a_key_knows_its_sections() -> None:
    assert homes("folder") == ("keys", "spool", "run")
    assert homes("nothing") == ()
