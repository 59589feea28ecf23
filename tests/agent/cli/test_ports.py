import json
from pathlib import Path

import pytest

from agent.cli.main import main


def _adapter(root: Path, device: str, socket: str, product: str = "USB Serial") -> None:
    adapter = root / "sys/devices/usb1" / socket
    entry = adapter / f"{socket}:1.0/{device}/tty/{device}"
    entry.mkdir(parents=True)
    (entry / "device").symlink_to(entry.parent.parent)
    for name, text in {"idVendor": "1a86", "idProduct": "7523", "product": product, "manufacturer": "QinHeng"}.items():
        (adapter / name).write_text(text)
    (root / "sys/class/tty").mkdir(parents=True, exist_ok=True)
    (root / "sys/class/tty" / device).symlink_to(entry)
    (root / "dev").mkdir(exist_ok=True)
    (root / "dev" / device).touch()


def _say(root: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    return main(["ports", "--root", str(root), *words]), capsys.readouterr().out


def test_each_port_begins_with_the_line_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _adapter(tmp_path, "ttyUSB0", "1-1.2")
    _adapter(tmp_path, "ttyUSB1", "1-1.3")
    code, text = _say(tmp_path, capsys)
    assert code == 0
    assert 'port = "usb:1-1.2"\n' in text
    assert "QinHeng USB Serial [1a86:7523, no serial number] in USB socket 1-1.2" in text
    assert f"path:{tmp_path}/dev/ttyUSB0" in text
    assert "label the sockets" in text


def test_a_held_port_is_exit_1_with_holder_and_cure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _adapter(tmp_path, "ttyUSB0", "1-1.2")
    wants = tmp_path / "etc/systemd/system/getty.target.wants"
    wants.mkdir(parents=True)
    (wants / "serial-getty@ttyUSB0.service").touch()
    code, text = _say(tmp_path, capsys)
    assert code == 1
    assert "held by   a login prompt (serial-getty@ttyUSB0.service)" in text
    assert "cure      sudo systemctl mask --now serial-getty@ttyUSB0.service" in text


def test_programs_get_the_same_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _adapter(tmp_path, "ttyUSB0", "1-1.2")
    code, text = _say(tmp_path, capsys, "--json")
    assert code == 0
    (port,) = json.loads(text)["ports"]
    assert (port["port"], port["toml"], port["free"]) == ("usb:1-1.2", 'port = "usb:1-1.2"', True)
    assert port["usb"] == {"ids": "1a86:7523", "maker": "QinHeng", "product": "USB Serial", "serial": ""}


def test_a_machine_without_ports_is_exit_3_and_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = _say(tmp_path, capsys)
    assert code == 3
    assert "raspi-config" in text
    assert _say(tmp_path, capsys, "--json") == (3, '{"ports": [], "hidden_holders": false}\n')
