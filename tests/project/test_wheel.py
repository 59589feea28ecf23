import json
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path | None = None) -> str:
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=100)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with our wheel installed and the dependencies of this one to be seen."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return python


@pytest.fixture
def decoy(tmp_path: Path) -> Path:
    """A working folder that holds a stranger's package of our name."""
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "__init__.py").write_text("raise SystemExit('the stranger ran')\n", encoding="utf-8")
    return tmp_path


def test_wheel_holds_our_packages_and_nothing_else(names: list[str]) -> None:
    (metadata,) = {name.split("/")[0] for name in names} - {"agent", "drivers", "center"}
    assert re.fullmatch(r"gardu-[0-9.]+\.dist-info", metadata)


def test_wheel_holds_no_tests(names: list[str]) -> None:
    assert [name for name in names if "test" in name.lower()] == []


def test_wheel_holds_the_license_and_both_commands(wheel: Path, names: list[str]) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    (entry_points,) = (name for name in names if name.endswith(".dist-info/entry_points.txt"))
    with zipfile.ZipFile(wheel) as archive:
        commands = archive.read(entry_points).decode()
    assert "gardu = agent.cli.main:main" in commands
    assert "gardu-center = center.cli.main:main" in commands


def test_wheel_holds_every_file_of_the_packages_profiles_included(names: list[str]) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for package in ("agent", "drivers", "center")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files <= set(names)
    assert any(name.startswith("drivers/serial/profiles/") and name.endswith(".toml") for name in names)


def test_each_of_our_names_has_one_owner(python: Path, tmp_path: Path) -> None:
    question = (
        "import json; from importlib.metadata import packages_distributions as owners; "
        "print(json.dumps({name: owners().get(name) for name in ('agent', 'drivers', 'center')}))"
    )
    answer = json.loads(run(python, "-P", "-c", question, cwd=tmp_path))
    assert answer == {"agent": ["gardu"], "drivers": ["gardu"], "center": ["gardu"]}


def test_the_installed_code_runs_and_not_that_of_the_tree(python: Path, tmp_path: Path) -> None:
    place = run(python, "-P", "-c", "import agent; print(agent.__file__)", cwd=tmp_path)
    assert place.startswith(str(python.parents[1]))


def test_command_runs_from_a_folder_with_a_package_of_the_same_name(python: Path, decoy: Path) -> None:
    assert "COMMAND" in run(python.parent / "gardu", "--help", cwd=decoy)


def test_module_runs_from_a_folder_with_a_package_of_the_same_name(python: Path, decoy: Path) -> None:
    assert "COMMAND" in run(python, "-sP", "-m", "agent", "--help", cwd=decoy)


def test_without_safe_path_the_stranger_would_run(python: Path, decoy: Path) -> None:
    result = subprocess.run(
        [python, "-m", "agent", "--help"], cwd=decoy, capture_output=True, text=True, check=False, timeout=60
    )
    assert "the stranger ran" in result.stderr
