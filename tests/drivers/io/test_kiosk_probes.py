import asyncio
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.driver import Event
from drivers.io import gpio
from drivers.io.probes.door import DoorCollector
from drivers.io.probes.page import PageCollector
from drivers.io.probes.screen import ScreenCollector
from drivers.io.probes.touch import TouchCollector
from drivers.io.probes.usb import UsbCollector
from tests.drivers.hotspot.recorded import at, problems, values
from tests.node.asking import look
from tests.node.pi5 import Pi5


@pytest.fixture
def box(tmp_path: Path) -> Pi5:
    return Pi5(tmp_path)


def connector(box: Pi5, name: str, **files: str) -> None:
    for file, text in files.items():
        box.write(f"sys/class/drm/{name}/{file}", f"{text}\n")


def test_the_screen_is_read_from_its_connector_by_name_or_the_first_with_a_screen(box: Pi5) -> None:
    connector(box, "card1-HDMI-A-1", status="disconnected", enabled="disabled", dpms="Off")
    connector(box, "card1-HDMI-A-2", status="connected", enabled="enabled", dpms="On")
    connector(box, "card1-Writeback-1", status="unknown", enabled="disabled")
    by_name = values(look(ScreenCollector(replace(box.kiosk, screen="HDMI-A-1"))))
    assert by_name == {"screen-connected": False, "screen-lit": False}
    assert values(look(ScreenCollector(replace(box.kiosk, screen="any")))) == {
        "screen-connected": True,
        "screen-lit": True,
    }


def test_a_panel_whose_backlight_is_off_is_dark(box: Pi5) -> None:
    connector(box, "card1-DSI-1", status="connected", enabled="enabled", dpms="On")
    box.write("sys/class/backlight/10-0045/bl_power", "4\n")
    assert values(look(ScreenCollector(replace(box.kiosk, screen="any")))) == {
        "screen-connected": True,
        "screen-lit": False,
    }
    connector(box, "card1-DSI-1", status="disconnected")
    connector(box, "card1-HDMI-A-1", status="connected", enabled="enabled", dpms="On")
    assert values(look(ScreenCollector(replace(box.kiosk, screen="any"))))["screen-lit"] is True, (
        "a monitor has its own"
    )


def test_a_connector_that_is_not_there_is_told_once(box: Pi5) -> None:
    collector = ScreenCollector(replace(box.kiosk, screen="HDMI-A-9"))
    assert problems(look(collector)) == ["screen-connector: no connector HDMI-A-9 in /sys/class/drm"]
    assert look(collector) == []


def test_a_device_that_is_pulled_is_missed(box: Pi5) -> None:
    box.write("sys/bus/usb/devices/usb1/idVendor", "1d6b\n")
    box.write("sys/bus/usb/devices/usb1/idProduct", "0002\n")
    box.write("sys/bus/usb/devices/1-1/idVendor", "1a86\n")
    product = box.write("sys/bus/usb/devices/1-1/idProduct", "7523\n")
    collector = UsbCollector(replace(box.kiosk, usb=("scanner=1a86:7523",)))
    assert values(look(collector)) == {"usb-scanner": True}
    product.unlink()
    assert values(look(collector)) == {"usb-scanner": False}


def test_a_box_without_usb_is_told(box: Pi5) -> None:
    assert problems(look(UsbCollector(replace(box.kiosk, usb=("a=1a86:7523",))))) == ["usb-devices: not there"]


async def served(box: Pi5, answer: bytes) -> list[Event]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await PageCollector(replace(box.kiosk, page=f"http://localhost:{port}/kiosk?a=b")).collect(at(0))


@pytest.mark.parametrize(
    ("answer", "is_up"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", True),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", True),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\nhi", True),
        (b"HTTP/1.1 2\xb20 OK\r\n\r\n", False),
        (b"SSH-2.0-OpenSSH\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", False),
        (b"", False),
    ],
)
def test_a_page_that_answers_is_up_and_nonsense_is_down(box: Pi5, answer: bytes, is_up: bool) -> None:  # noqa: FBT001
    events = asyncio.run(served(box, answer))
    assert problems(events) == []
    assert values(events)["page-up"] is is_up


@pytest.mark.parametrize(
    "page", ["http://127.0.0.1:9/", "http://127.0.0.1:99999/", "http://[::1/", "http://no.invalid./"]
)
def test_a_page_where_nobody_listens_is_down(box: Pi5, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.io.probes.page._WITHIN_S", 0.5)
    events = look(PageCollector(replace(box.kiosk, page=page)))
    assert (problems(events), values(events)) == ([], {"page-up": False})


class Chip:
    """Answers the two ioctls as the kernel does, by the layout of linux/gpio.h."""

    def __init__(self) -> None:
        self.is_high = True
        self.gone = False
        self.request = b""

    def ioctl(self, _descriptor: int, number: int, argument: bytearray) -> int:
        if self.gone:
            raise OSError(errno.ENODEV, "gone")
        if number == 0xC250B407:
            assert len(argument) == 592
            self.request = bytes(argument)
            struct.pack_into("=i", argument, 588, os.open("/dev/null", os.O_RDONLY))
        else:
            assert number == 0xC010B40E
            assert struct.unpack("=QQ", argument) == (0, 1)
            struct.pack_into("=Q", argument, 0, int(self.is_high))
        return 0


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Chip:
    made = Chip()
    monkeypatch.setattr(fcntl, "ioctl", made.ioctl)
    return made


def test_a_door_is_read_through_the_line_of_its_contact(box: Pi5, chip: Chip) -> None:
    box.write("dev/gpiochip0", "")
    collector = DoorCollector(replace(box.kiosk, door="gpiochip0:17"))
    assert values(look(collector)) == {"door-open": True}
    chip.is_high = False
    assert values(look(collector, 2.0)) == {"door-open": False}
    collector.close()
    collector.close()


def test_the_line_is_asked_for_as_a_debounced_input_with_its_pull(tmp_path: Path, chip: Chip) -> None:
    # Source: linux/gpio.h; offsets and numbers as gcc lays struct gpio_v2_line_request out on x86-64 and aarch64.
    path = tmp_path / "gpiochip0"
    path.touch()
    line = gpio.GpioLine(path, 17, "up")
    assert line.high()
    line.close()
    request = chip.request
    assert struct.unpack_from("=II", request, 0) == (17, 0)
    assert request[256:288] == b"gardu".ljust(32, b"\0")
    assert struct.unpack_from("=QI", request, 288) == (1 << 2 | 1 << 8, 1), "input, pull-up; one attribute"
    assert struct.unpack_from("=IIQQ", request, 320) == (3, 0, 20_000, 1), "debounce of line 0 by 20 ms"
    assert struct.unpack_from("=II", request, 560) == (1, 0)
    assert not any(request[344:560])
    assert not any(request[568:592])


def test_a_chip_that_is_not_there_or_goes_is_told_and_comes_back(box: Pi5, chip: Chip) -> None:
    collector = DoorCollector(replace(box.kiosk, door="gpiochip0:17"))
    assert problems(look(collector)) == ["door-level: not there"]
    box.write("dev/gpiochip0", "")
    look(collector, 2.0)
    chip.gone = True
    assert problems(look(collector, 4.0)) == ["door-level: No such device"]
    assert look(collector, 6.0) == []
    chip.gone = False
    assert values(look(collector, 8.0)) == {"door-open": True}
    collector.close()


EVENT = struct.Struct("@llHHi")
TOUCHED = EVENT.pack(1, 2, 3, 53, 400) + EVENT.pack(1, 2, 0, 0, 0)
RELATIVE = EVENT.pack(1, 2, 2, 0, -1) + EVENT.pack(1, 2, 0, 0, 0)
OVERFLOWN = EVENT.pack(1, 2, 0, 3, 0)


@pytest.fixture
def screen(box: Pi5) -> Iterator[int]:
    """Give the writing end of a touch screen, and a mouse beside it."""
    (box.folder / "dev/input").mkdir(parents=True)
    for name, properties in (("event0", "2"), ("event1", "0")):
        os.mkfifo(box.folder / "dev/input" / name)
        box.write(f"sys/class/input/{name}/device/properties", f"{properties}\n")
    writer = os.open(box.folder / "dev/input/event0", os.O_RDWR | os.O_NONBLOCK)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("device", ["any", "named"])
def test_a_touch_is_noticed_and_only_its_minute_is_told(box: Pi5, screen: int, device: str) -> None:
    path = str(box.folder / "dev/input/event0")
    collector = TouchCollector(replace(box.kiosk, touch=path if device == "named" else "any"))
    assert look(collector) == [], "nobody touched it yet"
    os.write(screen, TOUCHED * 100)
    assert values(look(collector, 60.0)) == {"touch-age": 0}
    assert values(look(collector, 120.0)) == {"touch-age": 1}
    os.write(screen, RELATIVE)
    assert values(look(collector, 180.0)) == {"touch-age": 2}
    os.write(screen, OVERFLOWN)
    assert values(look(collector, 240.0)) == {"touch-age": 0}
    collector.close()


def test_a_screen_that_is_unplugged_is_opened_again_when_it_is_back(
    box: Pi5, screen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = TouchCollector(replace(box.kiosk, touch="any"))
    look(collector)
    with monkeypatch.context() as unplugged:
        unplugged.setattr(os, "read", _gone)
        (box.folder / "dev/input/event0").rename(box.folder / "away")
        assert problems(look(collector, 60.0)) == ["touch-last: not there"]
    (box.folder / "away").rename(box.folder / "dev/input/event0")
    look(collector, 120.0)
    os.write(screen, TOUCHED)
    assert values(look(collector, 180.0)) == {"touch-age": 0}
    collector.close()


def _gone(_descriptor: int, _length: int) -> bytes:
    raise OSError(errno.ENODEV, "gone")


def test_a_box_without_a_touch_screen_is_told(box: Pi5) -> None:
    assert problems(look(TouchCollector(replace(box.kiosk, touch="any")))) == ["touch-last: not there"]
    path = str(box.folder / "dev/input/event7")
    assert problems(look(TouchCollector(replace(box.kiosk, touch=path)))) == ["touch-last: not there"]
