"""The sensor `link`: days of the SIM, share and pace of the quota."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from agent.config.link_channels import channels_of_link
from agent.config.load import parse
from agent.link_probe import LinkProbe
from agent.meter import Meter
from agent.quota import Total
from drivers.io.catalog import registry
from drivers.reading import Reading


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def look(probe: LinkProbe) -> dict[str, object]:
    events = probe.collect(7)
    readings = [event for event in events if isinstance(event, Reading)]
    assert [(each.sensor, each.boot_ns) for each in readings] == [("link", 7)] * len(events)
    return {each.channel: each.value for each in readings}


@pytest.mark.parametrize(
    ("now", "days"),
    [("2027-01-17T00:00", 14), ("2027-01-28T23:59", 3), ("2027-01-31T23:59", 0), ("2027-02-01T00:00", -1)],
)
def test_the_days_of_the_sim_count_down_and_below_nothing(now: str, days: int) -> None:
    assert look(LinkProbe(None, date(2027, 1, 31), lambda: ms(now))) == {"sim-days": days}


def test_without_a_believed_clock_nobody_says_how_long_the_sim_works(tmp_path: Path) -> None:
    meter = Meter(tmp_path / "quota", 1000, 0.1, lambda: None)
    assert look(LinkProbe(meter, date(2027, 1, 31), lambda: None)) == {"quota-used": 0.0, "quota-allows": "all"}


def test_the_quota_is_told_as_share_as_what_may_leave_and_as_pace(tmp_path: Path) -> None:
    def utc_ms() -> int:
        return ms("2026-11-16T00:00")

    meter = Meter(tmp_path / "quota", 1000, 0.1, utc_ms)
    meter.see(920)
    assert look(LinkProbe(meter, None, utc_ms)) == {"quota-used": 0.92, "quota-allows": "alarms", "quota-pace": 1.84}


def test_each_look_counts_the_interface(tmp_path: Path) -> None:
    totals = iter((100, 300, 900))
    read: Callable[[], Total] = lambda: Total(life="a", size_bytes=next(totals))  # noqa: E731
    meter = Meter(tmp_path / "quota", 1000, 0.1, lambda: None, interface=read)
    probe = LinkProbe(meter, None, lambda: None)
    assert [look(probe)["quota-used"] for _ in range(3)] == [0.0, 0.2, 0.8]


@pytest.mark.parametrize(
    ("keys", "channels"),
    [
        ("", []),
        ("sim_expires = 2027-01-31", ["sim-days"]),
        ('monthly_quota = "1 GB"', ["quota-allows", "quota-pace", "quota-used"]),
    ],
)
def test_the_channels_are_those_that_the_configuration_calls_for(keys: str, channels: list[str]) -> None:
    text = f'node = "n1"\ncity = "c1"\n[center]\nurl = "mqtts://center"\n{keys}\n'
    config = parse([("agent.toml", text.encode())], registry()).config
    assert config is not None
    assert sorted(channels_of_link(config.center)) == channels
