import random

import pytest

from drivers.bus import Bus
from drivers.driver import Ask, Event, Identified, OptionValue, Problem, Send
from drivers.errors import OptionError
from drivers.framing import Dropped
from drivers.io.simulators import simulator
from drivers.reading import Reading
from drivers.serial.cctalk import INFO, CcTalk, decode, make
from drivers.serial.cctalk_frames import Messages, message, read
from drivers.sharing import attached, clashes

S = 1_000_000_000
READ_ONLY = {244, 242, 232, 229, 159, 226, 225, 194, 193}


def _values(events: list[Event]) -> dict[str, object]:
    return {event.channel: event.value for event in events if isinstance(event, Reading)}


def _decoded(frame: bytes, **options: OptionValue) -> dict[str, object]:
    return {one.channel: one.value for one in decode("cctalk", options, [frame]).readings}


def _reply(data: bytes, *, source: int = 2, header: int = 0, crc: bool = False) -> bytes:
    return message(1, header, data, source=source, crc=crc)


def _answer(driver: CcTalk, header: int, data: bytes) -> list[Event] | None:
    driver._misses, driver._told = {}, set()
    question = next(one for one in driver._questions if one.request[3] == header)
    verdict = driver._match(question, data, 5)
    return None if verdict is None else list(verdict.events)


def test_messages_are_framed_as_the_specification_shows() -> None:
    """Generic specification 4.6, part 1: simple poll of unit 2; part 3: the same to unit 40 with a CRC."""
    assert message(2, 254).hex() == "020001feff"
    assert read(bytes.fromhex("020001feff"), crc=False) is not None
    assert read(message(40, 254, crc=True), crc=True) is not None
    assert read(bytes.fromhex("020001fefe"), crc=False) is None


def test_the_simulated_acceptor_is_read_through_its_echo() -> None:
    unit, bus = simulator("cctalk"), Bus([make("cctalk", "c", {}, None)])
    events: list[Event] = []
    coming = bus.start(0)
    for step in range(200):
        for event in coming:
            if isinstance(event, Send):
                coming += [
                    one for reply in unit.receive(event.data, step) for one in bus.receive(reply, step * S // 10)
                ]
            else:
                events.append(event)
        coming = bus.tick(step * S // 10)
    assert events[0] == Identified(sensor="c", identity="SIM serial=700001")
    values = _values(events)
    assert values.keys() == {channel.name for channel in INFO.channels}
    assert values["fault"] == 0


def test_counters_are_three_bytes_low_byte_first() -> None:
    driver = make("cctalk", "c", {}, None)
    for header, name in {226: "inserted", 225: "accepted", 194: "rejected", 193: "fraud_attempts"}.items():
        events = _answer(driver, header, _reply(b"\x01\x02\x03"))
        assert events is not None
        assert _values(events) == {name: 0x030201}


def test_a_fault_is_a_value_and_a_problem_until_it_is_gone() -> None:
    driver = make("cctalk", "c", {}, None)
    events = [*(_answer(driver, 232, _reply(b"\x08\x02")) or ()), *(_answer(driver, 232, _reply(b"\0")) or ())]
    assert [(one.code, one.detail, one.ok) for one in events if isinstance(one, Problem)] == [
        ("device_error", "sorter exit sensors (2)", False),
        ("device_error", "", True),
    ]
    assert [one.value for one in events if isinstance(one, Reading)] == [8, 0]
    assert "fault 200" in decode("cctalk", {}, [_reply(b"\xc8")]).reasons[0]


def test_an_event_counter_does_not_end_a_fault() -> None:
    driver = make("cctalk", "c", {}, None)
    _answer(driver, 232, _reply(b"\x03"))
    events = _answer(driver, 229, _reply(b"\x07" + bytes(10)))
    assert events is not None
    assert [one for one in events if isinstance(one, Problem)] == []
    assert _values(events) == {"event_counter": 7}


def test_the_echo_another_unit_and_a_reply_of_another_length_are_no_answer() -> None:
    driver = make("cctalk", "c", {}, None)
    assert _answer(driver, 226, message(2, 226)) is None
    assert _answer(driver, 226, message(2, 226) + _reply(b"\1\2\3", source=3)) is None
    assert _answer(driver, 226, message(2, 226) + _reply(b"\1\2")) is None
    assert _answer(driver, 226, message(3, 0, b"\1\2\3", source=2)) is None
    assert _answer(driver, 226, message(2, 226) + _reply(b"\1\2\3")[:-1]) is None
    events = _answer(driver, 226, b"\x01\x20junk" + message(2, 226)[1:] + b"\x01" + _reply(b"\1\2\3"))
    assert events is not None
    assert _values(events) == {"inserted": 0x030201}


@pytest.mark.parametrize(("header", "word"), [(5, "NAK"), (6, "busy")])
def test_a_refusal_is_an_answer_without_values(header: int, word: str) -> None:
    events = _answer(make("cctalk", "c", {}, None), 226, _reply(b"", header=header))
    assert events is not None
    assert _values(events) == {}
    assert word in ("NAK", "busy")


def test_a_unit_with_crc_is_read_and_the_sum_variant_is_not_taken_for_it() -> None:
    driver = make("cctalk", "c", {"checksum": "crc", "unit": 40, "events": "bill"}, None)
    assert driver.address == 40
    events = _answer(driver, 159, _reply(b"\x09" + bytes(10), crc=True))
    assert events is not None
    assert _values(events) == {"event_counter": 9}
    assert _answer(driver, 159, _reply(b"\x09" + bytes(10), source=40)) is None


def test_lone_replies_are_read_by_their_length_or_by_the_header_that_is_named() -> None:
    assert _decoded(_reply(b"\0")) == {"fault": 0}
    assert _decoded(_reply(b"\x05", crc=True)) == {"fault": 5}
    assert _decoded(_reply(b"\xff" + bytes(10))) == {"event_counter": 255}
    assert _decoded(_reply(b"\1\0\0"), request="226") == {"inserted": 1}
    assert _decoded(_reply(b"\1\0\0")) == {}
    assert _decoded(_reply(b"\1\0"), request="226") == {}
    assert _decoded(message(2, 225) + _reply(b"\1\0\0")) == {"accepted": 1}
    assert _decoded(message(2, 245) + _reply(b"\5")) == {}  # the equipment category is no fault
    assert _decoded(message(2, 245) + _reply(b"Coin") + _reply(b"\5")) == {"fault": 5}
    assert _decoded(_reply(b"\x05", crc=True), checksum="sum") == {}
    with pytest.raises(OptionError, match="no header"):
        decode("cctalk", {"request": "x"}, [])


@pytest.mark.parametrize("raw", ["020001feff", "0200", "", "020001fefe", "0202e7000100"])
def test_a_request_and_broken_messages_are_no_reading(raw: str) -> None:
    assert _decoded(bytes.fromhex(raw)) == {}


def test_no_single_flipped_bit_makes_another_reading() -> None:
    for good in (_reply(b"\x03"), _reply(b"\x07" + bytes(10))):
        for bit in range(len(good) * 8):
            damaged = bytearray(good)
            damaged[bit // 8] ^= 1 << bit % 8
            assert _decoded(bytes(damaged)) == {}


def test_only_reading_headers_are_ever_asked() -> None:
    for events in ("coin", "bill"):
        driver = make("cctalk", "c", {"events": events}, None)
        asked = [event.transaction.request for event in driver.start(0) if isinstance(event, Ask)]
        assert {request[3] for request in asked} < READ_ONLY
        assert all(request[1] == 0 for request in asked)


def test_counters_are_asked_seldom_and_the_fault_each_time() -> None:
    driver = make("cctalk", "c", {}, None)
    driver.start(0)
    driver.tick(5 * S)
    asked = [event.transaction.request[3] for event in driver.tick(10 * S) if isinstance(event, Ask)]
    assert asked == [232, 229]


def test_two_units_with_one_address_cannot_share_a_line() -> None:
    first, second = attached("a", INFO, {}), attached("b", INFO, {"unit": 40})
    assert clashes([first, second]) is None
    assert "both" in (clashes([first, attached("c", INFO, {})]) or "")


def test_the_codec_keeps_half_a_reply_and_gives_it_up_when_told() -> None:
    codec = Messages(2, crc=False)
    whole = _reply(b"\x07")
    assert codec.feed(b"\xff" + whole + whole[:3]) == [Dropped(reason="noise", raw=b"\xff", count=1), whole]
    assert codec.held == 3
    assert [piece.count for piece in codec.rest()] == [3]
    assert codec.rest() == []
    driver = make("cctalk", "c", {}, None)
    driver.start(0)
    assert driver.lost(1) == []
    assert driver.deadline() is None


def test_babble_raises_nothing() -> None:
    chance = random.Random(2)  # noqa: S311 - noise, no secret
    driver = make("cctalk", "c", {}, None)
    for _ in range(200):
        _answer(driver, 232, chance.randbytes(300))
        decode("cctalk", {}, [chance.randbytes(60)])
