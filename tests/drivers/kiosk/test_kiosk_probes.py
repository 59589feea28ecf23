from collections.abc import Callable

import pytest

from drivers.errors import OptionError
from drivers.kiosk.door import Door
from drivers.kiosk.page import LocalPage
from drivers.kiosk.screen import Screen
from drivers.kiosk.settings import KioskSettings
from drivers.kiosk.touch import Touch
from drivers.kiosk.usb import Usb
from drivers.probe import Facts, Probe
from tests.drivers.hotspot.recorded import at, problems, say, values

SETTINGS = KioskSettings(usb=("scanner=1A86:7523", "second=1a86:7523", "camera=046d:0825"))


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"status: connected\nenabled: enabled\ndpms: On\n", {"screen-connected": True, "screen-lit": True}),
        (b"status: connected\nenabled: enabled\ndpms: Off\n", {"screen-connected": True, "screen-lit": False}),
        (b"status: connected\nenabled: disabled\n", {"screen-connected": True, "screen-lit": False}),
        (b"status: connected\ndpms: On\nbl_power: 4\n", {"screen-connected": True, "screen-lit": False}),
        (b"status: connected\nbl_power: 0\n", {"screen-connected": True, "screen-lit": True}),
        (b"status: connected\n", {"screen-connected": True}),
        (b"status: disconnected\nenabled: disabled\n", {"screen-connected": False, "screen-lit": False}),
        (b"status: unknown\ndpms: On\n", {}),
    ],
)
def test_a_screen_is_plugged_in_and_lit_as_far_as_the_kernel_says(raw: bytes, told: dict[str, bool]) -> None:
    assert say(Screen(SETTINGS), "screen-connector", raw) == told


def test_devices_that_must_be_there_are_told_and_of_two_alike_both_must_be() -> None:
    assert say(Usb(SETTINGS), "usb-devices", b"1d6b:0002\n1a86:7523\n046D:0825\n") == {
        "usb-scanner": True,
        "usb-second": False,
        "usb-camera": True,
    }
    assert say(Usb(SETTINGS), "usb-devices", b"") == {"usb-scanner": False, "usb-second": False, "usb-camera": False}


@pytest.mark.parametrize("entry", ["scanner", "scanner=1a86", "scanner=1a86:75231", "x y=1a86:7523", "=1a86:7523"])
def test_a_device_that_cannot_be_one_is_refused(entry: str) -> None:
    with pytest.raises(OptionError, match="write it like scanner=1a86:7523"):
        Usb(KioskSettings(usb=(entry,)))


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"200 12.5", {"page-up": True, "page-ms": 12.5}),
        (b"302 1", {"page-up": True, "page-ms": 1.0}),
        (b"404 3.0", {"page-up": False, "page-ms": 3.0}),
        (b"503 3.0", {"page-up": False, "page-ms": 3.0}),
        (b"down", {"page-up": False}),
    ],
)
def test_a_page_is_up_when_it_answers_without_an_error(raw: bytes, told: dict[str, object]) -> None:
    assert say(LocalPage(SETTINGS), "page-answer", raw) == told


@pytest.mark.parametrize(
    ("is_open", "raw", "told"), [("high", b"1\n", True), ("high", b"0", False), ("low", b"0", True)]
)
def test_a_door_is_open_at_the_level_that_the_technician_named(is_open: str, raw: bytes, told: bool) -> None:  # noqa: FBT001
    settings = KioskSettings(door="gpiochip4:17", door_open_is=is_open)
    probe = Door(settings)
    assert (probe.chip, probe.offset) == ("gpiochip4", 17)
    assert say(probe, "door-level", raw) == {"door-open": told}


@pytest.mark.parametrize("place", ["17", "gpiochip0", "gpiochip0:x", "/dev/gpiochip0:1"])
def test_a_line_that_cannot_be_one_is_refused(place: str) -> None:
    with pytest.raises(OptionError, match="write it like gpiochip0:17"):
        Door(KioskSettings(door=place))


@pytest.mark.parametrize(
    ("raw", "told"),
    [(b"none", {}), (b"0.0", {"touch-age": 0}), (b"59.9", {"touch-age": 0}), (b"125.0\n", {"touch-age": 2})],
)
def test_the_last_touch_is_told_in_whole_minutes_only(raw: bytes, told: dict[str, int]) -> None:
    assert say(Touch(SETTINGS), "touch-last", raw) == told


REFUSED: list[tuple[Callable[[KioskSettings], Probe], str, bytes]] = [
    (Screen, "screen-connector", b""),
    (Screen, "screen-connector", b"enabled: enabled"),
    (Screen, "screen-connector", b"status: connec"),
    (Usb, "usb-devices", b"1a86"),
    (Usb, "usb-devices", b"1a86:7523\n1a8"),
    (LocalPage, "page-answer", b""),
    (LocalPage, "page-answer", b"200"),
    (LocalPage, "page-answer", b"200 nan"),
    (LocalPage, "page-answer", b"200 1 2"),
    (Door, "door-level", b"2"),
    (Door, "door-level", b""),
    (Touch, "touch-last", b""),
    (Touch, "touch-last", b"-1"),
    (Touch, "touch-last", b"inf"),
]


@pytest.mark.parametrize(("probe", "source", "raw"), REFUSED)
def test_half_an_answer_gives_no_reading_and_is_told(
    probe: Callable[[KioskSettings], Probe], source: str, raw: bytes
) -> None:
    events = probe(SETTINGS).answer(source, raw, at(0))
    assert values(events) == {}
    assert "not understood" in problems(events)[0]


@pytest.mark.parametrize("kind", [Screen, Usb, LocalPage, Door, Touch])
def test_foreign_facts_are_a_bug(kind: type[Screen | Usb | LocalPage | Door | Touch]) -> None:
    with pytest.raises(TypeError):
        list(kind(SETTINGS).take(Facts(), at(0)))
