from functools import partial

import pytest

from drivers.bus import Bus, BusDriver
from drivers.driver import Channel, DriverInfo, Event, Identified, Line, Problem, Rejected, Send
from drivers.framing import Fault, LineFrame
from drivers.io.catalog import registry
from drivers.reading import Reading
from drivers.serial.polled import Polled, Question
from drivers.serial.stream import Said, Value
from drivers.sharing import attached, clashes

S = 1_000_000_000
INFO = DriverInfo(
    name="gauge",
    title="a gauge",
    family="gauge",
    line=Line(baud=9600),
    mode="poll",
    channels=(Channel(name="level", unit="m", low=0.0, high=9.0),),
    every_s=2.0,
)
POLLED = ("mhz19", "rg15", "ups_megatec", "ups_voltronic")


def _check(line: bytes) -> Fault | None:
    return None if line[:1] in (b"L", b"S") and line[1:].isdigit() else Fault(reason="line")


def _meaning(line: bytes) -> Said:
    return Said(values=(Value(channel="level", value=int(line[1:])),) if line[:1] == b"L" else ())


def _gauge(rare: int = 0) -> Polled:
    questions = [Question(request=b"L?\n", answered_by=lambda line: line[:1] == b"L", reply_bytes=4)]
    if rare:
        questions.append(
            Question(request=b"S?\n", answered_by=lambda line: line[:1] == b"S", reply_bytes=4, polls=rare)
        )
    return Polled(
        "g",
        info=INFO,
        codec=partial(LineFrame, b"\n", 32, _check),
        meaning=_meaning,
        questions=questions,
        timeout_s=0.5,
    )


def _values(events: list[Event]) -> list[object]:
    return [event.value for event in events if isinstance(event, Reading)]


def _sent(events: list[Event]) -> list[bytes]:
    return [event.data for event in events if isinstance(event, Send)]


def test_an_answer_is_read_wherever_it_is_cut_and_whatever_comes_before_it() -> None:
    stream = b"L?\n" + b"\xff\x00\nboot\nL7x\nS9\nL4\n"
    for cut in range(len(stream)):
        bus = Bus([_gauge()])
        assert _sent(bus.start(0)) == [b"L?\n"]
        events = bus.receive(stream[:cut], S // 10) + bus.receive(stream[cut:], S // 5)
        assert _values(events) == [4]
        assert [event.reason for event in events if isinstance(event, Rejected)] == ["line"] * 3


def test_an_answer_that_comes_too_late_is_not_the_answer_to_the_next_question() -> None:
    bus = Bus([_gauge()])
    bus.start(0)
    assert _values(bus.tick(S) + bus.receive(b"L1\n", S + 1)) == []
    assert _sent(bus.tick(2 * S)) == [b"L?\n"]
    assert _values(bus.receive(b"L2\n", 2 * S + 1)) == [2]


def test_a_slow_line_gets_the_time_that_question_and_answer_take() -> None:
    bus = Bus([_gauge()])
    bus.start(0)
    wire_ns = 7 * 10 * S // 9600
    assert bus.deadline() == pytest.approx(S // 2 + wire_ns, abs=10)


def test_a_silent_unit_is_told_and_says_who_it_is_when_it_is_back() -> None:
    bus = Bus([_gauge()])
    events = bus.start(0) + bus.receive(b"L1\n", 1)
    for step in range(1, 60):
        events += bus.tick(step * S)
    events += bus.receive(b"L2\n", 60 * S) if bus.counters.timeouts else []
    for step in range(61, 90):
        coming = bus.tick(step * S)
        events += coming + (bus.receive(b"L3\n", step * S) if _sent(coming) else [])
    told = [(event.code, event.ok) for event in events if isinstance(event, Problem)]
    assert told == [("silent", False), ("silent", True)]
    assert len([event for event in events if isinstance(event, Identified)]) == 2


def test_missed_polls_are_not_made_up_for_and_each_answer_counts_whatever_its_delay() -> None:
    bus = Bus([_gauge()])
    bus.start(0)
    assert _values(bus.receive(b"L1\n", S // 3)) == [1]
    assert len(_sent(bus.tick(9 * S))) == 1
    assert _values(bus.receive(b"L2\n", 9 * S)) == [2]
    assert bus.deadline() == 10 * S
    assert len(_sent(bus.tick(10 * S))) == 1
    assert _values(bus.receive(b"L3\n", 10 * S)) == [3]


def test_a_rare_question_is_asked_twice_at_the_start_and_then_each_so_many_polls() -> None:
    bus = Bus([_gauge(rare=5)])
    events = bus.start(0)
    for step in range(28):
        asked = _sent(events)[-1]
        events += bus.receive(asked[:1] + b"1\n", step * S)
        events += bus.tick(step * S + S // 2)
    assert _sent(events).count(b"L?\n") == 14
    assert _sent(events).count(b"S?\n") == 6


def test_the_loss_of_the_port_stops_the_questions_until_the_next_start() -> None:
    bus = Bus([_gauge()])
    bus.start(0)
    bus.lost(S)
    assert bus.deadline() is None
    assert bus.tick(9 * S) == []
    assert _sent(bus.start(10 * S)) == [b"L?\n"]


def test_it_says_who_it_is_after_each_start_and_not_for_a_few_lost_answers() -> None:
    bus = Bus([_gauge()])
    said: list[list[Event]] = []
    for begin in (0, 1000):
        bus.start(begin * S)
        events: list[Event] = []
        for step, answer in enumerate([b"L1\n", b"", b"", b"L2\n", b"", b"L3\n"]):
            now_ns = (begin + 2 * step) * S
            events += bus.tick(now_ns)
            events += bus.receive(answer, now_ns) if answer else bus.tick(now_ns + S)
        bus.lost((begin + 20) * S)
        said.append(events)
    for events in said:
        assert _values(events) == [1, 2, 3]
        assert len([event for event in events if isinstance(event, Identified)]) == 1


@pytest.mark.parametrize("name", POLLED)
def test_a_unit_without_an_address_must_be_alone_on_its_port(name: str) -> None:
    drivers = registry()
    driver = drivers.make(name, "a", {})
    assert driver.tick(0) == []
    assert isinstance(driver, BusDriver)
    assert driver.address is None
    assert driver.receive(b"x", 0) == []
    assert "alone" in (clashes([attached(one, drivers.info(name), {}) for one in ("a", "b")]) or "")
