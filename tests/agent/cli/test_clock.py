import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.belief import BUILT_UTC_MS, DAY_MS, Bounds, Sighting, Source, Told
from agent.cli.main import main
from agent.clock import boot_id, boot_ns, text_of
from agent.clock_files import ClockFiles
from drivers.host import sample
from drivers.io import rtc, timex

TEXT = """
node = "dago-01"
city = "bandung"
[center]
url = "mqtts://center:8883"
[spool]
folder = "{folder}/spool"
[run]
folder = "{folder}/run"
"""
NOW = BUILT_UTC_MS + 100 * DAY_MS


class Box:
    """A node's files, and the sources that the command asks itself."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "run").mkdir()
        self.config = folder / "agent.toml"
        self.config.write_text(TEXT.format(folder=folder))
        self.files = ClockFiles(folder, folder / "run", boot_id())
        self.kernel: sample.Clock | None = None
        self.rtc_s: int | None = None
        self.wall_ms = NOW
        self._capsys = capsys
        monkeypatch.setattr(timex, "clock_state", lambda: self.kernel)
        monkeypatch.setattr(rtc, "since_epoch_s", lambda: self.rtc_s)
        monkeypatch.setattr(time, "time_ns", lambda: self.wall_ms * 1_000_000)

    def gardu(self, *words: str) -> tuple[int, str, str]:
        code = main(["clock", *words, "--config", str(self.config)])
        out, err = self._capsys.readouterr()
        return code, out, err

    def keeps(self) -> None:
        self.kernel = sample.Clock(synchronised=True, offset_s=0.0, error_s=0.04)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Box:
    return Box(tmp_path, monkeypatch, capsys)


def boot_ms() -> int:
    return boot_ns() // 1_000_000


def test_a_kept_clock_is_shown_with_why_it_is_believed(box: Box) -> None:
    box.keeps()
    code, out, _ = box.gardu()
    assert code == 0
    assert f"believed    {text_of(NOW)}: a time service keeps the machine's clock" in out
    assert f"floor       {text_of(BUILT_UTC_MS)}" in out
    assert "center      told nothing in this boot" in out
    assert "gnss      says nothing" in out
    assert "+-0.04 s, 0 s ago" in out


def test_a_box_that_nobody_tells_the_time_says_so_and_what_helps(box: Box) -> None:
    code, out, _ = box.gardu()
    assert code == 1
    assert "believed    nothing: no source says anything; `gardu clock set TIME` can" in out


def test_an_implausible_clock_is_shown_with_its_reason(box: Box) -> None:
    box.keeps()
    box.files.show([], Bounds(floor_ms=NOW, told=Told(boot_ms=boot_ms(), utc_ms=NOW)))
    box.wall_ms = NOW + 3 * DAY_MS
    code, out, _ = box.gardu()
    assert code == 1
    assert "believed    nothing: no source is plausible" in out
    assert "not believed: more than a day from the center's time" in out
    assert f"told {text_of(NOW)}, " in out


def test_what_only_the_running_agent_hears_is_taken_from_it(box: Box) -> None:
    gnss = Sighting(source=Source.GNSS, boot_ms=boot_ms(), utc_ms=NOW, uncertainty_ms=1000)
    kernel = Sighting(source=Source.KERNEL, boot_ms=0, utc_ms=NOW, uncertainty_ms=10**9)
    box.files.show([gnss, kernel], Bounds())
    assert "a satellite receiver says so" in box.gardu()[1]
    box.files.show([kernel], Bounds())
    assert "a time service kept the machine's clock before" in box.gardu()[1]


def test_for_programs_there_is_json(box: Box) -> None:
    box.keeps()
    box.rtc_s = NOW // 1000
    code, out, _ = box.gardu("--json")
    told = json.loads(out)
    assert code == 0
    assert told["believed"]["source"] == "kernel"
    assert told["believed"]["utc_ms"] == told["wall_utc_ms"] == NOW
    assert (told["floor_utc_ms"], told["center"], told["boot"]) == (BUILT_UTC_MS, None, boot_id().hex())
    assert [one["source"] for one in told["sources"]] == ["kernel", "rtc"]


def test_a_time_that_is_set_is_left_for_the_agent(box: Box) -> None:
    code, out, _ = box.gardu("set", "2027-02-03T14:33:20+07:00")
    assert code == 0
    assert "set to 2027-02-03T07:33:20Z; the agent takes it within 10 s" in out
    assert "a person set it" in out
    hand = box.files.hand()
    assert hand is not None
    assert (hand.utc_ms, hand.uncertainty_ms) == (NOW, 60_000)
    assert abs(hand.boot_ms - boot_ms()) < 60_000


def test_a_time_that_is_set_beside_a_better_source_is_not_believed(box: Box) -> None:
    box.keeps()
    code, out, _ = box.gardu("set", "2027-02-03T14:30:00+07:00", "--json")
    assert (code, json.loads(out)["believed"]["source"]) == (0, "kernel")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["set"], "is no time; write it as 2026-11-22T19:30:00+07:00"),
        (["set", "half past seven"], "'half past seven' is no time"),
        (["set", "2027-02-03T14:33:20"], "add the offset: 2027-02-03T14:33:20+07:00"),
        (["set", "1999-01-01T00:00:00Z"], "cannot be: it is before this software was built; `gardu clock` shows"),
        (["set", "2062-01-01T00:00:00Z"], "more than ten years after"),
        (["reset"], "add --yes"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_cure(box: Box, words: list[str], why: str) -> None:
    code, out, err = box.gardu(*words)
    assert (code, out) == (1, "")
    assert why in err
    assert box.files.hand() is None
    assert not box.files.take_reset()


def test_a_reset_lowers_the_floor_here_and_in_the_running_agent(box: Box) -> None:
    told = Bounds(floor_ms=NOW, told=Told(boot_ms=1, utc_ms=NOW))
    box.files.keep(told)
    box.files.show([], told)
    code, out, _ = box.gardu("reset", "--yes")
    assert code == 0
    assert "the build again" in out
    assert box.files.bounds() == Bounds()
    assert f"floor       {text_of(BUILT_UTC_MS)}" in box.gardu()[1]
    assert box.files.take_reset()
    assert json.loads(box.gardu("reset", "--yes", "--json")[1]) == {"reset": True}


def test_a_folder_that_is_not_there_is_named(box: Box, tmp_path: Path) -> None:
    (tmp_path / "run").rmdir()
    code, _, err = box.gardu("set", "2027-02-03T14:33:20+07:00")
    assert code == 1
    assert f"{tmp_path}/run/clock-hand.new: No such file or directory" in err


@pytest.mark.parametrize("make", [lambda path: path.unlink(), lambda path: path.write_text("node = 1")])
def test_without_a_configuration_there_is_no_clock_to_show(box: Box, make: Callable[[Path], object]) -> None:
    make(box.config)
    code, out, err = box.gardu()
    assert (code, out) == (2, "")
    assert err.startswith("gardu clock: ")
