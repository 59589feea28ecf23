"""The daemon as a process and its own box: probes that report, and a battery that ends."""

import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.seal import Sealer
from agent.spool.disk import Disk
from agent.spool.shelf import Ref
from agent.spool.spool import Facts, Settings, Spool
from agent.wire import batch
from agent.wire.batch import Stream
from agent.wire.keys import Signer
from drivers.io.pty import serve
from drivers.io.simulators import simulator
from tests.agent.test_app import WITHIN_S, Box, box
from tests.node.pi5 import WEAK_EVER, Pi5
from tests.node.system_bus import Said, bus, daemon, systemd

__all__ = ["box"]  # a fixture

LOGIND = "org.freedesktop.login1"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "bus"
    folder.mkdir()
    with bus(folder) as found:
        yield found


@pytest.fixture
def meter(tmp_path: Path) -> Iterator[str]:
    """The name of a port on which a charge controller speaks."""
    stop, ready = threading.Event(), threading.Event()
    link = tmp_path / "meter"
    thread = threading.Thread(
        target=serve,
        args=(simulator("vedirect", every_s=0.1),),
        kwargs={"link": link, "ready": lambda _: ready.set(), "stopped": stop.is_set},
    )
    thread.start()
    assert ready.wait(5)
    yield f"path:{link}"
    stop.set()
    thread.join()


def sealed(folder: Path, stream: Stream) -> bytes:
    """Return the text of all sealed batches of a stream."""
    sealer = Sealer(city="bandung", node="dago-01", run=b"l" * 16, signer=Signer(b"n" * 32))
    spool = Spool(Disk(folder), sealer, Settings(), Facts())
    spool.open()
    refs = [
        Ref(run=chain.run, stream=chain.stream, n=n)
        for chain in spool.held()
        if chain.stream is stream
        for n in range(chain.first, chain.last + 1)
    ]
    stored = [one for ref in refs if (one := spool.read(ref)) is not None]
    return b"".join(batch.plain_of(one.message) for one in stored)


def test_the_box_tells_it_on_the_card_before_it_asks_to_be_powered_off(box: Box, meter: str, address: str) -> None:
    def logind(_path: str, member: str, _arguments: tuple[object, ...]) -> Said | str:
        assert member == "PowerOff"
        shutil.copytree(box.folder / "spool", box.folder / "card")
        return "", ()

    box.sensor("solar", meter, driver="vedirect")
    box.text = box.text.replace("enabled = false", f'enabled = false\nbus = "{address}"')
    box.text += '[power]\nwatch = "solar/battery_voltage"\nshutdown_below = "99 V"\nfor = "0 s"\nnot_before = "0 s"\n'
    with daemon(address, LOGIND, logind) as asked:
        process = box.started()
        end_s = time.monotonic() + WITHIN_S
        while not asked.asked and time.monotonic() < end_s:
            time.sleep(0.05)
        time.sleep(0.5)  # more readings come: it must not ask again
        log = box.ended(process, signal.SIGTERM)
    assert asked.asked == ["PowerOff"]
    assert "power off: why=solar/battery_voltage at" in log
    assert b"power off: solar/battery_voltage at" in sealed(box.folder / "card", Stream.ALARM)


def test_the_boxs_own_probes_report_through_the_daemon(box: Box, address: str, tmp_path: Path) -> None:
    pi = Pi5(tmp_path / "pi")
    pi.firmware(WEAK_EVER)
    paths = {"root": pi.host.root, "vcgencmd": pi.host.vcgencmd, "proc": pi.host.proc, "sys": pi.host.sys}
    lines = "".join(f'{key} = "{path}"\n' for key, path in {**paths, "bus": address}.items())
    box.text = box.text.replace("enabled = false\n", lines)
    with daemon(address, "org.freedesktop.systemd1", systemd({}, failed=3)) as asked:
        process = box.started()
        end_s = time.monotonic() + WITHIN_S
        while not (asked.asked and (box.folder / "boots").exists()) and time.monotonic() < end_s:
            time.sleep(0.05)
        time.sleep(0.5)
        log = box.ended(process, signal.SIGTERM)
    assert process.returncode == 0, log
    said = sealed(box.folder / "spool", Stream.TELEMETRY)
    for channel in ("power/undervolt-ever", "storage/mmc-life", "time/steps", "host/oom-kills", "svc/failed"):
        assert channel.encode() in said
    assert b"svc/sync-backlog" in said
