from dataclasses import replace

import pytest

from drivers.driver import Channel, DriverInfo, Line
from drivers.errors import AddedError, OptionError
from drivers.reading import Reading
from drivers.serial.decoded import Decoded
from drivers.vendor import NAME, accept
from tests.drivers.vendor_class import INFO, Toy


def like(**members: object) -> type:
    return type("Other", (Toy,), members)


def test_a_right_class_is_taken_with_what_it_says_of_itself() -> None:
    vendor = accept("toy", like(commands=(rb"\x01.",)))
    assert vendor.info == INFO
    assert vendor.may_send(b"\x01\n")
    assert not vendor.may_send(b"\x01")
    assert vendor.make("s", {}, None).sensor == "s"
    assert [reading.value for reading in vendor.decode({}, [b"\x07"]).readings] == [7]


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (accept, "which is no class"),
        (like(api=None), "says no api"),
        (like(api=2), "is made for api 2, this Gardu has api 1"),
        (like(api="1"), "is made for api '1'"),
        (like(info=None), "no info of the class DriverInfo"),
        (like(info=replace(INFO, name="other")), "both must be 'toy'"),
        (like(info=replace(INFO, family="modbus")), "both must be 'toy'"),
        (like(info=replace(INFO, line=None)), "names no line"),
        (like(info=replace(INFO, channels=(Channel(name="Not So", unit="1"),))), "'Not So' is no name"),
        (like(decode=None, lost=3), "it lacks lost, decode"),
        (like(commands=None), "no tuple of patterns"),
        (like(commands=("text",)), "no tuple of patterns"),
        (like(commands=(b"(",)), "is no pattern"),
    ],
)
def test_what_is_no_driver_of_this_interface_is_refused_and_says_why(found: object, why: str) -> None:
    with pytest.raises(AddedError) as caught:
        accept("toy", found)
    assert why in caught.value.reason
    assert caught.value.cure


def test_code_that_fails_is_named_with_its_line() -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    with pytest.raises(
        AddedError, match=r"driver toy: its own code failed: ZeroDivisionError: by zero \(.*test_vendor"
    ):
        accept("toy", like(__init__=fail)).make("s", {}, None)
    with pytest.raises(AddedError, match="ZeroDivisionError"):
        accept("toy", like(decode=fail)).decode({}, [b"\x07"])


def test_an_option_that_cannot_be_used_stays_the_technicians_mistake() -> None:
    def refuse(*_: object) -> None:
        raise OptionError("depth", "is missing")

    with pytest.raises(OptionError, match="depth"):
        accept("toy", like(__init__=refuse)).make("s", {}, None)


@pytest.mark.parametrize(
    ("name", "fits"), [("mcu680", True), ("a_b", True), ("9x", False), ("A", False), ("a-b", False)]
)
def test_a_name_is_one_of_python_too(name: str, *, fits: bool) -> None:
    assert bool(NAME.fullmatch(name)) is fits


def test_the_toy_is_what_the_tests_believe() -> None:
    assert isinstance(INFO, DriverInfo)
    assert INFO.line == Line()
    assert isinstance(Toy("s", {}, None).decode([b"\x01"]), Decoded)
    assert isinstance(Toy("s", {}, None).receive(b"\x01", 5)[0], Reading)
