"""The daemon as a process: starts, signals, kills; and in this process where something must be bent."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from agent import app
from agent.cli.run import UNREADABLE
from agent.config.load import parse
from agent.errors import SpoolError
from agent.sdnotify import Notifier
from agent.seal import Moment, Sealer
from agent.spool.disk import Disk
from agent.spool.shelf import Ref
from agent.spool.spool import Facts, Settings, Spool
from agent.wire import batch
from agent.wire.batch import Kind, Stream
from agent.wire.bodies import Previous, decode_start
from agent.wire.keys import Signer, private_to_pem, public_to_pem
from agent.wire.senml import Row
from drivers.io.catalog import registry
from drivers.io.pty import serve
from drivers.io.simulators import simulator
from tests.agent.conftest import free_port

WITHIN_S = 15
TEXT = """
node = "dago-01"
city = "bandung"
[center]
url = "mqtt://127.0.0.1:{port}"
first_spread = "0 s"
[keys]
folder = "{folder}/keys"
[spool]
folder = "{folder}/spool"
durable_within = "1 s"
[run]
folder = "{folder}/run"
[host]
enabled = false
"""


def until(condition: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < end_s, f"{what} did not come"
        time.sleep(0.02)


class Box:
    """A node's folders, its configuration, and systemd's end of the notify socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        for name in ("keys", "run"):
            (folder / name).mkdir()
        (folder / "keys/signing.pem").write_text(private_to_pem(b"n" * 32))
        (folder / "keys/center.pem").write_text(public_to_pem(Signer(b"c" * 32).public))
        self.text = TEXT.format(folder=folder, port=self.port)
        self.facts: list[str] = []
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.systemd.bind(str(folder / "notify"))
        self.processes: list[subprocess.Popen[str]] = []

    def sensor(self, name: str, port: str, *more: str, driver: str = "sds011") -> None:
        lines = [f"[sensor.{name}]", f'driver = "{driver}"', f'port = "{port}"', *more]
        self.text += "\n".join(lines) + "\n"

    def write(self) -> Path:
        path = self.folder / "agent.toml"
        path.write_text(self.text)
        return path

    def start(
        self, *, by: tuple[str, ...] = ("-m", "agent"), environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-sP", *by, "run", "--config", str(self.write())],
            env={**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify"), **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def started(self, **environment: str) -> subprocess.Popen[str]:
        process = self.start(environment=environment)
        self.wait_for("READY=1")
        return process

    def ended(self, process: subprocess.Popen[str], number: signal.Signals | None = None) -> str:
        """Send a signal, wait for the end and return what was logged."""
        if number is not None:
            process.send_signal(number)
        return process.communicate(timeout=WITHIN_S)[1]

    def hear(self) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.facts += self.systemd.recv(1000).decode().splitlines()
        return self.facts

    def wait_for(self, fact: str) -> None:
        until(lambda: fact in self.hear(), fact)

    def segments(self) -> list[Path]:
        return sorted((self.folder / "spool").glob("*")) if (self.folder / "spool").exists() else []

    def starts(self) -> list[Previous | None]:
        """What the start records of telemetry say of the run before, oldest first."""
        spool = Spool(
            Disk(self.folder / "spool"),
            Sealer(city="bandung", node="dago-01", run=b"l" * 16, signer=Signer(b"n" * 32)),
            Settings(),
            Facts(),
        )
        spool.open()
        found: list[Previous | None] = []
        for chain in spool.held():
            stored = spool.read(Ref(run=chain.run, stream=chain.stream, n=chain.first))
            if chain.stream is Stream.TELEMETRY and stored is not None:
                assert batch.peek(stored.message).kind is Kind.START
                found.append(decode_start(batch.plain_of(stored.message)).previous)
        return found


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    yield made
    made.systemd.close()
    for process in made.processes:
        process.kill()
        process.communicate()


@pytest.fixture
def air(tmp_path: Path) -> Iterator[str]:
    """The name of a port on which a dust sensor speaks."""
    stop, ready = threading.Event(), threading.Event()
    link = tmp_path / "air"
    thread = threading.Thread(
        target=serve,
        args=(simulator("sds011", every_s=0.1),),
        kwargs={"link": link, "ready": lambda _: ready.set(), "stopped": stop.is_set},
    )
    thread.start()
    assert ready.wait(5)
    yield f"path:{link}"
    stop.set()
    thread.join()


def test_a_stop_seals_and_the_next_start_says_that_the_end_was_clean(box: Box, air: str) -> None:
    box.sensor("air", air)
    for _ in range(2):
        process = box.started()
        until(lambda: (box.folder / "run/restarts").read_text() == "0", "a run that left something")
        log = box.ended(process, signal.SIGTERM)
        assert process.returncode == 0, log
        assert "ended" in log
        assert "Traceback" not in log
        assert "STOPPING=1" in box.hear()
        box.facts.clear()
    first, second = box.starts()
    assert first is None
    assert second is not None
    assert second.clean


def test_a_killed_run_is_an_unclean_predecessor(box: Box, air: str) -> None:
    box.sensor("air", air)
    process = box.started()
    until(lambda: len(box.segments()) > 0, "a segment")
    box.ended(process, signal.SIGKILL)
    box.facts.clear()
    count = len(box.segments())
    process = box.started()
    until(lambda: len(box.segments()) > count, "a segment")
    box.ended(process, signal.SIGTERM)
    _, second = box.starts()
    assert second is not None
    assert not second.clean


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_other_signals_end_the_run_in_order_too(box: Box, number: signal.Signals) -> None:
    process = box.started()
    log = box.ended(process, number)
    assert (process.returncode, "Traceback" in log) == (0, False)
    assert box.segments() == []  # nothing was measured, so nothing was written


def test_a_spool_folder_that_cannot_be_used_stops_nothing(box: Box) -> None:
    (box.folder / "spool").write_text("not a folder")
    process = box.started()
    log = box.ended(process, signal.SIGTERM)
    assert process.returncode == 0
    assert "rows go to memory" in log
    assert str(box.folder / "spool") in log
    assert "Traceback" not in log


def test_missing_keys_end_the_start_with_what_and_where(box: Box) -> None:
    (box.folder / "keys/center.pem").unlink()
    process = box.start()
    log = box.ended(process)
    assert process.returncode == UNREADABLE
    assert f"{box.folder}/keys/center.pem: the center's ack key is missing" in log
    assert "Traceback" not in log


def test_a_wrong_sensor_section_costs_that_sensor_only(box: Box, air: str) -> None:
    box.sensor("air", air)
    box.sensor("sungai", "path:/dev/null", driver="no-such-driver")
    process = box.started()
    until(lambda: len(box.segments()) > 0, "a segment")
    log = box.ended(process, signal.SIGTERM)
    assert process.returncode == 0
    assert "no-such-driver" in log
    assert "STATUS=1 sensors" in box.hear()


def test_a_port_that_is_not_there_is_awaited(box: Box) -> None:
    box.sensor("air", f"path:{box.folder}/nothing")
    process = box.started()
    time.sleep(0.5)
    log = box.ended(process, signal.SIGTERM)
    assert process.returncode == 0
    assert log.count("port down") == 1


def test_the_watchdog_is_fed_while_all_is_well(box: Box) -> None:
    process = box.started(WATCHDOG_USEC="300000")
    until(lambda: box.hear().count("WATCHDOG=1") >= 5, "five signs of life")
    box.ended(process, signal.SIGTERM)


def test_a_stop_does_not_wait_for_a_broker_that_does_not_answer(box: Box, air: str) -> None:
    box.sensor("air", air)
    with socket.create_server(("127.0.0.1", box.port)):
        process = box.started()
        time.sleep(0.5)
        start_s = time.monotonic()
        log = box.ended(process, signal.SIGTERM)
    assert process.returncode == 0
    assert time.monotonic() - start_s < 3
    assert "Traceback" not in log
    assert "destroyed" not in log


def test_readings_reach_who_listens_on_this_machine(box: Box, air: str) -> None:
    box.sensor("air", air)
    process = box.started()
    with socket.socket(socket.AF_UNIX) as line:
        until(lambda: line.connect_ex(str(box.folder / "run/readings.sock")) == 0, "the socket")
        line.settimeout(WITHIN_S)
        text = b""
        while b"air/pm2_5" not in text:
            text += line.recv(4096)
    assert json.loads(next(row for row in text.splitlines() if b"air/pm2_5" in row))[0]["u"] == "ug/m3"
    box.ended(process, signal.SIGTERM)


@pytest.mark.parametrize("with_host", [True, False])
def test_only_what_the_configuration_uses_is_imported(box: Box, air: str, with_host: bool) -> None:  # noqa: FBT001
    box.sensor("air", air)
    if with_host:
        box.text = box.text.replace("enabled = false", "enabled = true")
    tell = "import sys, agent.cli.main as cli; code = cli.main(); print(*sys.modules); sys.exit(code)"
    process = box.start(by=("-c", tell))
    until(lambda: len(box.segments()) > 0, "a segment")
    process.send_signal(signal.SIGTERM)
    imported = set(process.communicate(timeout=WITHIN_S)[0].split())
    assert {"agent.app", "drivers.serial.sds011"} <= imported
    assert ("psutil" in imported) is with_host
    families = {name for name in imported if name.startswith("drivers.serial.")}
    assert families.isdisjoint({"drivers.serial.modbus", "drivers.serial.nmea", "drivers.serial.ultrasonic"})
    assert imported.isdisjoint({"rich", "amqtt", "sqlite3", "center", "cryptography.x509", "agent.cli.check"})


# -- in this process --------------------------------------------------------------------------------------------------


def run_here(box: Box, enough: Callable[[], bool], *, watchdog_s: float = 0.15) -> None:
    """Run the daemon here and stop it as soon as it is ``enough``."""
    parsed = parse([("agent.toml", box.write().read_bytes())], registry())
    notifier = Notifier({"NOTIFY_SOCKET": str(box.folder / "notify"), "WATCHDOG_USEC": str(int(watchdog_s * 1e6))})

    async def main() -> None:
        async def look() -> None:
            while not enough():  # noqa: ASYNC110 - what it looks at has no events
                await asyncio.sleep(0.01)
            os.kill(os.getpid(), signal.SIGTERM)
            await running

        looking = asyncio.ensure_future(look())
        running = asyncio.ensure_future(app.run(parsed, notifier))
        try:
            async with asyncio.timeout(WITHIN_S):
                done, _ = await asyncio.wait([looking, running], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            looking.cancel()
            if not running.done():
                running.cancel()
                await asyncio.wait([running])

    asyncio.run(main())


def test_an_alarm_on_a_probe_of_this_box_reaches_the_disk(box: Box) -> None:
    box.text = box.text.replace("enabled = false", 'enabled = true\nevery = "1 s"')
    box.text += '[alarm.lama]\nwatch = "host/uptime"\nlevels = { on = "1 s" }\nfor = "0 s"\n'

    run_here(box, lambda: any("-alarm-" in segment.name for segment in box.segments()))


def test_a_bug_in_a_task_ends_the_process(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        await asyncio.sleep(0.05)
        raise ZeroDivisionError

    monkeypatch.setattr(app, "own_port", broken)
    box.sensor("air", "path:/dev/null")
    with pytest.raises(BaseExceptionGroup) as found:
        run_here(box, lambda: False)
    assert found.value.subgroup(ZeroDivisionError) is not None
    assert "STOPPING=1" in box.hear()


def test_a_late_port_task_is_made_anew_once_and_then_the_watchdog_starves(
    box: Box, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun: list[str] = []
    ended: list[str] = []

    async def stuck(port: object, *_: object, **__: object) -> None:
        begun.append(str(port))
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(str(port))

    monkeypatch.setattr(app, "own_port", stuck)
    monkeypatch.setattr(app, "_LATE_S", 0.3)
    monkeypatch.setattr("agent.spool.intake._QUIET_S", 0.05)
    box.sensor("air", "path:/dev/null")
    fed: list[int] = []

    def look() -> bool:
        fed.append(box.hear().count("WATCHDOG=1"))
        return len(begun) == 2 and len(fed) > 150

    run_here(box, look)
    assert (len(begun), len(ended)) == (2, 2)
    assert fed[-1] == fed[-40] > 3
    assert sum("made anew" in record.message for record in caplog.records) == 1


def test_a_stuck_disk_starves_the_watchdog(box: Box, monkeypatch: pytest.MonkeyPatch, air: str) -> None:
    gate = threading.Event()
    sync = Disk.sync

    def stuck(disk: Disk, descriptor: int, *, new: bool) -> None:
        gate.wait(WITHIN_S)
        sync(disk, descriptor, new=new)

    monkeypatch.setattr(Disk, "sync", stuck)
    monkeypatch.setattr(app, "_LATE_S", 0.3)
    monkeypatch.setattr("agent.spool.intake._QUIET_S", 0.05)
    box.text = box.text.replace('"1 s"', '"0.1 s"')
    box.sensor("air", air)
    fed: list[int] = []

    def look() -> bool:
        fed.append(box.hear().count("WATCHDOG=1"))
        if len(fed) > 200:
            gate.set()
        return gate.is_set()

    run_here(box, look)
    assert fed[-1] == fed[-30] > 0


def test_a_disk_that_refuses_the_end_ends_the_run_all_the_same(
    box: Box, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    commit, closing = Spool.commit, list[bool]()

    def refuse(*_: object) -> None:
        closing.append(True)
        raise SpoolError("no")

    def refuse_from_then(
        self: Spool, rows: dict[Stream, Sequence[Row]], *, moment: Moment, **more: object
    ) -> list[Ref]:
        if closing:
            raise SpoolError("no")
        return commit(self, rows, moment=moment, **more)  # type: ignore[arg-type]  # of commit's own

    monkeypatch.setattr(Spool, "close", refuse)
    monkeypatch.setattr(Spool, "commit", refuse_from_then)
    run_here(box, lambda: "READY=1" in box.hear())
    assert "the end of the run is not on the disk: no" in caplog.messages


def test_a_configuration_with_errors_is_a_callers_bug() -> None:
    parsed = parse([("agent.toml", b"")], registry())
    with pytest.raises(ValueError, match="configuration with errors"):
        asyncio.run(app.run(parsed, Notifier({})))
