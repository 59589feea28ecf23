import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cli.main import main
from drivers.io.catalog import registry
from drivers.io.vendor_folder import place
from tests.drivers.io.test_vendor_folder import PROFILE
from tests.drivers.io.test_vendor_source import FILES, PROJECT, WHEEL, folder, wheel

NOBODY = 65_534
Added = Callable[..., tuple[int, str]]


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Added:
    """Run `gardu driver add` on a folder of its own; exit code and what was said."""
    monkeypatch.setenv("GARDU_DRIVERS", str(tmp_path / "lib" / "drivers"))

    def add(file: Path, *more: str) -> tuple[int, str]:
        code = main(["driver", "add", str(file), *more])
        said = capsys.readouterr()
        return code, said.out + said.err

    return add


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "windy.toml"
    path.write_text(PROFILE, encoding="utf-8")
    return path


def files() -> set[str]:
    return {str(path.relative_to(place().path)) for path in place().path.rglob("*") if path.is_file()}


def test_a_profile_is_proved_added_and_readable_by_the_agent_only(added: Added, profile: Path) -> None:
    old = os.umask(0o077)
    try:
        code, said = added(profile)
    finally:
        os.umask(old)
    assert code == 0
    assert "windy.toml: added: Wind, 1 channels, 1 vectors right" in said
    assert 'driver = "windy"' in said
    modes = {str(path.relative_to(place().path)): path.stat().st_mode & 0o777 for path in place().path.rglob("*")}
    assert modes == {"profiles": 0o755, "packages": 0o755, "profiles/windy.toml": 0o644}
    assert [path.stat().st_mode & 0o777 for path in (place().path, place().path.parent)] == [0o755, 0o755]
    assert registry().info("windy").title == "Wind"


def test_the_same_profile_again_changes_nothing_and_another_only_when_told(added: Added, profile: Path) -> None:
    added(profile)
    assert added(profile) == (0, f"{place().profiles / 'windy.toml'}: is there already, the same\n")
    profile.write_text(PROFILE.replace("Wind", "Storm"), encoding="utf-8")
    code, said = added(profile)
    assert (code, "--replace takes the new one" in said) == (2, True)
    assert registry().info("windy").title == "Wind"
    assert added(profile, "--replace")[0] == 0
    assert registry().info("windy").title == "Storm"
    assert files() == {"profiles/windy.toml"}


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("1.21", "1.22", "expected 1.22 got 1.21"),
        ('name = "windy"', 'name = "sds011"', "Gardu itself has a driver, profile or model called 'sds011'"),
        ("title", 'models = ["pzem004t_v3"]\ntitle', "called 'pzem004t_v3'"),
        ('name = "windy"', 'name = "Not So"', "is not a-z"),
        ("[[request]]", "[[request", "windy.toml"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused_before_anything_is_written(
    added: Added, profile: Path, old: str, new: str, why: str
) -> None:
    profile.write_text(PROFILE.replace(old, new, 1), encoding="utf-8")
    code, said = added(profile)
    assert (code, why.replace("windy.toml", "profile windy") in said) == (2, True), said
    assert files() == set()


def test_what_is_no_text_or_not_there_is_refused(added: Added, tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_bytes(b"\xff")
    assert added(tmp_path / "odd.toml")[0] == 2
    code, said = added(tmp_path / "gone.toml")
    assert (code, "gone.toml: No such file" in said) == (2, True)


def test_a_package_is_added_without_running_it(added: Added, tmp_path: Path) -> None:
    loud = {**WHEEL, "knobs/__init__.py": "raise SystemExit('ran')"}
    code, said = added(wheel(tmp_path, loud))
    assert code == 0
    assert "added: package knob_works 1.2, with knob; none of its code has run" in said
    assert 'allow = ["knob"]' in said
    assert files() == {f"packages/knob_works/{name}" for name in WHEEL}


def test_a_package_is_replaced_only_when_told_and_then_whole(added: Added, tmp_path: Path) -> None:
    assert added(wheel(tmp_path, {**WHEEL, "knobs/old.py": ""}))[0] == 0
    newer = folder(tmp_path, {**FILES, "pyproject.toml": PROJECT.replace("1.2", "1.3")})
    code, said = added(newer)
    assert (code, "is there already: package knob_works 1.2; --replace puts package knob_works 1.3" in said) == (
        2,
        True,
    )
    assert registry().package_of("knob") == "package knob_works 1.2"
    assert added(newer, "--replace")[0] == 0
    assert registry().package_of("knob") == "package knob_works 1.3"
    assert "packages/knob_works/knobs/old.py" not in files()
    assert [path.name for path in place().packages.iterdir()] == ["knob_works"]


@pytest.mark.parametrize(
    ("project", "name", "why"),
    [
        ("Knob-Works", "sds011", "Gardu itself has"),
        ("others", "knob", "both have 'knob'"),
        ("others", "lever", "both have 'knobs'"),
    ],
)
def test_a_package_whose_names_are_taken_is_refused(
    added: Added, tmp_path: Path, project: str, name: str, why: str
) -> None:
    added(wheel(tmp_path, WHEEL))
    changed = {
        "pyproject.toml": PROJECT.replace("Knob-Works", project).replace("knob =", f"{name} ="),
        "knobs/vectors.json": FILES["knobs/vectors.json"].replace('"knob"', f'"{name}"'),
    }
    code, said = added(folder(tmp_path, {**FILES, **changed}))
    assert (code, why in said) == (2, True), said
    assert [path.name for path in place().packages.iterdir()] == ["knob_works"]


def test_a_profile_and_a_package_cannot_have_one_name(added: Added, tmp_path: Path, profile: Path) -> None:
    added(wheel(tmp_path, WHEEL))
    profile.write_text(PROFILE.replace('"windy"', '"knob"'), encoding="utf-8")
    assert "package knob_works 1.2 has a driver 'knob' already" in added(profile)[1]
    profile.write_text(PROFILE, encoding="utf-8")
    added(profile)
    project, vectors = PROJECT.replace("knob =", "windy ="), FILES["knobs/vectors.json"].replace('"knob"', '"windy"')
    said = added(folder(tmp_path, {**FILES, "pyproject.toml": project, "knobs/vectors.json": vectors}), "--replace")[1]
    assert "a profile 'windy' was added before" in said


def test_a_folder_that_others_may_write_takes_nothing(added: Added, profile: Path) -> None:
    place().profiles.mkdir(parents=True)
    place().path.chmod(0o777)
    code, said = added(profile)
    assert (code, "others than root may write" in said, "chmod -R go-w" in said) == (2, True, True)
    assert files() == set()


def test_who_may_not_write_there_is_told_to_be_root(
    added: Added, profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    code, said = added(profile)
    assert (code, f"sudo gardu driver add {profile}" in said) == (2, True)


def test_a_place_that_cannot_be_made_is_named(added: Added, profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GARDU_DRIVERS", "/proc/nowhere")
    code, said = added(profile)
    assert (code, "/proc/nowhere" in said) == (2, True)
