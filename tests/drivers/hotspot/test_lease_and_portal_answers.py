"""What holds for every answer about leases and portals: damage is refused, persons are not told of."""

import json
import logging
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cli.main import main
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts, Probe
from drivers.probes import KINDS, make
from tests.drivers.hotspot.recorded import at, sample

POOL = "10.20.0.2-10.20.0.4"
SOURCES = {
    "dnsmasq-leases": "dnsmasq.leases",
    "dnsmasq-log": "dnsmasq-log-dhcp.txt",
    "dnsmasq-chaos": "dnsmasq-chaos.txt",
    "dnsmasq-metrics": "dnsmasq-dbus-getmetrics.tsv",
    "opennds-status": "opennds-9.10-status.txt",
    "opennds-json": "opennds-9.10-json-preauth.json",
    "chilli-list": "chilli_query-list.txt",
    "portal-api-answer": "capport-captive.json",
}
NEVER = ("dnsmasq-log-exhausted.txt", "opennds-9.6-json-malformed.txt", *SOURCES.values())
CONFIGURED = {"127.0.0.1#5399", "10.20.0.2-10.20.0.4"}
"""What the city itself wrote: servers of the uplink, and its pool."""

Parser = Callable[[bytes], Facts]


def probes() -> list[Probe]:
    settings = HotspotSettings(pool=POOL, every_metric=True)
    return [make(kind, settings) for kind in KINDS if kind.section == "hotspot"]


def parsers() -> dict[str, Parser]:
    return {source.name: source.parse for probe in probes() for source in probe.sources}


def readable(parse: Parser, raw: bytes) -> Facts | None:
    try:
        return parse(raw)
    except AnswerError:
        return None


@pytest.mark.parametrize(("source", "name"), SOURCES.items())
def test_a_damaged_answer_is_read_or_refused_and_never_more(source: str, name: str) -> None:
    parse, raw = parsers()[source], sample(name)
    seeded = random.Random(4)  # noqa: S311 - the same damage on each run
    assert readable(parse, raw) is not None
    for _ in range(400):
        damaged = bytearray(raw)
        for _ in range(seeded.randrange(1, 6)):
            damaged[seeded.randrange(len(damaged))] = seeded.randrange(256)
        readable(parse, bytes(damaged))
    for _ in range(100):
        readable(parse, seeded.randbytes(seeded.randrange(300)))
    for number in set(re.findall(rb"\d+", raw)):
        readable(parse, raw.replace(number, b"9" * 5000))


@pytest.mark.parametrize(("source", "name"), [item for item in SOURCES.items() if item[0] != "dnsmasq-log"])
def test_an_answer_cut_within_a_line_is_refused(source: str, name: str) -> None:
    parse, raw = parsers()[source], sample(name).rstrip()
    if source != "dnsmasq-chaos":
        assert readable(parse, raw[:-1]) is None
    assert [at for at in range(1, len(raw)) if raw[at - 1 : at] not in b"\n\r" and raw[at] > ord(" ")
            and raw[at - 1] > ord(" ") and readable(parse, raw[:at]) is not None] == []  # fmt: skip


@pytest.mark.parametrize(("source", "name"), SOURCES.items())
def test_only_its_own_parser_takes_an_answer(source: str, name: str) -> None:
    raw = sample(name)
    assert [other for other, parse in parsers().items() if readable(parse, raw) is not None] == [source]


@pytest.mark.parametrize("name", NEVER)
def test_no_output_tells_of_a_person_or_a_device(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    raw = sample(name)
    secrets = set(re.findall(r"[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}", raw.decode()))
    secrets |= set(re.findall(r"\d{1,3}(?:\.\d{1,3}){3}", raw.decode())) - {"10.20.0.2", "10.20.0.4", "127.0.0.1"}
    secrets |= set(re.findall(r"https?://[^\s\",]+", raw.decode()))
    secrets |= {
        "hp-1",
        "hp-2",
        "hp-warga",
        "user1",
        "482b235c",
        "5eb5556b",
        "5ce176f0",
        "bmE=",
        "WiFi",
        "portal.example",
    }
    said = []
    for probe in probes():
        for source in probe.sources:
            for part in (raw, raw[:-7], raw + b"\xff", raw[len(raw) // 2 :]):
                said += [
                    repr(readable(source.parse, part)),
                    *map(repr, probe.answer(source.name, part, at(1, 1795359040))),
                ]
    everything = "\n".join([*said, caplog.text])
    for known in CONFIGURED:
        everything = everything.replace(known, "")
    assert [secret for secret in secrets if secret in everything] == []
    assert re.search(r"(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}|\d+\.\d+\.\d+\.\d+", everything) is None


EXPECTED = [
    ("dnsmasq", "dnsmasq.leases", {"leases": 3, "pool": POOL, "pool_size": 3}),
    ("dnsmasq", "dnsmasq-log-exhausted.txt", {"no_address_available": 2}),
    (
        "dnsmasq-cache",
        "dnsmasq-chaos.txt",
        {
            "cachesize": 150,
            "hits": 7,
            "misses": 1,
            "evictions": 0,
            "insertions": 0,
            "upstream": [{"addr": "127.0.0.1#5399", "sent": 1, "failed": 0}],
        },
    ),
    ("opennds", "opennds-9.10-json-preauth.json", {"clients": 1, "preauthenticated": 1, "authenticated": 0}),
    (
        "opennds",
        "opennds-9.10-status.txt",
        {"version": "9.10.0", "upstream_online": True, "auths_since_start": 1, "clients": 1},
    ),
    ("opennds", "opennds-9.6-json-malformed.txt", {"json_valid": False}),
    ("chilli", "chilli_query-list.txt", {"clients": 2, "authenticated": 1, "state": {"pass": 1, "none": 1}}),
    ("portal-api", "capport-captive.json", {"captive": True}),
    ("dnsmasq-bus", "dnsmasq-dbus-getmetrics.tsv", {"dhcp_discover": 6, "dhcp_offer": 4, "dhcp_ack": 2}),
]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[dict[str, object], dict[str, object]]:
    assert main(["probe", "run", *words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    (facts,) = said["facts"].values()
    return facts, {record["n"]: record.get("v", record.get("vb")) for record in said["senml"]}


def path_of(name: str) -> str:
    return str(Path(__file__).parents[2] / "vectors" / "hotspot" / name)


@pytest.mark.parametrize(("probe", "name", "expected"), EXPECTED)
def test_a_recorded_answer_gives_its_facts_by_hand(
    probe: str, name: str, expected: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    facts, _ = run(capsys, probe, "--file", path_of(name), "--option", f"pool={POOL}")
    assert {key: facts[key] for key in expected} == expected


def test_what_broken_json_still_says_stands_apart(capsys: pytest.CaptureFixture[str]) -> None:
    facts, _ = run(capsys, "opennds", "--file", path_of("opennds-9.6-json-malformed.txt"))
    tolerant = facts["tolerant"]
    assert isinstance(tolerant, dict)
    assert (tolerant["clients"], tolerant["authenticated"]) == (1, 1)


@pytest.mark.parametrize(("when", "leases", "used"), [(1795359040, 3, 1.0), (1795359100, 2, 0.6667)])
def test_leases_are_counted_at_the_time_they_were_recorded(
    when: int, leases: int, used: float, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--file", path_of("dnsmasq.leases"), "--at", str(when), "--option", f"pool={POOL}")
    _, readings = run(capsys, "dnsmasq", *words)
    assert readings == {"dhcp/leases": leases, "dhcp/pool-used": used}
