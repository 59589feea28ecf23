"""Driver and simulator at the two ends of a real pseudo-terminal, on a clock of their own: nothing sleeps."""

import os
import select

import pytest

from drivers.bus import Bus
from drivers.driver import Event, Send
from drivers.io.catalog import registry
from drivers.io.pty import opened
from drivers.io.simulators import simulator
from drivers.reading import Reading

S = 1_000_000_000
DRIVERS = registry()
_WAIT_S = 10.0  # for the kernel to hand over what was written; never waited in full
NAMES = (
    *("sds011", "pms5003", "pms5003t", "pms5003st", "mhz19b", "maxbotix_hrxl", "maxbotix_xl", "hydreon_rg15"),
    *("vedirect", "megatec_q1", "megatec_qs", "voltronic_qpigs", "pzem004t"),
)


def _carried(data: bytes, writer: int, reader: int) -> list[bytes]:
    """Write at one end and read at the other, in the pieces the kernel makes."""
    pieces: list[bytes] = []
    os.write(writer, data)
    while sum(map(len, pieces)) < len(data):
        assert select.select([reader], [], [], _WAIT_S)[0]
        pieces.append(os.read(reader, 4096))
    assert b"".join(pieces) == data
    return pieces


@pytest.mark.parametrize("name", NAMES)
def test_a_driver_reads_its_simulator_through_a_pseudo_terminal(name: str) -> None:
    unit = simulator(name, seed=5)
    bus = Bus([DRIVERS.make(name, "s", {})])
    found: list[Event] = []
    with opened() as (ours, _, path):
        port = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            coming = bus.start(0)
            for step in range(1, 60):
                now_ns = step * S // 2
                asked = [event.data for event in coming if isinstance(event, Send)]
                spoken = [
                    frame
                    for data in asked
                    for piece in _carried(data, port, ours)
                    for frame in unit.receive(piece, now_ns)
                ]
                spoken += unit.tick(now_ns)
                heard = [
                    event
                    for frame in spoken
                    for piece in _carried(frame, ours, port)
                    for event in bus.receive(piece, now_ns)
                ]
                found += heard
                coming = [event for event in heard if isinstance(event, Send)] + bus.tick(now_ns)
        finally:
            os.close(port)
    readings = [event for event in found if isinstance(event, Reading)]
    declared = {channel.name: channel.unit for channel in DRIVERS.make(name, "s", {}).info.channels}
    assert {reading.channel for reading in readings} >= set(list(declared)[:1])
    assert all(reading.unit == declared[reading.channel] and not reading.quality for reading in readings)
    assert not bus.counters.rejected
    assert not bus.counters.timeouts
