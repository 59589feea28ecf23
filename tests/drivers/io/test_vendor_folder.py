import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli.main import main
from drivers.errors import AddedError, ProfileError, UnknownDriver
from drivers.io.catalog import registry
from drivers.io.vendor_folder import STANDARD, Place, entry_points, place, trust, trusted_text
from drivers.reading import Reading
from drivers.registry import Registry

NS = 1_000_000_000
ME = frozenset({os.geteuid()})
NOBODY = 65_534
TOY = (Path(__file__).parents[1] / "vendor_class.py").read_text(encoding="utf-8")
VECTORS = """[{"device": "NAME", "bytes_hex": "07", "expect": "reading", "source": "made up",
 "decoded": {"count": {"value": 7, "unit": "1"}}},
 {"device": "NAME", "bytes_hex": "08", "expect": "reading", "source": "made up",
 "decoded": {"count": {"value": 8, "unit": "1"}}}]"""
PROFILE = """\
name = "windy"
title = "Wind"
source = "a data sheet"
[[request]]
function = 3
register = 0
count = 1
[[request.value]]
channel = "wind_speed"
register = 0
scale = "0.01"
unit = "m/s"
[[vector]]
request = "01 03 00 00 00 01 84 0a"
reply = "01 03 02 00 79 79 a6"
expect = { wind_speed = 1.21 }
"""


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A folder of added drivers; what was imported from it is forgotten afterwards."""
    path, modules = list(sys.path), set(sys.modules)
    monkeypatch.setenv("GARDU_DRIVERS", str(tmp_path / "added"))
    (tmp_path / "added" / "profiles").mkdir(parents=True)
    (tmp_path / "added" / "packages").mkdir()
    yield place()
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def put(where: Place, name: str, code: str = TOY, *, project: str = "", vectors: str = VECTORS) -> Path:
    """Lay out a package with one driver."""
    folder = where.packages / (project or name)
    module = folder / f"{name}_module"
    module.mkdir(parents=True)
    (module / "__init__.py").write_text(code.replace('"toy"', f'"{name}"'), encoding="utf-8")
    (module / "vectors.json").write_text(vectors.replace("NAME", name), encoding="utf-8")
    (folder / f"{name}-1.0.dist-info").mkdir()
    text = f"[console_scripts]\nx = y:z\n\n[gardu.drivers]\n{name} = {name}_module:Toy\n"
    (folder / f"{name}-1.0.dist-info" / "entry_points.txt").write_text(text, encoding="utf-8")
    return module


def test_the_folder_is_outside_the_slots_and_only_roots_unless_the_environment_names_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GARDU_DRIVERS")
    assert place() == Place(path=Path(STANDARD), owners=frozenset({0}))
    monkeypatch.setenv("GARDU_DRIVERS", str(tmp_path))
    assert place() == Place(path=tmp_path, owners=frozenset({0, os.geteuid()}))


def test_a_driver_is_known_by_its_metadata_and_imported_when_it_is_used(where: Place) -> None:
    put(where, "knob")
    drivers = registry(where)
    assert drivers.packages() == ("knob",)
    assert drivers.package_of("knob") == drivers.origin("knob") == "package knob 1.0"
    assert "knob" not in drivers.names()
    assert "knob_module" not in sys.modules
    assert drivers.info("knob").title == "Toy"
    assert "knob_module" in sys.modules
    (reading,) = drivers.make("knob", "s", {}).receive(b"\x05", NS)
    assert isinstance(reading, Reading)
    assert drivers.decode("knob", {}, [b"\x05"]).readings[0].value == 5


def test_an_exception_of_its_code_costs_its_own_sensor(where: Place) -> None:
    put(where, "knob", TOY + "\n    def tick(self, now_ns: int) -> list[Event]:\n        raise KeyError(now_ns)\n")
    (said,) = registry(where).make("knob", "s", {}).tick(NS)
    assert "KeyError" in str(said)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def Toy(): pass", "which is no class"),
        ("", "AttributeError"),
        (TOY.replace("api = 1", "api = 2"), "is made for api 2"),
    ],
)
def test_code_that_is_no_driver_costs_nobody_but_who_names_it(where: Place, code: str, why: str) -> None:
    put(where, "knob", code)
    drivers = registry(where)
    with pytest.raises(AddedError, match=why):
        drivers.info("knob")
    assert drivers.info("sds011").name == "sds011"


def test_a_module_that_is_already_another_is_not_taken_for_it(where: Place) -> None:
    put(where, "knob")
    (where.packages / "knob" / "knob-1.0.dist-info" / "entry_points.txt").write_text(
        "[gardu.drivers]\nknob = json:loads"
    )
    with pytest.raises(AddedError, match="is already that of"):
        registry(where).info("knob")


@pytest.mark.parametrize("part", ["", "packages", "packages/knob", "packages/knob/knob_module", "file"])
def test_what_others_may_write_is_not_imported(where: Place, part: str) -> None:
    module = put(where, "knob")
    path = module / "__init__.py" if part == "file" else where.path / part
    path.chmod(path.stat().st_mode | 0o020)
    with pytest.raises(AddedError, match="others than root may write") as caught:
        registry(where).info("knob")
    assert caught.value.cure == f"chmod -R go-w {path}"
    assert "knob_module" not in sys.modules
    path.chmod(path.stat().st_mode & ~0o022)
    assert registry(where).info("knob").name == "knob"


def test_what_belongs_to_another_account_is_not_imported(where: Place) -> None:
    module = put(where, "knob")
    stranger = Place(path=where.path, owners=frozenset({NOBODY}))
    if os.geteuid() == 0:  # root's files are always trusted: give one away
        os.chown(module / "vectors.json", 1234, 1234)
    with pytest.raises(AddedError, match="not to root") as caught:
        registry(stranger).info("knob")
    assert "chown -R root:root" in caught.value.cure


def test_a_link_out_of_the_folder_is_not_followed(where: Place, tmp_path: Path) -> None:
    module = put(where, "knob")
    (tmp_path / "else.py").write_text("")
    (module / "more.py").symlink_to(tmp_path / "else.py")
    with pytest.raises(AddedError, match="is a link"):
        registry(where).info("knob")


def test_a_folder_that_all_may_write_is_fine_above_when_only_owners_may_move_what_is_in_it(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    (shared / "own").mkdir(parents=True)
    shared.chmod(0o1777)
    trust(shared / "own", ME)
    shared.chmod(0o777)
    with pytest.raises(AddedError, match="others than root may write"):
        trust(shared / "own", ME)


def test_a_heap_of_files_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.io.vendor_folder._MOST_FILES", 2)
    for name in "abc":
        (tmp_path / name).write_text("")
    with pytest.raises(AddedError, match="more than 2 files"):
        trust(tmp_path, ME)


def test_a_file_that_is_not_there_or_no_text_says_so(tmp_path: Path) -> None:
    with pytest.raises(AddedError, match="No such file"):
        trusted_text(tmp_path / "none.toml", ME)
    (tmp_path / "odd.toml").write_bytes(b"\xff")
    with pytest.raises(AddedError, match=r"odd\.toml"):
        trusted_text(tmp_path / "odd.toml", ME)


def test_a_folder_without_metadata_is_no_package(where: Place) -> None:
    (where.packages / "empty").mkdir()
    (where.packages / ".new" / "x-1.dist-info").mkdir(parents=True)
    (where.packages / "half" / "x-1.dist-info").mkdir(parents=True)
    assert registry(where).packages() == ()


def test_entry_points_of_other_groups_are_not_drivers() -> None:
    assert entry_points("# no\n[other]\na = b:c\n[ gardu.drivers ]\n; no = no\nd = e:F\n g=h:I \n") == {
        "d": "e:F",
        "g": "h:I",
    }


# -- profiles and names -----------------------------------------------------------------------------------------------


def test_an_added_profile_is_used_like_a_shipped_one(where: Place) -> None:
    (where.profiles / "windy.toml").write_text(PROFILE.replace("title", 'models = ["breeze"]\ntitle'), encoding="utf-8")
    (where.profiles / "notes.txt").write_text("no profile")
    drivers = registry(where)
    assert "windy" in drivers.names()
    assert drivers.origin("windy") == "an added profile"
    assert (drivers.origin("sds011"), drivers.package_of("windy")) == ("", "")
    assert drivers.info("breeze").name == "windy"
    assert drivers.make("windy", "s", {}).info.title == "Wind"
    assert "windy" in drivers.profile_text("windy")
    with pytest.raises(UnknownDriver):
        drivers.profile_text("sds011")


def test_a_broken_profile_costs_nobody_else(where: Place) -> None:
    (where.profiles / "windy.toml").write_text(PROFILE.replace("1.21", "1.22") + '#"sds01"', encoding="utf-8")
    drivers = registry(where)
    with pytest.raises(ProfileError, match=r"expected 1\.22 got 1\.21"):
        drivers.info("windy")
    with pytest.raises(UnknownDriver, match="did you mean"):
        drivers.info("sds01")
    assert "windy" in drivers.names()
    assert "windy" not in drivers.usable()
    assert "sds011" in drivers.usable()


def test_a_file_whose_profile_has_another_name_is_refused_each_time(where: Place) -> None:
    (where.profiles / "stormy.toml").write_text(PROFILE, encoding="utf-8")
    drivers = registry(where)
    for _ in range(2):
        with pytest.raises(ProfileError, match="file and name must agree"):
            drivers.info("stormy")


def test_a_profile_that_others_may_write_is_refused(where: Place) -> None:
    path = where.profiles / "windy.toml"
    path.write_text(PROFILE, encoding="utf-8")
    path.chmod(0o666)
    with pytest.raises(AddedError, match="may write"):
        registry(where).info("windy")


@pytest.mark.parametrize("name", ["sds011", "sds018", "pzem004t", "pzem004t_v3"])
def test_a_name_that_gardu_has_too_is_refused_to_both(where: Place, name: str) -> None:
    put(where, name)
    with pytest.raises(AddedError, match=f"of Gardu itself is called '{name}'"):
        registry(where).make(name, "s", {})
    assert registry(where).is_shipped(name)


def test_a_name_that_a_profile_and_a_package_have_is_refused(where: Place) -> None:
    put(where, "windy")
    (where.profiles / "windy.toml").write_text(PROFILE, encoding="utf-8")
    with pytest.raises(AddedError, match="an added profile is called"):
        registry(where).info("windy")


def test_before_an_update_all_that_is_configured_must_load_and_pass_its_vectors(where: Place) -> None:
    put(where, "knob")
    put(where, "lever", vectors=VECTORS.replace('"value": 8', '"value": 9'))
    put(where, "wheel", vectors="[")
    (where.profiles / "windy.toml").write_text(PROFILE.replace("1.21", "1.22"), encoding="utf-8")
    drivers = registry(where)
    assert drivers.unfit(["knob", "sds011", "pzem004t", "knob"]) == []
    lever, wheel, windy, gone = drivers.unfit(["lever", "wheel", "windy", "gone", "gone"])
    assert "08: expected {'count': 9}, got {'count': '8 1'}" in lever
    assert "this is no JSON" in wheel
    assert "expected 1.22 got 1.21" in windy
    assert "no driver, profile or model is called 'gone'" in gone


def test_where_nothing_was_added_nothing_of_it_is_imported() -> None:
    drivers = registry()
    assert isinstance(drivers, Registry)
    assert drivers.packages() == ()


def test_the_list_says_where_each_is_from_and_what_cannot_be_used(
    where: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    put(where, "knob", "raise SystemExit('imported')")
    (where.profiles / "windy.toml").write_text(PROFILE, encoding="utf-8")
    (where.profiles / "stormy.toml").write_text(PROFILE, encoding="utf-8")
    assert main(["driver", "list"]) == 0
    said = capsys.readouterr()
    assert "Wind (an added profile)" in said.out
    assert "package knob 1.0, not imported" in said.out
    assert "stormy: cannot be used: profile stormy: name: says 'windy'" in said.err
    assert main(["driver", "list", "--json"]) == 0
    assert '{"name": "knob", "origin": "package knob 1.0"}' in capsys.readouterr().out
    assert main(["driver", "show", "windy"]) == 0
    assert "from          an added profile" in capsys.readouterr().out
    assert main(["driver", "simulate", "knob"]) == 2
    assert "has no simulator: it is from package knob 1.0" in capsys.readouterr().err
