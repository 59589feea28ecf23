import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PACKAGES = ("agent", "drivers", "center")

# Modules that may touch the world; whatever is not below one of these must stand in the contract "pure".
IMPURE = (
    "agent.__main__",
    "agent.alarm_board",
    "agent.alarm_book",
    "agent.app",
    "agent.boots",
    "agent.cli",
    "agent.clock",
    "agent.clock_files",
    "agent.demo",
    "agent.identity",
    "agent.last_orders",
    "agent.link_log",
    "agent.link_probe",
    "agent.logs",
    "agent.meter",
    "agent.mqtt",
    "agent.note_drop",
    "agent.notes_socket",
    "agent.own_alarms",
    "agent.own_probes",
    "agent.pipeline",
    "agent.poll",
    "agent.probing",
    "agent.readings_socket",
    "agent.restarts",
    "agent.sdnotify",
    "agent.sensor_book",
    "agent.session",
    "agent.settings",
    "agent.spool",
    "agent.sync_probe",
    "agent.timekeeper",
    "agent.uplink",
    "agent.whole_file",
    "drivers.io",
)


def contract(identifier: str) -> dict[str, list[str]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    (found,) = (one for one in contracts if one["id"] == identifier)
    return dict(found)


def modules(package: str) -> dict[str, Path]:
    """Every module of a package by its dotted name; a package that is only a docstring is left out."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    }


def is_below(module: str, names: list[str] | tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def lint(folder: Path, identifier: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [BIN / "lint-imports", "--no-cache", "--no-logo", "--contract", identifier]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("identifier", "file", "line", "told"),
    [
        ("layers", "drivers/reading.py", "import agent.errors", "drivers.reading -> agent.errors"),
        ("layers", "agent/wire/topics.py", "import agent.cli.version", "agent.wire.topics -> agent.cli.version"),
        ("center-wire", "center/intruder.py", "import agent.errors", "center.intruder -> agent.errors"),
        ("agent-center", "agent/errors.py", "import center", "agent.errors -> center"),
        ("pure", "agent/wire/topics.py", "import time", "agent.wire.topics -> time"),
        ("pure", "drivers/framing.py", "from pathlib import Path", "drivers.framing -> pathlib"),
        ("owners", "agent/cli/version.py", "import serial", "agent.cli.version -> serial"),
    ],
)
def test_an_import_that_breaks_a_contract_is_named(
    copy: Path, identifier: str, file: str, line: str, told: str
) -> None:
    with (copy / file).open("a", encoding="utf-8") as module:
        module.write(f"\n{line}\n")
    result = lint(copy, identifier)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "BROKEN" in result.stdout
    assert told in result.stdout


def test_the_center_may_import_the_wire(copy: Path) -> None:
    (copy / "center" / "guest.py").write_text("import agent.wire.topics\n", encoding="utf-8")
    result = lint(copy, "center-wire")
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_module_of_the_agent_has_a_place_in_the_layers() -> None:
    layers = {name.strip(" ()") for layer in contract("layers")["layers"] for name in layer.split("|")}
    parts = {".".join(module.split(".")[:2]) for module in modules("agent")} - {"agent.__main__"}
    assert parts <= layers


def test_every_module_is_pure_by_contract_or_named_as_one_that_is_not() -> None:
    pure = contract("pure")["source_modules"]
    undecided = [
        module for package in ("agent", "drivers") for module in modules(package) if not is_below(module, pure)
    ]
    assert [module for module in undecided if not is_below(module, IMPURE)] == []


def test_pure_modules_use_no_builtin_that_reaches_the_world() -> None:
    pure = contract("pure")["source_modules"]
    found = []
    for package in ("agent", "drivers"):
        for module, path in modules(package).items():
            if is_below(module, pure):
                found += [f"{module}:{line}" for line in worldly(ast.parse(path.read_text(encoding="utf-8")))]
    assert found == []


def worldly(tree: ast.Module) -> list[int]:
    """Line numbers of calls that import-linter cannot see: builtins, and the clock behind ``datetime``."""
    builtins = {"open", "input", "print", "eval", "exec", "__import__", "breakpoint"}
    clock = {"now", "utcnow", "today"}
    lines = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in builtins:
                lines.append(node.lineno)
            case ast.Call(func=ast.Attribute(attr=name, value=ast.Name(id="datetime" | "date"))) if name in clock:
                lines.append(node.lineno)
    return lines


@pytest.mark.parametrize(
    "source", ["open('x')", "print(1)", "from datetime import datetime\ndatetime.now(tz=None)", "date.today()"]
)
def test_a_worldly_call_is_found(source: str) -> None:
    assert worldly(ast.parse(source))


def test_ruff_refuses_the_builtin_open() -> None:
    command: list[str | Path] = [BIN / "ruff", "check", "--no-cache", "--stdin-filename", "agent/wire/made_up.py", "-"]
    source = '"""Read."""\n\n\ndef read(name: str) -> str:\n    """Read."""\n    return open(name).read()\n'
    result = subprocess.run(command, cwd=ROOT, input=source, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    assert "PTH123" in result.stdout
