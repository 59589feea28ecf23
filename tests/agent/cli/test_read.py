import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.cli.sampling import Sampler
from agent.config.load import parse
from agent.config.model import Config, Sensor
from agent.readings_socket import ReadingsSocket
from drivers.driver import Identified, Problem
from drivers.io.catalog import registry
from drivers.io.pty import opened, serve
from drivers.io.serial_port import boot_clock_ns
from drivers.io.simulators import simulator
from drivers.reading import Quality, Reading

HEAD = """
node = "test-01"
city = "bandung"
[center]
url = "mqtt://127.0.0.1:1883"
[run]
folder = "{run}"
[host]
enabled = {host}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


def config(folder: Path, *sensors: tuple[str, str, str], host: bool = False) -> list[str]:
    text = HEAD.format(run=folder / "run", host=str(host).lower())
    for name, driver, port in sensors:
        text += f'[sensor.{name}]\ndriver = "{driver}"\nport = "{port}"\n'
    (folder / "agent.toml").write_text(text)
    return ["--config", str(folder / "agent.toml")]


@contextmanager
def simulated(name: str, link: Path) -> Iterator[str]:
    stop = threading.Event()
    ready = threading.Event()
    thread = threading.Thread(
        target=serve,
        args=(simulator(name, every_s=0.2),),
        kwargs={"link": link, "ready": lambda _path: ready.set(), "stopped": stop.is_set},
    )
    thread.start()
    assert ready.wait(5)
    try:
        yield f"path:{link}"
    finally:
        stop.set()
        thread.join()


@contextmanager
def daemon(folder: Path, *readings: Reading, every_s: float = 0.0) -> Iterator[None]:
    """The daemon's socket, telling some readings once or again and again."""
    loop = asyncio.new_event_loop()
    readings_socket = ReadingsSocket()
    path = folder / "run/readings.sock"

    async def live() -> None:
        server = asyncio.create_task(readings_socket.serve(path))
        try:
            for reading in readings:
                readings_socket.publish(reading)
            while True:
                await asyncio.sleep(every_s or 60)
                for reading in readings:
                    readings_socket.publish(reading)
        finally:
            server.cancel()
            with suppress(asyncio.CancelledError):
                await server

    task = loop.create_task(live())

    def work() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                break
        time.sleep(0.005)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()


def reading(channel: str = "pm2_5", sensor: str = "air", *flags: Quality, ago_s: float = 0) -> Reading:
    boot_ns = boot_clock_ns() - int(ago_s * 1e9)
    return Reading(sensor=sensor, channel=channel, value=8.5, unit="ug/m3", boot_ns=boot_ns, quality=frozenset(flags))


def a_config(sensor: Sensor) -> Config:
    text = HEAD.format(run="/nowhere", host="false")
    parsed = parse([("agent.toml", text.encode())], registry())
    assert parsed.config is not None
    return replace(parsed.config, sensors=(sensor,))


def test_each_sensor_answers_straight_from_its_port(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as stack:
        air = stack.enter_context(simulated("sds011", folder / "air"))
        power = stack.enter_context(simulated("pzem004t", folder / "power"))
        args = config(folder, ("air", "sds011", air), ("mains", "pzem004t", power), host=True)
        assert main(["read", "--json", *args]) == 0
    records = json.loads(capsys.readouterr().out)
    names = {record["n"] for record in records}
    assert {"air/pm2_5", "air/pm10", "mains/voltage", "host/cpu"} <= names


def test_people_get_a_line_per_channel(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with simulated("sds011", folder / "air") as air:
        assert main(["read", "air", *config(folder, ("air", "sds011", air))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["air/pm2_5", "air/pm10"]
    assert all("ug/m3" in line for line in lines)


def test_a_sensor_that_is_not_plugged_in_says_so_and_the_others_answer(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with simulated("sds011", folder / "air") as air:
        args = config(folder, ("air", "sds011", air), ("river", "a02yyuw", f"path:{folder}/nothing"))
        assert main(["read", "--within", "8", *args]) == 1
    captured = capsys.readouterr()
    assert "air/pm2_5" in captured.out
    assert "river: port lost: " in captured.err
    assert "not plugged in" in captured.err
    assert "port down" not in captured.err


def test_a_silent_sensor_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with opened(folder / "air") as (_ours, _theirs, _path):
        assert main(["read", "--within", "0.5", *config(folder, ("air", "sds011", f"path:{folder}/air"))]) == 1
    assert "air: silent: no byte came on " in capsys.readouterr().err


def test_bytes_that_make_no_frame_are_told_from_silence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with simulated("a02yyuw", folder / "air") as air:
        assert main(["read", "--within", "1.5", *config(folder, ("air", "sds011", air))]) == 1
    error = capsys.readouterr().err
    assert "but no good frame" in error
    assert "9600 8N1" in error


def test_a_silent_unit_on_a_line_where_another_answers_is_told_apart(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with simulated("pzem004t", folder / "power") as power:
        args = config(folder, ("one", "pzem004t", power), ("two", "pzem004t", power))
        text = (folder / "agent.toml").read_text()
        (folder / "agent.toml").write_text(text + "unit = 2\n")
        assert main(["read", "--within", "2", *args]) == 1
    assert "two: does not answer, while one on the same line does" in capsys.readouterr().err


def test_the_daemon_is_asked_when_it_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = config(folder, ("air", "sds011", f"path:{folder}/nothing"))
    with daemon(folder, reading(), reading("pm10", "air", Quality.STEP), reading("level", "river")):
        assert main(["read", *args]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["air/pm2_5", "air/pm10"]
    assert lines[1].endswith("step")


def test_an_old_reading_of_the_daemon_is_no_sample_of_now(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = config(folder, ("air", "sds011", f"path:{folder}/nothing"))
    with daemon(folder, reading(ago_s=300)):
        assert main(["read", "--within", "0.2", *args]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "air: the daemon got nothing of it" in captured.err


def test_a_reading_that_comes_while_waiting_is_taken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = config(folder, ("air", "sds011", f"path:{folder}/nothing"), host=True)
    with daemon(folder, reading(), reading("cpu", "host"), every_s=0.05):
        assert main(["read", "--json", *args]) == 0
    assert [record["n"] for record in json.loads(capsys.readouterr().out)] == ["air/pm2_5", "host/cpu"]


def follow(args: list[str], lines: int) -> list[str]:
    command = [sys.executable, "-m", "agent", "read", "--follow", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        assert process.returncode == 130
    return found


def test_following_prints_each_reading_as_it_comes(folder: Path) -> None:
    with simulated("sds011", folder / "air") as air:
        found = follow(["--json", *config(folder, ("air", "sds011", air))], 4)
    assert [json.loads(line)[0]["n"] for line in found] == ["air/pm2_5", "air/pm10"] * 2


def test_following_goes_through_the_daemon_too(folder: Path) -> None:
    args = config(folder, ("air", "sds011", f"path:{folder}/nothing"))
    with daemon(folder, reading(), reading("level", "river"), every_s=0.05):
        found = follow(args, 3)
    assert [line.split()[0] for line in found] == ["air/pm2_5"] * 3


def test_following_ends_when_the_daemon_does(folder: Path) -> None:
    args = config(folder, ("air", "sds011", f"path:{folder}/nothing"))
    with daemon(folder, reading()):
        command = [sys.executable, "-m", "agent", "read", "--follow", *args]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("air/pm2_5")
    _, error = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "the daemon has ended" in error


def test_an_unknown_sensor_is_answered_with_the_known_ones(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = config(folder, ("air", "sds011", f"path:{folder}/nothing"), host=True)
    assert main(["read", "aire", *args]) == 2
    assert "there are: air, host" in capsys.readouterr().err


def test_a_missing_configuration_cannot_be_used(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", "--config", str(folder / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err


def test_a_broken_configuration_cannot_be_used(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "agent.toml").write_text("node = \n")
    assert main(["read", "--config", str(folder / "agent.toml")]) == 2
    assert "agent.toml:1:" in capsys.readouterr().err


def test_a_broken_section_costs_only_its_sensor(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with simulated("sds011", folder / "air") as air:
        args = config(folder, ("air", "sds011", air), ("bad", "no-such-driver", "usb:1-1.2"))
        assert main(["read", *args]) == 1
        assert main(["read", "air", *args]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("air/pm2_5") == 2
    assert "no-such-driver" in captured.err


def test_a_configuration_without_sensors_has_nothing_to_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", *config(folder)]) == 2
    assert "names no sensor" in capsys.readouterr().err


@pytest.fixture
def public_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "run").mkdir(mode=0o755)
        yield Path(name)


@contextmanager
def as_a_stranger(path: Path) -> Iterator[None]:
    """Be somebody who may not connect: another user where we are root, else ourselves without the right."""
    if os.geteuid() == 0:
        path.chmod(0o600)
        os.seteuid(65534)
    else:
        path.chmod(0)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)


@pytest.mark.parametrize("words", [["read"], ["read", "--follow"]])
def test_a_daemon_one_may_not_ask_keeps_its_ports(
    public_folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    args = config(public_folder, ("air", "sds011", f"path:{public_folder}/nothing"))
    main(["read", "nobody", *args])  # imports what a stranger may not be allowed to read
    with daemon(public_folder, reading()), as_a_stranger(public_folder / "run/readings.sock"):
        assert main([*words, *args]) == 2
    assert "you may not read" in capsys.readouterr().err


def test_following_what_can_never_be_read_ends_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    sensor = Sensor(name="odd", driver="sds011", port="")
    asyncio.run(asyncio.wait_for(Sampler(a_config(sensor), registry(), ["odd"]).follow(), 5))
    assert [record.getMessage() for record in caplog.records] == ["cannot read: sensor=odd error=it has no port"]


def test_a_sensor_without_a_port_says_so() -> None:
    sampler = Sampler(a_config(Sensor(name="odd", driver="sds011", port="")), registry(), ["odd"])
    (one,) = asyncio.run(sampler.sample(0.3))
    assert one.trouble == "it has no port"


def test_options_a_driver_refuses_are_told() -> None:
    options = {"nonsense": 1}
    sensor = Sensor(name="odd", driver="sds011", port="path:/nothing", options=options)
    (one,) = asyncio.run(Sampler(a_config(sensor), registry(), ["odd"]).sample(0.3))
    assert "nonsense" in one.trouble


def test_the_trouble_a_unit_reports_is_told_until_it_ends() -> None:
    sampler = Sampler(a_config(Sensor(name="odd", driver="sds011", port="")), registry(), ["odd"])
    sampler.take(Problem(sensor="odd", code="exception", detail="illegal address"))
    assert sampler._problems["odd"] == "exception: illegal address"
    sampler.take(Problem(sensor="odd", code="exception", ok=True))
    assert sampler._problems["odd"] == ""
    sampler.take(Identified(sensor="odd", identity="x"))
