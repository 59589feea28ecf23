"""A Modbus unit with registers of its identity: what it says of itself, and when it does not answer about it."""

import pytest

from drivers.bus import Bus
from drivers.driver import Event, Identified, Send
from drivers.io.catalog import registry
from drivers.reading import Reading
from drivers.serial.rtu import sealed

S = 1_000_000_000
TYPE, SERIAL, VALUES = (sealed(bytes.fromhex(ask)) for ask in ("fe04001a0001", "fe04001d0002", "fe0400000004"))
ANSWERS = {
    TYPE: sealed(bytes.fromhex("fe04020177")),
    SERIAL: sealed(bytes.fromhex("fe0404042c1d80")),
    VALUES: sealed(bytes.fromhex("fe04080000000000000190")),
}
REFUSAL = sealed(bytes.fromhex("fe8402"))


class Line:
    """A unit that answers what the test lets it."""

    def __init__(self) -> None:
        self.bus = Bus([registry().make("senseair_s8", "air", {})])
        self.answers = dict(ANSWERS)
        self.asked: list[bytes] = []
        self.events: list[Event] = []
        self.now_ns = S
        self.coming = self.bus.start(S)

    def run(self, seconds: float) -> None:
        end_ns = self.now_ns + round(seconds * S)
        while self.now_ns < end_ns:
            asked = [event.data for event in self.coming if isinstance(event, Send)]
            self.asked += asked
            self.events += self.coming
            answer = b"".join(self.answers.get(question, b"") for question in asked)
            if answer:
                self.now_ns += 20_000_000
                self.coming = self.bus.receive(answer, self.now_ns)
                continue
            self.now_ns = max(self.now_ns + 1_000_000, min(self.bus.deadline() or end_ns, end_ns))
            self.coming = self.bus.tick(self.now_ns)

    @property
    def identities(self) -> list[str]:
        return [event.identity for event in self.events if isinstance(event, Identified)]


def test_the_registers_of_its_identity_are_asked_once() -> None:
    line = Line()
    line.run(30)
    assert line.identities == ["senseair_s8 unit=254 type_id_low=375 serial_number=70000000"]
    assert (line.asked.count(SERIAL), line.asked.count(TYPE)) == (1, 1)
    assert line.asked.count(VALUES) > 5


def test_an_answer_about_its_identity_that_was_lost_is_asked_for_again() -> None:
    line = Line()
    del line.answers[SERIAL]
    while not line.identities:
        line.run(0.05)
    assert line.identities == ["senseair_s8 unit=254 type_id_low=375"]
    line.answers = dict(ANSWERS)
    line.run(30)
    assert line.identities[1:] == ["senseair_s8 unit=254 type_id_low=375 serial_number=70000000"]
    asked = line.asked.count(SERIAL)
    assert 2 <= asked <= 3
    line.run(30)
    assert line.asked.count(SERIAL) == asked


@pytest.mark.parametrize("answer", [b"", REFUSAL])
def test_a_unit_that_does_not_tell_its_number_is_asked_a_few_times_and_read_all_the_same(answer: bytes) -> None:
    line = Line()
    line.answers[SERIAL] = answer
    line.run(60)
    assert line.identities == ["senseair_s8 unit=254 type_id_low=375"]
    asked = line.asked.count(SERIAL)
    assert 3 <= asked <= 4
    line.run(60)
    assert line.asked.count(SERIAL) == asked
    assert len([event for event in line.events if isinstance(event, Reading)]) > 10
