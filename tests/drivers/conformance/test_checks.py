"""Each check of the kit finds the fault that it is there for."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

import drivers.bus
import drivers.serial.rtu
from drivers.conformance.floods import FLOODS, beginning, flood
from drivers.conformance.kit import KIT, check
from drivers.conformance.strength import GRAMMARS, at_most, believed_per_mb, strength_bits, taken_per_mb
from drivers.conformance.subject import QUICK, Subject, Vector
from drivers.driver import Driver, DriverInfo, Event, Identified, OptionValue, Send
from drivers.framing import FixedFrame
from drivers.reading import Reading
from drivers.serial.stream import Stream
from tests.drivers.conformance.families import DRIVERS, subjects
from tests.drivers.conformance.report import lines, noise_lines, rows

DUST = subjects()["sds011", "sds011"]
MAINS = subjects()["pzem004t", "pzem004t"]
CO2 = subjects()["mhz19", "mhz19b"]


class Gullible:
    """A runtime that doubts nothing and calls nobody stale."""

    def __init__(self, info: DriverInfo) -> None:
        self.info = info

    def judge(self, reading: Reading) -> Reading:
        return reading

    def started(self, sensor: str, now_ns: int) -> None: ...

    def lost(self, sensor: str, now_ns: int) -> None: ...

    def stale(self, now_ns: int) -> list[str]:  # noqa: ARG002 - as its protocol
        return []


class Broken:
    """A good driver behind a fault."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.info = driver.info
        self.sensor = driver.sensor

    def start(self, now_ns: int) -> list[Event]:
        return self.driver.start(now_ns)

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        return self.driver.receive(data, now_ns)

    def tick(self, now_ns: int) -> list[Event]:
        return self.driver.tick(now_ns)

    def deadline(self) -> int | None:
        return self.driver.deadline()

    def lost(self, now_ns: int) -> list[Event]:
        return self.driver.lost(now_ns)


class Forgetful(Broken):
    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        self.driver.lost(now_ns)
        return super().receive(data, now_ns)


class Nervous(Broken):
    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        if 0xEE in data:
            raise ValueError("what is this")
        return super().receive(data, now_ns)


class Timeless(Broken):
    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        return super().receive(data, now_ns % 1000)


class Nameless(Broken):
    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        return [event for event in super().receive(data, now_ns) if not isinstance(event, Identified)]


class Restless(Broken):
    def deadline(self) -> int | None:
        return 1


class Talkative(Broken):
    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        return [*super().receive(data, now_ns), Send(data=b"\xaa\xb4reset")]


class Hoarder(Broken):
    def __init__(self, driver: Driver) -> None:
        super().__init__(driver)
        self.kept: list[bytes] = []

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        self.kept.append(data * 200)
        return super().receive(data, now_ns)


class Credulous(Broken):
    """Finds a value in whatever comes."""

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        events = super().receive(data, now_ns)
        noise = not any(isinstance(event, Reading) for event in events)
        value = Reading(sensor=self.sensor, channel="pm10", value=20.0, unit="ug/m3", boot_ns=now_ns)
        return [*events, value] if noise and len(data) > 10 else events


class Literate(Credulous):
    """Finds a value in whatever can be read."""

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        return super().receive(data, now_ns) if data.isascii() else self.driver.receive(data, now_ns)


class Greedy(Broken):
    """Keeps all that it could not use."""

    held = 0

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        self.held += 10 * len(data)
        return super().receive(data, now_ns)


class Quadratic(Broken):
    """Looks at everything again with each byte that comes."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver)
        self.kept = b""

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        self.kept += data
        sum(self.kept)
        return super().receive(data, now_ns)


class OneChunk(Broken):
    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        return super().receive(data[:10], now_ns)


class Trusting(Broken):
    """Looks at the marks and never at the sum."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver)
        if isinstance(driver, Stream):
            driver._codec = FixedFrame((b"\xaa\xc0",), 10, lambda _: None)


def _with(
    subject: Subject,
    fault: Callable[[Driver], Driver] | None = None,
    *,
    vectors: Sequence[Vector] = (),
    doubter: Callable[[DriverInfo], Gullible] | None = None,
) -> Subject:
    def make(options: Mapping[str, OptionValue]) -> Driver:
        driver = subject.make(options)
        return fault(driver) if fault else driver

    return Subject(
        subject.name,
        make=make,
        decode=subject.decode,
        vectors=vectors or subject.vectors,
        commands=(rb".[\x01-\x04].{6}", rb"\xff\x01[\x86\x7d]\x00{5}."),
        doubter=doubter or subject.doubter,
        refuse=subject.refuse,
        cpu_s=time.process_time,
        scale=replace(QUICK, flips=400),
    )


FAULTS: list[tuple[str, Subject]] = [
    ("K1", _with(DUST, vectors=[replace(DUST.vectors[0], values={"pm2_5": 0.6, "pm10": 0.8}), *DUST.vectors[1:]])),
    ("K2", _with(DUST, Forgetful)),
    ("K3", _with(DUST, OneChunk)),
    ("K4", _with(DUST, OneChunk)),
    ("K5", _with(DUST, Trusting, doubter=Gullible)),
    ("K6", _with(DUST, Trusting)),
    ("K7", _with(DUST, doubter=Gullible)),
    ("K8", _with(DUST, vectors=[*DUST.vectors, replace(DUST.vectors[0], expect="reject", values={})])),
    ("K9", _with(DUST, Nervous)),
    ("K9", _with(DUST, Credulous)),
    ("K9", _with(DUST, Literate, doubter=Gullible)),
    ("K9", _with(DUST, Greedy)),
    ("K9", _with(DUST, Quadratic)),
    ("K12", _with(DUST, Restless)),
    ("K12", _with(MAINS, doubter=Gullible)),
    ("K13", _with(DUST, Timeless)),
    ("K14", _with(CO2, doubter=Gullible)),
    ("K15", _with(DUST, Nameless)),
    ("K16", _with(DUST, Talkative)),
    ("K18", _with(DUST, Hoarder)),
    ("K19", _with(DUST, vectors=DUST.vectors[:1])),
]


@pytest.mark.parametrize(("name", "subject"), FAULTS, ids=[f"{name}-{at}" for at, (name, _) in enumerate(FAULTS)])
def test_a_check_finds_its_fault_and_says_so_in_words(name: str, subject: Subject) -> None:
    result = check(name, subject)
    assert result.outcome == "fail"
    assert len(result.words) > 10


def test_noise_is_of_the_kind_and_size_that_was_asked_for() -> None:
    assert set(FLOODS) == {"random", "babble", "00 and FF", "other frames", "own header"}
    for kind in FLOODS:
        toll = flood(subjects()["sds011", "sds011"], kind, 5000)
        assert toll == flood(subjects()["sds011", "sds011"], kind, 5000)
        assert (toll.size_bytes, toll.believed) == (5000, 0)
    assert beginning([b"\xaa\xc0\x01", b"\xaa\xc0\x02"]) == b"\xaa\xc0"
    assert beginning([b"R12\r"]) == b"R12"
    assert beginning([b"ab", b"cd"]) == b"a"


def test_what_noise_may_do_follows_from_the_bits_that_guard_a_frame() -> None:
    level, mains, printer = (subjects()[name].info() for name in _GUARDED)
    assert taken_per_mb(level) == pytest.approx(1e6 / 2**16)
    assert believed_per_mb(level) == pytest.approx(1e6 / 2**16 * 0.04)
    assert at_most(taken_per_mb(level), 1_000_000) == 26
    assert at_most(taken_per_mb(mains), 3_000_000) == 0
    assert believed_per_mb(printer) == taken_per_mb(printer) == 62_500
    assert {DRIVERS.info(name).family for name in DRIVERS.names()} == set(GRAMMARS)
    assert strength_bits(replace(level, family="added")) == 16  # the weakest that is thought of


_GUARDED = (("ultrasonic", "a02yyuw"), ("modbus", "modbus"), ("escpos", "escpos_status"))


def test_an_answer_of_another_unit_that_is_taken_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers.serial.rtu, "_answers", lambda _, frame: frame.kind == "reply")
    assert check("K10", _with(MAINS)).outcome == "fail"


def test_a_bus_that_never_sets_a_dead_unit_aside_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = _with(MAINS, vectors=[replace(one, options={**one.options, "timeout": "1.2 s"}) for one in MAINS.vectors])
    assert check("K17", slow).outcome == "pass"
    monkeypatch.setattr(drivers.bus, "_SILENT_AFTER", 10**9)
    assert check("K17", slow).outcome == "fail"


def test_the_report_shows_the_worst_of_a_family_and_the_reasons() -> None:
    good, bad = check("K1", DUST), check("K1", FAULTS[0][1])
    table = rows([("dust", good), ("dust", bad), ("mains", check("K11", MAINS))])
    assert table == {"dust": {"K1": "fail"}, "mains": {"K11": "n/a"}}
    full = {"dust": dict.fromkeys(KIT, "pass") | {"K1": "fail"}}
    shown = lines(full, {"K1": {"FAIL words": ["sds011", "sds011"]}})
    assert shown[1].split()[:3] == ["dust", "FAIL", "ok"]
    assert shown[2] == "K1: FAIL words  [sds011]"


def test_the_report_shows_what_noise_may_do_and_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.drivers.conformance.report.MEGABYTE", 20_000)
    head, row = noise_lines([subjects()["ultrasonic", "a02yyuw"]])
    assert head.split()[:5] == ["noise", "bits", "declared", "random", "babble"]
    assert row.split()[:3] == ["ultrasonic", "16", "1/0"]
