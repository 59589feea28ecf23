import random

import pytest

from drivers.driver import Event, OptionValue, Problem, Send
from drivers.errors import OptionError
from drivers.framing import sum8
from drivers.reading import Reading
from drivers.serial.ultrasonic import INFO, decode, info_of, make

S = 1_000_000_000


def _frame(count: int) -> bytes:
    """Derived from the output form in the vendor's wiki."""
    body = b"\xff" + count.to_bytes(2, "big")
    return body + bytes((sum8(body),))


def _said(name: str, count: int, options: dict[str, OptionValue] | None = None) -> list[tuple[str, object, list[str]]]:
    readings = decode(name, options or {}, [_frame(count)]).readings
    return [(one.channel, one.value, sorted(map(str, one.quality))) for one in readings]


@pytest.mark.parametrize(
    ("name", "count", "flags"),
    [
        ("a02yyuw", 31, []),
        ("a02yyuw", 30, ["no_target"]),
        ("a02yyuw", 4500, []),
        ("a02yyuw", 4501, ["no_target"]),
        ("a01nyub", 281, []),
        ("a01nyub", 280, ["no_target"]),
        ("a01nyub", 7500, []),
        ("a01nyub", 7501, ["no_target"]),
        ("me007ys", 4600, ["no_target"]),
        ("jsn_sr04t", 200, ["no_target"]),
        ("ultrasonic", 7400, []),
    ],
)
def test_a_value_in_the_blind_zone_or_out_of_reach_is_kept_with_a_flag(name: str, count: int, flags: list[str]) -> None:
    assert _said(name, count) == [("distance", count / 1000, flags)]


@pytest.mark.parametrize("count", [0, 0xFFFD, 0xFFFE])
def test_a_frame_without_a_target_is_no_distance_at_all(count: int) -> None:
    decoded = decode("a02yyuw", {"mount_height": "4 m"}, [_frame(count)])
    assert decoded.readings == ()
    assert decoded.reasons[0].startswith("no target")


def test_a_missing_target_is_one_problem_until_a_target_is_back() -> None:
    water = make("a02yyuw", "water", {}, 0.1)
    events: list[Event] = []
    for step, count in enumerate([1000, 0, 0, 0xFFFD, 1000, 1000]):
        events += water.receive(_frame(count), S + step * S)
    assert [(event.code, event.ok) for event in events if isinstance(event, Problem)] == [
        ("no_target", False),
        ("no_target", True),
    ]
    assert [event.value for event in events if isinstance(event, Reading)] == [1.0, 1.0, 1.0]


def test_the_level_is_the_height_minus_the_distance_and_both_are_kept() -> None:
    assert _said("a02yyuw", 1953, {"mount_height": "4.20 m"}) == [("distance", 1.953, []), ("level", 2.247, [])]
    assert _said("a02yyuw", 25, {"mount_height": "420 cm"}) == [
        ("distance", 0.025, ["no_target"]),
        ("level", 4.175, ["no_target"]),
    ]


def test_without_a_height_there_is_no_level_channel() -> None:
    assert [channel.name for channel in make("a02", "w", {}, None).info.channels] == ["distance"]
    with_height = make("a02", "w", {"mount_height": "3 m"}, None)
    assert [channel.name for channel in with_height.info.channels] == ["distance", "level"]


def test_options_move_the_limits_and_change_the_count() -> None:
    assert _said("a02yyuw", 100, {"blind_zone": "15 cm"})[0][2] == ["no_target"]
    assert _said("a02yyuw", 6000, {"reach": "7 m"})[0][2] == []
    assert _said("a02yyuw", 195, {"counts": "cm"})[0][1] == 1.95


def test_every_model_has_its_own_range() -> None:
    for model in INFO.models:
        low, high = info_of(model).channels[0].low, info_of(model).channels[0].high
        assert low is not None
        assert high is not None
        assert 0.03 <= low < high <= 7.5
    assert info_of("a01nyub").channels[0].low == 0.28


def test_marks_in_data_and_sum_do_not_lose_the_frame() -> None:
    for count in (0x00FF, 0x0FFF, 0x0100, 0x01FF, 0x0B00):
        body = _frame(count)
        assert _said("ultrasonic", count)[0][1] == count / 1000
        assert [one.value for one in decode("ultrasonic", {}, [b"\xff\xff" + body]).readings] == [count / 1000]


def test_a_distance_no_unit_can_measure_is_a_frame_read_from_a_wrong_byte() -> None:
    assert decode("ultrasonic", {}, [_frame(0xFF01)]).reasons[0].startswith("implausible: 65281")


def test_noise_makes_hardly_any_false_frame_per_megabyte() -> None:
    noise = random.Random(5).randbytes(1_000_000)  # noqa: S311 - noise, no secret
    water = make("a02yyuw", "water", {}, 0.1)
    false = 0
    for step in range(0, len(noise), 4096):
        found = water.receive(noise[step : step + 4096], step * S)
        false += sum(isinstance(event, Reading) for event in found)
        assert water.held <= 128
    assert false <= 40


def test_the_sen0627_counts_centimetres_and_is_asked_at_most_each_two_and_a_half_seconds() -> None:
    """DFRobot wiki SEN0627: 417 cm; T1 of its timing diagram is over 2.5 s."""
    decoded = decode("dfrobot_sen0627", {}, [bytes.fromhex("ff01a1a1")])
    assert [(one.channel, one.value) for one in decoded.readings] == [("distance", 4.17)]
    driver = make("sen0627", "d", {}, None)
    assert driver.start(0) == [Send(data=b"\x55")]
    assert driver.info.every_s >= 2.5
    with pytest.raises(OptionError, match="too fast"):
        make("sen0627", "d", {}, 1.0)
    assert make("sen0627", "d", {"trigger": False}, None).start(0) == []
    assert make("a02yyuw", "d", {"counts": "cm"}, 0.5).start(0) == []


def test_the_aj_sr04m_leaves_the_head_out_of_its_sum() -> None:
    """esphome jsn_sr04t, model AJ_SR04M."""
    frame = bytes.fromhex("ff07a1a8")
    (reading,) = decode("aj_sr04m", {}, [frame]).readings
    assert (reading.value, reading.unit) == (1.953, "m")
    assert decode("jsn_sr04t", {}, [frame]).readings == ()
    assert decode("aj_sr04m", {}, [bytes.fromhex("ff07a1a7")]).readings == ()


def test_something_at_the_face_and_nothing_in_reach_are_different_troubles() -> None:
    water = make("a02yyuw", "water", {"mount_height": "4.20 m"}, 0.1)
    events: list[Event] = []
    for step, count in enumerate([1000, 25, 25, 5000, 1000]):
        events += water.receive(_frame(count), step * S)
    assert [(event.code, event.ok) for event in events if isinstance(event, Problem)] == [
        ("too_near", False),
        ("too_near", True),
        ("no_target", False),
        ("no_target", True),
    ]
    levels = [event.value for event in events if isinstance(event, Reading) and event.channel == "level"]
    assert levels == [3.2, 4.175, 4.175, -0.8, 3.2]


def test_a_face_without_a_height_gives_a_distance_alone_and_with_one_the_level_has_its_own_range() -> None:
    assert [channel.name for channel in make("a02yyuw", "water", {}, None).info.channels] == ["distance"]
    distance, level = make("a02yyuw", "water", {"mount_height": "4.20 m", "reach": "4 m"}, None).info.channels
    assert (distance.low, distance.high) == (0.03, 4.0)
    assert (level.low, level.high) == (0.2, 4.17)


def test_a_web_is_suspected_after_a_day_of_one_millimetre_and_never_of_one_centimetre() -> None:
    assert [channel.stuck_after_s for channel in info_of("a02yyuw").channels] == [86400.0, 86400.0]
    assert [channel.stuck_after_s for channel in info_of("sen0627").channels] == [None, None]
