"""Over which interface the box reaches the internet."""

import json

import pytest

from agent.cli.main import main
from drivers.driver import Problem
from drivers.hotspot.routes import DefaultRoute, best, parse_routes, parse_routes_v6
from drivers.hotspot.settings import HotspotSettings
from drivers.hotspot.uplink import Uplink
from drivers.probe import AnswerError, Facts
from tests.drivers.hotspot.recorded import at, sample, say, values

TWO = sample("proc-net-route-failover.txt")
HEAD = b"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
SPARE_ONLY = HEAD + b"wwan0\t00000000\t016433C6\t0003\t0\t0\t700\t00000000\t0\t0\t0\n"
NO_ROUTE = HEAD + b"*\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0\n"
DOWN = HEAD + b"wan0\t00000000\t010200C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n"
V6, NO_V6 = sample("proc-net-ipv6_route-default.txt"), sample("proc-net-ipv6_route-none.txt")
TRAFFIC = sample("proc-net-dev-failover.txt")


def round_of(probe: Uplink, *tables: bytes, traffic: bytes = TRAFFIC) -> dict[str, int | float | bool | str]:
    for table in tables:
        say(probe, "net-route" if table.startswith(b"Iface") else "net-ipv6-route", table)
    return say(probe, "net-dev", traffic)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("failover", [("wan0", "192.0.2.1", 100), ("wwan0", "198.51.100.1", 700)]),
        ("reject", [("eth0", "10.240.0.1", 0)]),
        ("ppp", [("pppoe-wan", None, 10), ("wwan0", "192.168.0.1", 20)]),
    ],
)
def test_default_routes_are_those_that_lead_somewhere(name: str, expected: list[tuple[str, str | None, int]]) -> None:
    found = parse_routes(sample(f"proc-net-route-{name}.txt"))
    assert [(way.interface, way.gateway, way.metric) for way in found.defaults] == expected


def test_a_box_without_ipv6_has_no_way_over_it_though_the_kernel_lists_one() -> None:
    assert parse_routes_v6(NO_V6).defaults == ()
    assert parse_routes_v6(V6).defaults == (DefaultRoute(interface="wan0", gateway="fe80::1", metric=1024),)


def test_a_route_that_is_not_up_leads_nowhere() -> None:
    assert parse_routes(DOWN).defaults == ()


def test_the_lowest_metric_is_taken_and_ipv4_before_ipv6() -> None:
    turned = parse_routes(HEAD + b"\n".join(reversed(TWO.splitlines()[1:])))
    taken = best([parse_routes_v6(V6), turned])
    assert taken is not None
    assert taken.interface == "wan0"
    assert best([parse_routes(NO_ROUTE), parse_routes_v6(V6)]) == parse_routes_v6(V6).defaults[0]
    assert best([parse_routes(NO_ROUTE), parse_routes_v6(NO_V6)]) is None


def test_the_spare_taking_over_is_a_change_and_says_so() -> None:
    probe = Uplink(HotspotSettings(backup=("wwan0",)))
    first = round_of(probe, TWO, V6)
    assert first == {"uplink": "wan0", "uplink-changes": 0, "on-backup": False, "rx-bytes": 516, "tx-bytes": 682}
    spare = round_of(probe, SPARE_ONLY, NO_V6)
    assert spare == {"uplink": "wwan0", "uplink-changes": 1, "on-backup": True, "rx-bytes": 516, "tx-bytes": 426}
    assert round_of(probe, TWO)["uplink-changes"] == 2
    assert round_of(probe, TWO)["uplink-changes"] == 2


def test_no_way_at_all_is_told_and_not_left_out() -> None:
    probe = Uplink(HotspotSettings(backup=("wwan0",)))
    assert round_of(probe, NO_ROUTE, NO_V6) == {"uplink": "none", "uplink-changes": 0, "on-backup": False}


def test_without_spare_interfaces_nothing_is_said_of_them() -> None:
    assert "on-backup" not in round_of(Uplink(HotspotSettings()), TWO)


def test_tables_that_were_not_read_leave_the_way_as_it_was() -> None:
    probe = Uplink(HotspotSettings())
    assert say(probe, "net-dev", TRAFFIC) == {}
    round_of(probe, TWO)
    assert say(probe, "net-dev", TRAFFIC) == {"rx-bytes": 516, "tx-bytes": 682}


@pytest.mark.parametrize(
    ("source", "raw"),
    [
        ("net-route", b""),
        ("net-route", TRAFFIC),
        ("net-route", TWO[: TWO.index(b"\t700")]),
        ("net-route", TWO.replace(b"010200C0", b"0100200C0")),
        ("net-ipv6-route", b""),
        ("net-ipv6-route", TWO),
        ("net-ipv6-route", V6[:-20]),
    ],
)
def test_another_file_or_half_of_one_is_refused(source: str, raw: bytes) -> None:
    events = Uplink(HotspotSettings()).answer(source, raw, at(0))
    assert values(events) == {}
    assert len(events) == 2


def test_facts_of_another_probe_are_a_bug() -> None:
    with pytest.raises(TypeError):
        list(Uplink(HotspotSettings()).take(Facts(), at(0)))


@pytest.mark.parametrize("parse", [parse_routes, parse_routes_v6])
def test_bytes_of_any_kind_are_refused(parse: object) -> None:
    assert callable(parse)
    with pytest.raises(AnswerError):
        parse(bytes(range(256)))


def test_recorded_files_are_told_apart_by_what_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("proc-net-route-failover.txt", "proc-net-ipv6_route-default.txt", "proc-net-dev-failover.txt")
    files = [f"--file=tests/vectors/hotspot/{name}" for name in names]
    assert main(["probe", "run", "uplink", *files, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said["facts"]) == ["net-route", "net-ipv6-route", "net-dev"]
    assert {record["n"]: record.get("vs", record.get("v")) for record in said["senml"]}["wan/uplink"] == "wan0"


def test_a_source_that_answers_again_ends_its_own_trouble_only() -> None:
    probe = Uplink(HotspotSettings())
    for source in ("net-route", "net-dev"):
        assert len(probe.silent(source, "not there")) == 1
        assert probe.silent(source, "not there") == []
    ended = [(event.code, event.ok) for event in probe.answer("net-route", TWO, at(0)) if isinstance(event, Problem)]
    assert ended == [("net-route", True)]
