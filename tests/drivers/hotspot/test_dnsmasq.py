"""Leases, log lines and counters of dnsmasq."""

import pytest

from drivers.hotspot.addresses import pool
from drivers.hotspot.dnsmasq import Dnsmasq, DnsmasqBus, Leases, parse_leases, parse_log, parse_metrics
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts
from tests.drivers.hotspot.recorded import at, problems, sample, say, values

LEASES = sample("dnsmasq.leases")
METRICS = sample("dnsmasq-dbus-getmetrics.tsv")
DUAL_STACK = b"""1795359138 2e:b3:90:ff:04:80 10.20.0.3 * 01:2e:b3:90:ff:04:80
0 06-2e:b3:90:ff:04:80 10.20.0.9 printer ff:56:50:4d:98:00:02:00:00:ab:11
1795359041 00- 10.20.0.4 hp-warga *
duid 00:01:00:01:2c:5f:aa:11:02:42:ac:11:00:02
1795359138 T6033533 fd00::c8 hp-1 00:01:00:01:2c:5f:aa:12:02:42:ac:11:00:03
1795359138 6033534 fd00::c9 * 00:01:00:01:2c:5f:aa:13:02:42:ac:11:00:04
"""


def leases_with(text: str) -> Dnsmasq:
    return Dnsmasq(HotspotSettings(pool=text))


def test_a_full_pool_is_full_until_a_lease_runs_out() -> None:
    probe = leases_with("10.20.0.2-10.20.0.4")
    assert say(probe, "dnsmasq-leases", LEASES, at(1, 1795359040)) == {"leases": 3, "pool-used": 1.0}
    assert say(probe, "dnsmasq-leases", LEASES, at(2, 1795359041)) == {"leases": 2, "pool-used": 0.6667}
    assert say(probe, "dnsmasq-leases", LEASES, at(3, 1795359100)) == {"leases": 2, "pool-used": 0.6667}
    assert say(probe, "dnsmasq-leases", b"", at(4, 1795359100)) == {"leases": 0, "pool-used": 0.0}


def test_only_leases_inside_the_pool_fill_it() -> None:
    probe = leases_with(" 10.20.0.2 - 10.20.0.3 ")
    assert say(probe, "dnsmasq-leases", LEASES, at(1, 0)) == {"leases": 3, "pool-used": 1.0}
    assert say(leases_with("10.20.0.4-10.20.0.13"), "dnsmasq-leases", LEASES, at(1, 0))["pool-used"] == 0.1
    assert say(leases_with("10.20.1.2-10.20.1.9"), "dnsmasq-leases", LEASES, at(1, 0))["pool-used"] == 0.0


def test_without_a_pool_no_share_of_it_is_claimed() -> None:
    assert say(leases_with(""), "dnsmasq-leases", LEASES, at(1, 0)) == {"leases": 3}


def test_while_the_clock_is_not_believed_all_that_dnsmasq_holds_counts() -> None:
    assert say(leases_with(""), "dnsmasq-leases", LEASES, at(1)) == {"leases": 3}


@pytest.mark.parametrize(
    "text", ["10.20.0.9-10.20.0.2", "10.20.0.2", "10.20.0.2-", "a-b", "10.20.0.2-10.20.0.300", "-"]
)
def test_a_pool_that_is_none_is_told_once_and_costs_only_the_share(text: str) -> None:
    probe = leases_with(text)
    events = probe.answer("dnsmasq-leases", LEASES, at(1, 0))
    assert values(events) == {"leases": 3}
    assert problems(events) == ["key pool: write the pool as first-last, such as 10.20.0.2-10.20.0.254"]
    assert say(probe, "dnsmasq-leases", LEASES, at(2, 0)) == {"leases": 3}


def test_leases_without_end_and_of_ipv6_are_told_apart() -> None:
    found = parse_leases(DUAL_STACK, pool("10.20.0.0-10.20.0.255"))
    assert found == Leases(
        leases=3,
        leases_v6=2,
        pool="10.20.0.0-10.20.0.255",
        pool_size=256,
        expiries=(1795359138, 0, 1795359041),
        pool_expiries=(1795359138, 0, 1795359041),
    )
    assert say(leases_with(""), "dnsmasq-leases", DUAL_STACK, at(1, 2e9)) == {"leases": 1}


def test_line_ends_of_another_system_change_nothing() -> None:
    assert parse_leases(LEASES.replace(b"\n", b"\r\n")) == parse_leases(LEASES)


@pytest.mark.parametrize(
    "raw",
    [
        LEASES[:-1],
        LEASES[:-20],
        LEASES[30:],
        b"1795359138 2e:b3:90:ff:04:80 10.20.0.3\n",
        b"1795359138 2e:b3:90:ff:04:80 10.20.0.300 * *\n",
        b"never 2e:b3:90:ff:04:80 10.20.0.3 * *\n",
        b"duid\n",
        sample("dnsmasq-chaos.txt"),
        METRICS,
        b"\xff\xfe\n",
    ],
)
def test_half_a_file_or_another_one_is_no_file_of_leases(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_leases(raw)


def test_a_file_that_cannot_be_read_gives_no_value_and_no_word_of_what_it_says() -> None:
    events = leases_with("").answer("dnsmasq-leases", LEASES[:-5], at(1, 0))
    assert values(events) == {}
    assert problems(events) == ["dnsmasq-leases: not understood: it ends in the middle of a line"]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (sample("dnsmasq-log-exhausted.txt"), 2),
        (sample("dnsmasq-log-dhcp.txt"), 2),
        (b"dnsmasq-dhcp: DHCPDISCOVER(wlan0) 02:00:00:00:00:01 no address available\r\n", 1),
        (b"Nov 22 pi dnsmasq-dhcp[886]: 229 DHCPDISCOVER(wl0) 10.0.0.7 02:00:00:00:00:01 hp no address available\n", 1),
        (b"dnsmasq-dhcp: DHCPACK(wlan0) 10.0.0.7 02:00:00:00:00:01\nNov 22 pi hostapd: no address available\n", 0),
        (b"dnsmasq[12]: started, version 2.90 cachesize 150\n", 0),
        (b"dnsmasq-dhcp[1]: DHCPDISCOVER(wlan0) 02:00:00:00:00:01 no address available today\n", 0),
    ],
)  # fmt: skip
def test_each_line_of_the_log_about_an_empty_pool_counts(raw: bytes, expected: int) -> None:
    assert parse_log(raw).no_address_available == expected


def test_a_text_without_a_line_of_dnsmasq_is_no_log_of_it() -> None:
    with pytest.raises(AnswerError):
        parse_log(b"Nov 22 14:50:18 pi hostapd: no address available\n")


def test_the_log_states_facts_and_gives_no_reading() -> None:
    assert say(leases_with(""), "dnsmasq-log", sample("dnsmasq-log-exhausted.txt")) == {}


def test_refused_guests_are_discovers_without_an_offer() -> None:
    assert say(DnsmasqBus(HotspotSettings()), "dnsmasq-metrics", METRICS) == {"refused": 2}
    full = DnsmasqBus(HotspotSettings(every_metric=True))
    assert say(full, "dnsmasq-metrics", METRICS) == {"refused": 2, "acks": 2, "naks": 0}


def test_what_a_version_does_not_count_is_not_claimed() -> None:
    probe = DnsmasqBus(HotspotSettings(every_metric=True))
    assert parse_metrics(b"dhcp_ack\t5\n").dhcp_offer is None
    assert say(probe, "dnsmasq-metrics", b"dhcp_ack\t5\n") == {"acks": 5}
    assert say(probe, "dnsmasq-metrics", b"dhcp_discover\t5\n") == {}
    assert say(probe, "dnsmasq-metrics", b"dhcp_discover 5\ndhcp_offer 6\nnew_name 1\n") == {"refused": 0}


@pytest.mark.parametrize(
    "raw", [b"", METRICS[:-1], METRICS + b"dhcp_x\n", b"dns_queries_forwarded\t1\n", b"dhcp_ack\t-1\n"]
)
def test_half_of_the_metrics_or_others_are_none(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_metrics(raw)


def test_facts_of_another_probe_are_a_fault_of_the_program() -> None:
    with pytest.raises(TypeError):
        list(leases_with("").take(Facts(), at(0)))
    with pytest.raises(TypeError):
        list(DnsmasqBus(HotspotSettings()).take(Facts(), at(0)))
