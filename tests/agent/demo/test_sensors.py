import os
import select
from itertools import pairwise
from pathlib import Path

from agent.demo.scenario import NOISY, PORTS, PULLED, SENSORS, UNITS
from agent.demo.sensors import Disturbed, Pair, River, Sensors
from drivers.bus import Bus
from drivers.driver import Driver, Send
from drivers.io.catalog import registry
from drivers.io.simulators import simulator
from drivers.reading import Reading
from drivers.simulate.modbus import ModbusSimulator
from drivers.simulate.simulator import Simulator

S = 1_000_000_000


def played(unit: Simulator, drivers: list[Driver], seconds: float, begin_ns: int = 0) -> list[Reading]:
    bus = Bus(drivers)
    found: list[Reading] = []
    coming = bus.start(begin_ns)
    for now_ns in range(begin_ns, begin_ns + int(seconds * S), S // 20):
        coming += [one for frame in unit.tick(now_ns) for one in bus.receive(frame, now_ns)]
        coming += bus.tick(now_ns)
        for event in coming:
            if isinstance(event, Send):
                coming += [one for reply in unit.receive(event.data, now_ns) for one in bus.receive(reply, now_ns)]
            elif isinstance(event, Reading):
                found.append(event)
        coming = []
    return found


def levels(river: River, seconds: float, begin_ns: int) -> list[float]:
    driver = registry().make("a02yyuw", "sungai", {"mount_height": "4.20 m"}, every_s=0.2)
    readings = played(river, [driver], seconds, begin_ns)
    return [float(one.value) for one in readings if one.channel == "level"]


def test_the_river_rises_over_the_second_level_and_falls_again() -> None:
    river = River(seed=1, every_s=0.2)
    calm = levels(river, 5, 0)
    river.rise()
    flood = levels(river, 5, 5 * S)
    river.fall()
    after = levels(river, 6, 10 * S)
    assert max(calm) < 2.5
    assert 3.0 < flood[-1] < 3.5
    assert after[-1] < 2.5


def test_the_river_never_jumps_further_than_water_does() -> None:
    river = River(seed=1, every_s=0.2)
    levels(river, 1, 0)
    river.rise()
    flood = levels(river, 5, S)
    assert max(abs(b - a) for a, b in pairwise(flood)) < 0.2


def test_the_units_of_a_pair_answer_each_for_itself() -> None:
    drivers = [registry().make(one.driver, one.name, {"unit": UNITS[one.name]}) for one in SENSORS if one.name in UNITS]
    pair = Sensors(Path("unused"), seed=1).sockets["rs485"].unit
    found = {reading.sensor for reading in played(pair, drivers, 5)}
    assert found == set(UNITS)


def test_a_pair_says_what_its_units_say_and_wakes_for_the_first() -> None:
    pair = Pair([simulator("sds011"), ModbusSimulator(unit=1, line=simulator("sds011").line, questions=(), seed=1)])
    assert pair.deadline() == 0
    assert len(pair.tick(0)) == 1


def test_noise_comes_once_in_front_of_the_next_frame() -> None:
    line = Disturbed(simulator("sds011"))
    line.disturb(b"\x00\x01")
    first = line.tick(0)
    assert first[0] == b"\x00\x01"
    assert len(first) == 2
    assert line.tick(2 * S) != first


def test_the_frame_behind_the_noise_still_counts() -> None:
    line = Disturbed(simulator("nmea", every_s=0.5))
    line.disturb(bytes(range(96)))
    assert played(line, [registry().make("nmea", "gps", {})], 1.5)


def hung_up(line: int) -> bool:
    poll = select.poll()
    poll.register(line, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(5000))


def test_a_pulled_sensor_hangs_up_and_a_plugged_one_speaks_at_the_same_name(tmp_path: Path) -> None:
    socket = Sensors(tmp_path, seed=1).sockets[PULLED]
    socket.plug()
    try:
        line = os.open(tmp_path / PULLED, os.O_RDONLY | os.O_NOCTTY)
        assert select.select([line], [], [], 5)[0]
        socket.wait_pulled()
        assert not socket.plugged
        assert not (tmp_path / PULLED).is_symlink()
        assert hung_up(line)
        os.close(line)
        socket.plug()
        assert (tmp_path / PULLED).is_symlink()
    finally:
        socket.wait_pulled()


def test_all_sensors_are_plugged_in_and_pulled_together(tmp_path: Path) -> None:
    sensors = Sensors(tmp_path, seed=1)
    sensors.plug()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(PORTS)
    sensors.pull()
    assert list(tmp_path.iterdir()) == []
    assert not sensors.sockets[NOISY].plugged
