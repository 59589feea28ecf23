import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cli.main import main
from drivers.conformance.kit import KIT
from tests.drivers.io.test_vendor_folder import PROFILE, TOY
from tests.drivers.io.test_vendor_source import FILES, folder, wheel
from tests.vendor.played import PACKAGE

SHIPPED = Path(__file__).parents[3] / "drivers" / "serial" / "profiles"
Tried = Callable[..., tuple[int, str]]


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], imports: None) -> Tried:
    """Run `gardu driver ACTION`, with a folder of added drivers of its own; exit code and what was said."""
    monkeypatch.setenv("GARDU_DRIVERS", str(tmp_path / "added"))

    def run(*words: str | Path, action: str = "test") -> tuple[int, str]:
        code = main(["driver", action, *map(str, words)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def broken(where: Path, old: str, new: str) -> Path:
    """The example with a mistake."""
    files = {
        str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8")
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    module = files["mcu680/__init__.py"]
    assert old in module
    return folder(where, {**files, "mcu680/__init__.py": module.replace(old, new)})


def failed(said: str) -> list[str]:
    return [line.split()[0] for line in said.splitlines() if " FAIL " in line]


def test_the_example_passes_all_that_applies(tried: Tried) -> None:
    code, said = tried(PACKAGE)
    assert (code, failed(said)) == (0, [])
    assert [line.split()[0] for line in said.splitlines() if line.startswith("  K")] == list(KIT)
    assert "does not apply: it needs no warm-up" in said
    assert said.endswith("all that applies passes\n")


def test_what_was_added_is_tested_by_its_driver_and_by_its_project(tried: Tried) -> None:
    tried(PACKAGE, action="add")
    code, said = tried("mcu680", "--json")
    facts = [json.loads(line) for line in said.splitlines()]
    assert code == 0
    assert [one["check"] for one in facts] == list(KIT)
    assert {one["driver"] for one in facts} == {"mcu680"}
    assert {one["outcome"] for one in facts} == {"pass", "n/a"}


@pytest.mark.parametrize(
    ("old", "new", "checks"),
    [
        ("signed=True) / 100", "signed=True) / 10", "K1"),
        ("if sum8(frame[:-1]) != frame[-1]:", "if False:", "K6"),
        ("if not any(frame[4:-1]):", "if False:", "K8"),
        ("    return Said(\n", "    assert frame[5] == 0x7D\n    return Said(\n", "K1"),
        ("low=30000.0", "low=101300.0", "K19"),
    ],
)
def test_a_driver_with_a_mistake_fails_the_check_that_is_for_it(
    tried: Tried, tmp_path: Path, old: str, new: str, checks: str
) -> None:
    code, said = tried(broken(tmp_path, old, new))
    assert code == 1
    assert checks in failed(said)


def test_a_driver_that_writes_what_it_did_not_declare_fails(tried: Tried, tmp_path: Path) -> None:
    body = "    def tick(self, now_ns: int) -> list[Send]:\n        return [Send(data=b'reset')]\n\n\ndef _check("
    source = broken(tmp_path, "def _check(", body)
    module = source / "mcu680" / "__init__.py"
    text = module.read_text(encoding="utf-8").replace("Line, OptionValue", "Line, OptionValue, Send")
    module.write_text(text, encoding="utf-8")
    code, said = tried(source)
    assert (code, "72 65 73 65 74, which is not declared" in said) == (1, True)


def test_a_toy_without_a_check_does_not_pass(tried: Tried, tmp_path: Path) -> None:
    code, said = tried(folder(tmp_path, {**FILES, "knobs/__init__.py": TOY.replace('"toy"', '"knob"')}))
    assert code == 1
    assert {"K4", "K19"} <= set(failed(said))


def test_a_profile_is_tested_as_a_file_and_when_it_was_added(tried: Tried, tmp_path: Path) -> None:
    path = tmp_path / "windy.toml"
    path.write_text(PROFILE, encoding="utf-8")
    code, said = tried(path)
    assert (code, failed(said), "1 vectors with readings, two are needed" in said) == (1, ["K19"], True)
    second = '[[vector]]\nrequest = "01 03 00 00 00 01 84 0a"\nreply = "01 03 02 02 18 b9 2e"\n'
    path.write_text(f"{PROFILE}{second}expect = {{ wind_speed = 5.36 }}\n", encoding="utf-8")
    assert tried(path)[0] == 0
    tried(path, action="add")
    assert tried("windy")[0] == 0


@pytest.mark.parametrize("name", ["sonbest_wind", "pzem004t"])
def test_a_shipped_profile_passes_by_its_own_vectors(tried: Tried, name: str) -> None:
    code, said = tried(name)
    assert set(failed(said)) <= {"K19"}, said
    assert tried(SHIPPED / f"{name}.toml")[0] == code


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("sds011", "`make conformance` tests all that is shipped"),
        ("nothing", "no driver, profile or model is called 'nothing'"),
        ("gone.toml", "gone.toml: No such file"),
        ("gone.whl", "no driver, profile or model is called 'gone.whl'"),
    ],
)
def test_what_cannot_be_tried_says_why(tried: Tried, what: str, why: str) -> None:
    code, said = tried(what)
    assert (code, why in said) == (2, True), said


def test_a_wheel_is_tested_where_it_stands(tried: Tried, tmp_path: Path) -> None:
    names = {"mcu680/__init__.py", "mcu680/vectors.json"}
    files = {name: (PACKAGE / name).read_text(encoding="utf-8") for name in names}
    files["mcu680-0.1.dist-info/METADATA"] = "Name: mcu680\n"
    files["mcu680-0.1.dist-info/entry_points.txt"] = "[gardu.drivers]\nmcu680 = mcu680:Mcu680\n"
    assert tried(wheel(tmp_path, files))[0] == 0
