"""``gardu calibrate`` at a real pseudo-terminal and at a daemon's socket: what it shows, refuses, and writes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.cli import config_change, gauging, site_work
from agent.cli.gauging import Samples, Unsteady
from agent.cli.main import main
from agent.note_drop import NoteDrop
from drivers.reading import Quality, Reading
from tests.agent.cli.test_read import daemon, reading
from tests.system.lines import Socket, Water

CONFIG = """\
# Simpang Dago
node = "dago-01"
city = "bandung"
[center]
url = "mqtt://127.0.0.1:1"
[spool]
folder = "{folder}/spool"
[run]
folder = "{folder}/run"
[host]
enabled = false
"""
RIVER = """\
# the bridge; height from the drawing of 2024
[sensor.river]
driver = "a02yyuw"
port = "path:{folder}/tty"
every = "0.1 s"
mount_height = "4.20 m"    # to be measured
"""


class Site:
    """A box with a river under it.

    Attributes:
        distance_m: From the unit to the water, by the unit's clock in s.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.main = folder / "agent.toml"
        self.part = folder / "conf.d/river.toml"
        for name in ("run", "conf.d"):
            (folder / name).mkdir()
        self.main.write_text(CONFIG.format(folder=folder))
        self.write(RIVER)
        self.distance_m: Callable[[float], float] = lambda _: 2.96
        self.socket = Socket(Water(self.measure, every_s=0.02), folder / "tty")

    def measure(self, now_s: float) -> float:
        return self.distance_m(now_s)

    def write(self, text: str) -> None:
        self.part.write_text(text.format(folder=self.folder))

    def run(self, *words: str) -> int:
        fast = ["--samples", "4"] if words[0] == "calibrate" else []
        return main([*words, *fast, "--config", str(self.main)])

    def notes(self) -> list[str]:
        return [note.text for _, note in NoteDrop(self.folder / "notes").waiting()]

    def files(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in [self.main, *self.part.parent.iterdir()]}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.socket.plug()
    yield made
    made.socket.pull()


def says(monkeypatch: pytest.MonkeyPatch, answer: str) -> list[str]:
    asked: list[str] = []

    def answering(question: str) -> str:
        asked.append(question)
        if not answer:
            raise EOFError
        return answer

    monkeypatch.setattr("builtins.input", answering)
    return asked


def test_the_height_is_written_in_place_with_a_copy_and_a_note(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = site.part.read_text()
    site.part.chmod(0o640)
    asked = says(monkeypatch, "y")
    assert site.run("calibrate", "river", "--staff", "1.3") == 0
    assert asked == ["write it? [y/N] "]
    assert site.part.read_text() == before.replace('"4.20 m" ', '"4.260 m" ')
    assert (site.part.with_name("river.toml.bak").read_text(), site.main.read_text()[:14]) == (before, "# Simpang Dago")
    assert {path.name: path.stat().st_mode & 0o777 for path in site.part.parent.iterdir()} == {
        "river.toml": 0o640,
        "river.toml.bak": 0o640,
    }
    out = capsys.readouterr().out
    for told in (
        "median 2.960 m of 4",
        "4.200 m -> 4.260 m",
        "1.240 m -> 1.300 m",
        "+0.060 m",
        "systemctl reload gardu",
    ):
        assert told in out
    assert site.notes() == [
        "staff 1.300 m; mount_height 4.200 m -> 4.260 m; median distance 2.960 m of 4, spread 0.000 m"
    ]


@pytest.mark.parametrize("staff", ["1.24", "1.24 m", "124 cm", "1240 mm"])
def test_the_staff_is_read_as_people_write_it(site: Site, capsys: pytest.CaptureFixture[str], staff: str) -> None:
    assert site.run("calibrate", "river", "--staff", staff, "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["new_m"] == 4.2


@pytest.mark.parametrize("words", [["--dry-run"], ["--dry-run", "--json"], []])
def test_without_a_yes_nothing_changes(site: Site, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    before = site.files()
    asked = says(monkeypatch, "")
    assert site.run("calibrate", "river", "--staff", "1.3", *words) == (0 if words else 1)
    assert len(asked) == (0 if words else 1)
    assert (site.files(), site.notes()) == (before, [])


def test_a_height_that_was_not_there_is_added(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.write("\n".join(RIVER.splitlines()[:-1]) + "\n")
    assert site.run("calibrate", "river", "--staff", "1.3", "--yes", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["old_m"], found["jump_m"], found["new_m"], found["note"]) == (None, None, 4.26, "folder")
    assert site.part.read_text().endswith('every = "0.1 s"\nmount_height = "4.260 m"\n')


def test_restless_water_is_refused_unless_the_person_allows_it(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.distance_m = lambda now_s: 2.9 + (now_s * 3.7 % 1) * 0.2
    before = site.files()
    assert site.run("calibrate", "river", "--staff", "1.3", "--yes") == 1
    assert "wait for calm water" in capsys.readouterr().err
    assert (site.files(), site.notes()) == (before, [])
    assert site.run("calibrate", "river", "--staff", "1.3", "--yes", "--spread", "50 cm") == 0


def test_doubted_readings_do_not_count(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.distance_m = lambda _: 0.02  # within the blind zone
    assert site.run("calibrate", "river", "--staff", "1.3", "--yes", "--within", "1") == 1
    assert "only 0 of 4 good readings came (no_target" in capsys.readouterr().err


def test_a_silent_unit_says_why(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.socket.pull()
    assert site.run("calibrate", "river", "--staff", "1.3", "--yes", "--within", "1") == 1
    assert "port lost" in capsys.readouterr().err


def depth(channel: str, value: float, *flags: Quality) -> Reading:
    return Reading(
        sensor="river", channel=channel, value=value, unit="m", boot_ns=reading().boot_ns, quality=frozenset(flags)
    )


def test_while_the_agent_holds_the_port_its_readings_count(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.socket.pull()
    other = reading("distance", "air")
    with daemon(site.folder, other, depth("level", 9.0), depth("distance", 3.0), every_s=0.02):
        assert site.run("calibrate", "river", "--staff", "1.3", "--dry-run", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["channel"], found["median_m"], found["new_m"]) == ("distance", 3.0, 4.3)


def test_what_the_agent_read_before_we_asked_does_not_count(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    with daemon(site.folder, depth("distance", 3.0)):
        assert site.run("calibrate", "river", "--staff", "1.3", "--yes", "--within", "0.3") == 1
    assert "only 0 of 4 good readings came; does it answer?" in capsys.readouterr().err


def test_who_may_not_hear_the_agent_does_not_take_its_port(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(gauging, "_ask_daemon", refuse)
    assert site.run("calibrate", "river", "--staff", "1.3", "--dry-run") == 1
    assert "join its group" in capsys.readouterr().err


PRESSURE = """\
[sensor.river]
driver = "qdy30a"
port = "path:{folder}/tty"
{more}
"""


@pytest.mark.parametrize(
    ("more", "told", "new_m"),
    [
        ("", {"level": 1.8}, -0.5),
        ("", {"level": 9.0, "depth": 1.8}, -0.5),
        ('mount_height = "-0.40 m"', {"level": 1.4, "depth": 1.8}, -0.5),
    ],
)
def test_a_unit_in_the_water_gets_its_height_from_its_depth(
    site: Site, capsys: pytest.CaptureFixture[str], more: str, told: dict[str, float], new_m: float
) -> None:
    site.socket.pull()
    site.part.write_text(PRESSURE.format(folder=site.folder, more=more))
    readings = [depth(channel, value) for channel, value in told.items()]
    with daemon(site.folder, *readings, every_s=0.02):
        assert site.run("calibrate", "river", "--staff", "1.3", "--yes", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["new_m"] == new_m
    assert f'mount_height = "{new_m:.3f} m"' in site.part.read_text()


def test_an_agent_that_still_runs_without_the_height_is_not_misread(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.part.write_text(PRESSURE.format(folder=site.folder, more='mount_height = "-0.40 m"'))
    with daemon(site.folder, depth("level", 1.8), every_s=0.02):
        assert site.run("calibrate", "river", "--staff", "1.3", "--yes", "--within", "0.3") == 1
    assert "only 0 of 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["river", "--staff", "1,24"], 2, 'write a point: "1.24"'),
        (["river", "--staff", "3 kg"], 2, "is not a unit of length"),
        (["river", "--staff", "1", "--spread", "x"], 2, "not a number"),
        (["sea", "--staff", "1"], 2, "there are: river"),
        (["river", "--staff", "1", "--json"], 2, "add --yes or --dry-run"),
        (["river", "--staff", "300", "--yes"], 1, '"mount_height" is out of range'),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    site: Site, capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str
) -> None:
    before = site.files()
    assert site.run("calibrate", *words) == code
    assert told in capsys.readouterr().err
    assert (site.files(), site.notes()) == (before, [])


def test_no_readings_are_no_number_of_readings(site: Site) -> None:
    assert main(["calibrate", "river", "--staff", "1", "--samples", "0", "--config", str(site.main)]) == 2


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ('[sensor.river]\ndriver = "sds011"\nport = "usb:1-1.2"\n', 1, "there is nothing to calibrate"),
        ('[sensor.river]\ndriver = "a02yyuw"\n', 2, 'lacks "port"'),
        ("[sensor.river\n", 2, "this is not TOML"),
    ],
)
def test_a_sensor_without_a_height_or_with_mistakes_is_left_alone(
    site: Site, capsys: pytest.CaptureFixture[str], text: str, code: int, told: str
) -> None:
    site.part.write_text(text)
    assert site.run("calibrate", "river", "--staff", "1", "--yes") == code
    assert told in capsys.readouterr().err
    assert site.part.read_text() == text


def test_a_mistake_elsewhere_does_not_stand_in_the_way(site: Site) -> None:
    with site.main.open("a") as file:
        file.write('[sensor.old]\ndriver = "no-such-thing"\n')
    assert site.run("calibrate", "river", "--staff", "1.3", "--yes") == 0


def test_a_file_that_somebody_else_writes_meanwhile_is_left_alone(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = site.part.read_text() + "# mine\n"

    def answering(_question: str) -> str:
        site.part.write_text(theirs)
        return "y"

    monkeypatch.setattr("builtins.input", answering)
    assert site.run("calibrate", "river", "--staff", "1.3") == 1
    assert "changed by somebody else" in capsys.readouterr().err
    assert (site.part.read_text(), site.notes()) == (theirs, [])


@pytest.mark.parametrize("name", ["_put", "_sync"])
def test_a_disk_that_refuses_leaves_the_old_file_or_the_new_one(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = site.part.read_text()

    def refuse(*_args: object) -> None:
        raise PermissionError(13, "Permission denied", "river.toml.new")

    monkeypatch.setattr(config_change, name, refuse)
    assert site.run("calibrate", "river", "--staff", "1.3", "--yes") == 1
    assert "river.toml.new: Permission denied; use sudo" in capsys.readouterr().err
    assert site.part.read_text() in {before, before.replace('"4.20 m"', '"4.260 m"')}


def test_what_a_power_cut_left_beside_the_file_is_in_nobodys_way(site: Site) -> None:
    site.part.with_name("river.toml.new").write_text("half")
    assert site.run("calibrate", "river", "--staff", "1.3", "--yes") == 0
    assert sorted(site.files()) == ["agent.toml", "river.toml", "river.toml.bak"]


def test_a_link_to_the_file_stays_a_link(site: Site) -> None:
    real = site.folder / "elsewhere.toml"
    site.part.rename(real)
    site.part.symlink_to(real)
    assert site.run("calibrate", "river", "--staff", "1.3", "--yes") == 0
    assert site.part.is_symlink()
    assert '"4.260 m"' in real.read_text()


def test_a_note_that_cannot_be_kept_is_said_with_what_to_type(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.folder / "notes").write_text("in the way")
    assert site.run("calibrate", "river", "--staff", "1.3", "--yes") == site_work.NO_NOTE
    assert "gardu note calibrate river staff 1.300 m" in capsys.readouterr().err
    assert '"4.260 m"' in site.part.read_text()


# -- the readings alone -----------------------------------------------------------------------------------------------


def filled(channels: list[str], wanted: int, *said: tuple[str, object, list[str]]) -> Samples:
    samples = Samples(channels, wanted)
    for channel, value, flags in said:
        samples.take(channel, value, flags)
    return samples


def test_the_median_counts_and_an_echo_does_not_move_it() -> None:
    samples = filled(["d"], 3, ("d", 1.0, []), ("d", 1.02, []), ("d", 1.01, []), ("d", 5.0, ["step"]))
    found = samples.measured(0.03)
    assert (found.median, found.count, found.doubted) == (1.01, 3, {"step": 1})
    assert found.spread == pytest.approx(0.02)


def test_more_than_a_quarter_of_doubted_readings_is_too_much() -> None:
    good: list[tuple[str, object, list[str]]] = [("d", 1.0, [])] * 3
    filled(["d"], 3, *good, ("d", 1.0, ["step"])).measured(0.03)
    with pytest.raises(Unsteady, match=r"2 of 5 readings are doubted \(step 2x\)"):
        filled(["d"], 3, *good, *[("d", 1.0, ["step"])] * 2).measured(0.03)


def test_other_channels_and_words_are_no_readings() -> None:
    samples = filled(["d"], 1, ("x", 1.0, []), ("d", "far", []), ("d", True, []), ("d", None, []))
    with pytest.raises(Unsteady, match="only 0 of 1"):
        samples.measured(1)


def test_a_silent_channel_is_stood_in_for_and_one_that_speaks_is_not() -> None:
    assert filled(["raw", "level"], 1, ("level", 2.0, [])).measured(1).channel == "level"
    assert filled(["raw", "level"], 2, *[("level", 2.0, [])] * 3, *[("raw", 1.0, [])] * 2).measured(1).channel == "raw"
