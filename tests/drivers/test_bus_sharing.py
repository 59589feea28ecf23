"""How the units of one line share it: turns, silences, many of them, noise."""

import random
import time
from collections.abc import Sequence

import pytest

from drivers.bus import Bus
from drivers.driver import Event, Line, OptionValue, Problem, Send
from drivers.errors import OptionError
from drivers.io.catalog import registry
from drivers.reading import Reading
from drivers.serial.rtu import sealed
from drivers.simulate.simulator import Simulator
from tests.drivers.test_bus import MS, S, Wire, _reply, _simulated, _unit

DRIVERS = registry()


def _asked(wire: Wire, unit: int) -> list[int]:
    return [at for at, data in wire.sent if data[0] == unit]


def _silences(wire: Wire, unit: int) -> list[int]:
    """How long the line was silent before each question to a unit but the first, in ns."""
    replies = [at + wire.delay_ns for at, _ in wire.sent]
    return [at - replies[index - 1] for index, (at, data) in enumerate(wire.sent) if index and data[0] == unit]


def test_twenty_units_on_one_line_are_each_read_every_second() -> None:
    drivers = [_unit(f"u{address}", address) for address in range(1, 21)]
    wire = Wire(Bus(drivers), [_simulated(driver) for driver in drivers])
    wire.run(30)
    assert min(len(wire.readings(driver.sensor)) for driver in drivers) >= 30
    assert wire.bus.counters.timeouts == 0


def test_five_dead_units_of_twenty_cost_the_others_hardly_a_poll() -> None:
    drivers = [_unit(f"u{address}", address) for address in range(1, 21)]
    wire = Wire(Bus(drivers), [_simulated(driver) for driver in drivers[5:]])
    wire.run(60)
    assert min(len(wire.readings(driver.sensor)) for driver in drivers[5:]) >= 57
    assert all(wire.problems(driver.sensor) == [("silent", False)] for driver in drivers[:5])


def test_a_unit_that_wants_silence_has_it_before_and_after_its_question() -> None:
    drivers = [_unit("u2", 2), _unit("slow", 1, gap="300 ms"), _unit("u3", 3)]
    wire = Wire(Bus(drivers), [_simulated(driver) for driver in drivers])
    wire.run(20)
    assert min(_silences(wire, 1)) >= 300 * MS
    behind = [index + 1 for index, (_, data) in enumerate(wire.sent[:-1]) if data[0] == 1]
    assert min(wire.sent[index][0] - wire.sent[index - 1][0] - wire.delay_ns for index in behind) >= 300 * MS
    assert min(_silences(wire, 3)) < 300 * MS
    assert min(len(wire.readings(driver.sensor)) for driver in drivers) >= 19


def test_a_unit_that_wants_silence_has_its_turn_on_a_line_that_is_never_silent_so_long() -> None:
    busy = [_unit(f"u{address}", address) for address in range(2, 40)]
    slow = _unit("slow", 1, gap="300 ms")
    wire = Wire(Bus([slow, *busy]), [_simulated(driver) for driver in (slow, *busy)])
    wire.run(60)
    assert len(wire.readings("slow")) >= 15
    assert min(len(wire.readings(driver.sensor)) for driver in busy) >= 15


def test_a_silence_longer_than_the_timeout_is_kept_after_an_unanswered_question_too() -> None:
    wire = Wire(Bus([_unit("slow", 1, gap="2 s"), _unit("u2", 2)]), [])
    wire.run(3)
    (first, _), (second, _) = wire.sent[:2]
    assert second - first >= 2 * S


def test_a_unit_set_aside_costs_the_others_nothing_between_its_turns() -> None:
    drivers = [_unit("dead", 1), _unit("u2", 2)]
    wire = Wire(Bus(drivers), [_simulated(drivers[1])])
    wire.run(120)
    late = [later - earlier for earlier, later in zip(_asked(wire, 2)[5:], _asked(wire, 2)[6:], strict=False)]
    assert sum(abs(pause - S) > 5 * MS for pause in late) <= 2 * len(_asked(wire, 1))
    assert len(wire.readings("u2")) >= 119
    assert len(_asked(wire, 1)) <= 3 + 12


def test_a_silent_gateway_target_is_set_aside_like_a_silent_unit_and_told_by_the_gateways_words() -> None:
    bus = Bus([_unit("u1", 1), _unit("u2", 2)])
    now_ns, asked, events, said = S, {1: 0, 2: 0}, bus.start(S), list[Event]()
    while now_ns < 60 * S:
        sent = [event.data for event in events if isinstance(event, Send)]
        said += [event for event in events if not isinstance(event, Send)]
        if sent:
            asked[sent[0][0]] += 1
            now_ns += 10 * MS
            events = bus.receive(sealed(b"\x01\x83\x0b") if sent[0][0] == 1 else _reply(2, 5), now_ns)
            continue
        now_ns = max(now_ns, bus.deadline() or 0)
        events = bus.tick(now_ns)
    assert (asked[1] <= 9, asked[2] >= 59) == (True, True)
    (problem,) = (event for event in said if isinstance(event, Problem))
    assert (problem.sensor, problem.code) == ("u1", "silent")
    assert problem.detail.endswith("the gateway says exception 11: gateway target did not respond")
    assert bus.counters.junk_bytes == 0


def test_a_bus_refuses_drivers_that_clash() -> None:
    with pytest.raises(OptionError, match="unit 1 is both"):
        Bus([_unit("a", 1), _unit("b", 1)])
    with pytest.raises(OptionError, match="alone"):
        Bus([_unit("a", 1), DRIVERS.make("sds011", "air", {})])


def test_a_bus_does_not_mind_that_its_drivers_would_choose_different_lines() -> None:
    quick = DRIVERS.make("modbus", "a", {"registers": [{"channel": "x", "register": 0}]})
    slow = DRIVERS.make("dfrobot_sen0658", "b", {"unit": 2})
    assert quick.info.line != slow.info.line
    assert len(Bus([quick, slow]).start(S)) == 1


@pytest.mark.parametrize(
    ("line", "bytes_ns"), [(Line(baud=1200), 15 * 11 * S // 1200), (Line(baud=115200), 15 * 11 * S // 9600)]
)
def test_on_a_line_slower_than_its_own_a_unit_has_longer_to_answer(line: Line, bytes_ns: int) -> None:
    bus = Bus([_unit("u1", 1, timeout="300 ms")], line)
    bus.start(S)
    deadline_ns = bus.deadline()
    assert deadline_ns is not None
    assert abs(deadline_ns - S - 300 * MS - bytes_ns) < MS


class Stall(Wire):
    """A wire on which, from the tenth second to a later moment, nothing moves; then all of it does, in order."""

    def __init__(self, bus: Bus, units: Sequence[Simulator], until_ns: int) -> None:
        self.until_ns = until_ns
        super().__init__(bus, units)

    def take(self, events: list[Event]) -> None:
        super().take(events)
        self._coming = [(self.until_ns if 10 * S <= at < self.until_ns else at, data) for at, data in self._coming]


@pytest.mark.parametrize("live", [1, 2])
@pytest.mark.parametrize("stall_ms", [*range(100, 2300, 50)])
def test_a_network_that_stalls_never_turns_one_register_into_another(live: int, stall_ms: int) -> None:
    levels: list[OptionValue] = [{"channel": f"r{at}", "register": at, "range": [0, 999]} for at in range(3)]
    drivers = [_unit(f"u{unit}", unit, registers=levels) for unit in range(1, live + 1)]
    wire = Stall(Bus(drivers), [Counting(unit) for unit in range(1, live + 1)], 10 * S + stall_ms * MS)
    wire.run(30)
    for driver in drivers:
        found = wire.readings(driver.sensor)
        assert len(found) >= 3 * 24
        assert all(one.value == int(one.channel[1:]) for one in found)


class Counting:
    """A unit whose registers hold their own number."""

    line = Line()

    def __init__(self, unit: int) -> None:
        self._unit = unit

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:  # noqa: ARG002 - the shape of a simulator
        return [_reply(self._unit, data[3])] if data[0] == self._unit else []

    def tick(self, now_ns: int) -> list[bytes]:  # noqa: ARG002 - the shape of a simulator
        return []

    def deadline(self) -> int | None:
        return None


def _noise_cost(data: bytes, cuts: Sequence[int]) -> tuple[float, Bus, list[Event]]:
    """Processor time of a bus that hears noise at 115200 baud, without end."""
    listed: list[OptionValue] = [{"channel": name, "register": at} for name, at in (("a", 0), ("b", 9))]
    bus = Bus([DRIVERS.make("modbus", f"u{unit}", {"unit": unit, "registers": listed}, every_s=1.0) for unit in (1, 2)])
    now_ns, at, found = S, 0, bus.start(S)
    began = time.process_time()
    for cut in cuts:
        heard_ns = now_ns + cut * S // 11520
        while (due_ns := bus.deadline()) is not None and due_ns <= heard_ns:
            now_ns = max(now_ns, due_ns)
            found += bus.tick(now_ns)
        now_ns = heard_ns
        found += bus.receive(data[at : at + cut], now_ns)
        at += cut
        assert len(bus._buffer) <= 1024
    return time.process_time() - began, bus, found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_megabyte_of_noise_makes_no_reading_and_keeps_no_more_than_a_kilobyte(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - noise, no secret
    cuts = [chance.randrange(1, 64) for _ in range(31_250)]
    data = chance.randbytes(sum(cuts))
    cost_s, bus, found = _noise_cost(data, cuts)
    assert not any(isinstance(event, Reading) for event in found)
    assert {event.code for event in found if isinstance(event, Problem)} == {"silent"}
    assert sum(isinstance(event, Send) for event in found) > 20
    assert bus.counters.junk_bytes > 0.9 * len(data)
    assert cost_s < 0.15 * len(data) / 11520


def test_the_cost_of_noise_grows_with_its_length_and_no_faster() -> None:
    data = random.Random(4).randbytes(48_000)  # noqa: S311 - noise, no secret
    half = min(_noise_cost(data, [8] * 3_000)[0] for _ in range(3))
    whole = min(_noise_cost(data, [8] * 6_000)[0] for _ in range(3))
    assert whole < 3 * half
