from collections.abc import Sequence
from typing import Literal

import pytest

from drivers.bus import Bus
from drivers.driver import (
    Ask,
    Driver,
    DriverInfo,
    Event,
    Identified,
    Line,
    OptionValue,
    Problem,
    Rejected,
    Send,
    Transaction,
)
from drivers.io.catalog import registry
from drivers.reading import Reading
from drivers.serial.modbus import Modbus
from drivers.serial.rtu import Request, sealed
from drivers.simulate.modbus import ModbusSimulator
from drivers.simulate.simulator import Simulator

DRIVERS = registry()
MS = 1_000_000
S = 1_000_000_000
CO2 = b"\xfe\x04\x02\x01\x90\xac\xd8"
_REGISTER: dict[str, OptionValue] = {"channel": "level", "register": 0, "type": "s16", "scale": "0.001", "unit": "m"}


def _unit(name: str, address: int, **options: OptionValue) -> Driver:
    return DRIVERS.make("modbus", name, {"unit": address, "registers": [_REGISTER], **options}, every_s=1.0)


def _reply(unit: int, *words: int) -> bytes:
    data = b"".join(word.to_bytes(2, "big") for word in words)
    return sealed(bytes((unit, 3, len(data))) + data)


class Wire:
    """A simulated line with a fake clock: bytes arrive after a delay, in order."""

    def __init__(self, bus: Bus, units: Sequence[Simulator], *, delay_ns: int = 20 * MS, echo: bool = False) -> None:
        self.bus = bus
        self.units = units
        self.delay_ns = delay_ns
        self.echo = echo
        self.now_ns = S
        self.sent: list[tuple[int, bytes]] = []
        self.events: list[Event] = []
        self._coming: list[tuple[int, bytes]] = []
        self.take(bus.start(self.now_ns))

    def take(self, events: list[Event]) -> None:
        for event in events:
            if not isinstance(event, Send):
                self.events.append(event)
                continue
            self.sent.append((self.now_ns, event.data))
            if self.echo:
                self._coming.append((self.now_ns + MS, event.data))
            for unit in self.units:
                replies = unit.receive(event.data, self.now_ns)
                self._coming += [(self.now_ns + self.delay_ns, reply) for reply in replies]
        self._coming.sort(key=lambda one: one[0])

    def run(self, seconds: float) -> None:
        end_ns = self.now_ns + round(seconds * S)
        while True:
            moments = [self._coming[0][0]] if self._coming else []
            due_ns = self.bus.deadline()
            moments += [due_ns] if due_ns is not None else []
            if not moments or min(moments) > end_ns:
                self.now_ns = end_ns
                return
            self.now_ns = max(self.now_ns, min(moments))
            if self._coming and self._coming[0][0] <= self.now_ns:
                self.take(self.bus.receive(self._coming.pop(0)[1], self.now_ns))
            else:
                self.take(self.bus.tick(self.now_ns))

    def readings(self, sensor: str) -> list[Reading]:
        return [event for event in self.events if isinstance(event, Reading) and event.sensor == sensor]

    def problems(self, sensor: str) -> list[tuple[str, bool]]:
        return [(one.code, one.ok) for one in self.events if isinstance(one, Problem) and one.sensor == sensor]


def _simulated(driver: Driver) -> ModbusSimulator:
    assert isinstance(driver, Modbus)
    return ModbusSimulator(unit=driver.address, line=Line(), questions=driver.questions, seed=driver.address)


def _started(*drivers: Driver) -> tuple[Bus, list[Event]]:
    bus = Bus(drivers)
    return bus, bus.start(S)


def test_a_lone_stream_passes_straight_through() -> None:
    bus, events = _started(DRIVERS.make("a02yyuw", "water", {}))
    assert events == []
    assert bus.deadline() is None
    found = bus.receive(b"\xff\x07\xa1\xa7", S)
    assert [type(event) for event in found] == [Identified, Reading]
    assert bus.counters.frames == 1
    bus.receive(b"\xff\x07\xa1\xa8", S)
    assert bus.counters.rejected == {"checksum": 1}
    assert bus.tick(S) == []
    bus.receive(b"\xff\x07", S)
    assert [event.reason for event in bus.lost(S) if isinstance(event, Rejected)] == ["noise", "incomplete"]


def test_a_triggered_unit_is_asked_at_its_pace() -> None:
    bus, events = _started(DRIVERS.make("a02yyuw", "water", {"trigger": True}, every_s=2.0))
    assert events == [Send(data=b"\x55")]
    assert bus.deadline() == 3 * S
    assert bus.tick(3 * S) == [Send(data=b"\x55")]


def test_many_units_share_one_line_one_question_at_a_time() -> None:
    drivers = [_unit(f"u{address}", address) for address in (1, 2, 3)]
    wire = Wire(Bus(drivers), [_simulated(driver) for driver in drivers])
    wire.run(10)
    for driver in drivers:
        assert len(wire.readings(driver.sensor)) >= 10
    gaps = [later - earlier for (earlier, _), (later, _) in zip(wire.sent, wire.sent[1:], strict=False)]
    assert min(gaps) >= wire.delay_ns + 5 * MS
    assert wire.bus.counters.timeouts == 0


def test_a_dead_unit_costs_the_live_ones_almost_nothing_and_is_reported_once() -> None:
    drivers = [_unit(f"u{address}", address) for address in (1, 2, 3, 4)]
    wire = Wire(Bus(drivers), [_simulated(driver) for driver in drivers[1:]])
    wire.run(60)
    for driver in drivers[1:]:
        assert len(wire.readings(driver.sensor)) >= 54
    assert wire.problems("u1") == [("silent", False)]
    asked = sum(data[0] == 1 for _, data in wire.sent)
    assert 3 + 5 <= asked <= 3 + 7


def test_a_unit_that_comes_back_is_reported_once_and_polled_as_before() -> None:
    drivers = [_unit("u1", 1), _unit("u2", 2)]
    wire = Wire(Bus(drivers), [_simulated(drivers[1])])
    wire.run(30)
    wire.units = [_simulated(driver) for driver in drivers]
    wire.run(30)
    assert wire.problems("u1") == [("silent", False), ("silent", True)]
    assert len(wire.readings("u1")) >= 18
    assert any(isinstance(event, Identified) and event.sensor == "u1" for event in wire.events)


def test_a_unit_that_never_answers_its_first_question_comes_back_by_another() -> None:
    registers = [{**_REGISTER, "channel": name, "register": at} for name, at in (("dead", 0), ("live", 50))]
    bus = Bus([_unit("one", 1, registers=registers)])
    now_ns, off, heard = S, range(20, 40), list[int]()
    events = bus.start(now_ns)
    while now_ns < 300 * S:
        for event in events:
            if isinstance(event, Send) and event.data[3] == 50 and now_ns // S not in off:
                heard += [now_ns // S for one in bus.receive(_reply(1, 7), now_ns + MS) if isinstance(one, Reading)]
        now_ns = max(now_ns + MS, bus.deadline() or now_ns + S)
        events = bus.tick(now_ns)
    assert sum(at < 20 for at in heard) > 5
    assert sum(at > 200 for at in heard) > 30


@pytest.mark.parametrize("heard", [b"", b"echo", b"\x00\x11\x22"])
def test_silence_says_what_was_heard(heard: bytes) -> None:
    bus, events = _started(_unit("u1", 1))
    now_ns = S
    while not any(isinstance(event, Problem) for event in events):
        sent = [event.data for event in events if isinstance(event, Send)]
        if sent and heard:
            bus.receive(sent[0] if heard == b"echo" else heard, now_ns)
        due_ns = bus.deadline()
        assert due_ns is not None
        now_ns = max(now_ns, due_ns)
        events = bus.tick(now_ns)
    words = {b"": "nothing came", b"echo": "only our own question"}.get(heard, "3 bytes came")
    assert [event.detail for event in events if isinstance(event, Problem) and words in event.detail]


def test_the_echo_of_the_question_is_recognised_whole_and_cut_anywhere() -> None:
    driver = _unit("u1", 1)
    wire = Wire(Bus([driver]), [_simulated(driver)], echo=True)
    wire.run(5)
    assert len(wire.readings("u1")) >= 5
    assert wire.bus.counters.junk_bytes == 0
    request = Request(unit=1, function=3, register=0, count=1).encode()
    answer = request + _reply(1, 1500)
    for cut in range(len(answer)):
        bus, _ = _started(_unit("u1", 1))
        found = bus.receive(answer[:cut], S) + bus.receive(answer[cut:], S + MS)
        assert [event.value for event in found if isinstance(event, Reading)] == [1.5]


@pytest.mark.parametrize(
    "before",
    [
        b"\x00\xff\x01",
        _reply(2, 9999),
        _reply(1, 1, 2),
        sealed(b"\x01\x04\x02\x00\x07"),
        sealed(b"\x02\x83\x02"),
        b"\x01\x03\x02\x05",
        _reply(1, 7)[:-1] + b"\x00",
    ],
    ids=["noise", "other unit", "other length", "other function", "other's refusal", "cut reply", "bad crc"],
)
def test_what_is_not_the_answer_is_skipped(before: bytes) -> None:
    bus, _ = _started(_unit("u1", 1))
    stream = before + _reply(1, 1500)
    found = [event for byte in stream for event in bus.receive(bytes((byte,)), S)]
    assert [event.value for event in found if isinstance(event, Reading)] == [1.5]


def test_a_late_reply_is_drained_and_never_answers_the_next_question() -> None:
    registers: list[OptionValue] = [_REGISTER, {**_REGISTER, "channel": "flow", "register": 9}]
    bus, events = _started(DRIVERS.make("modbus", "u1", {"registers": registers}, every_s=1.0))
    assert [type(event) for event in events] == [Send]
    timeout_ns = bus.deadline()
    assert timeout_ns is not None
    assert bus.tick(timeout_ns) == []  # the second question waits: the first answer may still come
    late = bus.receive(_reply(1, 4242), timeout_ns + 50 * MS)
    assert [event.reason for event in late if isinstance(event, Rejected)] == ["late"]
    due_ns = bus.deadline()
    assert due_ns is not None
    assert due_ns > timeout_ns + 50 * MS
    sent = bus.tick(due_ns)
    assert [event.data[3] for event in sent if isinstance(event, Send)] == [9]
    found = bus.receive(_reply(1, 1000), due_ns + MS)
    assert [(event.channel, event.value) for event in found if isinstance(event, Reading)] == [("flow", 1.0)]


def test_the_line_must_be_silent_for_the_gap_before_the_next_question() -> None:
    bus, _ = _started(_unit("u1", 1, gap="500 ms"), _unit("u2", 2))
    assert not [event for event in bus.receive(_reply(1, 5), S + 20 * MS) if isinstance(event, Send)]
    assert bus.deadline() == S + 520 * MS
    bus.receive(b"\x00", S + 400 * MS)
    assert bus.deadline() == S + 900 * MS
    assert [event.data[0] for event in bus.tick(S + 900 * MS) if isinstance(event, Send)] == [2]


def test_a_line_that_babbles_for_ever_is_spoken_to_all_the_same() -> None:
    bus, _ = _started(_unit("u1", 1))
    now_ns, asked = S, 0
    for _ in range(1000):
        now_ns += 4 * MS
        bus.receive(b"\x00\x55", now_ns)
        due_ns = bus.deadline()
        if due_ns is not None and due_ns <= now_ns:
            asked += sum(isinstance(event, Send) for event in bus.tick(now_ns))
        assert len(bus._buffer) <= 1024
    assert asked >= 1
    assert bus.counters.junk_bytes > 0


def test_a_drip_that_never_completes_ends_at_the_deadline() -> None:
    bus, _ = _started(_unit("u1", 1))
    deadline_ns = bus.deadline()
    assert deadline_ns is not None
    for byte, step in zip(_reply(1, 5), range(3), strict=False):
        bus.receive(bytes((byte,)), S + step * 100 * MS)
    events = bus.tick(deadline_ns)
    assert bus.counters.timeouts == 1
    assert [event.reason for event in events if isinstance(event, Rejected)] == ["no answer"]


def test_bytes_behind_an_answer_are_counted() -> None:
    bus, _ = _started(_unit("u1", 1))
    found = bus.receive(_reply(1, 5) + b"\x00\x00", S)
    assert [event.bytes_dropped for event in found if isinstance(event, Rejected)] == [2]


def test_a_refusal_is_a_problem_once_and_its_end_too() -> None:
    bus, _ = _started(_unit("u1", 1))
    refusal = sealed(b"\x01\x83\x02")
    now_ns = S
    said: list[Event] = []
    for reply in (refusal, refusal, _reply(1, 5)):
        said += bus.receive(reply, now_ns)
        due_ns = bus.deadline()
        assert due_ns is not None
        now_ns = max(now_ns + S, due_ns)
        said += bus.tick(now_ns)
    assert [(one.code, one.ok) for one in said if isinstance(one, Problem)] == [
        ("exception-3-0", False),
        ("exception-3-0", True),
    ]
    assert "illegal data address" in next(one.detail for one in said if isinstance(one, Problem))


def test_losing_the_port_forgets_the_question_and_a_new_start_asks_again() -> None:
    bus, events = _started(_unit("u1", 1))
    assert len(events) == 1
    assert bus.lost(S) == []
    assert bus.deadline() is None
    late = bus.receive(_reply(1, 5), S)
    assert [type(event) for event in late] == [Rejected]
    assert [type(event) for event in bus.start(9 * S)] == [Send]
    found = bus.receive(_reply(1, 5), 9 * S)
    assert [type(event) for event in found] == [Identified, Reading]


def test_only_declared_questions_are_ever_written() -> None:
    drivers = [DRIVERS.make("pzem004t", "mains", {}), DRIVERS.make("senseair_s8", "co2", {"unit": 2})]
    wire = Wire(Bus(drivers), [_simulated(driver) for driver in drivers])
    wire.run(30)
    wire.units = []
    wire.run(30)
    wire.take(wire.bus.lost(wire.now_ns))
    wire.take(wire.bus.start(wire.now_ns))
    wire.run(10)
    assert {data[:6].hex() for _, data in wire.sent} == {
        "01040000000a",
        "020400000004",
        "0204001a0001",
        "0204001d0002",
    }


def test_garbage_at_any_time_raises_nothing_and_makes_no_reading() -> None:
    import random  # noqa: PLC0415

    chance = random.Random(4)  # noqa: S311 - noise, no secret
    bus, _ = _started(_unit("u1", 1), _unit("u2", 2))
    now_ns = S
    for _ in range(3000):
        now_ns += chance.randrange(40 * MS)
        found = bus.receive(chance.randbytes(chance.randrange(1, 60)), now_ns)
        found += bus.tick(now_ns) if chance.random() < 0.3 else []
        assert not any(isinstance(event, Reading) for event in found)


class _Plain:
    """The least a driver can be: no address, no word of unanswered questions."""

    def __init__(self, mode: Literal["stream", "poll"]) -> None:
        self.sensor = "plain"
        self.info = DriverInfo(name="plain", title="", family="plain", mode=mode, shares_bus=mode == "poll")

    def start(self, now_ns: int) -> list[Event]:  # noqa: ARG002 - the protocol's
        problem = Problem(sensor=self.sensor, code="cold")
        asked = Transaction(sensor=self.sensor, request=b"?", match=lambda _data, _now: None)
        return [problem, Ask(transaction=asked)] if self.info.mode == "poll" else [problem]

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        return [Reading(sensor=self.sensor, channel="x", value=len(data), unit="1", boot_ns=now_ns)]

    def tick(self, now_ns: int) -> list[Event]:  # noqa: ARG002 - the protocol's
        return []

    def deadline(self) -> int | None:
        return None

    def lost(self, now_ns: int) -> list[Event]:  # noqa: ARG002 - the protocol's
        return []


def test_any_object_with_the_five_calls_is_a_driver() -> None:
    bus, events = _started(_Plain("poll"))
    assert [type(event) for event in events] == [Problem, Send]
    deadline_ns = bus.deadline()
    assert deadline_ns is not None
    assert bus.tick(deadline_ns) == []
    assert bus.counters.timeouts == 1
    stream, events = _started(_Plain("stream"))
    assert [type(event) for event in events] == [Problem]
    stream.receive(b"abc", S)
    assert stream.counters.frames == 1


def test_what_babbles_into_an_answer_is_bounded_and_counted_whole() -> None:
    bus, _ = _started(_unit("u1", 1))
    for _ in range(10):
        bus.receive(b"\x00" * 400, S)
        assert len(bus._buffer) <= 1024
    deadline_ns = bus.deadline()
    assert deadline_ns is not None
    bus.tick(deadline_ns)
    assert bus.counters.junk_bytes == 4000


def test_a_question_that_still_waits_is_not_asked_twice() -> None:
    bus, _ = _started(DRIVERS.make("modbus", "u1", {"registers": [_REGISTER], "timeout": "2 s"}, every_s=0.1))
    for step in range(1, 15):
        assert bus.tick(S + step * 100 * MS) == []
    found = bus.receive(_reply(1, 5), S + 1490 * MS)
    assert [event.value for event in found if isinstance(event, Reading)] == [0.005]
    assert [type(event) for event in bus.tick(S + 1500 * MS)] == [Send]
    assert bus.tick(S + 1501 * MS) == []
