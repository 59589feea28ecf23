import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.cli.main import main

SDS = "aac08c009400bcf9d5ab"


def _decode(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, object]], str]:
    code = main(["driver", "decode", *words])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else [], said.err


@pytest.mark.parametrize(
    "words",
    [
        [SDS],
        [SDS.upper()],
        ["aa c0 8c 00 94 00 bc f9 d5 ab"],
        ["aa:c0:8c:00:94:00:bc:f9:d5:ab"],
        ["0x" + SDS],
        ["aa", "c0", "8c", "0", "94", "0", "bc", "f9", "d5", "ab"],
        ["0xaa,0xc0,0x8c,0x00,0x94,0x00,0xbc,0xf9,0xd5,0xab"],
    ],
    ids=["plain", "upper", "spaces", "colons", "0x", "words", "c array"],
)
def test_hex_is_read_as_people_write_it(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, records, errors = _decode(capsys, "sds011", *words)
    assert (code, errors) == (0, "")
    assert [record["v"] for record in records] == [14.0, 14.8]


def test_frames_are_decoded_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    code, records, _ = _decode(capsys, "a02yyuw", "ff07a1a7", "ff039d9f")
    assert code == 0
    assert [record["v"] for record in records] == [1.953, 0.925]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sds011", "aac08c009400bcf9d6ab"], "checksum: expected d5, got d6"),
        (["a02yyuw", "ff000 0ff".replace(" ", "")], "no target"),
        (["modbus", "118302c134"], "exception 2: illegal data address"),
        (["modbus_rtu", "fe0400030001d5c5"], "a request"),
        (["pzem004t", "018406c302"], "exception 6: device busy"),
        (["senseair_s8", "fe04020388d5c5"], "checksum: expected ad b2, got d5 c5"),
        (["nmea", "24474e524d432c2c562c2c2c2c2c2c2c2c2c2c4e2c562a33370d0a"], "void fix"),
        (["pzem004t", "110304008d008efbbd"], "answers no request"),
    ],
)
def test_no_reading_is_exit_3_with_the_reason(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, records, errors = _decode(capsys, *words)
    assert (code, records) == (3, [])
    assert says in errors


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sds011", "zz"], "not hex"),
        (["sds011", "aac"], "not hex"),
        (["sds011", ""], "not hex"),
        (["sds01", SDS], "did you mean"),
        (["sds011", "--option", "unit=1", SDS], "unknown option"),
        (["sds011", "--option", "unit", SDS], "name=value"),
        (["a02yyuw", "--option", "mount_height=4.2", "ff07a1a7"], "a quantity in m"),
        (["senseair_s8", "--option", "register=9", "fe04020190acd8"], "no declared request"),
        (["line", "31"], "format: missing"),
    ],
)
def test_what_cannot_be_tried_is_exit_2_with_the_reason(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, errors = _decode(capsys, *words)
    assert code == 2
    assert says in errors


def test_a_reply_with_two_meanings_gives_both_and_says_how_to_pick(capsys: pytest.CaptureFixture[str]) -> None:
    code, records, errors = _decode(capsys, "senseair_s8", "fe04020190acd8")
    assert code == 0
    assert [record["n"] for record in records] == ["co2", "type_id_low"]
    assert "--option register=3" in errors
    code, records, errors = _decode(capsys, "senseair_s8", "--option", "register=3", "fe04020190acd8")
    assert [record["n"] for record in records] == ["co2"]
    assert errors == ""


def test_options_are_texts_quantities_or_toml(capsys: pytest.CaptureFixture[str]) -> None:
    _, records, _ = _decode(capsys, "a02yyuw", "--option", "mount_height=4.20 m", "ff07a1a7")
    assert records[1] == {"n": "level", "u": "m", "v": 2.247}
    table = 'registers=[{channel = "wind_speed", register = 0, scale = "0.01", unit = "m/s"}]'
    _, records, _ = _decode(capsys, "modbus", "--option", table, "010302007979a6")
    assert records == [{"n": "wind_speed", "u": "m/s", "v": 1.21}]
    code, _, errors = _decode(capsys, "modbus", "--option", "registers=[", "010302007979a6")
    assert code == 2
    assert "list" in errors
    text = "{'s': \"open\"}".replace("'", '"').encode().hex()
    options = ["--option", "format=json", "--option", 'fields={door="s"}', "--option", 'text=["door"]']
    _, records, _ = _decode(capsys, "line", *options, text)
    assert records == [{"n": "door", "u": "1", "vs": "open"}]


def test_doubts_are_records_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    _, records, _ = _decode(capsys, "a02yyuw", "ff001413")
    assert records[0] == {"n": "distance", "u": "m", "v": 0.02}
    assert {"n": "distance/quality", "vs": "no_target"} in records


def test_list_names_every_driver_for_people_and_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["driver", "list"]) == 0
    text = capsys.readouterr().out
    assert main(["driver", "list", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    lines = {one["name"]: one["line"] for one in facts}
    assert {"nmea", "ultrasonic", "modbus", "line", "pzem004t", "senseair_s8"} <= set(lines)
    assert (lines["sds011"], lines["vedirect"], lines["ups_megatec"]) == ("9600 8N1", "19200 8N1", "2400 8N1 no RTS")
    assert all(one["title"] in text for one in facts)


@pytest.mark.parametrize("name", ["sds011", "nmea_gnss", "a02yyuw", "pzem004t_v3", "senseair_s8", "modbus", "line"])
def test_show_gives_options_channels_and_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["driver", "show", name]) == 0
    text = capsys.readouterr().out
    assert f'driver = "{name}"' in text
    assert main(["driver", "show", name, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    for part in (*facts["channels"], *facts["options"]):
        assert part["name"] in text


def test_show_of_an_unknown_name_is_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["driver", "show", "nope"]) == 2
    assert "driver list" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_simulator_runs_until_it_is_told_to_stop(number: signal.Signals, tmp_path: Path) -> None:
    link = tmp_path / "air"
    command = [sys.executable, "-m", "agent", "driver", "simulate", "sds011", "--link", str(link), "--every", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == str(link)
        port = os.open(link, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        heard, until = b"", time.monotonic() + 10
        while b"\xaa\xc0" not in heard and time.monotonic() < until:
            try:
                heard += os.read(port, 100)
            except BlockingIOError:
                time.sleep(0.01)
        os.close(port)
        process.send_signal(number)
        assert process.wait(10) == 0
    assert b"\xaa\xc0" in heard
    assert not link.is_symlink()


def test_a_simulator_that_cannot_be_made_is_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["driver", "simulate", "sds011", "--every", "0"]) == 2
    assert main(["driver", "simulate", "nope"]) == 2
    assert main(["driver", "simulate", "sds011", "--link", str(tmp_path / "no" / "air")]) == 2
    assert "pseudo-terminal" in capsys.readouterr().err
