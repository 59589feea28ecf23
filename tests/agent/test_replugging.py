"""Eight ports pulled and plugged in again: descriptors, processor time while gone, time until values are back."""

import asyncio
import os
import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sensor_book import SensorBook
from drivers.driver import Line
from drivers.io.simulators import simulator
from drivers.reading import Quality
from tests.agent.plugs import Ports, Street, until

SENSORS = {
    "dust": "sds011",
    "fine": "pms5003",
    "river": "a02yyuw",
    "gate": "maxbotix_hrxl",
    "wind": "windsonic",
    "air": "mhz19b",
    "mains": "pzem004t",
    "coins": "cctalk",
}
SOCKETS = {name: f"1-1.{number}" for number, name in enumerate(SENSORS, start=1)}
BACK_WITHIN_S = 5.0
GONE_SHARE = 0.01


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    made = Street(tmp_path)
    yield made
    made.pull()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a Path per descriptor is of no use here


def plug_all(street: Street, order: list[str]) -> None:
    for name in order:
        street.plug(SOCKETS[name], simulator(SENSORS[name], seed=7, every_s=0.5))


@pytest.mark.parametrize(
    ("times", "gone_s", "retry_s"),
    [
        pytest.param(2, 0.5, 0.1, id="twice"),
        pytest.param(50, 2.0, 1.0, id="fifty times", marks=[pytest.mark.campaign, pytest.mark.timeout(900)]),
    ],
)
def test_eight_ports_come_back_each_time_and_cost_nothing_while_gone(
    street: Street, tmp_path: Path, times: int, gone_s: float, retry_s: float
) -> None:
    back_s: list[float] = []
    gone_shares: list[float] = []
    files: list[int] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        where = {name: (driver, f"usb:{SOCKETS[name]}") for name, driver in SENSORS.items()}
        plug_all(street, list(SENSORS))
        ports = Ports(street, SensorBook(tmp_path / "sensors.json"), where, retry_s=retry_s)
        heard = ports.heard

        def all_speak() -> bool:
            return {reading.sensor for reading in heard.readings} == SENSORS.keys()

        await until(all_speak, 20, "all speak")
        for turn in range(times):
            await loop.run_in_executor(None, street.pull)
            await asyncio.sleep(0.3)  # the hang-ups themselves
            files.append(open_files())
            begin_s, used_s = time.monotonic(), time.process_time()
            await asyncio.sleep(gone_s)
            gone_shares.append((time.process_time() - used_s) / (time.monotonic() - begin_s))
            heard.clear()
            order = list(SENSORS)[turn % 8 :] + list(SENSORS)[: turn % 8]  # names under /dev change each time
            await loop.run_in_executor(None, plug_all, street, order)
            back_s.append(await until(all_speak, BACK_WITHIN_S, f"all are back, turn {turn}"))
            ports.check()
        assert not any(Quality.IDENTITY_CHANGED in reading.quality for reading in heard.readings)
        assert [problem for problem in heard.problems if problem.code in ("wrong_unit", "new_unit", "wrong_kind")] == []
        await ports.end()

    asyncio.run(scenario())
    print(
        f"{times} times 8 ports: back after {statistics.median(back_s):.2f} s (median), {max(back_s):.2f} s (worst); "
        f"processor while gone {statistics.mean(gone_shares):.2%} (mean), {max(gone_shares):.2%} (worst); "
        f"descriptors while gone {min(files)} to {max(files)}; "
        f"memory at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB"
    )
    assert max(files) == files[0]
    assert statistics.mean(gone_shares) < GONE_SHARE


@pytest.mark.parametrize("turns", [2, pytest.param(12, marks=pytest.mark.campaign)])
def test_a_port_that_hangs_up_and_babbles_does_not_take_the_processor(
    street: Street, tmp_path: Path, turns: int
) -> None:
    """A loose plug: garbage for a moment, then gone, again and again."""

    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        ports = Ports(street, SensorBook(tmp_path / "sensors.json"), {"dust": ("sds011", "usb:1-1.1")}, retry_s=0.1)
        heard = ports.heard
        before = open_files()
        used_s = time.process_time()
        begin_s = time.monotonic()
        for _ in range(turns):
            dropped = heard.bytes_dropped
            await loop.run_in_executor(None, street.plug, "1-1.1", _Babbler())
            await until(lambda least=dropped + 100: heard.bytes_dropped > least, 5, "it babbles")  # type: ignore[misc] # bound now
            await loop.run_in_executor(None, street.pull)
        share = (time.process_time() - used_s) / (time.monotonic() - begin_s)
        await asyncio.sleep(0.3)
        assert open_files() == before
        assert heard.readings == []
        ports.check()
        await ports.end()
        return share

    share = asyncio.run(scenario())
    print(f"a babbling port that hangs up {turns} times: {share:.1%} of a processor, the babbler included")
    assert share < 0.1


class _Babbler:
    """A line at the wrong speed: 960 bytes a second of rubbish."""

    line = Line()

    def __init__(self) -> None:
        self._due_ns = 0

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:  # noqa: ARG002 - it does not listen
        return []

    def tick(self, now_ns: int) -> list[bytes]:
        if now_ns < self._due_ns:
            return []
        self._due_ns = now_ns + 33_000_000
        return [bytes((now_ns >> shift) * 151 & 0xFF for shift in range(32))]

    def deadline(self) -> int:
        return self._due_ns
