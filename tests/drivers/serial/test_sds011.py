import pytest

from drivers.driver import Event, Identified, Problem, Rejected
from drivers.errors import OptionError
from drivers.framing import sum8
from drivers.reading import Reading
from drivers.serial.sds011 import decode, make
from drivers.serial.stream import Stream

S = 1_000_000_000


def _air(every_s: float | None = None) -> Stream:
    return make("sds011", "air", {}, every_s)


def _frame(fine: int, coarse: int, kind: int = 0xC0, tail: int = 0xAB) -> bytes:
    """Derived from the protocol description, data frame."""
    body = fine.to_bytes(2, "little") + coarse.to_bytes(2, "little") + b"\xbc\xf9"
    return bytes((0xAA, kind)) + body + bytes((sum8(body), tail))


def _values(events: list[Event]) -> list[tuple[str, object]]:
    return [(event.channel, event.value) for event in events if isinstance(event, Reading)]


@pytest.mark.parametrize(("raw", "value"), [(0, 0.0), (1, 0.1), (3, 0.3), (256, 25.6), (9999, 999.9), (0xFFFF, 6553.5)])
def test_tenths_are_little_endian(raw: int, value: float) -> None:
    assert _values(_air().receive(_frame(raw, 7), S)) == [("pm2_5", value), ("pm10", 0.7)]


def test_replies_to_commands_are_taken_and_say_nothing() -> None:
    events = _air().receive(_frame(257, 1, kind=0xC5) + _frame(80, 90), S)
    assert _values(events) == [("pm2_5", 8.0), ("pm10", 9.0)]
    assert not any(isinstance(event, Rejected) for event in events)
    assert decode("sds011", {}, [_frame(257, 1, kind=0xC5)]).reasons == ("reply to a command, no measurement",)


def test_an_empty_frame_is_a_unit_that_warms_up() -> None:
    """avaldebe/PyPMS, tests/sensors/test_message.py, "SDS01x empty message"."""
    decoded = decode("sds011", {}, [bytes.fromhex("aac000000000000000ab")])
    assert decoded.readings == ()
    assert "warming up" in decoded.reasons[0]


def test_the_sds198_has_one_value_in_whole_micrograms() -> None:
    decoded = decode("sds198", {}, [bytes.fromhex("aacf0c001600e90510ab")])
    assert [(one.channel, one.value, one.unit) for one in decoded.readings] == [("pm100", 22, "ug/m3")]
    assert decode("sds011", {}, [bytes.fromhex("aacf0c001600e90510ab")]).readings == ()
    assert [channel.name for channel in make("sds198", "air", {}, None).info.channels] == ["pm100"]


def test_a_wrong_tail_and_a_wrong_sum_are_named() -> None:
    assert decode("sds011", {}, [_frame(1, 2, tail=0xAC)]).reasons[0].startswith("tail: expected ab, got ac")
    bad = _frame(1, 2)[:8] + b"\x00\xab"
    assert "checksum: expected b8, got 00" in decode("sds011", {}, [bad]).reasons[0]
    assert "incomplete: 4 of 10 bytes" in decode("sds011", {}, [_frame(1, 2)[:4]]).reasons[0]


def test_values_beyond_the_range_are_flagged_when_decoded_by_hand() -> None:
    assert [str(flag) for flag in decode("sds011", {}, [_frame(0xFFFF, 7)]).readings[0].quality] == ["out_of_range"]


def test_the_unit_says_who_it_is_once_and_again_when_it_is_another() -> None:
    air = _air()
    first = air.receive(_frame(1, 2) + _frame(1, 2), S)
    assert [event.identity for event in first if isinstance(event, Identified)] == ["sds011 bcf9"]
    other = bytearray(_frame(1, 2))
    other[6], other[8] = other[6] + 1, other[8] + 1
    assert [event.identity for event in air.receive(bytes(other), S) if isinstance(event, Identified)] == [
        "sds011 bdf9"
    ]


def test_values_are_kept_at_the_pace_asked_for_whatever_the_jitter() -> None:
    second, tenth = _air(1.0), _air(10.0)
    kept = kept_slow = 0
    for step in range(100):
        now_ns = step * S + (step % 7 - 3) * 20_000_000 + S
        kept += bool(_values(second.receive(_frame(step, step), now_ns)))
        kept_slow += bool(_values(tenth.receive(_frame(step, step), now_ns)))
    assert kept == 100
    assert 10 <= kept_slow <= 11


def test_bytes_that_never_make_a_frame_are_a_problem_until_one_does() -> None:
    air = _air()
    events = [event for _ in range(100) for event in air.receive(b"\x81" * 64, S)]
    assert [(event.code, event.ok) for event in events if isinstance(event, Problem)] == [("no_frames", False)]
    events = air.receive(_frame(1, 2), S)
    assert [(event.code, event.ok) for event in events if isinstance(event, Problem)] == [("no_frames", True)]


def test_losing_the_port_forgets_half_a_frame() -> None:
    air = _air()
    air.receive(_frame(1, 2)[:6], S)
    air.lost(S)
    assert air.held == 0
    assert _values(air.receive(_frame(1, 2)[6:], S)) == []
    assert air.start(S) == []
    assert air.deadline() is None


def test_it_takes_no_options() -> None:
    with pytest.raises(OptionError, match="takes: none"):
        make("sds011", "air", {"unit": 1}, None)
