import pytest

from drivers.driver import Event, Identified, Problem, Rejected
from drivers.errors import OptionError
from drivers.reading import Reading
from drivers.serial.plantower import INFO, decode, info_of, make
from drivers.serial.stream import Stream

S = 1_000_000_000
COUNTS = (210, 70, 45, 30, 4, 1)


def _frame(*words: int) -> bytes:
    """Derived from appendix I: mark, length of the rest, words, sum of all before it."""
    body = b"\x42\x4d" + (2 * len(words) + 2).to_bytes(2, "big")
    body += b"".join((word & 0xFFFF).to_bytes(2, "big") for word in words)
    return body + (sum(body) & 0xFFFF).to_bytes(2, "big")


def _plain(fine: int = 8, counts: tuple[int, ...] = COUNTS, error: int = 0) -> bytes:
    return _frame(5, fine, fine, 4, fine, fine + 1, *counts, 0x9700 | error)


def _air(name: str = "pms5003") -> Stream:
    return make(name, "air", {}, None)


def _values(events: list[Event]) -> dict[str, object]:
    return {event.channel: event.value for event in events if isinstance(event, Reading)}


def _flags(name: str, frame: bytes) -> dict[str, list[str]]:
    return {one.channel: sorted(map(str, one.quality)) for one in decode(name, {}, [frame]).readings}


@pytest.mark.parametrize("name", ["plantower", "pms1003", "pms5003", "pms7003", "pmsa003"])
def test_the_words_for_air_are_the_masses_and_those_for_the_factory_have_names_of_their_own(name: str) -> None:
    found = {one.channel: (one.value, one.unit) for one in decode(name, {}, [_plain(300)]).readings}
    assert (found["pm2_5"], found["pm10"], found["pm1"]) == ((300, "ug/m3"), (301, "ug/m3"), (4, "ug/m3"))
    assert (found["pm1_cf1"], found["n0_3"], found["n10"]) == ((5, "ug/m3"), (210, "{#}/dL"), (1, "{#}/dL"))


def test_an_acknowledgement_is_taken_whole_and_the_frame_behind_it_is_read() -> None:
    acknowledgement = bytes.fromhex("424d0004e4000177")
    events = _air().receive(acknowledgement + _plain(9) + acknowledgement + _plain(9), S)
    assert _values(events)["pm2_5"] == 9
    assert not any(isinstance(event, Rejected) for event in events)


@pytest.mark.parametrize("error", [0, 8])
def test_frames_after_a_wake_up_have_masses_but_no_particle_and_are_no_measurement(error: int) -> None:
    flags = _flags("pms5003", _plain(4, (0,) * 6, error))
    assert set(map(tuple, flags.values())) == {("warming_up",)}


def test_an_error_code_is_told_once_and_makes_the_values_doubtful() -> None:
    air = _air()
    events = [event for error in (0, 3, 3, 0) for event in air.receive(_plain(error=error), S)]
    problems = [(event.code, event.ok) for event in events if isinstance(event, Problem)]
    assert problems == [("device_error", False), ("device_error", True)]
    flags = _flags("pms5003", _plain(error=3))
    assert flags["pm2_5"] == ["device_error"]
    assert flags["error_code"] == []


def test_a_t_model_has_temperature_and_humidity_where_others_count_large_particles() -> None:
    frame = _frame(5, 8, 8, 4, 8, 9, 210, 70, 45, 30, -53, 612, 0x9A00)
    found = {one.channel: (one.value, one.unit) for one in decode("pms5003t", {}, [frame]).readings}
    assert (found["temperature"], found["humidity"]) == ((-5.3, "Cel"), (61.2, "%RH"))
    assert "n5_0" not in found


def test_an_st_frame_is_longer_and_has_formaldehyde_too() -> None:
    frame = _frame(5, 8, 8, 4, 8, 9, *COUNTS, 12, 253, 612, 0, 0x9100)
    assert len(frame) == 40
    found = {one.channel: one.value for one in decode("pms5003st", {}, [frame]).readings}
    assert (found["formaldehyde"], found["temperature"], found["humidity"]) == (12, 25.3, 61.2)
    plain = {one.channel: one.value for one in decode("pms5003s", {}, [_frame(5, 8, 8, 4, 8, 9, *COUNTS, 12)]).readings}
    assert plain["formaldehyde"] == 12
    assert "error_code" not in plain


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("pms5003", "424d001c000000000000000000000000000000000000000000000000000000ab"),
        ("pms3003", "424d001400000000000000000000000000000000000000a3"),
    ],
)
def test_an_empty_frame_is_a_unit_that_warms_up(name: str, frame: str) -> None:
    """avaldebe/PyPMS, tests/sensors/test_message.py, "empty message"."""
    decoded = decode(name, {}, [bytes.fromhex(frame)])
    assert decoded.readings == ()
    assert "warming up" in decoded.reasons[0]


@pytest.mark.parametrize("name", ["plantower", "pms5003", "pmsx003", "pms2003"])
def test_the_short_frame_is_taken_by_whom_no_longer_model_was_named(name: str) -> None:
    frame = _frame(31, 40, 48, 26, 36, 47, 0, 0, 0x54)
    assert {one.channel: one.value for one in decode(name, {}, [frame]).readings}["pm2_5"] == 36
    assert decode("pms5003t", {}, [frame]).readings == ()


def test_the_old_pms3003_has_masses_only() -> None:
    found = [one.channel for one in decode("pms3003", {}, [_frame(5, 8, 8, 4, 8, 9, 0, 0, 0x51)]).readings]
    assert found == ["pm1_cf1", "pm2_5_cf1", "pm10_cf1", "pm1", "pm2_5", "pm10"]


def test_a_frame_of_another_model_is_told() -> None:
    as_t = _frame(5, 8, 8, 4, 8, 9, 210, 70, 45, 12, 253, 612, 0x9A00)
    events = _air("pms5003").receive(as_t, S)
    (problem,) = (event for event in events if isinstance(event, Problem))
    assert (problem.code, "pms5003t" in problem.detail) == ("wrong_model", True)
    longer = _frame(5, 8, 8, 4, 8, 9, *COUNTS, 12, 253, 612, 0, 0x9100)
    air = _air("pms5003")
    events = [event for _ in range(40) for event in air.receive(longer, S)]
    (problem,) = (event for event in events if isinstance(event, Problem))
    assert (problem.code, "T, S and ST" in problem.detail) == ("no_frames", True)


def test_a_damaged_frame_costs_itself_only_and_a_good_one_inside_it_is_found() -> None:
    air = _air()
    cut = _plain(7)[:20]
    assert _values(air.receive(cut + _plain(9) + _plain(10), S))["pm2_5"] == 9
    damaged = bytearray(_plain(7))
    damaged[13] ^= 1
    decoded = decode("pms5003", {}, [bytes(damaged)])
    assert decoded.readings == ()
    assert decoded.reasons[0].startswith("checksum: expected")
    assert "incomplete: 20 of 32 bytes" in decode("pms5003", {}, [cut]).reasons[0]
    assert "incomplete: 1 of 32 bytes" in decode("pms5003", {}, [b"\x42"]).reasons[0]


def test_the_unit_says_its_firmware_version() -> None:
    events = _air().receive(_plain() + _plain(), S)
    assert [event.identity for event in events if isinstance(event, Identified)] == ["plantower 97"]


def test_every_model_says_which_channels_it_has_and_takes_no_options() -> None:
    for model in INFO.models:
        channels = [channel.name for channel in info_of(model).channels]
        assert channels[3:6] == ["pm1", "pm2_5", "pm10"]
        assert len(set(channels)) == len(channels)
    with pytest.raises(OptionError, match="takes: none"):
        make("pms5003", "air", {"unit": 1}, None)
