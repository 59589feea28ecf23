import asyncio
import errno

import pytest

from drivers.driver import Problem
from drivers.hotspot.access_point import AccessPoint
from drivers.hotspot.netlink import DONE, attributes, messages
from drivers.hotspot.settings import HotspotSettings
from drivers.io import radio
from drivers.io.generic_netlink import dump
from drivers.io.radio import Radio
from drivers.probe import Moment
from drivers.reading import Reading
from tests.drivers.hotspot.test_netlink import END, SURVEY, SURVEY_INFO, message, number

GET_FAMILY, FAMILY_NAME = 3, 2
HOUR_NS = 3_600_000_000_000


def test_the_kernel_lists_its_families() -> None:
    *found, end = messages(dump("nlctrl", GET_FAMILY, {}, within_s=2))
    names = {attributes(each.body)[FAMILY_NAME] for each in found}
    assert b"nlctrl\0" in names
    assert end.kind == DONE


def test_a_family_that_the_kernel_lacks_is_not_there() -> None:
    with pytest.raises(OSError, match="No such file") as caught:
        dump("no-such-family", 1, {}, within_s=2)
    assert caught.value.errno == errno.ENOENT


def test_a_command_that_cannot_dump_is_refused() -> None:
    with pytest.raises(OSError, match="not supported") as caught:
        dump("nlctrl", 250, {}, within_s=2)
    assert caught.value.errno == errno.EOPNOTSUPP


class Kernel:
    """Stands where `dump` stands and answers as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, int, dict[int, bytes]]] = []
        self.answer: bytes | OSError = END
        monkeypatch.setattr(radio, "dump", self.dump)

    def dump(self, family: str, command: int, attributes: dict[int, bytes], *, within_s: float) -> bytes:
        assert within_s > 0
        self.asked.append((family, command, attributes))
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def radio_of(interface: str) -> Radio:
    return Radio(AccessPoint(HotspotSettings()), interface)


def test_the_radio_is_asked_by_the_number_of_its_interface(kernel: Kernel) -> None:
    kernel.answer = message(SURVEY, SURVEY_INFO, {1: number(2437), 2: b"\xa1", 3: b""}) + END
    (event,) = asyncio.run(radio_of("lo").ask("nl80211-survey", 50, Moment(boot_ns=1)))
    assert isinstance(event, Reading)
    assert (event.channel, event.value) == ("noise", -95)
    assert kernel.asked == [("nl80211", 50, {3: number(1)})]


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EOPNOTSUPP])
def test_a_box_without_a_radio_that_can_tell_is_no_trouble_and_is_left_alone(kernel: Kernel, code: int) -> None:
    asked = radio_of("lo")
    kernel.answer = OSError(code, "no")
    for at_ns in (1, HOUR_NS // 5, HOUR_NS):
        assert asyncio.run(asked.ask("nl80211-survey", 50, Moment(boot_ns=at_ns))) == []
    assert len(kernel.asked) == 2


def test_an_interface_that_is_gone_is_told(kernel: Kernel) -> None:
    (event,) = asyncio.run(radio_of("no-such0").ask("nl80211-survey", 50, Moment(boot_ns=1)))
    assert isinstance(event, Problem)
    assert event.detail.startswith("nl80211-survey: ")
    assert kernel.asked == []


def test_an_answer_that_is_none_is_told(kernel: Kernel) -> None:
    kernel.answer = b"half"
    events = asyncio.run(radio_of("lo").ask("nl80211-survey", 50, Moment(boot_ns=1)))
    assert any(isinstance(event, Problem) for event in events)
