from pathlib import Path

import pytest

from drivers.io.rtc import since_epoch_s


def test_the_clock_of_the_board_tells_its_seconds(tmp_path: Path) -> None:
    file = tmp_path / "since_epoch"
    file.write_bytes(b"1795350896\n")
    assert since_epoch_s(file) == 1_795_350_896


@pytest.mark.parametrize("content", [b"", b"\n", b"no", b"\xff"])
def test_a_clock_that_tells_no_number_tells_nothing(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "since_epoch"
    file.write_bytes(content)
    assert since_epoch_s(file) is None


def test_a_board_without_a_clock_tells_nothing(tmp_path: Path) -> None:
    assert since_epoch_s(tmp_path / "since_epoch") is None
    assert since_epoch_s(tmp_path) is None
