"""Units and adapters that change places while the agent runs, on real pseudo-terminals."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from agent.sensor_book import SensorBook
from drivers.reading import Quality
from drivers.serial.cctalk_frames import message
from drivers.simulate.cctalk import CcTalkSimulator
from drivers.simulate.plantower import PlantowerSimulator
from drivers.simulate.sds011 import Sds011Simulator
from drivers.simulate.ultrasonic import UltrasonicSimulator
from tests.agent.plugs import Ports, Street, until

QUICK_S = 0.1


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    made = Street(tmp_path)
    yield made
    made.pull()


@pytest.fixture
def book(tmp_path: Path) -> SensorBook:
    return SensorBook(tmp_path / "sensors.json")


def dust(number: int) -> Sds011Simulator:
    return Sds011Simulator(seed=number, every_s=QUICK_S)


def coin(number: int) -> CcTalkSimulator:
    """A coin acceptor with its own serial number."""
    unit = CcTalkSimulator(seed=1, every_s=1)
    ask = message(2, 242)
    own = ask + message(1, 0, number.to_bytes(3, "little"), source=2)
    listen = unit.receive
    unit.receive = lambda data, now_ns: [own] if data == ask else listen(data, now_ns)  # type: ignore[method-assign] # one answer differs
    return unit


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(limited())


@pytest.mark.parametrize("names", [("usb:1-1.2", "usb:1-1.3"), ("usb-serial:AAA", "usb-serial:BBB")])
def test_adapters_that_change_names_are_found_by_socket_and_by_number(
    street: Street, book: SensorBook, names: tuple[str, str]
) -> None:
    async def scenario() -> None:
        first = street.plug("1-1.2", dust(1), "AAA"), street.plug("1-1.3", dust(2), "BBB")
        ports = Ports(street, book, {"one": ("sds011", names[0]), "two": ("sds011", names[1])})
        heard = ports.heard
        await until(lambda: heard.of("one") and heard.of("two"), 5, "both speak")
        assert (book.known("one").identity, book.known("two").identity) == ("sds011 bc01", "sds011 bc02")
        street.pull()
        heard.clear()
        again = street.plug("1-1.3", dust(2), "BBB"), street.plug("1-1.2", dust(1), "AAA")
        assert again == first == ("ttyUSB0", "ttyUSB1")  # the names have changed places
        await until(lambda: heard.of("one") and heard.of("two"), 5, "both are back")
        assert (heard.told("one"), heard.told("two")) == ([], [])
        assert not any(reading.quality & {Quality.IDENTITY_CHANGED} for reading in heard.readings)
        assert (book.known("one").identity, book.known("two").identity) == ("sds011 bc01", "sds011 bc02")
        await ports.end()

    play(scenario)


def test_units_that_change_sockets_give_nothing_until_they_change_back(street: Street, book: SensorBook) -> None:
    async def scenario() -> None:
        street.plug("1-1.2", dust(1))
        street.plug("1-1.3", dust(2))
        ports = Ports(street, book, {"one": ("sds011", "usb:1-1.2"), "two": ("sds011", "usb:1-1.3")})
        heard = ports.heard
        await until(lambda: heard.of("one") and heard.of("two"), 5, "both speak")
        street.pull()
        heard.clear()
        street.plug("1-1.2", dust(2))
        street.plug("1-1.3", dust(1))
        await until(lambda: len(heard.problems) == 2, 5, "both are told")
        await asyncio.sleep(1.5)
        assert heard.readings == []
        assert [problem.detail for problem in sorted(heard.problems, key=lambda one: one.sensor)] == [
            "this is two's unit (sds011 bc02): plugged into the wrong socket?",
            "this is one's unit (sds011 bc01): plugged into the wrong socket?",
        ]
        book.save()
        await ports.end()

        again = SensorBook(book._path)  # a restart of the agent changes nothing
        ports = Ports(street, again, {"one": ("sds011", "usb:1-1.2"), "two": ("sds011", "usb:1-1.3")})
        heard = ports.heard
        await until(lambda: len(heard.problems) == 2, 5, "both are told again")
        street.pull()
        street.plug("1-1.2", dust(1))
        street.plug("1-1.3", dust(2))
        await until(lambda: heard.of("one") and heard.of("two"), 5, "both are right again")
        assert heard.told("one") == heard.told("two") == [("wrong_unit", False), ("wrong_unit", True)]
        assert not any(reading.quality & {Quality.IDENTITY_CHANGED} for reading in heard.readings)
        await ports.end()

    play(scenario)


def test_asked_units_that_change_sockets_are_held_back_by_their_numbers(street: Street, book: SensorBook) -> None:
    async def scenario() -> None:
        street.plug("1-1.2", coin(700001))
        street.plug("1-1.3", coin(700002))
        ports = Ports(street, book, {"one": ("cctalk", "usb:1-1.2"), "two": ("cctalk", "usb:1-1.3")})
        heard = ports.heard
        await until(lambda: heard.of("one") and heard.of("two"), 10, "both answer")
        street.pull()
        heard.clear()
        street.plug("1-1.2", coin(700002))
        street.plug("1-1.3", coin(700001))
        await until(lambda: heard.told("one") and heard.told("two"), 20, "both are told")
        await asyncio.sleep(1.5)
        assert heard.readings == []
        assert heard.told("one") == heard.told("two") == [("wrong_unit", False)]
        await ports.end()

    play(scenario)


@pytest.mark.slow
def test_units_of_other_families_behind_changed_names_give_nothing_but_a_problem(
    street: Street, book: SensorBook
) -> None:
    async def scenario() -> None:
        river = UltrasonicSimulator(seed=1, every_s=0.02, model="a02yyuw")
        fine = PlantowerSimulator(seed=1, every_s=0.05, model="pms5003")
        sensors = {
            "river": ("a02yyuw", f"path:{street.dev}/ttyUSB0"),
            "air": ("pms5003", f"path:{street.dev}/ttyUSB1"),
        }
        street.plug("1-1.2", river)
        street.plug("1-1.3", fine)
        ports = Ports(street, book, sensors)
        heard = ports.heard
        await until(lambda: heard.of("river") and heard.of("air"), 5, "both speak")
        street.pull()
        heard.clear()
        street.plug("1-1.3", fine)
        street.plug("1-1.2", river)
        await until(lambda: heard.told("river") and heard.told("air"), 30, "both are told")
        assert heard.readings == []
        assert {code for code, _ in heard.told("river") + heard.told("air")} <= {"no_frames", "wrong_kind"}
        street.pull()
        heard.clear()
        street.plug("1-1.2", river)
        street.plug("1-1.3", fine)
        await until(lambda: heard.of("river") and heard.of("air"), 5, "both are right again")
        await ports.end()

    play(scenario)


@pytest.mark.slow
def test_a_new_unit_flows_with_its_flag_until_it_is_accepted(street: Street, book: SensorBook) -> None:
    async def scenario() -> None:
        street.plug("1-1.2", dust(1))
        ports = Ports(street, book, {"air": ("sds011", "usb:1-1.2")})
        heard = ports.heard
        await until(lambda: heard.of("air"), 5, "it speaks")
        street.pull()
        heard.clear()
        street.plug("1-1.2", dust(3))
        await until(lambda: heard.of("air"), 20, "the new unit is believed with its flag")
        assert heard.told("air") == [("new_unit", False)]
        assert all(reading.quality == {Quality.IDENTITY_CHANGED} for reading in heard.readings)
        book.save()
        command = SensorBook(book._path)
        assert command.known("air").offered == "sds011 bc03"
        command.accept("air", "sds011 bc03", "sds011")
        command.save()
        assert book.refresh()
        heard.clear()
        await until(lambda: [one for one in heard.readings if not one.quality], 5, "the flag ends")
        assert heard.told("air") == [("new_unit", True)]
        await ports.end()

    play(scenario)


def test_units_that_are_alike_in_every_way_cannot_be_told_apart(street: Street, book: SensorBook) -> None:
    """What nobody can know is not claimed: `gardu check` warns of such a pair, and sockets by name avoid it."""

    async def scenario() -> None:
        near, far = (UltrasonicSimulator(seed=seed, every_s=QUICK_S, model="a02yyuw") for seed in (1, 2))
        sensors = {name: ("a02yyuw", f"path:{street.dev}/ttyUSB{n}") for n, name in enumerate(("one", "two"))}
        street.plug("1-1.2", near)
        street.plug("1-1.3", far)
        ports = Ports(street, book, sensors)
        await until(lambda: ports.heard.of("one") and ports.heard.of("two"), 5, "both speak")
        street.pull()
        ports.heard.clear()
        street.plug("1-1.3", far)
        street.plug("1-1.2", near)
        await until(lambda: ports.heard.of("one") and ports.heard.of("two"), 5, "both speak, under the wrong names")
        assert ports.heard.problems == []
        await ports.end()

    play(scenario)
