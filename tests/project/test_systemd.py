import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "gardu.service"
PYTHON = "/usr/lib/gardu/venv/bin/python3"
WORST_EXPOSURE = 20  # tenths: systemd calls up to 2.0 of 10 well locked up


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def directives() -> list[tuple[str, str]]:
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    return [(key, value) for key, sign, value in (line.partition("=") for line in lines if line[:1] != "#") if sign]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A root folder with this machine's units, ours among them, and the programs that ours starts."""
    units = tmp_path / "usr/lib/systemd/system"
    shutil.copytree("/usr/lib/systemd/system", units, symlinks=True)
    shutil.copy(UNIT, units)
    for program in (PYTHON, "/bin/kill"):
        place = tmp_path / program.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("/bin/true", place)
    return tmp_path


@pytest.mark.system
def test_systemd_accepts_the_unit_without_a_word(installed: Path) -> None:
    result = run("systemd-analyze", "verify", f"--root={installed}", "gardu.service")
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.system
def test_systemd_names_a_key_that_it_does_not_know(installed: Path) -> None:
    unit = installed / "usr/lib/systemd/system/gardu.service"
    unit.write_text(unit.read_text(encoding="utf-8").replace("WatchdogSec=", "WatchDogSecs="), encoding="utf-8")
    result = run("systemd-analyze", "verify", f"--root={installed}", "gardu.service")
    assert "WatchDogSecs" in result.stderr


@pytest.mark.system
def test_exposure_is_at_most_two() -> None:
    result = run("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={WORST_EXPOSURE}", UNIT)
    assert result.returncode == 0, result.stdout.splitlines()[-1]


def test_every_directive_stands_under_its_reason() -> None:
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    bare = [
        line
        for before, line in itertools.pairwise(lines)
        if re.match(r"[A-Z]\w+=", line) and not re.match(r"# \S.{15,}", before)
    ]
    assert bare == []


def test_the_agent_is_started_again_for_ever() -> None:
    assert ("Restart", "always") in directives()
    assert ("StartLimitIntervalSec", "0") in directives()


def test_only_the_own_environment_can_be_imported_from() -> None:
    (start,) = [value for key, value in directives() if key == "ExecStart"]
    assert start.startswith(f"{PYTHON} -sP -m agent run --config /etc/gardu/")


def test_the_watchdog_waits_longer_than_a_slow_card_and_the_start_longer_than_the_watchdog() -> None:
    seconds = {
        key: int(value) for key, value in directives() if key in {"WatchdogSec", "TimeoutStartSec", "RestartSec"}
    }
    assert 30 <= seconds["WatchdogSec"] <= seconds["TimeoutStartSec"]
    assert seconds["RestartSec"] >= 1


def test_the_count_of_restarts_survives_a_restart_only() -> None:
    assert ("RuntimeDirectoryPreserve", "restart") in directives()


def test_drivers_of_plugged_adapters_are_loaded_before_the_device_list_is_read() -> None:
    units = dict(directives())
    for module in ("usbserial", "cdc_acm"):
        assert f"modprobe@{module}.service" in units["Wants"].split()
        assert any(key == "After" and f"modprobe@{module}.service" in value for key, value in directives())


@pytest.mark.system
def test_the_account_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    result = run("systemd-sysusers", f"--root={tmp_path}", "--dry-run", SYSTEMD / "gardu.sysusers.conf")
    assert result.returncode == 0, result.stderr
    assert "gardu" in result.stdout + result.stderr


def test_every_udev_rule_names_one_chip_and_only_silences_modemmanager() -> None:
    text = (SYSTEMD / "60-gardu.rules").read_text(encoding="utf-8")
    rules = [line for line in text.splitlines() if line.startswith("ATTRS")]
    form = r'ATTRS{idVendor}=="[0-9a-f]{4}", ATTRS{idProduct}=="[0-9a-f|]+", ENV{ID_MM_PORT_IGNORE}="1"'
    assert rules
    assert [rule for rule in rules if not re.fullmatch(form, rule)] == []


def test_the_agent_may_power_the_box_off_and_nothing_else() -> None:
    text = (SYSTEMD / "gardu.polkit.rules").read_text(encoding="utf-8")
    code = "\n".join(line for line in text.splitlines() if not line.startswith("//"))
    login = "org.freedesktop.login1."
    assert re.findall(r'action\.id === "([^"]+)"', code) == [f"{login}power-off", f"{login}power-off-multiple-sessions"]
    assert re.findall(r'subject\.\w+ === "(\w+)"', code) == ["gardu"]
    assert code.count("polkit.Result.YES") == 1


def test_the_agent_may_ask_dnsmasqs_counters_and_nothing_else() -> None:
    text = (SYSTEMD / "gardu.dbus.conf").read_text(encoding="utf-8")
    rules = re.findall(r"<(allow|deny) ([^>]*)/>", text)
    assert re.findall(r'<policy (\w+)="([^"]*)">', text) == [("user", "gardu")]
    assert {kind for kind, _ in rules} == {"allow"}
    assert [re.findall(r'send_member="(\w+)"', rule) for _, rule in rules] == [["GetMetrics"], ["GetServerMetrics"]]


def test_only_a_kiosk_may_open_gpio_lines_and_input_devices() -> None:
    assert ("DeviceAllow", "/dev/vcio rw") in directives()
    assert not [value for key, value in directives() if key == "DeviceAllow" and re.search("gpio|input", value)]
    kiosk = (SYSTEMD / "gardu.kiosk.conf").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^DeviceAllow=(.*)$", kiosk) == ["char-gpiochip rw", "char-input r"]


def test_every_group_that_a_unit_names_is_made_where_the_system_has_none() -> None:
    users = (SYSTEMD / "gardu.sysusers.conf").read_text(encoding="utf-8")
    made = set(re.findall(r"(?m)^(?:m gardu|g) (\w+)", users))
    named = re.findall(r"(?m)^SupplementaryGroups=(.*)$", (SYSTEMD / "gardu.kiosk.conf").read_text(encoding="utf-8"))
    assert named
    assert set(" ".join(named).split()) <= made
