"""What an interface has carried, from files laid out as the kernel lays them out."""

from pathlib import Path

import pytest

from drivers.io.interface import carried


def interface(sys_root: Path, **files: str) -> Path:
    folder = sys_root / "class/net/wwan0"
    (folder / "statistics").mkdir(parents=True)
    for name, text in {"ifindex": "4\n", "rx_bytes": "100\n", "tx_bytes": "23\n", **files}.items():
        (folder / ("" if name == "ifindex" else "statistics") / name).write_text(text)
    return sys_root


def test_both_ways_count_under_the_number_of_the_interface(tmp_path: Path) -> None:
    assert carried(interface(tmp_path), "wwan0") == (4, 123)


def test_counters_beyond_32_bits_are_read_whole(tmp_path: Path) -> None:
    assert carried(interface(tmp_path, rx_bytes="9000000000\n"), "wwan0") == (4, 9_000_000_023)


def test_an_interface_that_is_not_there_gives_nothing(tmp_path: Path) -> None:
    assert carried(tmp_path, "wwan0") is None


@pytest.mark.parametrize("text", ["", "x\n"])
def test_a_file_in_the_middle_of_going_away_gives_nothing(tmp_path: Path, text: str) -> None:
    assert carried(interface(tmp_path, tx_bytes=text), "wwan0") is None


def test_the_loopback_of_this_machine_is_counted() -> None:
    found = carried(Path("/sys"), "lo")
    assert found is not None
    assert found[0] == 1
