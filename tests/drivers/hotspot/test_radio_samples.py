import json
import re
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import main
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Moment, Source
from drivers.probes import KINDS, make

SAMPLES = Path(__file__).parents[2] / "vectors/hotspot"
ONE = {"stations": 1, "associated": 1}
EXPECTED: dict[tuple[str, str], dict[str, Any]] = {
    ("hostapd", "hostapd-status-3sta.txt"): {
        "state": "ENABLED",
        "channel": 6,
        "bss": [{"ifname": "apnone", "ssid": "WiFi Bandung Juara", "num_sta": 3}],
    },
    ("clients", "hostapd-sta-minimal.txt"): {
        "authorized": True,
        "signal_dbm": None,
        "connected_s": None,
        "rx_bytes": None,
    },
    ("clients", "hostapd-sta-vht.txt"): {
        "authorized": True,
        "signal_dbm": -64,
        "rx_bytes": 13716568000,
        "tx_bytes": 90628298,
        "inactive_ms": 590,
        "tx_rate_kbps": 324000,
        "connected_s": None,
    },
    ("clients", "hostapd-sta-nm-brcmfmac-ap.txt"): {"authorized": True, "signal_dbm": None, "connected_s": None},
    ("clients", "hostapd_cli-all_sta-no-signal.txt"): {
        **ONE,
        "authorized": 1,
        "signal_dbm": None,
        "connected_s": 582,
    },
    ("clients", "hostapd-sta-dot1x-wired.txt"): {"authorized": True},
    ("hostapd", "hostapd-mib-radius.txt"): {
        "access_accepts": 2,
        "auth_timeouts": 32,
        "acct_responses": 0,
        "acct_timeouts": 37,
    },
    ("hostapd", "hostapd-mib-radius_server.txt"): {"access_requests": 8, "access_accepts": 1, "access_challenges": 7},
    ("ap", "hostapd-events.txt"): {"connected": 3, "disconnected": 3, "ap_enabled": 1, "ap_disabled": 1},
    ("clients", "iw-station-brcmfmac.txt"): {
        **ONE,
        "signal_dbm": -52,
        "signal_avg_dbm": None,
        "tx_retries": None,
        "tx_failed": 3,
        "connected_s": 1648,
        "tx_rate_kbps": 433300,
    },
    ("clients", "iw-station-ap-4chain.txt"): {
        **ONE,
        "signal_dbm": -37,
        "signal_avg_dbm": -40,
        "tx_retries": 0,
        "connected_s": 119,
    },
    ("clients", "iw-station-ap-2sta.txt"): {"stations": 2, "signal_dbm": [-40, -46], "tx_failed": [10, 0]},
    ("clients", "nl80211-new_station-synthetic.bin"): {
        **ONE,
        "signal_dbm": -52,
        "signal_avg_dbm": -53,
        "rx_bytes": 14004659,
        "tx_bytes": 50875670,
        "tx_retries": 7,
        "tx_failed": 3,
        "connected_s": 1648,
    },
    ("ap", "iw-survey-5g.txt"): {"in_use_mhz": 5180, "noise_dbm": -106, "active_ms": 635043, "busy_ms": 137081},
    ("ap", "iw-survey-no-counters.txt"): {
        "in_use_mhz": 5180,
        "noise_dbm": None,
        "active_ms": None,
        "busy_ms": None,
    },
    ("ap", "proc-net-wireless.txt"): {"wlan0": {"level_dbm": -50, "noise_dbm": None}},
}
PROBES = ("ap", "clients", "hostapd")
NAMES = sorted({name for _, name in EXPECTED})
PERSONAL = re.compile(
    rb"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|warga|7CD84BF2C63BEEC4|3212FC0BF243D417|127\.0\.0\.1", re.IGNORECASE
)


def says(source: Source, raw: bytes) -> dict[str, object]:
    try:
        return source.parse(raw).said()
    except AnswerError:
        return {}


@pytest.mark.parametrize(("probe", "name"), EXPECTED)
def test_a_recorded_answer_gives_its_facts(probe: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "run", probe, "--file", str(SAMPLES / name), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    (facts,) = said["facts"].values()
    expected = EXPECTED[probe, name]
    assert {key: facts[key] for key in expected} == expected
    assert not said["problems"]


def test_one_station_says_whether_it_may_send_and_a_list_how_many_may(capsys: pytest.CaptureFixture[str]) -> None:
    for name, authorized in (("hostapd-sta-vht.txt", "true"), ("hostapd_cli-all_sta-no-signal.txt", "1")):
        main(["probe", "run", "clients", "--file", str(SAMPLES / name), "--json"])
        assert f'"authorized": {authorized},' in capsys.readouterr().out


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_names_a_person_comes_out(probe: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for shape in (["--json"], []):
        main(["probe", "run", probe, "--file", str(SAMPLES / name), "--option", "every_metric=true", *shape])
        out = capsys.readouterr()
        assert not PERSONAL.search((out.out + out.err).encode())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", [b"", b"\xff", b"junk\n"])
def test_no_event_holds_what_names_a_person_even_when_the_answer_is_damaged(name: str, damage: bytes) -> None:
    raw = (SAMPLES / name).read_bytes()
    for probe in (make(kind, HotspotSettings(every_metric=True)) for kind in KINDS if kind.name in PROBES):
        for source in probe.sources:
            for cut in (len(raw), len(raw) // 2, len(raw) - 3):
                told = repr(probe.answer(source.name, raw[:cut] + damage, Moment(boot_ns=1))).encode()
                assert not PERSONAL.search(told)
                assert b"Bandung" not in told


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_taken_by_its_own_source_only(name: str) -> None:
    raw = (SAMPLES / name).read_bytes()
    takers = set()
    for probe in (make(kind, HotspotSettings()) for kind in KINDS if kind.name in PROBES):
        for source in probe.sources:
            try:
                source.parse(raw)
            except AnswerError:
                continue
            takers.add(source.name)
    assert len(takers) == 1


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".txt")])
def test_line_ends_of_another_system_change_nothing(name: str) -> None:
    raw = (SAMPLES / name).read_bytes()
    for probe in (make(kind, HotspotSettings()) for kind in KINDS if kind.name in PROBES):
        for source in probe.sources:
            try:
                facts = source.parse(raw)
            except AnswerError:
                continue
            assert source.parse(raw.replace(b"\n", b"\r\n")) == facts


@pytest.mark.parametrize("name", [name for name in NAMES if "events" not in name and "2sta" not in name])
def test_an_answer_cut_anywhere_says_nothing_that_the_whole_does_not_say(name: str) -> None:
    raw = (SAMPLES / name).read_bytes()
    for probe in (make(kind, HotspotSettings()) for kind in KINDS if kind.name in PROBES):
        for source in probe.sources:
            for end in range(len(raw)) if says(source, raw) else ():
                part = says(source, raw[:end])
                told = {key: value for key, value in part.items() if value not in (None, 0, [])}
                assert all(says(source, raw)[key] == value for key, value in told.items())


@pytest.mark.parametrize(
    "raw", [b"", b"\n", b"FAIL\n", b"UNKNOWN COMMAND\n", b"\x00\xff" * 40, b"<html></html>\n", b"{}"]
)
def test_what_is_no_answer_is_refused_by_every_source(raw: bytes) -> None:
    for probe in (make(kind, HotspotSettings()) for kind in KINDS if kind.name in PROBES):
        for source in probe.sources:
            with pytest.raises(AnswerError):
                source.parse(raw)
