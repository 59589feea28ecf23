import json
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.cli.recording import CaptureError, Recorder, read, replay, wrong_vectors
from drivers.driver import OptionValue, Send
from drivers.io.catalog import registry
from drivers.io.simulators import simulator
from drivers.reading import Reading
from tests.agent.cli.test_sniff import plugged

DRIVERS = registry()
NS = 1_000_000_000
STEP_NS = NS // 100


def record(name: str, *, seconds: int = 5, noise: bytes = b"", deaf_s: int = 0) -> tuple[str, list[Reading]]:
    """A capture of a simulated unit over a wire in virtual time, and what was read meanwhile."""
    unit = simulator(name, seed=3)
    recorder = Recorder(DRIVERS, name, {}, port="usb:1-1.2", started="2026-11-22T00:00:00Z")
    start_ns = 5 * NS + 123_457
    lines, events = recorder.start(start_ns)
    seen = list(events)
    text = [recorder.head, *lines]
    for step in range(1, seconds * 100):
        now_ns = start_ns + step * STEP_NS
        said = unit.tick(now_ns)
        for event in events:
            if isinstance(event, Send) and step >= deaf_s * 100:
                said += unit.receive(event.data, now_ns)
        lines, events = recorder.tick(now_ns)
        text += lines
        for frame in said:
            lines, more = recorder.receive(noise + frame, now_ns)
            text += lines
            events += more
        seen += events
    return "\n".join([*text, *recorder.vectors()]), [event for event in seen if isinstance(event, Reading)]


def _values(readings: list[Reading]) -> list[tuple[str, object]]:
    return [(reading.channel, reading.value) for reading in readings]


@pytest.mark.parametrize("name", ["sds011", "plantower", "nmea", "mhz19", "pzem004t", "rg15", "ups_voltronic", "sdi12"])
def test_a_replay_reads_what_the_recording_read(name: str) -> None:
    text, live = record(name)
    again = [event for event in replay(DRIVERS, read(text), name, {}) if isinstance(event, Reading)]
    assert live
    assert _values(again) == _values(live)


@pytest.mark.parametrize("name", ["mhz19", "pzem004t", "rg15"])
def test_questions_that_got_no_answer_are_replayed_too(name: str) -> None:
    text, live = record(name, seconds=90, deaf_s=8)
    again = [event for event in replay(DRIVERS, read(text), name, {}) if isinstance(event, Reading)]
    assert live
    assert _values(again) == _values(live)


def test_a_vector_says_what_was_read_and_not_what_a_part_of_its_frame_would_say() -> None:
    options: dict[str, OptionValue] = {"format": "csv", "fields": {"t": "1"}}
    recorder = Recorder(DRIVERS, "line", options, port="usb:1-1.2", started="now")
    recorder.start(0)
    recorder.receive(b"9\r\n126.5\r\n", NS)
    (vector,) = recorder.vectors()
    assert json.loads(vector)["decoded"] == {"t": {"value": 126.5, "unit": "1"}}


@pytest.mark.parametrize("name", ["sds011", "plantower", "nmea", "mhz19", "pzem004t", "vedirect", "windsonic"])
def test_the_frames_in_a_capture_are_vectors_that_decode_alone(name: str) -> None:
    capture = read(record(name, noise=b"\x00\x13")[0])
    assert capture.vectors
    assert wrong_vectors(DRIVERS, capture, {}) == []
    for vector in capture.vectors:
        assert vector["device"] == name
        assert vector["decoded"]
        assert not vector["bytes_hex"].startswith("0013")


def test_a_vector_that_decodes_to_something_else_is_told() -> None:
    text = record("sds011")[0].replace('"pm2_5": {"value": ', '"pm2_5": {"value": 1')
    (wrong, *_) = wrong_vectors(DRIVERS, read(text), {})
    assert "vector 1" in wrong


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2 is no JSON"),
        ("[]", "line 2 is no JSON object"),
        ("{}", "line 2: neither"),
        ('{"ms": "x", "direction": "in", "hex": ""}', "line 2: neither"),
        ('{"ms": 1, "direction": "up", "hex": ""}', "line 2: neither"),
        ('{"ms": 1, "direction": "in", "hex": "zz"}', "line 2: neither"),
        ('{"ms": -1, "direction": "in", "hex": ""}', "goes back"),
        ('{"device": "sds011", "bytes_hex": "00", "decoded": []}', "line 2: neither"),
        ('{"device": "sds011", "bytes_hex": "00", "decoded": {"a": 1}}', "line 2: neither"),
    ],
)
def test_a_damaged_capture_is_refused_with_the_line(line: str, says: str) -> None:
    head = '{"form": "gardu capture 1", "driver": "sds011", "options": {}}'
    with pytest.raises(CaptureError, match=says):
        read(f"{head}\n{line}\n")


@pytest.mark.parametrize("text", ["", "x", "{}", '{"form": "gardu capture 1", "driver": 1, "options": {}}'])
def test_another_file_is_no_capture(text: str) -> None:
    with pytest.raises(CaptureError):
        read(text)


def test_a_live_line_is_recorded_and_read_again_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "power.jsonl"
    with plugged(simulator("pzem004t")) as port:
        assert main(["driver", "record", port, "--driver", "pzem004t", "--seconds", "0.8", str(file)]) == 0
    assert "voltage" in capsys.readouterr().out
    kinds = [json.loads(line).get("direction", "other") for line in file.read_text().splitlines()]
    assert kinds[:3] == ["other", "out", "in"]
    assert kinds[-1] == "other"
    assert main(["driver", "replay", str(file), "--json"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (first["n"], first["u"]) == ("voltage", "V")
    assert main(["driver", "replay", str(file), "--driver", "sds011"]) == 3
    assert main(["driver", "replay", str(file), "--real-time"]) == 0
    file.write_text(file.read_text().replace('"voltage": {"value": ', '"voltage": {"value": 9'))
    assert main(["driver", "replay", str(file)]) == 1


def test_what_cannot_be_recorded_or_replayed_is_exit_2_and_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "air.jsonl"
    command = ["driver", "record", "path:/nowhere/ttyX", "--driver", "sds011", str(file)]
    assert main(command) == 2
    assert not file.exists()
    assert main([*command, "--force"]) == 2
    assert not file.exists()
    assert main([*command, "--line", "fast"]) == 2
    assert main([*command, "--option", "x"]) == 2
    assert main(["driver", "replay", str(file)]) == 2
    file.write_bytes(b"\xff\xfe")
    assert main(["driver", "replay", str(file)]) == 2
    assert "air.jsonl" in capsys.readouterr().err
    with plugged(simulator("sds011")) as port:
        assert main(["driver", "record", port, "--driver", "sds011", str(file)]) == 2
    assert file.read_bytes() == b"\xff\xfe"
