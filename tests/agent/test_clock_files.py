import json
from pathlib import Path

import pytest

from agent.belief import BUILT_UTC_MS, DAY_MS, HOUR_MS, LAST_UTC_MS, Bounds, Sighting, Source, Told
from agent.clock_files import ClockFiles

BOOT, OTHER = b"b" * 16, b"o" * 16
NOW = BUILT_UTC_MS + 100 * DAY_MS
TOLD = Bounds(floor_ms=NOW, told=Told(boot_ms=5000, utc_ms=NOW))
HAND = Sighting(source=Source.HAND, boot_ms=7000, utc_ms=NOW, uncertainty_ms=60_000)


def files(folder: Path, boot: bytes = BOOT) -> ClockFiles:
    (folder / "run").mkdir(exist_ok=True)
    return ClockFiles(folder, folder / "run", boot)


def test_a_floor_that_was_kept_is_there_after_a_restart_of_agent_and_machine(tmp_path: Path) -> None:
    files(tmp_path).keep(TOLD)
    assert files(tmp_path).bounds() == TOLD
    assert files(tmp_path, OTHER).bounds() == Bounds(floor_ms=NOW)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["time-floor"]


def test_no_floor_is_no_floor(tmp_path: Path) -> None:
    assert files(tmp_path).bounds() == Bounds()
    files(tmp_path).keep(Bounds(floor_ms=NOW))  # of an earlier boot: it stands there already
    assert files(tmp_path).bounds() == Bounds()


def test_every_bit_that_a_card_turns_in_a_floor_makes_it_absent(tmp_path: Path) -> None:
    files(tmp_path).keep(TOLD)
    path = tmp_path / "time-floor"
    good = path.read_bytes()
    for at in range(8 * len(good)):
        bad = bytearray(good)
        bad[at // 8] ^= 1 << at % 8
        path.write_bytes(bad)
        assert files(tmp_path).bounds() == Bounds(), f"bit {at}"


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b"\xff" * 50, b'{"utc_ms":1,"boot":"","boot_ms":0}'])
def test_a_floor_file_that_holds_anything_else_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "time-floor").write_bytes(content)
    assert files(tmp_path).bounds() == Bounds()


@pytest.mark.parametrize("utc_ms", [BUILT_UTC_MS - 1, LAST_UTC_MS + 1])
def test_a_floor_that_no_honest_agent_keeps_is_none(tmp_path: Path, utc_ms: int) -> None:
    files(tmp_path).keep(Bounds(floor_ms=utc_ms, told=Told(boot_ms=1, utc_ms=utc_ms)))
    assert files(tmp_path).bounds() == Bounds()


def test_a_floor_in_the_place_of_a_folder_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "time-floor").mkdir()
    assert files(tmp_path).bounds() == Bounds()
    with pytest.raises(OSError, match="directory"):
        files(tmp_path).keep(TOLD)


def test_a_floor_is_kept_again_when_it_moved_by_more_than_an_hour(tmp_path: Path) -> None:
    made = files(tmp_path)
    assert not made.is_due(Bounds())
    assert made.is_due(TOLD)
    made.keep(TOLD)
    later = NOW + HOUR_MS
    assert not made.is_due(Bounds(floor_ms=later, told=Told(boot_ms=1, utc_ms=later)))
    assert made.is_due(Bounds(floor_ms=later + 1, told=Told(boot_ms=1, utc_ms=later + 1)))
    again = files(tmp_path)
    again.bounds()
    assert not again.is_due(TOLD)
    again.forget()
    assert again.is_due(TOLD)
    assert again.bounds() == Bounds()


def test_a_time_set_by_hand_counts_in_its_boot_only(tmp_path: Path) -> None:
    assert files(tmp_path).hand() is None
    files(tmp_path).set_hand(HAND)
    assert files(tmp_path).hand() == HAND
    assert files(tmp_path, OTHER).hand() is None
    assert (tmp_path / "run/clock-hand").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        json.dumps({"boot": BOOT.hex(), "seen": []}),
        json.dumps({"boot": BOOT.hex(), "seen": {"hand": [1, 2]}}),
        json.dumps({"boot": BOOT.hex(), "seen": {"hand": [1, 2.5, 3]}}),
        json.dumps({"boot": BOOT.hex(), "seen": {"moon": [1, 2, 3]}}),
        json.dumps({"boot": BOOT.hex(), "seen": {}, "floor_ms": "x", "told": None}),
        json.dumps({"boot": BOOT.hex(), "seen": {}, "floor_ms": 1, "told": [1]}),
    ],
)
def test_a_file_that_nobody_of_us_wrote_counts_as_absent(tmp_path: Path, body: str) -> None:
    made = files(tmp_path)
    for name in ("clock-hand", "clock-seen"):
        (tmp_path / "run" / name).write_text(body)
    assert made.hand() is None
    assert made.shown() == ((), None)


def test_a_reset_is_asked_for_and_taken_once(tmp_path: Path) -> None:
    assert not files(tmp_path).take_reset()
    files(tmp_path).ask_reset()
    assert files(tmp_path).take_reset()
    assert not files(tmp_path).take_reset()


def test_what_the_agent_knows_can_be_seen_from_outside_until_it_is_forgotten(tmp_path: Path) -> None:
    for bounds in (TOLD, Bounds(floor_ms=NOW)):
        files(tmp_path).show([HAND], bounds)
        assert files(tmp_path).shown() == ((HAND,), bounds)
    assert files(tmp_path, OTHER).shown() == ((), None)
    files(tmp_path).forget()
    assert files(tmp_path).shown() == ((), None)


def test_a_run_folder_that_is_not_there_costs_the_view_only(tmp_path: Path) -> None:
    ClockFiles(tmp_path, tmp_path / "nowhere", BOOT).show([HAND], TOLD)
