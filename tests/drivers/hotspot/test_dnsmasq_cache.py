"""Counters of dnsmasq's cache."""

import pytest

from drivers.hotspot.dnsmasq_cache import DnsmasqCache, Upstream, parse_cache
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts
from tests.drivers.hotspot.recorded import at, sample, say

SAMPLE = sample("dnsmasq-chaos.txt")


def round_of(hits: int, misses: int = 0) -> bytes:
    return f'hits.bind "{hits}"\nmisses.bind "{misses}"'.encode()


def test_questions_of_the_probe_itself_are_no_hits_of_guests() -> None:
    probe = DnsmasqCache(HotspotSettings())
    assert say(probe, "dnsmasq-chaos", round_of(5, 3)) == {"hits": 5, "misses": 3}
    assert say(probe, "dnsmasq-chaos", round_of(7, 3)) == {"hits": 5, "misses": 3}
    assert say(probe, "dnsmasq-chaos", round_of(19, 4)) == {"hits": 15, "misses": 4}


def test_a_dnsmasq_that_began_anew_owes_nothing_to_its_former_life() -> None:
    probe = DnsmasqCache(HotspotSettings())
    for hits in (100, 102, 104):
        assert say(probe, "dnsmasq-chaos", round_of(hits))["hits"] == 100
    assert say(probe, "dnsmasq-chaos", round_of(3)) == {"hits": 3, "misses": 0}
    assert say(probe, "dnsmasq-chaos", round_of(6)) == {"hits": 4, "misses": 0}


def test_an_answer_without_hits_still_costs_one() -> None:
    probe = DnsmasqCache(HotspotSettings())
    assert say(probe, "dnsmasq-chaos", b'misses.bind "4"') == {"misses": 4}
    assert say(probe, "dnsmasq-chaos", b'hits.bind "1"') == {"hits": 0}


def test_empty_lines_say_nothing() -> None:
    assert parse_cache(b"\n" + SAMPLE + b"\n\n") == parse_cache(SAMPLE)


def test_hits_never_fall_below_none() -> None:
    probe = DnsmasqCache(HotspotSettings())
    say(probe, "dnsmasq-chaos", round_of(0))
    assert say(probe, "dnsmasq-chaos", round_of(1))["hits"] == 0


def test_every_server_of_the_uplink_is_told_with_what_failed() -> None:
    raw = b'servers.bind "198.51.100.1#53 120 3" "2001:db8::1#53 7 0 2 14"\r\n'
    found = parse_cache(raw)
    assert found.upstream == (
        Upstream(addr="198.51.100.1#53", sent=120, failed=3),
        Upstream(addr="2001:db8::1#53", sent=7, failed=0),
    )
    assert found.hits is None
    assert parse_cache(b'servers.bind ""').upstream == ()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        SAMPLE[:-3],
        SAMPLE + b"hits",
        b'hits.bind "many"\n',
        b'hits.bind "1" "2"\n',
        b'servers.bind "somewhere"\n',
        b'version.bind "dnsmasq-2.90"\n',
        sample("dnsmasq-dbus-getmetrics.tsv"),
    ],
)
def test_half_an_answer_or_another_one_is_none(raw: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_cache(raw)


def test_facts_of_another_probe_are_a_fault_of_the_program() -> None:
    with pytest.raises(TypeError):
        list(DnsmasqCache(HotspotSettings()).take(Facts(), at(0)))
