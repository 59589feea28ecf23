"""The gate before real drivers, with the units of every family at the other end of the line."""

from collections.abc import Iterator
from itertools import permutations

import pytest

from drivers.bus import Bus
from drivers.driver import Event, Problem, Send
from drivers.io.catalog import registry
from drivers.io.simulators import simulator
from drivers.proof import Gate, Proofs, Unit
from drivers.reading import Quality, Reading
from drivers.serial.cctalk_frames import message
from drivers.serial.rtu import sealed
from tests.drivers.proof_rig import Shelf

S = 1_000_000_000
DRIVERS = registry()
TALKERS = ("sds011", "pms5003", "a02yyuw", "maxbotix_hrxl", "windsonic", "wxt", "nmea")
ASKED = ("mhz19b", "hydreon_rg15", "megatec_q1", "pzem004t", "senseair_s8", "cctalk", "modem_at", "escpos_status")
OTHERS = ("vedirect", "dsmr_p1", "iec62056_21", "sdi12", "voltronic_qpigs")
NAMED = ("sds011", "senseair_s8", "cctalk")


class Numbered:
    """A unit with a serial number of its own."""

    def __init__(self, name: str, number: int) -> None:
        self._unit = simulator(name, seed=number)
        self._replies: dict[bytes, bytes] = {}
        if name == "senseair_s8":
            body = number.to_bytes(4, "big")
            self._replies[sealed(bytes.fromhex("fe04001d0002"))] = sealed(b"\xfe\x04\x04" + body)
        elif name == "cctalk":
            asked = message(2, 242)
            self._replies[asked] = asked + message(1, 0, number.to_bytes(3, "little"), source=2)
        self.line, self.tick, self.deadline = self._unit.line, self._unit.tick, self._unit.deadline

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:
        return [self._replies[data]] if data in self._replies else self._unit.receive(data, now_ns)


class Conversation:
    """One sensor's port on a clock of its own."""

    def __init__(self, driver: str, proofs: Proofs, sensor: str = "s") -> None:
        made = DRIVERS.make(driver, sensor, {})
        self.bus = Bus([made])
        info = made.info
        unit = Unit(
            sensor=sensor,
            driver=info.name,
            confirm=info.confirm if info.integrity != "crc16" else 1,
            shares_bus=info.shares_bus,
            proves=info.proves,
        )
        self.gate = Gate(self.bus, [unit], proofs, frames=lambda: self.bus.counters.frames)
        self.now_ns = 1000 * S

    def with_unit(self, name: str, number: int, seconds: float) -> Iterator[Event]:
        """Open the port while a unit is plugged in, listen to it, lose it."""
        unit = Numbered(name, number)
        end_ns = self.now_ns + round(seconds * S)
        coming = self.gate.start(self.now_ns)
        while self.now_ns < end_ns:
            yield from coming
            spoken = [
                frame for event in coming if isinstance(event, Send) for frame in unit.receive(event.data, self.now_ns)
            ]
            spoken += unit.tick(self.now_ns)
            if spoken:
                coming = self.gate.receive(b"".join(spoken), self.now_ns)
                continue
            dues = [due for due in (unit.deadline(), self.gate.deadline()) if due is not None]
            self.now_ns = max(min(dues, default=end_ns), self.now_ns + 1_000_000)
            coming = self.gate.tick(self.now_ns)
        yield from self.gate.lost(self.now_ns)


def readings(events: list[Event]) -> list[Reading]:
    return [event for event in events if isinstance(event, Reading)]


@pytest.mark.parametrize("name", [*TALKERS, *ASKED, *OTHERS])
def test_the_right_unit_is_believed_after_each_opening_without_a_word(name: str) -> None:
    line = Conversation(name, Proofs(Shelf(), ["s"]))
    for _ in range(3):
        begin_ns = line.now_ns
        events = list(line.with_unit(name, 7, 70))
        flowing = readings(events)
        assert flowing, events
        assert not any(Quality.IDENTITY_CHANGED in reading.quality for reading in flowing)
        assert not [event for event in events if isinstance(event, Problem) and event.code.startswith(("new", "wrong"))]
        assert min(reading.boot_ns for reading in flowing) - begin_ns < 21 * S  # as soon as the unit has spoken


@pytest.mark.parametrize("name", NAMED)
def test_a_unit_with_a_number_is_known_from_another_of_its_kind(name: str) -> None:
    shelf = Shelf()
    proofs = Proofs(shelf, ["one", "two"])
    one, two = Conversation(name, proofs, "one"), Conversation(name, proofs, "two")
    assert readings(list(one.with_unit(name, 1, 30)))
    assert readings(list(two.with_unit(name, 2, 30)))
    assert shelf.pages["one"].identity != shelf.pages["two"].identity
    for line, number in ((one, 2), (two, 1)):
        events = list(line.with_unit(name, number, 60))
        assert readings(events) == []
        assert [event.code for event in events if isinstance(event, Problem)] == ["wrong_unit"]
    events = list(one.with_unit(name, 3, 60))
    assert readings(events)
    assert all(Quality.IDENTITY_CHANGED in reading.quality for reading in readings(events))
    for line, number in ((one, 1), (two, 2)):
        events = list(line.with_unit(name, number, 30))
        assert readings(events)
        assert not any(Quality.IDENTITY_CHANGED in reading.quality for reading in readings(events))


@pytest.mark.parametrize(("driver", "unit"), list(permutations((*TALKERS, *ASKED, *OTHERS), 2)))
def test_a_unit_of_another_family_gives_no_value(driver: str, unit: str) -> None:
    if DRIVERS.info(driver).family == DRIVERS.info(unit).family:
        assert {driver, unit} == {"pzem004t", "senseair_s8"}  # one protocol: only a number of the unit tells
        return
    line = Conversation(driver, Proofs(Shelf(), ["s"]))
    assert readings(list(line.with_unit(unit, 7, 300))) == []


def test_a_modbus_unit_of_another_kind_does_not_pass_for_one_with_a_number() -> None:
    line = Conversation("senseair_s8", Proofs(Shelf(), ["s"]))
    assert readings(list(line.with_unit("senseair_s8", 7, 30)))
    events = list(line.with_unit("pzem004t", 7, 300))
    assert all(Quality.IDENTITY_CHANGED in reading.quality for reading in readings(events))
    assert [event.code for event in events if isinstance(event, Problem)].count("new_unit") == 1
