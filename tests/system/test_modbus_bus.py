"""One minute of `gardu run` with buses of six pymodbus units each, two of them dead, behind adapters that misbehave."""

import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.center.processes import until
from tests.drivers.modbus_line import Adapter, Adapters, clean, serial_line, value_of
from tests.system.town import Town

pytestmark = [pytest.mark.broker, pytest.mark.campaign]

LIVE, DEAD = (1, 2, 4, 6), (3, 5)
REGISTERS = (0, 50)
LASTS_S = 60
ON_ITS_WAY = {"late": 0.1, "cut": 0.1}
"""Share of the replies that the line itself loses."""


def sections(name: str, link: Path) -> str:
    registers = ", ".join(f'{{ channel = "r{at}", register = {at} }}' for at in REGISTERS)
    return "".join(
        f'[sensor.{name}-{unit}]\ndriver = "modbus"\nport = {json.dumps(f"path:{link}")}\nevery = "1 s"\n'
        f"unit = {unit}\nregisters = [{registers}]\n"
        for unit in (*LIVE, *DEAD)
    )


def readings(path: Path, lasts_s: float) -> Iterator[tuple[str, str, float]]:
    """Sensor, channel and value of what the daemon tells whoever listens, without what it remembers."""
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.connect(str(path))
        daemon.settimeout(5)
        lines = daemon.makefile("r", encoding="utf-8")
        end_s = 0.0
        for line in lines:
            pack = json.loads(line)
            if not pack:
                end_s = time.monotonic() + lasts_s
            elif end_s and time.monotonic() > end_s:
                return
            elif end_s and "v" in pack[0]:
                sensor, channel = (pack[0].get("bn", "") + pack[0].get("n", "")).split("/")[-2:]
                yield sensor, channel, pack[0]["v"]


def test_live_units_keep_95_percent_of_their_polls_for_a_minute_and_no_value_is_false(
    town: Town, tmp_path: Path
) -> None:
    lines: dict[str, Adapter] = {
        "clean": clean,
        "echo_and_junk": Adapters().echo_and_junk,
        "split_echo": Adapters().split_echo,
        "idle_bytes": Adapters().idle_bytes,
        "neighbour": Adapters().neighbour,
        "late": Adapters().late,
        "cut": Adapters().cut,
    }
    counts: Counter[tuple[str, int, str]] = Counter()
    with ExitStack() as plugged:
        for name, adapter in lines.items():
            plugged.enter_context(serial_line(tmp_path / name, LIVE, adapter))
        town.fit({}, "".join(sections(name, tmp_path / name) for name in lines))
        town.node.start()
        until("the daemon tells readings", (tmp_path / "readings.sock").exists)
        for sensor, channel, value in readings(tmp_path / "readings.sock", LASTS_S):
            name, _, unit = sensor.rpartition("-")
            assert value == value_of(int(unit), int(channel[1:])), sensor
            counts[name, int(unit), channel] += 1
        town.alive()
        assert town.node.stop() == 0
    for name in lines:
        kept = [counts[name, unit, f"r{at}"] / LASTS_S for unit in LIVE for at in REGISTERS]
        silent = [len(town.node.told(f"sensor={name}-{unit} code=silent")) for unit in DEAD]
        print(f"{name}: kept {min(kept):.1%} to {max(kept):.1%} of the polls; false 0; dead units told {silent}")
        assert silent == [1] * len(DEAD)
        assert sum(kept) / len(kept) >= 0.95 - 2 * ON_ITS_WAY.get(name, 0.0)
        assert name in ON_ITS_WAY or min(kept) >= 0.95
