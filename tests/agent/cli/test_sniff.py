import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli

from agent.cli.main import main
from agent.cli.sniffing import refusal
from drivers.driver import Line
from drivers.io.catalog import registry
from drivers.io.holders import under
from drivers.io.pty import serve
from drivers.io.simulators import simulator
from drivers.port import parse_port
from drivers.simulate.simulator import Simulator, Talker

DRIVERS = registry()


class Babble(Talker):
    """Noise that no driver knows."""

    def __init__(self) -> None:
        super().__init__(line=Line(), every_s=0.02)

    def frames(self, now_ns: int) -> list[bytes]:
        return [bytes(((now_ns >> 20) * 7 + place * 31) % 251 | 0x80 for place in range(9))]


class Mute(Babble):
    def frames(self, now_ns: int) -> list[bytes]:  # noqa: ARG002 - it says nothing
        return []


@contextlib.contextmanager
def plugged(unit: Simulator) -> Iterator[str]:
    """A unit on a pseudo-terminal, and the name of its port."""
    stop, there, paths = threading.Event(), threading.Event(), list[str]()

    def ready(path: str) -> None:
        paths.append(path)
        there.set()

    thread = threading.Thread(target=serve, args=(unit,), kwargs={"ready": ready, "stopped": stop.is_set})
    thread.start()
    try:
        assert there.wait(5)
        yield f"path:{paths[0]}"
    finally:
        stop.set()
        thread.join()


def sniff(capsys: pytest.CaptureFixture[str], unit: Simulator, *words: str) -> tuple[int, list[dict[str, object]]]:
    with plugged(unit) as port:
        code = main(["driver", "sniff", port, "--json", *words])
    return code, json.loads(capsys.readouterr().out)["drivers"]


@pytest.mark.parametrize(
    "name", ["dsmr", "line", "maxbotix", "nmea", "plantower", "sds011", "ultrasonic", "vedirect", "windsonic", "wxt"]
)
def test_listening_names_the_driver_and_its_section_is_toml(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = sniff(capsys, simulator(name, every_s=0.05), "--seconds", "0.5")
    assert code == 0
    assert found[0]["driver"] == name
    section = tomli.loads(str(found[0]["toml"]))["sensor"][name]
    options = {key: value for key, value in section.items() if key not in ("driver", "port")}
    DRIVERS.make(section["driver"], name, options)


@pytest.mark.parametrize(
    ("name", "others"), [("mhz19", ["rg15"]), ("pzem004t", ["sdm120"]), ("ups_megatec", ["ups_voltronic"])]
)
def test_asking_names_a_unit_that_says_nothing_by_itself(
    name: str, others: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for one in (*others, name) for word in ("--driver", one)]
    code, found = sniff(capsys, simulator(name), "--ask", "--seconds", "0.1", *words)
    assert (code, found[0]["driver"]) == (0, name)


def test_without_ask_nothing_is_written_and_silence_is_exit_3(capsys: pytest.CaptureFixture[str]) -> None:
    class Listener(Mute):
        heard = b""

        def receive(self, data: bytes, now_ns: int) -> list[bytes]:  # noqa: ARG002 - it answers nothing
            self.heard += data
            return []

    unit = Listener()
    with plugged(unit) as port:
        assert main(["driver", "sniff", port, "--seconds", "0.1"]) == 3
        assert "--ask" in capsys.readouterr().out
        assert unit.heard == b""
        assert main(["driver", "sniff", port, "--seconds", "0.1", "--ask", "--driver", "mhz19"]) == 3
    assert {unit.heard[place : place + 9] for place in range(0, len(unit.heard), 9)} <= {
        bytes.fromhex("ff0186000000000079"),
        bytes.fromhex("ff017d000000000082"),
    }
    assert unit.heard


def test_a_unit_that_refuses_every_map_is_exit_1_and_is_said_to_answer(capsys: pytest.CaptureFixture[str]) -> None:
    with plugged(simulator("pzem004t")) as port:
        words = ["--ask", "--driver", "renke_soil", "--seconds", "0.1"]
        assert main(["driver", "sniff", port, *words]) == 1
    assert "a unit answers renke_soil, but fits none" in capsys.readouterr().out


def test_noise_is_exit_1_and_is_shown_in_hex_at_each_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with plugged(Babble()) as port:
        code = main(["driver", "sniff", port, "--seconds", "0.1", "--baud", "9600", "--baud", "2400 8E1"])
    said = capsys.readouterr().out
    assert code == 1
    assert "9600 8N1: " in said
    assert "2400 8E1: " in said
    assert "no driver knows them" in said


def test_people_get_readings_and_the_section(capsys: pytest.CaptureFixture[str]) -> None:
    with plugged(simulator("sds011", every_s=0.05)) as port:
        assert main(["driver", "sniff", port, "--seconds", "0.5"]) == 0
    said = capsys.readouterr().out
    assert "pm2_5 = " in said
    assert '[sensor.sds011]\ndriver = "sds011"\nport = "path:/dev/pts/' in said
    assert "line = " not in said  # a pseudo-terminal has no speed


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["path:/nowhere/ttyX"],
        ["usb:99-9"],
        ["usb:1-1", "--baud", "fast"],
        ["usb:1-1", "--seconds", "0"],
        ["usb:1-1", "--driver", "nope"],
    ],
)
def test_what_cannot_be_tried_is_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["driver", "sniff", *words]) == 2
    assert capsys.readouterr().err


def _adapter(root: Path, product: str) -> None:
    adapter = root / "sys/devices/usb1/1-1.2"
    entry = adapter / "1-1.2:1.0/tty/ttyACM0"
    entry.mkdir(parents=True)
    (entry / "device").symlink_to(entry.parent)
    (adapter / "product").write_text(product)
    (root / "sys/class/tty").mkdir(parents=True)
    (root / "sys/class/tty/ttyACM0").symlink_to(entry)
    (root / "dev").mkdir()
    (root / "dev/ttyACM0").touch()


@pytest.mark.parametrize(
    ("product", "says"), [("Barcode Scanner", "looks like a scanner"), ("POS Printer", "a printer"), ("FT232R", "")]
)
def test_printers_and_scanners_are_left_alone(tmp_path: Path, product: str, says: str) -> None:
    _adapter(tmp_path, product)
    why = refusal(parse_port("usb:1-1.2"), under(tmp_path))
    assert says in why
    assert bool(why) == bool(says)


def test_a_port_that_the_agent_holds_is_left_alone_with_the_way_to_stop_it(tmp_path: Path) -> None:
    _adapter(tmp_path, "FT232R")
    process = tmp_path / "proc/77"
    (process / "fd").mkdir(parents=True)
    (process / "fd/5").symlink_to(tmp_path / "dev/ttyACM0")
    (process / "comm").write_text("python3")
    (process / "cmdline").write_text("python3\0-m\0agent\0run")
    (process / "stat").write_text("77 (python3) S 1 77 77 0 -1 0")
    why = refusal(parse_port("usb:1-1.2"), under(tmp_path))
    assert "gardu (pid 77)" in why
    assert "systemctl stop gardu" in why


def test_a_refused_port_is_exit_2_unless_forced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("agent.cli.sniffing.refusal", lambda _port: "it looks like a scanner")
    with plugged(simulator("sds011", every_s=0.05)) as port:
        assert main(["driver", "sniff", port, "--seconds", "0.5"]) == 2
        assert "--force" in capsys.readouterr().err
        assert main(["driver", "sniff", port, "--seconds", "0.5", "--force"]) == 0
        assert main(["driver", "record", port, "--driver", "sds011", str(tmp_path / "air")]) == 2
    assert not (tmp_path / "air").exists()
