"""The day of the card benchmark: its clock jumps, its work is the real intake's."""

import asyncio
from pathlib import Path

import pytest

from benchmarks import card


@pytest.mark.slow
@pytest.mark.skipif(not card.can_mount(), reason="needs root and loop devices")
@pytest.mark.parametrize(("durable_within_s", "syncs"), [(10, 8_640), (60, 1_440)])
def test_offline_the_spool_syncs_once_per_interval_and_no_more(
    tmp_path: Path, durable_within_s: float, syncs: int
) -> None:
    day = card.day(tmp_path, card.Use(durable_within_s=durable_within_s, online=False), block_bytes=1024, hours=0.5)
    assert 0.9 * syncs <= day.syncs <= syncs + 24 * 6  # and once for each batch
    assert day.own_bytes < day.device_bytes


def test_an_hour_of_sleep_takes_no_time_on_the_days_clock() -> None:
    loop = card.DayLoop()
    try:
        loop.run_until_complete(asyncio.sleep(3_600))
        assert loop.time() == pytest.approx(3_600)
    finally:
        loop.close()
