"""``gardu swap``: driver and port change in place, the unit becomes the sensor's own, and the record tells."""

import json
from pathlib import Path

import pytest

from agent.cli import config_change
from agent.cli.main import main
from agent.note_drop import NoteDrop
from agent.sensor_book import FILE, SensorBook
from agent.wire.records import Note, Work
from drivers.io.catalog import registry

CONFIG = """\
node = "dago-01"
city = "bandung"
[center]
url = "mqtt://127.0.0.1:1"
[spool]
folder = "{folder}/spool"
[run]
folder = "{folder}"
[host]
enabled = false

[sensor.river]
driver = "a02yyuw"         # the old one
port = "uart:gpio14"
mount_height = "4.20 m"    # by staff
blind_zone = "5 cm"        # spider's web

[sensor.air]
driver = "sds011"
port = "usb:1-1.2"
"""


class Site:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.main = folder / "agent.toml"
        self.main.write_text(CONFIG.format(folder=folder))
        self.text = self.main.read_text()

    def run(self, *words: str) -> int:
        return main(["swap", *words, "--config", str(self.main)])

    @property
    def book(self) -> SensorBook:
        return SensorBook(self.folder / FILE)

    def notes(self) -> list[Note]:
        return [note for _, note in NoteDrop(self.folder / "notes").waiting()]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def known(site: Site, sensor: str, driver: str) -> None:
    """A unit that has worked for a while, and another that is there now."""
    book = site.book
    book.accept(sensor, "unit 1", driver)
    book.add_hours(sensor, 812.5)
    book.offer(sensor, "unit 2")
    book.save()


def test_another_model_leaves_every_other_byte_and_drops_what_it_does_not_know(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.run("river", "--driver", "maxbotix_hrxl", "--port", "usb:1-1.4", "--yes") == 0
    after = site.text.replace('"a02yyuw"         #', '"maxbotix_hrxl"         #').replace(
        '"uart:gpio14"', '"usb:1-1.4"'
    )
    assert site.main.read_text() == after.replace('blind_zone = "5 cm"        # spider\'s web\n', "")
    assert site.main.with_name("agent.toml.bak").read_text() == site.text
    out = capsys.readouterr().out
    for told in (
        "a02yyuw -> maxbotix_hrxl",
        "uart:gpio14 -> usb:1-1.4",
        'dropped blind_zone = "5 cm"   (maxbotix_hrxl does not know it)',
        "systemctl reload gardu",
        "gardu calibrate river --staff LEVEL",
    ):
        assert told in out
    (note,) = site.notes()
    assert (note.work, note.sensor) == (Work.SWAP, "river")
    assert note.text == (
        "driver a02yyuw -> maxbotix_hrxl; port uart:gpio14 -> usb:1-1.4; unit not known -> not known yet;"
        " 0.0 h worked; dropped blind_zone"
    )


def test_another_unit_of_the_same_model_touches_no_file_and_begins_its_hours_anew(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    known(site, "air", "sds011")
    assert site.run("air", "--yes") == 0
    assert site.main.read_text() == site.text
    entry = site.book.known("air")
    assert (entry.identity, entry.offered, entry.hours_on) == ("unit 2", "", 0.0)
    assert [note.text for note in site.notes()] == ["driver sds011; unit unit 1 -> unit 2; 812.5 h worked"]
    out = capsys.readouterr().out
    assert "stays as it is" in out
    assert "reload" not in out
    assert "calibrate" not in out


def test_with_another_driver_whoever_answers_next_is_the_unit(site: Site) -> None:
    known(site, "river", "a02yyuw")
    assert site.run("river", "--driver", "a01nyub", "--yes") == 0
    entry = site.book.known("river")
    assert (entry.identity, entry.offered, entry.hours_on) == ("", "", 0.0)


@pytest.mark.parametrize("words", [["--dry-run"], ["--dry-run", "--json"], []])
def test_without_a_yes_nothing_changes(site: Site, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    known(site, "river", "a02yyuw")
    monkeypatch.setattr("builtins.input", lambda _: "no")
    assert site.run("river", "--driver", "a01nyub", *words) == (0 if words else 1)
    assert (site.main.read_text(), site.notes()) == (site.text, [])
    assert site.book.hours("river") == 812.5


def test_programs_get_an_object(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.run("river", "--driver", "a01nyub", "--yes", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "sensor": "river",
        "driver": ["a02yyuw", "a01nyub"],
        "port": ["uart:gpio14", "uart:gpio14"],
        "unit": ["", ""],
        "hours_on": 0.0,
        "dropped": {},
        "file": str(site.main),
        "done": True,
        "backup": f"{site.main}.bak",
        "book": True,
        "note": "folder",
    }


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["river", "--driver", "a20yyuw"], 2, "a02yyuw"),
        (["river", "--driver", "a01nyub\n"], 2, "plain words"),
        (["sea"], 2, "there are: river, air"),
        (["river", "--json"], 2, "add --yes or --dry-run"),
        (["river", "--port", "usb"], 1, "gardu check` would say"),
        (["river", "--port", "usb:1-1.2"], 1, "gardu check` would say"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    site: Site, capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str
) -> None:
    assert site.run(*words, *([] if "--json" in words else ["--yes"])) == code
    assert told in capsys.readouterr().err
    assert (site.main.read_text(), site.notes()) == (site.text, [])
    assert not site.main.with_name("agent.toml.bak").exists()


def test_an_alarm_that_would_lose_its_channel_stands_in_the_way(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    text = site.text + '[alarm.flood]\nwatch = "river/level"\nlevels = { high = "3 m" }\n'
    site.main.write_text(text)
    assert site.run("river", "--driver", "sds011", "--yes") == 1
    assert "river/level" in capsys.readouterr().err
    assert site.main.read_text() == text


def test_options_in_a_section_of_their_own_are_left_to_the_person(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    line = '[sensor.count]\ndriver = "line"\nport = "usb:1-1.9"\nformat = "json"\n[sensor.count.fields]\ncount = "n"\n'
    site.main.write_text(site.text + line)
    assert site.run("count", "--driver", "sds011", "--yes") == 1
    assert "is a section of its own" in capsys.readouterr().err
    assert site.main.read_text() == site.text + line


def test_who_may_not_do_it_hears_so_before_anything_is_asked(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    assert site.run("river", "--driver", "a01nyub") == 1
    assert "you may not write in" in capsys.readouterr().err
    assert site.run("river", "--driver", "a01nyub", "--dry-run") == 0


def test_a_sensor_that_left_the_files_meanwhile_cannot_be_changed(site: Site) -> None:
    with pytest.raises(config_change.ChangeError, match="there are: river, air"):
        config_change.plan(site.main, registry(), "sea", {})


def test_a_disk_that_refuses_changes_nothing(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError(13, "Permission denied", "agent.toml.new")

    monkeypatch.setattr(config_change, "_put", refuse)
    assert site.run("river", "--driver", "a01nyub", "--yes") == 1
    assert "agent.toml.new: Permission denied; use sudo" in capsys.readouterr().err
    assert (site.main.read_text(), site.notes()) == (site.text, [])


def test_a_book_that_cannot_be_written_is_said(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: SensorBook) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SensorBook, "save", refuse)
    assert site.run("air", "--yes") == 3
    assert "run the same again" in capsys.readouterr().err


def test_a_file_that_somebody_else_writes_meanwhile_is_left_alone(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answering(_question: str) -> str:
        site.main.write_text(site.text + "# mine\n")
        return "y"

    monkeypatch.setattr("builtins.input", answering)
    assert site.run("river", "--driver", "a01nyub") == 1
    assert "changed by somebody else" in capsys.readouterr().err
    assert (site.main.read_text(), site.notes()) == (site.text + "# mine\n", [])
