"""Six units of pymodbus on a real pseudo-terminal, two of them dead, behind adapters as technicians meet them."""

import asyncio
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.poll import own_port
from drivers.backoff import Backoff
from drivers.bus import Bus
from drivers.driver import Event, Line, OptionValue, Problem
from drivers.io.catalog import registry
from drivers.io.serial_port import SerialPort, boot_clock_ns
from drivers.reading import Reading
from tests.drivers.modbus_line import Adapter, Adapters, clean, serial_line, value_of

LIVE, DEAD = (1, 2, 4, 6), (3, 5)
FIRST, SECOND = 0, 50
EVERY_S = 1.0
LASTS_S = 8.0


class Heard:
    """Takes events and judges every value at once."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.false: list[Reading] = []
        self.problems: list[Problem] = []

    def take(self, event: Event) -> None:
        if isinstance(event, Reading):
            unit, register = int(event.sensor[1:]), int(event.channel[1:])
            if event.value != value_of(unit, register):
                self.false.append(event)
            self.counts[event.sensor, event.channel] += 1
        elif isinstance(event, Problem):
            self.problems.append(event)


def unit_options(unit: int) -> dict[str, OptionValue]:
    registers: list[OptionValue] = [{"channel": f"r{at}", "register": at} for at in (FIRST, SECOND)]
    return {"unit": unit, "registers": registers}


async def polled(link: Path, *, every_s: float, lasts_s: float) -> Heard:
    drivers = [registry().make("modbus", f"u{unit}", unit_options(unit), every_s=every_s) for unit in (*LIVE, *DEAD)]
    heard = Heard()
    port = SerialPort(f"path:{link}", Line())
    work = own_port(
        port,
        Bus(drivers),
        heard,
        boot_ns=boot_clock_ns,
        retry=Backoff(base_s=1.0, cap_s=4.0, random=lambda: 0.5),
        alive=lambda: None,
    )
    task = asyncio.create_task(work)
    await asyncio.sleep(lasts_s)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return heard


@pytest.mark.slow
def test_live_units_keep_their_polls_beside_dead_ones_and_no_value_is_false(tmp_path: Path) -> None:
    lines: dict[str, Adapter] = {
        "clean": clean,
        "echo_and_junk": Adapters().echo_and_junk,
        "split_echo": Adapters().split_echo,
        "idle_bytes": Adapters().idle_bytes,
        "neighbour": Adapters().neighbour,
        "late": Adapters().late,
        "cut": Adapters().cut,
    }

    async def all_at_once() -> list[Heard]:
        buses = [polled(tmp_path / name, every_s=EVERY_S, lasts_s=LASTS_S) for name in lines]
        return await asyncio.gather(*buses)

    with ExitStack() as plugged:
        for name, adapter in lines.items():
            plugged.enter_context(serial_line(tmp_path / name, LIVE, adapter))
        found = dict(zip(lines, asyncio.run(all_at_once()), strict=True))
    polls = LASTS_S / EVERY_S
    for name, heard in found.items():
        assert heard.false == [], name
        kept = [heard.counts[f"u{unit}", f"r{at}"] / polls for unit in LIVE for at in (FIRST, SECOND)]
        print(f"{name}: kept {min(kept):.3f} of the polls, mean {sum(kept) / len(kept):.3f}")
        by_its_own_fault = name in {"late", "cut"}  # each tenth reply is lost on the way
        assert sum(kept) / len(kept) >= (0.8 if by_its_own_fault else 0.95), name
        told = Counter(one.sensor for one in heard.problems)
        assert told == dict.fromkeys((f"u{unit}" for unit in DEAD), 1), name
