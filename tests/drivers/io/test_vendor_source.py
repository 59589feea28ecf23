import zipfile
from pathlib import Path

import pytest

from drivers.errors import AddedError
from drivers.io.vendor_source import stage
from tests.drivers.io.test_vendor_folder import TOY, VECTORS

PROJECT = """\
[project]
name = "Knob-Works"
version = "1.2"
[project.entry-points."gardu.drivers"]
knob = "knobs:Toy"
"""
FILES = {"pyproject.toml": PROJECT, "knobs/__init__.py": TOY, "knobs/vectors.json": VECTORS.replace("NAME", "knob")}
WHEEL = {
    "knobs/__init__.py": TOY,
    "knobs/vectors.json": VECTORS.replace("NAME", "knob"),
    "knob_works-1.2.dist-info/METADATA": "Name: knob-works\nRequires-Dist: x; extra == 'y'\n\nRequires-Dist: text\n",
    "knob_works-1.2.dist-info/entry_points.txt": "[gardu.drivers]\nknob = knobs:Toy\n",
}


def folder(where: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (where / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (where / "source" / name).write_text(text, encoding="utf-8")
    return where / "source"


def wheel(where: Path, files: dict[str, str]) -> Path:
    path = where / "knob_works-1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.fixture
def into(tmp_path: Path) -> Path:
    made = tmp_path / "staged"
    made.mkdir()
    return made


def test_a_wheel_and_the_folder_it_is_made_of_come_to_the_same(tmp_path: Path, into: Path) -> None:
    package = stage(wheel(tmp_path, WHEEL), into)
    assert (str(package), dict(package.entries)) == ("package knob_works 1.2", {"knob": "knobs:Toy"})
    again = tmp_path / "again"
    again.mkdir()
    source = folder(tmp_path, {**FILES, "tests/test_it.py": "x", "knobs/__pycache__/x.pyc": "x", "knobs/in/n.py": ""})
    assert str(stage(source, again)) == str(package)
    assert sorted(str(path.relative_to(again)) for path in again.rglob("*") if path.is_file()) == sorted(
        [*WHEEL, "knobs/in/n.py"]
    )


def test_a_package_below_src_is_found(tmp_path: Path, into: Path) -> None:
    files = {f"src/{name}" if name.startswith("knobs") else name: text for name, text in FILES.items()}
    assert stage(folder(tmp_path, files), into).vectors_file("knob").is_file()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"pyproject.toml": "["}, "pyproject.toml"),
        ({"pyproject.toml": "[project]\nname = 'x'"}, "says no name or no version"),
        ({"pyproject.toml": PROJECT.replace("[project.", "dependencies = ['six']\n[project.")}, "needs six"),
        ({"pyproject.toml": PROJECT.replace("gardu.drivers", "others")}, "names no driver"),
        ({"pyproject.toml": PROJECT.replace("knob =", '"9 knobs" =')}, "a name is a-z"),
        ({"pyproject.toml": PROJECT.replace("knobs:Toy", "knobs")}, "is not like package:Class"),
        ({"pyproject.toml": PROJECT.replace("knobs:Toy", ":Toy")}, "is not like package:Class"),
        ({"pyproject.toml": PROJECT.replace("knobs:Toy", "other:Toy")}, "with a folder other/__init__.py"),
        ({"pyproject.toml": PROJECT.replace("knobs:", "json:"), "json/__init__.py": TOY}, "a module json is there"),
        ({"pyproject.toml": PROJECT.replace("knobs:", "agent:"), "agent/__init__.py": TOY}, "a module agent is there"),
        ({"knobs/vectors.json": "[]"}, "no vector is of device 'knob'"),
        ({"knobs/fast.so": ""}, "fast.so is not plain Python"),
        ({"knobs/x.pth": ""}, "x.pth is not plain Python"),
        ({"knobs/long.txt": "x" * (4 << 20)}, "is larger than"),
    ],
)
def test_a_folder_that_cannot_be_added_says_why(tmp_path: Path, into: Path, change: dict[str, str], why: str) -> None:
    with pytest.raises(AddedError) as caught:
        stage(folder(tmp_path, {**FILES, **change}), into)
    assert why in caught.value.reason
    assert caught.value.cure


def test_a_package_without_vectors_is_refused(tmp_path: Path, into: Path) -> None:
    files = {name: text for name, text in FILES.items() if not name.endswith(".json")}
    with pytest.raises(AddedError, match=r"without knobs/vectors\.json: no frame proves it"):
        stage(folder(tmp_path, files), into)


def test_a_link_in_a_folder_is_refused(tmp_path: Path, into: Path) -> None:
    source = folder(tmp_path, FILES)
    (source / "knobs" / "secret").symlink_to("/etc/passwd")
    with pytest.raises(AddedError, match="would leave its folder"):
        stage(source, into)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"knob_works-1.2.dist-info/METADATA": "Name: k\nRequires-Dist: numpy>=2\n"}, "needs numpy>=2"),
        ({"../evil.py": ""}, "would leave its folder"),
        ({"/etc/evil.py": ""}, "would leave its folder"),
        ({"knob_works-1.2.data/scripts/run": ""}, "is not plain Python"),
        ({"knobs/long.txt": "x" * (4 << 20)}, "is larger than"),
        ({f"knobs/{number}.py": "" for number in range(500)}, "is larger than"),
        ({"knob_works-1.2.dist-info/entry_points.txt": ""}, "names no driver"),
    ],
)
def test_a_wheel_that_cannot_be_added_says_why(tmp_path: Path, into: Path, change: dict[str, str], why: str) -> None:
    with pytest.raises(AddedError) as caught:
        stage(wheel(tmp_path, {**WHEEL, **change}), into)
    assert why in caught.value.reason
    assert not (tmp_path / "evil.py").exists()


def test_a_link_in_a_wheel_is_refused(tmp_path: Path, into: Path) -> None:
    path = wheel(tmp_path, WHEEL)
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("knobs/secret")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(AddedError, match="would leave its folder"):
        stage(path, into)


def test_what_is_no_package_at_all_says_so(tmp_path: Path, into: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(AddedError, match="neither a wheel nor a folder"):
        stage(tmp_path / "text", into)
    with pytest.raises(AddedError, match="No such file"):
        stage(tmp_path / "gone.whl", into)
