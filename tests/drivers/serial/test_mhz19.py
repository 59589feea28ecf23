import pytest

from drivers.bus import Bus
from drivers.driver import Event, OptionValue, Problem, Send
from drivers.errors import OptionError
from drivers.reading import Reading
from drivers.serial.mhz19 import decode, make, sealed

S = 1_000_000_000
READ = bytes.fromhex("ff0186000000000079")
ABC = bytes.fromhex("ff017d000000000082")


def _frame(ppm: int, byte4: int = 0x42) -> bytes:
    return sealed(b"\xff\x86" + ppm.to_bytes(2, "big") + bytes((byte4, 0, 0, 0)))


def _flags(ppm: int, options: dict[str, OptionValue] | None = None) -> list[str]:
    (co2, _) = decode("mhz19b", options or {}, [_frame(ppm)]).readings
    assert (co2.channel, co2.value, co2.unit) == ("co2", ppm, "ppm")
    return sorted(map(str, co2.quality))


def _answered(*frames: bytes, options: dict[str, OptionValue] | None = None, abc: bytes = b"") -> list[Event]:
    """What a driver says of answers to its question, one poll after the other."""
    bus = Bus([make("mhz19b", "air", options or {}, 5.0)])
    coming = list(frames)
    events = bus.start(0)
    now_ns = 0
    while coming:
        asked = events[-1].data if events and isinstance(events[-1], Send) else b""
        reply = coming.pop(0) if asked == READ else abc if asked == ABC else b""
        events += bus.receive(reply, now_ns) if reply else []
        now_ns += S
        events += bus.tick(now_ns) if coming else []
    return events


def _co2(events: list[Event]) -> list[tuple[object, list[str]]]:
    return [
        (event.value, sorted(map(str, event.quality)))
        for event in events
        if isinstance(event, Reading) and event.channel == "co2"
    ]


@pytest.mark.parametrize(
    ("ppm", "flags"),
    [
        (636, []),
        (350, []),
        (349, ["out_of_range"]),
        (120, ["out_of_range"]),
        (4999, []),
        (400, ["warming_up"]),
        (410, ["warming_up"]),
        (5000, ["saturated", "warming_up"]),
        (5001, ["saturated"]),
    ],
)
def test_values_that_air_does_not_have_are_flagged(ppm: int, flags: list[str]) -> None:
    assert _flags(ppm) == flags


def test_the_top_of_the_range_is_what_the_unit_is_set_to() -> None:
    assert _flags(2000, {"range": "2000 ppm"}) == ["saturated"]
    assert _flags(1999, {"range": "2000 ppm"}) == []
    assert _flags(5000, {"range": "10000 ppm"}) == ["warming_up"]
    with pytest.raises(OptionError, match="range"):
        make("mhz19b", "air", {"range": "500 ppm"}, None)


def test_an_answer_of_zeros_is_a_unit_that_warms_up() -> None:
    decoded = decode("mhz19b", {}, [sealed(b"\xff\x86" + bytes(6))])
    assert decoded.readings == ()
    assert "warming up" in decoded.reasons[0]
    zeros, abc = sealed(b"\xff\x86" + bytes(6)), sealed(bytes.fromhex("ff7d000000000001"))
    problems = [event for event in _answered(zeros, zeros, _frame(600), abc=abc) if isinstance(event, Problem)]
    assert [(event.code, event.ok) for event in problems] == [("warming_up", False), ("warming_up", True)]


@pytest.mark.parametrize("command", [0x79, 0x84, 0x99, 0xA0])
def test_replies_to_commands_of_others_say_nothing_and_hide_nothing(command: int) -> None:
    """ESPEasy P049: 99h is answered by a frame of its own; commands as WifWaf/MH-Z19 lists them."""
    other = sealed(bytes((0xFF, command, 1, 0, 0, 0, 0, 0)))
    assert decode("mhz19b", {}, [other]).readings == ()
    assert f"reply to command {command:02x}" in decode("mhz19b", {}, [other]).reasons[0]
    assert _co2(_answered(other + _frame(600))) == [(600, [])]


def test_the_value_before_it_is_cut_to_the_range_is_understood_and_not_asked() -> None:
    """WifWaf/MH-Z19, src/MHZ19.cpp, getCO2: command 133 (85h), bytes 4 and 5."""
    unlimited = sealed(bytes.fromhex("ff850afb027b0000"))
    (reading,) = decode("mhz19b", {}, [unlimited]).readings
    assert (reading.channel, reading.value, reading.unit, reading.quality) == ("co2", 635, "ppm", frozenset())
    beyond = sealed(bytes.fromhex("ff850afb15e00000"))
    assert [str(flag) for flag in decode("mhz19b", {}, [beyond]).readings[0].quality] == ["out_of_range"]
    assert _co2(_answered(unlimited + _frame(600))) == [(600, [])]


def test_the_mark_of_a_boot_is_doubted_whatever_the_value() -> None:
    """ESPEasy P049: the last two bytes say 15000 during a boot and only then."""
    booting = sealed(bytes.fromhex("ff8601c242403a98"))
    (reading, _) = decode("mhz19b", {}, [booting]).readings
    assert (reading.value, [str(flag) for flag in reading.quality]) == (450, ["warming_up"])


def test_boot_values_are_doubted_until_it_measures_and_again_when_they_come_out_of_the_blue() -> None:
    frames = [_frame(ppm) for ppm in (410, 410, 620, 640, 400, 400, 630, 440, 410, 400)]
    doubted = [value for value, flags in _co2(_answered(*frames)) if "warming_up" in flags]
    assert doubted == [410, 410, 400, 400]
    assert [value for value, _ in _co2(_answered(*frames))] == [410, 410, 620, 640, 400, 400, 630, 440, 410, 400]


def test_the_two_questions_are_all_it_ever_writes() -> None:
    frames = [_frame(500 + step % 9) for step in range(1500)]
    events = _answered(*frames, abc=sealed(bytes.fromhex("ff7d000000000000")))
    asked = [event.data for event in events if isinstance(event, Send)]
    assert set(asked) == {READ, ABC}
    assert asked.count(READ) == 1500
    assert asked.count(ABC) == 6  # at the start, then each hour, and once more to be sure
    assert [event.value for event in events if isinstance(event, Reading) and event.channel == "abc"] == [False] * 6


def test_a_unit_that_does_not_know_the_second_question_is_read_all_the_same() -> None:
    events = _answered(*[_frame(600)] * 40)
    assert len(_co2(events)) == 40
    assert not any(isinstance(event, Problem) for event in events)


def test_the_answer_to_the_other_question_is_not_taken_for_the_value() -> None:
    late = sealed(bytes.fromhex("ff7d025800000001"))
    assert _co2(_answered(late + _frame(600))) == [(600, [])]


def test_the_undocumented_temperature_is_delivered_on_demand_only() -> None:
    assert [one.name for one in make("mhz19b", "air", {}, None).info.channels] == ["co2", "abc"]
    on_demand = _answered(_frame(600), options={"temperature": True})
    assert [event.value for event in on_demand if isinstance(event, Reading)] == [600, 26]
    assert len([event for event in _answered(_frame(600)) if isinstance(event, Reading)]) == 1
    assert len(decode("mhz19", {}, [_frame(600, byte4=0)]).readings) == 1


def test_a_wrong_checksum_is_named_and_a_pace_beyond_the_unit_refused() -> None:
    assert "checksum: expected ba, got bb" in decode("mhz19b", {}, [bytes.fromhex("ff86027c42000000bb")]).reasons[0]
    with pytest.raises(OptionError, match="too fast"):
        make("mhz19b", "air", {}, 1.0)
