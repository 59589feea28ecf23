import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cli.check_search import find_check
from agent.cli.main import main
from drivers.framing import sum8, xor8
from drivers.serial.rtu import sealed
from tests.agent.cli.test_capture import record

FIRST, SECOND = "5a5a3f0f097d0ac4018b89001900009ef2000519", "5a5a3f0f09700ad0018b8300190000ba05000642"
ASKED, REPLY = "01 03 00 00 00 01 84 0a", "01 03 02 00 79 79 a6"

New = Callable[..., tuple[int, str]]


@pytest.fixture
def new(tmp_path: Path, capsys: pytest.CaptureFixture[str], imports: None) -> New:
    def run(*words: str, action: str = "new") -> tuple[int, str]:
        more = ["--folder", str(tmp_path)] if action == "new" else []
        code = main(["driver", action, *words, *more])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def written(folder: Path, name: str) -> tuple[str, list[dict[str, object]]]:
    module, vectors = folder / name / name / "__init__.py", folder / name / name / "vectors.json"
    return module.read_text(encoding="utf-8"), json.loads(vectors.read_text(encoding="utf-8"))


def capture(folder: Path, text: str) -> str:
    path = folder / "capture.jsonl"
    path.write_text(text, encoding="utf-8")
    return str(path)


def lint(module: Path) -> str:
    command: list[str | Path] = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,E9,B", module]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


def test_what_frames_of_a_data_sheet_have_in_common_is_written_and_the_rest_is_asked_for(
    new: New, tmp_path: Path
) -> None:
    assert new("box", "--frame", FIRST, "--frame", SECOND, "--source", "sheet 1", "--line", "4800 7E1")[0] == 0
    module, vectors = written(tmp_path, "box")
    assert '_HEAD = bytes.fromhex("5a5a3f0f")\n_FRAME_BYTES = 20\n' in module
    assert "if sum8(frame[:-1]) != frame[-1]:" in module
    assert 'line=Line(baud=4800, data_bits=7, parity="E")' in module
    assert 'source="sheet 1"' in module
    assert [one["expect"] for one in vectors] == ["reading", "reading", "reject"]
    assert [one["decoded"] for one in vectors] == [{}, {}, {}]
    code, said = new(str(tmp_path / "box"), action="test")
    assert (code, "says nothing yet: write in decoded what its source says it means" in said) == (2, True)


def test_with_its_vectors_filled_the_test_names_what_is_still_to_be_written(new: New, tmp_path: Path) -> None:
    new("box", "--frame", FIRST, "--frame", SECOND)
    _, vectors = written(tmp_path, "box")
    for one in vectors[:2]:
        one["decoded"] = {"temperature": {"value": 24.0, "unit": "Cel"}}
    (tmp_path / "box" / "box" / "vectors.json").write_text(json.dumps(vectors), encoding="utf-8")
    code, said = new(str(tmp_path / "box"), action="test")
    assert code == 1
    assert "  K1  FAIL" in said
    assert "NotImplementedError: box: say in _meaning what the bytes of a frame mean" in said


def test_a_capture_that_was_understood_brings_its_values_and_questions_along(new: New, tmp_path: Path) -> None:
    text, _ = record("ups_megatec", seconds=30)
    assert new("ups", "--from", capture(tmp_path, text))[0] == 0
    module, vectors = written(tmp_path, "ups")
    assert "class Ups(Polled):" in module
    assert 'mode="poll"' in module
    assert "commands = (b'Q" in module
    assert "line=Line(baud=2400, rts=False)" in module
    assert 'Channel(name="input_voltage", unit="V")' in module
    assert "input_voltage" in str(vectors[0]["decoded"])
    assert str(vectors[0]["request_hex"]).startswith(b"Q".hex())
    assert vectors[0]["source"] == "gardu driver record, usb:1-1.2, 2026-11-22T00:00:00Z"


def test_a_capture_that_nobody_understood_is_cut_at_its_silences(new: New, tmp_path: Path) -> None:
    head = json.dumps({"form": "gardu capture 1", "driver": "nmea", "options": {}, "line": "4800 8N1", "source": "x"})
    half, rest = FIRST[:10], FIRST[10:]
    parts = [(0, half), (2, rest), (500, SECOND), (900, half), (903, rest)]
    lines = [json.dumps({"ms": ms, "direction": "in", "hex": data}) for ms, data in parts]
    assert new("box", "--from", capture(tmp_path, "\n".join([head, *lines])))[0] == 0
    module, vectors = written(tmp_path, "box")
    assert [one["bytes_hex"] for one in vectors[:-1]] == [FIRST, SECOND]
    assert "line=Line(baud=4800)" in module


def test_lines_of_text_get_a_codec_for_lines(new: New, tmp_path: Path) -> None:
    frames = [b"T 21.5\r\n".hex(), b"T 22.5\r\n".hex()]
    assert new("talker", *[word for frame in frames for word in ("--frame", frame)])[0] == 0
    module, vectors = written(tmp_path, "talker")
    assert "LineFrame(_ENDS, _LONGEST, _check)" in module
    assert "say in _check what guards a frame" in module
    assert bytes.fromhex(str(vectors[-1]["bytes_hex"])).endswith(b"\r\n") is False


@pytest.mark.parametrize("name", ["mhz19", "sds011", "rg15", "pzem004t", "nmea"])
def test_what_is_written_is_sound_python(new: New, tmp_path: Path, name: str) -> None:
    text, _ = record(name)
    assert new("begun", "--from", capture(tmp_path, text))[0] == 0
    compile(written(tmp_path, "begun")[0], "begun", "exec")
    assert "undefined" not in lint(tmp_path / "begun" / "begun" / "__init__.py").lower()


def test_a_modbus_unit_begins_as_a_profile_that_holds_but_has_no_source(new: New, tmp_path: Path) -> None:
    assert new("wind", "--profile", "--frame", ASKED, "--frame", REPLY)[0] == 0
    text = (tmp_path / "wind.toml").read_text(encoding="utf-8")
    assert "expect = { reg3_0 = 121 }" in text
    code, said = new(str(tmp_path / "wind.toml"), action="test")
    assert (code, said.count("FAIL"), "no source is named" in said) == (1, 1, True)


def test_a_capture_of_a_modbus_unit_is_a_profile_too(new: New, tmp_path: Path) -> None:
    text, _ = record("sonbest_wind", seconds=20)
    assert new("wind", "--profile", "--from", capture(tmp_path, text))[0] == 0
    code, said = new(str(tmp_path / "wind.toml"), action="test")
    assert code == 0, said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["Not-So", "--frame", FIRST], "is no name for a driver"),
        (["class", "--frame", FIRST], "is no name for a driver"),
        (["json", "--frame", FIRST], "is no name for a driver"),
        (["sds011", "--frame", FIRST], "Gardu has a driver, profile or model called 'sds011'"),
        (["box"], "give --from CAPTURE or --frame HEX"),
        (["box", "--frame", FIRST, "--from", "x"], "give --from CAPTURE or --frame HEX"),
        (["box", "--frame", "xyz"], "is not hex"),
        (["box", "--frame", FIRST, "--line", "fast"], "is no serial line"),
        (["box", "--from", "/gone"], "No such file"),
        (["box", "--profile", "--frame", FIRST, "--frame", SECOND], "no Modbus request with its reply"),
        (["box", "--profile", "--frame", ASKED, "--frame", "018302c0f1"], "no Modbus request with its reply"),
    ],
)
def test_what_cannot_be_begun_says_why(new: New, tmp_path: Path, words: list[str], why: str) -> None:
    code, said = new(*words)
    assert (code, why in said) == (2, True), said
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_exists_is_written_over(new: New, tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    code, said = new("box", "--frame", FIRST)
    assert (code, "is there already" in said) == (2, True)
    assert list((tmp_path / "box").iterdir()) == []


def test_an_empty_capture_is_no_beginning(new: New, tmp_path: Path) -> None:
    head = json.dumps({"form": "gardu capture 1", "driver": "nmea", "options": {}})
    code, said = new("box", "--from", capture(tmp_path, head))
    assert (code, "there is no frame in it" in said) == (2, True)


def test_a_place_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["driver", "new", "box", "--frame", FIRST, "--folder", "/proc/nowhere"]) == 2
    assert "choose another --folder" in capsys.readouterr().err


BODIES = [bytes((0xA5, number, 3 * number, 7)) for number in (1, 9, 77)]


@pytest.mark.parametrize(
    ("seal", "integrity", "total"),
    [
        (sealed, "crc16", "crc16(frame[:-2])"),
        (lambda body: body + sealed(body)[:-3:-1], "crc16", "crc16(frame[:-2])"),
        (lambda body: body + sum(body).to_bytes(2, "big"), "sum16", "sum(frame[:-2]) & 0xFFFF"),
        (lambda body: body + bytes((sum8(body),)), "sum8", "sum8(frame[:-1])"),
        (lambda body: body + bytes((-sum8(body[1:]) & 0xFF,)), "sum8", "-sum8(frame[1:-1]) & 0xFF"),
        (lambda body: body + bytes((xor8(body),)), "xor", "xor8(frame[:-1])"),
        (lambda body: body + bytes((sum8(body[1:]), 0xAB)), "sum8", "sum8(frame[1:-2])"),
    ],
)
def test_the_usual_checks_are_found(seal: Callable[[bytes], bytes], integrity: str, total: str) -> None:
    found = find_check([seal(body) for body in BODIES])
    assert found is not None
    assert (found.integrity, found.total) == (integrity, total)


def test_one_frame_proves_no_sum_and_frames_without_a_check_have_none() -> None:
    assert find_check([BODIES[0] + bytes((sum8(BODIES[0]),))]) is None
    assert find_check([body + b"\x00\x01" for body in BODIES]) is None
    assert find_check([b"\x01\x02"]) is None
