"""Who answers: the own unit, another sensor's, a new one, one that says little."""

from dataclasses import replace

import pytest

from drivers.driver import Event, Identified, Problem, Rejected, TimeSeen
from drivers.proof import NEW_UNIT, WRONG_UNIT, Proofs, Unit
from drivers.reading import Reading
from tests.drivers.proof_rig import AIR, FLAG, RIVER, Page, S, Shelf, Wire, doubted, good, problems, values


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def proofs(shelf: Shelf) -> Proofs:
    return Proofs(shelf, ["air", "river"])


def test_the_first_unit_that_proves_itself_becomes_the_sensors_own(shelf: Shelf, proofs: Proofs) -> None:
    wire = Wire(proofs, AIR)
    assert values(wire.frame("sds011 a1")) == good(1.0)
    assert shelf.pages["air"] == Page("sds011", "sds011 a1")
    assert shelf.accepted == [("air", "sds011 a1", False)]


def test_after_a_reopening_nothing_passes_before_the_unit_has_said_who_it_is(proofs: Proofs) -> None:
    wire = Wire(proofs, AIR)
    wire.frame("sds011 a1")
    wire.reopen()
    assert values(wire.frame(value=2.0)) == []
    assert values(wire.frame("sds011 a1", value=3.0)) == good(2.0, 3.0)
    assert values(wire.frame(value=4.0)) == good(4.0)


def test_another_sensors_unit_gives_no_value_at_all_and_one_problem_and_heals(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"air": Page("sds011", "sds011 a1"), "river": Page("sds011", "sds011 b2")}
    wire = Wire(proofs, AIR)
    events = wire.frame("sds011 b2")
    assert values(events) == []
    assert problems(events) == [(WRONG_UNIT, False)]
    detail = next(event.detail for event in events if isinstance(event, Problem))
    assert detail == "this is river's unit (sds011 b2): plugged into the wrong socket?"
    assert shelf.known("air").offered == "sds011 b2"
    for _ in range(100):
        assert wire.frame() == []
    assert wire.reopen() == []
    assert problems(wire.frame("sds011 b2")) == []  # the same trouble is told once, however often it is plugged in
    wire.reopen()
    events = wire.frame("sds011 a1", value=9.0)
    assert (values(events), problems(events)) == (good(9.0), [(WRONG_UNIT, True)])
    assert shelf.known("air") == Page("sds011", "sds011 a1")


def test_two_units_that_change_places_are_both_held_back(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"air": Page("sds011", "sds011 a1"), "river": Page("sds011", "sds011 b2")}
    air, river = Wire(proofs, AIR), Wire(proofs, RIVER)
    assert values([*air.frame("sds011 a1"), *river.frame("sds011 b2")]) == good(1.0, 1.0)
    events = air.frame("sds011 b2", after_s=0.4)  # without a loss of the port: the units change behind the adapters
    assert events[1:] == []
    assert values(river.frame("sds011 a1", after_s=0.5)) == []
    assert problems(air.frame()) == [(WRONG_UNIT, False)]
    for _ in range(30):
        assert values([*air.frame(), *river.frame()]) == []
    assert values([*air.frame("sds011 a1", 5.0), *river.frame("sds011 b2", 6.0)]) == good(5.0, 6.0)


def test_a_new_unit_waits_ten_seconds_and_then_flows_with_its_flag(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"air": Page("sds011", "sds011 a1")}
    wire = Wire(proofs, AIR)
    assert values(wire.frame("sds011 c3")) == []
    assert wire.gate.deadline() == wire.now_ns + 10 * S
    for number in range(2, 11):
        assert values(wire.frame(value=number)) == []
    events = wire.frame(value=11)
    assert values(events) == doubted(1.0, *range(2, 12))
    assert problems(events) == [(NEW_UNIT, False)]
    detail = next(event.detail for event in events if isinstance(event, Problem))
    assert detail == "sds011 c3 answers instead of sds011 a1; if that is meant: gardu swap air"
    assert shelf.known("air") == Page("sds011", "sds011 a1", "sds011 c3")
    assert wire.frame(value=12) == [replace(wire.reading(12, wire.now_ns), quality=FLAG)]
    assert wire.gate.deadline() is None


def test_what_waits_passes_at_its_moment_without_another_frame(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"air": Page("sds011", "sds011 a1")}
    wire = Wire(proofs, AIR)
    wire.frame("sds011 c3")
    wire.due_ns = wire.now_ns + 60 * S
    assert wire.gate.deadline() == wire.now_ns + 10 * S
    assert values(wire.wait(10)) == doubted(1.0)
    assert wire.gate.deadline() == wire.due_ns


def test_a_swap_that_is_meant_ends_the_flag_within_a_second(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"air": Page("sds011", "sds011 a1")}
    wire = Wire(proofs, AIR)
    wire.frame("sds011 c3")
    assert values(wire.frame(after_s=10))[-1:] == doubted(1.0)
    shelf.accept("air", "sds011 c3", "sds011")
    events = wire.frame(value=2.0)
    assert (values(events), problems(events)) == (good(2.0), [(NEW_UNIT, True)])


def test_a_sensor_whose_unit_was_forgotten_takes_the_one_that_is_there(shelf: Shelf, proofs: Proofs) -> None:
    wire = Wire(proofs, AIR)
    wire.frame("sds011 a1")
    shelf.pages.clear()
    assert values(wire.frame(value=2.0)) == good(2.0)
    assert shelf.known("air").identity == "sds011 a1"


def test_one_damaged_name_among_good_ones_costs_no_value_and_tells_nobody(shelf: Shelf, proofs: Proofs) -> None:
    wire = Wire(proofs, AIR)
    wire.frame("sds011 a1")
    assert values(wire.frame("sds011 ff", value=2.0)) == []
    events = wire.frame("sds011 a1", value=3.0)
    assert (values(events), problems(events)) == (doubted(2.0) + good(3.0), [])
    assert shelf.known("air").offered == ""


def test_a_stranger_that_turns_out_to_be_another_sensors_leaves_nothing(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"air": Page("sds011", "sds011 a1"), "river": Page("sds011", "sds011 b2")}
    wire = Wire(proofs, AIR)
    assert values(wire.frame("sds011 ff")) == []
    events = wire.frame("sds011 b2")
    assert (values(events), problems(events)) == ([], [(WRONG_UNIT, False)])
    assert values(wire.wait(60)) == []


def test_a_new_unit_that_is_then_another_sensors_says_so(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"air": Page("sds011", "sds011 a1"), "river": Page("sds011", "sds011 b2")}
    wire = Wire(proofs, AIR)
    wire.frame("sds011 c3")
    assert problems(wire.frame(after_s=10)) == [(NEW_UNIT, False)]
    assert problems(wire.frame("sds011 b2")) == [(NEW_UNIT, True), (WRONG_UNIT, False)]


def test_a_second_new_unit_is_told_too(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"air": Page("sds011", "sds011 a1")}
    wire = Wire(proofs, AIR)
    wire.frame("sds011 c3")
    wire.frame(after_s=10)
    wire.reopen()
    wire.frame("sds011 d4")
    assert problems(wire.frame(after_s=10)) == [(NEW_UNIT, False)]
    assert shelf.known("air").offered == "sds011 d4"


def test_two_units_that_say_the_same_of_themselves_are_two_of_a_kind(shelf: Shelf, proofs: Proofs) -> None:
    air, river = Wire(proofs, AIR), Wire(proofs, RIVER)
    assert values([*air.frame("type 375"), *river.frame("type 375")]) == good(1.0, 1.0)
    again = Proofs(shelf, ["air", "river"])
    air, river = Wire(again, AIR), Wire(again, RIVER)
    assert values([*river.frame("type 375"), *air.frame("type 375")]) == good(1.0, 1.0)


def test_a_fresh_sensor_with_the_name_of_an_absent_one_waits_whether_that_one_comes(
    shelf: Shelf, proofs: Proofs
) -> None:
    shelf.pages = {"river": Page("sds011", "type 375")}
    air, river = Wire(proofs, AIR), Wire(proofs, RIVER)
    assert [*values(air.frame("type 375")), *problems(air.frame())] == []
    assert values(river.frame("type 375")) == good(1.0)
    assert values(air.frame(value=3.0)) == good(1.0, 1.0, 3.0)


def test_a_fresh_sensor_does_not_take_the_unit_of_one_that_stays_away(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"river": Page("sds011", "sds011 b2")}
    wire = Wire(proofs, AIR)
    wire.frame("sds011 b2")
    events = wire.wait(10)
    assert (values(events), problems(events)) == ([], [(WRONG_UNIT, False)])


def test_a_name_that_only_tells_the_kind_belongs_to_nobody(shelf: Shelf) -> None:
    shelf.pages = {"river": Page("plantower", "plantower 97"), "air": Page("plantower", "plantower 91")}
    wire = Wire(Proofs(shelf, ["air", "river"]), Unit(sensor="air", driver="plantower"))
    wire.frame("plantower 97")
    assert problems(wire.frame(after_s=10)) == [(NEW_UNIT, False)]


@pytest.mark.parametrize("known", ["sds011", "sds011 a1"])
def test_the_name_of_the_driver_alone_belongs_to_nobody(shelf: Shelf, proofs: Proofs, known: str) -> None:
    shelf.pages = {"river": Page("sds011", "sds011"), "air": Page("sds011", known)}
    wire = Wire(proofs, AIR)
    wire.frame("sds011")
    assert problems(wire.frame(after_s=10)) == ([] if known == "sds011" else [(NEW_UNIT, False)])


def test_a_unit_that_first_says_little_passes_once_it_says_all(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"air": Page("vedirect", "vedirect 0xA042 HQ1")}
    wire = Wire(proofs, replace(AIR, driver="vedirect"))
    assert values(wire.frame("vedirect")) == []
    assert values(wire.frame("vedirect 0xA042 HQ1", 2.0)) == good(1.0, 2.0)


def test_a_unit_that_never_says_as_much_as_it_did_is_doubted(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"air": Page("vedirect", "vedirect 0xA042 HQ1")}
    wire = Wire(proofs, replace(AIR, driver="vedirect"))
    wire.frame("vedirect")
    events = wire.frame(after_s=10)
    assert (values(events), problems(events)) == (doubted(1.0, 1.0), [(NEW_UNIT, False)])


def test_a_unit_that_says_more_than_before_is_the_same(shelf: Shelf, proofs: Proofs) -> None:
    wire = Wire(proofs, replace(AIR, driver="vedirect"))
    wire.frame("vedirect")
    assert values(wire.frame("vedirect 0xA042")) == good(1.0)
    assert shelf.accepted == [("air", "vedirect", False), ("air", "vedirect 0xA042", True)]


def test_another_driver_in_the_configuration_begins_anew(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"air": Page("plantower", "plantower 97")}
    wire = Wire(proofs, AIR)
    assert values(wire.frame("sds011 a1")) == good(1.0)
    assert shelf.accepted == [("air", "sds011 a1", False)]


def test_the_same_unit_under_another_profile_keeps_its_hours(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"air": Page("old", "serial=7")}
    assert values(Wire(proofs, AIR).frame("serial=7")) == good(1.0)
    assert shelf.accepted == [("air", "serial=7", True)]


def test_a_new_address_in_the_configuration_is_no_new_unit(shelf: Shelf, proofs: Proofs) -> None:
    shared = Unit(sensor="air", driver="pzem", shares_bus=True, proves="unit")
    Wire(proofs, shared).frame("pzem unit=1 serial=7")
    assert shelf.known("air").identity == "pzem serial=7"
    assert values(Wire(proofs, shared).frame("pzem unit=2 serial=7")) == good(1.0)
    assert len(shelf.accepted) == 1


def test_a_unit_that_fell_silent_proves_itself_again(shelf: Shelf, proofs: Proofs) -> None:
    wire = Wire(proofs, AIR)
    wire.frame("sds011 a1")
    wire.said = [Problem(sensor="air", code="silent")]
    assert problems(wire.wait(1)) == [("silent", False)]
    wire.said = [Problem(sensor="air", code="silent", ok=True), wire.reading(5.0, wire.now_ns)]
    assert values(wire.gate.receive(b"", wire.now_ns)) == []
    assert values(wire.frame("sds011 a1")) == good(5.0, 1.0)


def test_a_driver_that_never_names_its_unit_is_believed_by_its_frames(shelf: Shelf, proofs: Proofs) -> None:
    wire = Wire(proofs, AIR)
    wire.wait(3600)
    assert values(wire.frame()) == []
    assert values(wire.frame(after_s=10)) == good(1.0, 1.0)
    assert shelf.known("air").identity == "sds011"


def test_a_driver_that_never_names_its_unit_is_no_proof_of_a_known_one(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"air": Page("sds011", "sds011 a1")}
    wire = Wire(proofs, AIR)
    wire.frame()
    assert values(wire.frame(after_s=10)) == doubted(1.0, 1.0)


def test_what_waited_when_the_port_was_lost_is_gone(proofs: Proofs) -> None:
    wire = Wire(proofs, AIR)
    wire.frame()
    wire.reopen()
    assert values(wire.frame("sds011 a1", value=7.0)) == good(7.0)


def test_what_is_no_value_of_a_sensor_on_the_port_passes_untouched(proofs: Proofs) -> None:
    wire = Wire(proofs, AIR)
    others: list[Event] = [
        TimeSeen(sensor="air", boot_ns=1, utc_ms=2, uncertainty_ms=3),
        Rejected(sensor="air", reason="late"),
        Problem(sensor="other", code="silent"),
        Reading(sensor="other", channel="x", value=1, unit="1", boot_ns=0),
        Identified(sensor="other", identity="x"),
    ]
    wire.said = list(others)
    assert wire.gate.tick(wire.now_ns) == others


def test_no_value_of_another_sensors_unit_comes_after_the_own_one_is_back(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"air": Page("sds011", "sds011 a1"), "river": Page("sds011", "sds011 b2")}
    wire = Wire(proofs, AIR)
    wire.frame("sds011 b2", value=2.0)
    wire.frame(value=3.0)
    assert values(wire.frame("sds011 a1", value=4.0)) == good(4.0)


def test_a_unit_whose_port_is_lost_still_belongs_to_its_sensor(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"river": Page("sds011", "sds011 b2")}
    air, river = Wire(proofs, AIR), Wire(proofs, RIVER)
    air.frame("sds011 a1")
    air.gate.lost(air.now_ns)
    assert problems(river.frame("sds011 a1")) == [(WRONG_UNIT, False)]


def test_a_unit_whose_task_was_made_anew_still_belongs_to_its_sensor(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"river": Page("sds011", "sds011 b2")}
    Wire(proofs, AIR).frame("sds011 a1")
    Wire(proofs, AIR)
    assert problems(Wire(proofs, RIVER).frame("sds011 a1")) == [(WRONG_UNIT, False)]


def test_the_unit_of_a_sensor_that_left_the_configuration_is_a_new_one(shelf: Shelf, proofs: Proofs) -> None:
    shelf.pages = {"air": Page("sds011", "sds011 a1"), "gone": Page("sds011", "sds011 b2")}
    wire = Wire(proofs, AIR)
    wire.frame("sds011 b2")
    assert problems(wire.frame(after_s=10)) == [(NEW_UNIT, False)]
