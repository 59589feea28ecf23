import pytest

from drivers.host.parse import clock, swap_used_bytes, temperature_cel
from drivers.host.sample import Clock

MEMINFO = b"""MemTotal:        3884360 kB
MemFree:          256684 kB
SwapTotal:        102396 kB
SwapFree:          51196 kB
HugePages_Total:       0
"""


def test_swap_in_use_is_total_less_free() -> None:
    assert swap_used_bytes(MEMINFO) == 51200 * 1024


@pytest.mark.parametrize("text", [b"", b"SwapTotal: 1 kB\n", b"SwapFree: 1 kB\n", b"SwapTotal: x kB\nSwapFree: 1 kB\n"])
def test_swap_that_is_not_told_is_missing_and_not_zero(text: bytes) -> None:
    assert swap_used_bytes(text) is None


def test_the_processor_is_preferred_to_hotter_things() -> None:
    assert temperature_cel({"cpu-thermal": b"48312\n", "wifi": b"71000\n"}) == 48.3


def test_the_hottest_processor_zone_counts() -> None:
    assert temperature_cel({"soc-thermal": b"40000", "CPU1": b"55500"}) == 55.5


def test_without_a_processor_zone_the_hottest_counts() -> None:
    assert temperature_cel({"acpitz": b"27800", "pch": b"39500"}) == 39.5


@pytest.mark.parametrize("text", [b"", b"n/a", b"-273000", b"0", b"200000"])
def test_a_zone_that_tells_no_temperature_is_left_out(text: bytes) -> None:
    assert temperature_cel({"cpu-thermal": text}) is None
    assert temperature_cel({"cpu-thermal": text, "gpu": b"50000"}) == 50


def test_a_kept_clock_is_synchronised() -> None:
    state = clock(0, status=0x2001, offset=-1_234_567, max_error_us=7_500)
    assert state == Clock(synchronised=True, offset_s=-0.001235, error_s=0.007)


def test_an_offset_in_microseconds_is_read_as_such() -> None:
    state = clock(0, status=0x0001, offset=1_500, max_error_us=0)
    assert state == Clock(synchronised=True, offset_s=0.0015, error_s=0)


@pytest.mark.parametrize(("state", "status"), [(5, 0x2001), (0, 0x0040), (5, 0x0040)])
def test_a_clock_nobody_keeps_is_not_synchronised(state: int, status: int) -> None:
    found = clock(state, status=status, offset=0, max_error_us=16_000_000)
    assert found is not None
    assert not found.synchronised


def test_a_refused_question_gives_no_state() -> None:
    assert clock(-1, status=0, offset=0, max_error_us=0) is None
