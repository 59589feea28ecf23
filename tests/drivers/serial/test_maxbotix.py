import random

import pytest

from drivers.driver import Event, OptionValue, Problem
from drivers.reading import Reading
from drivers.serial.maxbotix import INFO, decode, info_of, make

S = 1_000_000_000
BANNER = b"HRXL-MaxSonar-WRL\rPN:MB7386\rCopyright 2011-2013 MaxBotix Inc.\rRoHS 1.8b090\r0713 TempI\r"


def _said(name: str, line: bytes, options: dict[str, OptionValue] | None = None) -> list[tuple[str, object, list[str]]]:
    readings = decode(name, options or {}, [line]).readings
    return [(one.channel, one.value, sorted(map(str, one.quality))) for one in readings]


def _distances(name: str, stream: bytes) -> list[object]:
    water = make(name, "water", {}, 0.1)
    events: list[Event] = []
    for step in range(len(stream)):  # one byte each second: nothing is thinned
        events += water.receive(stream[step : step + 1], step * S)
    return [event.value for event in events if isinstance(event, Reading)]


@pytest.mark.parametrize(
    ("name", "line", "value", "flags"),
    [
        ("maxbotix_hrxl", b"R1234\r", 1.234, []),
        ("maxbotix_hrxl", b"R0480 \r", 0.48, []),
        ("maxbotix_hrxl", b"R0300\r", 0.3, ["no_target"]),
        ("maxbotix_hrxl", b"R0500\r", 0.5, ["no_target"]),
        ("maxbotix_hrxl", b"R5000\r", 5.0, ["no_target"]),
        ("maxbotix_hrxl", b"R9999\r", 9.999, ["no_target"]),
        ("mb7389", b"R0300\r", 0.3, ["no_target"]),
        ("mb7389", b"R0500\r", 0.5, []),
        ("mb7389", b"R4999\r", 4.999, []),
        ("mb7389", b"R5000\r", 5.0, ["no_target"]),
        ("mb7386", b"R0500\r", 0.5, ["no_target"]),
        ("mb7386", b"R5000\r", 5.0, []),
        ("mb7386", b"R9998\r", 9.998, []),
        ("mb7386", b"R9999\r", 9.999, ["no_target"]),
        ("mb7384", b"R0500\r", 0.5, ["no_target"]),
        ("maxbotix_xl", b"R121\r", 1.21, []),
        ("maxbotix_xl", b"R020\r", 0.2, ["no_target"]),
        ("maxbotix_xl", b"R765\r", 7.65, ["no_target"]),
        ("maxbotix", b"R1234", 1.234, []),
    ],
)
def test_a_line_is_a_distance_and_the_ends_of_the_range_are_no_target(
    name: str, line: bytes, value: float, flags: list[str]
) -> None:
    assert _said(name, line) == [("distance", value, flags)]


def test_a_value_beyond_what_the_model_can_say_is_no_target() -> None:
    assert _said("mb7389", b"R7000\r") == [("distance", 7.0, ["no_target"])]


@pytest.mark.parametrize("line", [b"R123\r", b"R12345\r", b"R12 4\r", b"1234\r", b"RR234\r", b"R-123\r", b"r1234\r"])
def test_a_line_of_another_form_is_no_distance(line: bytes) -> None:
    decoded = decode("maxbotix_hrxl", {}, [line])
    assert decoded.readings == ()
    assert decoded.reasons


def test_three_digits_mean_centimetres_only_to_the_family_that_says_centimetres() -> None:
    assert _said("maxbotix_xl", b"R1234\r") == []
    assert _said("maxbotix_hrxl", b"R121\r") == []


def test_the_power_up_banner_is_no_distance_though_a_line_begins_with_r() -> None:
    assert _distances("maxbotix_hrxl", BANNER + b"R1234\r" + BANNER + b"R1235\r") == [1.234, 1.235]


def test_stray_ff_bytes_do_no_harm_wherever_they_are() -> None:
    assert _distances("maxbotix_hrxl", b"\xffR1234\r\xff\xffR12\xff34\rR1234\xff\r") == [1.234] * 3


def test_a_start_mark_inside_a_broken_line_is_found() -> None:
    assert _distances("maxbotix_hrxl", b"R12R1300\rR1400\r") == [1.3, 1.4]


def test_a_line_without_a_witness_among_the_two_before_it_is_unconfirmed() -> None:
    water = make("mb7389", "water", {}, 0.1)
    lines = [b"R2000\r", b"R2240\r", b"R2940\r", b"R2230\r", b"R1400\r", b"R1410\r", b"R1300\r"]
    events = [event for step, line in enumerate(lines) for event in water.receive(line, step * S)]
    doubted = [event.value for event in events if isinstance(event, Reading) and event.quality]
    assert doubted == [2.94, 1.4]
    assert [str(one.quality) for one in decode("mb7389", {}, lines).readings] == ["frozenset()"] * 7


def test_nothing_in_reach_is_one_problem_until_something_is() -> None:
    water = make("mb7389", "water", {}, 0.1)
    lines = [b"R1000\r", b"R5000\r", b"R5000\r", b"R1001\r"]
    events = [event for step, line in enumerate(lines) for event in water.receive(line, step * S)]
    problems = [(event.code, event.ok) for event in events if isinstance(event, Problem)]
    assert problems == [("no_target", False), ("no_target", True)]


def test_bytes_that_never_make_a_line_hint_at_the_polarity_until_one_does() -> None:
    water = make("mb7389", "water", {}, None)
    inverted = bytes(0xFF - byte for byte in b"R1234\r")
    events = [event for step in range(400) for event in water.receive(inverted, step * S)]
    (problem,) = (event for event in events if isinstance(event, Problem))
    assert (problem.code, problem.ok, "polarity" in problem.detail) == ("no_frames", False, True)
    (problem,) = (event for event in water.receive(b"\rR1234\r", 500 * S) if isinstance(event, Problem))
    assert (problem.code, problem.ok) == ("no_frames", True)


def test_the_level_is_the_height_minus_the_distance_with_the_same_doubt() -> None:
    assert _said("mb7389", b"R1953\r", {"mount_height": "4.20 m"}) == [
        ("distance", 1.953, []),
        ("level", 2.247, []),
    ]
    assert _said("mb7389", b"R0300\r", {"mount_height": "4.20 m"})[1] == ("level", 3.9, ["no_target"])
    assert [one.name for one in make("mb7389", "w", {}, None).info.channels] == ["distance"]


def test_every_model_has_its_own_range() -> None:
    for model in INFO.models:
        low, high = info_of(model).channels[0].low, info_of(model).channels[0].high
        assert low is not None
        assert high is not None
        assert 0.15 <= low < high <= 9.999
    assert info_of("mb7386").channels[0].low == 0.5


def test_noise_makes_hardly_any_distance() -> None:
    noise = random.Random(7).randbytes(1_000_000)  # noqa: S311 - noise, no secret
    water = make("maxbotix_xl", "water", {}, 0.1)
    false = 0
    for step in range(0, len(noise), 4096):
        false += sum(isinstance(event, Reading) for event in water.receive(noise[step : step + 4096], step * S))
        assert water.held <= 256
    assert false <= 3


@pytest.mark.parametrize(
    ("line", "metres", "flags"),
    [
        (b"R008 P1\r", 0.2032, []),
        (b"R010 P0\r", 0.254, []),
        (b"R046\r", 1.1684, []),
        (b"R006\r", 0.1524, ["no_target"]),
        (b"R254\r", 6.4516, ["no_target"]),
    ],
)
def test_the_lv_family_counts_inches_and_some_say_whether_something_is_near(
    line: bytes, metres: float, flags: list[str]
) -> None:
    """MaxBotix PD11832 (LV-MaxSonar-EZ) and PD13426 (ParkSonar-EZ: "R008 P1")."""
    (reading,) = decode("maxbotix_lv", {}, [line]).readings
    assert (reading.value, reading.unit, [str(flag) for flag in reading.quality]) == (metres, "m", flags)
    level = {one.channel: one.value for one in decode("mb1010", {"mount_height": "4 m"}, [line]).readings}["level"]
    assert level == round(4 - metres, 4)


def test_something_at_the_face_and_nothing_in_reach_are_different_troubles() -> None:
    water = make("mb7389", "water", {"mount_height": "4.20 m"}, 0.1)
    events: list[Event] = []
    for step, line in enumerate([b"R0300\r", b"R0300\r", b"R5000\r", b"R1234\r"]):
        events += water.receive(line, step * S)
    assert [(event.code, event.ok) for event in events if isinstance(event, Problem)] == [
        ("too_near", False),
        ("too_near", True),
        ("no_target", False),
        ("no_target", True),
    ]


def test_with_a_height_the_level_has_its_own_range() -> None:
    assert [channel.name for channel in make("mb7389", "water", {}, None).info.channels] == ["distance"]
    _, level = make("mb7389", "water", {"mount_height": "4.20 m"}, None).info.channels
    assert (level.low, level.high) == (-0.8, 3.9)


def test_a_web_is_suspected_after_a_day_of_one_millimetre_and_never_of_one_centimetre() -> None:
    assert [channel.stuck_after_s for channel in info_of("mb7389").channels] == [86400.0, 86400.0]
    assert [channel.stuck_after_s for channel in info_of("maxbotix_xl").channels] == [None, None]
