"""Whether the driver fits what comes: how many frames, how much noise, how long to wait."""

from dataclasses import replace

import pytest

from drivers.driver import Event
from drivers.proof import WRONG_KIND, Proofs
from tests.drivers.proof_rig import AIR, RIVER, Page, S, Shelf, Wire, doubted, good, problems, values


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def proofs(shelf: Shelf) -> Proofs:
    return Proofs(shelf, ["air", "river"])


def test_as_many_frames_as_the_driver_wants_must_be_valid(proofs: Proofs) -> None:
    wire = Wire(proofs, replace(AIR, confirm=3))
    assert values(wire.frame("sds011 a1")) == []
    assert values(wire.frame(after_s=0.1)) == []
    assert values(wire.frame(after_s=0.1)) == good(1.0, 1.0, 1.0)


def test_a_unit_that_speaks_seldom_waits_no_longer_than_three_seconds(proofs: Proofs) -> None:
    wire = Wire(proofs, replace(AIR, confirm=2))
    assert values(wire.frame("sds011 a1")) == []
    assert wire.gate.deadline() == wire.now_ns + 3 * S
    assert values(wire.wait(2.9)) == []
    assert values(wire.wait(0.1)) == good(1.0)


def test_a_false_frame_in_the_bytes_of_another_kind_of_unit_gives_nothing(shelf: Shelf, proofs: Proofs) -> None:
    wire = Wire(proofs, replace(AIR, confirm=2))
    told: list[Event] = []
    for _ in range(40):
        told += wire.noise(300, after_s=1)
        told += wire.frame("sds011 a1", after_s=0.1)
    assert values(told) == []
    assert problems(told) == [(WRONG_KIND, False)]
    assert (shelf.pages, wire.gate.deadline()) == ({}, None)
    healed: list[Event] = []
    for number in range(60):
        healed += wire.frame(value=number)
    assert problems(healed) == [(WRONG_KIND, True)]
    assert values(healed)[-1:] == good(59)
    assert len(values(healed)) > 30


def test_an_hour_of_noise_before_a_unit_is_plugged_in_does_not_hold_it_back_for_long(proofs: Proofs) -> None:
    wire = Wire(proofs, replace(AIR, confirm=2))
    for _ in range(1000):
        wire.noise(300)
    events = [event for _ in range(100) for event in wire.frame("sds011 a1", after_s=0.01)]
    assert len(values(events)) == 100


def test_on_a_shared_line_noise_belongs_to_nobody(proofs: Proofs) -> None:
    wire = Wire(proofs, replace(AIR, confirm=2), RIVER)
    assert wire.noise(300) != []
    assert values(wire.frame("sds011 a1")) == good(1.0)


def test_what_waits_is_bounded(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"air": Page("sds011", "sds011 a1")}
    wire = Wire(proofs, AIR)
    wire.frame("sds011 c3", after_s=0)
    for number in range(2000):
        wire.frame(value=number, after_s=0)
    assert values(wire.wait(10)) == doubted(*range(2000 - 512, 2000))
