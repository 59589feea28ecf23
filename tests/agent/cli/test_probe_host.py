"""Recorded answers of a box, read by `gardu probe run --file`."""

import json
from pathlib import Path

import pytest

from agent.cli.main import main

VECTORS = Path(__file__).parents[2] / "vectors" / "hotspot"
CASES: dict[str, tuple[str, dict[str, object]]] = {
    "vcgencmd-get_throttled.txt": (
        "power",
        {
            "undervoltage_now": True,
            "freq_capped_now": False,
            "throttled_now": True,
            "undervoltage_ever": True,
            "throttled_ever": True,
        },
    ),
    "mmc-life_time.txt": ("storage", {"typ_a_pct_upper": 20, "typ_b_pct_upper": 20}),
    "mmc-pre_eol_info.txt": ("storage", {"state": "normal"}),
    "sys-fs-ext4.txt": ("storage", {"errors_count": 0}),
    "thermal_zone0-temp.txt": ("kernel", {"celsius": 49.925}),
    "chronyc-tracking.csv": ("time", {"stratum": 8, "offset_s": 0.0, "leap": "Normal"}),
    "chronyc-tracking.txt": ("time", {"stratum": 8, "offset_s": 0.0, "leap": "Normal"}),
    "timedatectl-show.txt": ("time", {"synchronised": True}),
}


def facts(capsys: pytest.CaptureFixture[str], probe: str, path: Path) -> dict[str, object]:
    code = main(["probe", "run", probe, "--file", str(path), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (code, said["problems"]) == (0, [])
    (found,) = said["facts"].values()
    return dict(found)


@pytest.mark.parametrize("sample", CASES)
def test_a_recorded_answer_gives_its_facts(capsys: pytest.CaptureFixture[str], sample: str) -> None:
    probe, expected = CASES[sample]
    found = facts(capsys, probe, VECTORS / sample)
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("sample", [name for name in CASES if not name.startswith("sys-fs-ext4")])
def test_windows_line_ends_of_a_copied_answer_change_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, sample: str
) -> None:
    probe, expected = CASES[sample]
    copied = tmp_path / sample
    copied.write_bytes((VECTORS / sample).read_bytes().replace(b"\n", b"\r\n"))
    found = facts(capsys, probe, copied)
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("probe", ["power", "storage", "time", "kernel"])
@pytest.mark.parametrize("sample", CASES)
def test_an_answer_of_another_source_is_refused(capsys: pytest.CaptureFixture[str], probe: str, sample: str) -> None:
    if CASES[sample][0] != probe:
        assert main(["probe", "run", probe, "--file", str(VECTORS / sample), "--json"]) == 2
        assert "sources:" in capsys.readouterr().err


def test_an_answer_of_another_probe_is_refused_with_the_name_of_that_probe(capsys: pytest.CaptureFixture[str]) -> None:
    sample = VECTORS / "mmc-life_time.txt"
    assert main(["probe", "run", "power", "--file", str(sample)]) == 2
    assert capsys.readouterr().err.rstrip().endswith("it is an answer for: storage")
