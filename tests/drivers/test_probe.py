from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from drivers.driver import Event
from drivers.hotspot.conntrack import Conntrack
from drivers.hotspot.settings import HotspotSettings
from drivers.probe import AnswerError, Facts, Moment, Probe, Source
from drivers.reading import Reading

NOW = Moment(boot_ns=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(Facts):
    length: int


class Listener(Probe):
    """Counts how often an answer is read."""

    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.sources = (Source(name="talk", title="anything but bad", parse=self._parse),)
        info = Conntrack(HotspotSettings()).info
        super().__init__(replace(info, channels=(replace(info.channels[0], name="length", unit="count"),)), "talk")

    def _parse(self, raw: bytes) -> Said:
        self.read.append(raw)
        if raw == b"bad":
            raise AnswerError("it is bad")
        return Said(length=len(raw))

    def take(self, facts: Facts, now: Moment) -> Iterator[Event]:
        assert isinstance(facts, Said)
        yield from self.reading("length", facts.length, now)


def lengths(probe: Probe, answers: list[bytes]) -> list[object]:
    return [[event.value for event in probe.answer("talk", raw, NOW) if isinstance(event, Reading)] for raw in answers]


def test_an_answer_that_stays_the_same_gives_its_readings_each_time_and_is_read_once() -> None:
    probe = Listener()
    assert lengths(probe, [b"ab", b"ab", b"abc", b"ab"]) == [[2], [2], [3], [2]]
    assert probe.read == [b"ab", b"abc", b"ab"]


def test_an_answer_that_cannot_be_read_never_passes_for_the_one_before_it() -> None:
    probe = Listener()
    assert lengths(probe, [b"ab", b"bad", b"bad", b"ab"]) == [[2], [], [], [2]]


@pytest.mark.parametrize(("size", "times"), [(16_384, 1), (16_385, 2)])
def test_what_a_long_answer_said_is_not_held_until_the_next(size: int, times: int) -> None:
    probe = Listener()
    assert lengths(probe, [b"x" * size] * 2) == [[size], [size]]
    assert len(probe.read) == times
