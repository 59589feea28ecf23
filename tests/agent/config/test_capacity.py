from collections.abc import Callable

import pytest

from agent.config.capacity import LOOSE_BYTES_PER_ROW, SEALED_BYTES_PER_ROW, days, own_rows_per_s, rows_per_s
from agent.config.load import Parsed
from agent.config.model import Host, Spool

Check = Callable[..., Parsed]

SPOOL = Spool(
    folder="/x",
    durable_within_s=10,
    telemetry_cap_bytes=86_400 * (SEALED_BYTES_PER_ROW + LOOSE_BYTES_PER_ROW) * 10 + 1000,
    alarm_cap_bytes=2000,
    free_disk_bytes=0,
    segment_bytes=1000,
    memory_bytes=1000,
)


def test_a_spool_lasts_as_long_as_its_cap_divided_by_the_rows() -> None:
    assert days(SPOOL, [0.75, 0.25]) == 10
    assert days(SPOOL, [2.0]) == 5


def test_without_rows_there_is_no_answer() -> None:
    assert days(SPOOL, [0.0]) is None


def test_a_sensor_makes_a_row_for_each_channel_each_round(check: Check) -> None:
    one = '[sensor.a]\nport = "usb:1-1"\ndriver = "dust"\n'
    parsed = check(one + 'every = "4 s"\n[sensor.b]\nport = "usb:1-2"\ndriver = "meter"\n')
    assert [rows_per_s(fitted) for fitted in parsed.fitted] == [0.5, 0.5]


def test_a_sensor_that_reports_by_exception_makes_fewer_rows(check: Check) -> None:
    text = '[sensor.a]\nport = "usb:1-1"\ndriver = "dust"\nevery = "1 s"\n[sensor.a.channel.pm10]\n'
    for said, rate in (
        ('change = "5 ug/m3"\nat_least_every = "100 s"\n', 1 + 0.01 + 0.1),
        ('at_least_every = "100 s"\n', 1 + 0.01),
        ('change = "5 ug/m3"\nat_least_every = "1 s"\n', 2),
    ):
        (fitted,) = check(text + said).fitted
        assert rows_per_s(fitted) == pytest.approx(rate)


def test_the_box_itself_makes_rows_while_it_is_switched_on(check: Check) -> None:
    host = Host(enabled=True, every_s=10, disks=("/",), interfaces=None)
    usual = own_rows_per_s(host)
    assert 0.05 < usual < 0.3
    named = Host(enabled=True, every_s=10, disks=("/",), interfaces=("eth0", "wlan0"))
    assert own_rows_per_s(named) == pytest.approx(usual)
    assert own_rows_per_s(Host(enabled=True, every_s=20, disks=(), interfaces=())) < usual
    assert own_rows_per_s(Host(enabled=False, every_s=10, disks=(), interfaces=())) == 0
    parsed = check('[hotspot]\n[probe.host.channel.cpu]\nat_least_every = "1 s"\n')
    assert parsed.config is not None
    assert own_rows_per_s(host, (), parsed.config.probes) == pytest.approx(usual + 0.1 - 1 / 900 - 0.1 / 10)
    assert usual < own_rows_per_s(host, parsed.equipped) < 1
