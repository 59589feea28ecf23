import logging
from dataclasses import dataclass

import pytest

from agent.belief import BUILT_UTC_MS, LAST_UTC_MS, Bounds, Sighting, Source, Told
from agent.clock import WallClock, boot_id, boot_ns, text_of
from agent.seal import Moment
from agent.wire.batch import STEPPED, Clock
from drivers.driver import TimeSeen
from drivers.host import sample

BOOT = b"b" * 16
DAY = 86_400_000
NOW = BUILT_UTC_MS + 100 * DAY


@dataclass
class Box:
    """A box with a wall clock that can be set."""

    boot_ms: int = 5000
    utc_ms: int = NOW
    kept: bool = True
    bounds: Bounds = Bounds()  # noqa: RUF009 - frozen
    last_ms: int = LAST_UTC_MS

    def __post_init__(self) -> None:
        self.clock = WallClock(
            boot=BOOT,
            boot_ns=lambda: self.boot_ms * 1_000_000,
            utc_ms=lambda: self.utc_ms,
            kernel=lambda: sample.Clock(synchronised=self.kept, offset_s=0.0, error_s=0.04),
            bounds=self.bounds,
            last_ms=self.last_ms,
        )

    def passes(self, ms: int) -> None:
        self.boot_ms += ms
        self.utc_ms += ms

    def now(self) -> Moment:
        return self.clock.moment()

    def sees(self, source: Source, utc_ms: int, uncertainty_ms: int = 60_000) -> None:
        sighting = Sighting(source=source, boot_ms=self.boot_ms, utc_ms=utc_ms, uncertainty_ms=uncertainty_ms)
        self.clock.sees(sighting)

    def hears(self, utc_ms: int) -> None:
        self.clock.hears(TimeSeen(sensor="pos", boot_ns=self.boot_ms * 1_000_000, utc_ms=utc_ms, uncertainty_ms=1000))

    def recorded(self) -> list[tuple[str, int, int]]:
        return [(one.source, one.at_utc_ms - one.at_boot_ms, one.uncertainty_ms) for one in self.clock.records()]


def test_a_kept_clock_is_believed() -> None:
    assert Box().now() == Moment(boot=BOOT, boot_ms=5000, utc_ms=NOW, clock=Clock.SYNCHRONISED)


def test_a_clock_that_nobody_keeps_tells_no_utc() -> None:
    assert Box(kept=False).now() == Moment(boot=BOOT, boot_ms=5000, utc_ms=None, clock=Clock.UNKNOWN)


def test_a_box_that_boots_in_1970_tells_no_utc_even_when_its_clock_counts_as_kept() -> None:
    box = Box(utc_ms=60_000)
    assert box.now().clock == Clock.UNKNOWN
    box.utc_ms = BUILT_UTC_MS - 1
    assert box.now().utc_ms is None


def test_the_first_time_that_comes_in_is_no_step() -> None:
    box = Box(utc_ms=60_000)
    box.now()
    box.utc_ms = NOW
    assert box.now().clock == Clock.SYNCHRONISED


def test_the_last_kept_time_goes_on_when_nobody_keeps_it_any_more() -> None:
    box = Box()
    box.now()
    box.kept = False
    box.boot_ms += 10_000
    box.utc_ms += 500_000  # whoever set it, nobody vouches for it
    assert box.now() == Moment(boot=BOOT, boot_ms=15_000, utc_ms=NOW + 10_000, clock=Clock.HOLDOVER)


def test_a_step_of_more_than_a_second_is_flagged_once() -> None:
    box = Box()
    box.now()
    box.passes(10_000)
    box.utc_ms -= 1001
    assert box.now().clock == Clock.SYNCHRONISED + STEPPED
    box.passes(10)
    assert box.now().clock == Clock.SYNCHRONISED


def test_a_small_correction_is_no_step() -> None:
    box = Box()
    box.now()
    box.utc_ms += 1000
    assert box.now().clock == Clock.SYNCHRONISED


def test_a_step_behind_a_holdover_is_flagged() -> None:
    box = Box()
    box.now()
    box.kept = False
    box.now()
    box.kept, box.utc_ms = True, box.utc_ms + 5000
    assert box.now().clock == Clock.SYNCHRONISED + STEPPED


def test_a_clock_more_than_a_day_from_the_centers_is_not_believed() -> None:
    for off_ms, believed in ((DAY, True), (DAY + 1, False), (-DAY, True), (-DAY - 1, False)):
        box = Box()
        box.clock.center_says(NOW)
        box.passes(3_600_000)
        box.utc_ms += off_ms
        assert (box.now().utc_ms is not None) is believed


def test_an_implausible_clock_is_told_as_unknown_and_the_last_good_mapping_returns() -> None:
    box = Box()
    box.now()
    box.clock.center_says(NOW)
    box.utc_ms += 400 * DAY
    assert box.now().clock == Clock.UNKNOWN
    box.utc_ms -= 400 * DAY
    assert box.now().clock == Clock.SYNCHRONISED


def test_an_older_time_of_the_center_changes_nothing() -> None:
    box = Box()
    box.clock.center_says(NOW)
    box.clock.center_says(NOW - 50 * DAY)
    assert box.now().clock == Clock.SYNCHRONISED


def test_a_center_far_in_the_future_is_not_taken_at_its_word() -> None:
    box = Box()
    box.clock.center_says(BUILT_UTC_MS + 4000 * DAY)
    assert box.now().clock == Clock.SYNCHRONISED


def test_a_wall_clock_that_somebody_sets_to_anything_does_not_touch_the_mapping_that_was_kept() -> None:
    box = Box()
    box.now()
    for utc_ms in (0, NOW - DAY, NOW + 42 * 60_000, NOW + 20 * 365 * DAY):
        box.kept, box.utc_ms = False, utc_ms
        assert box.now() == Moment(boot=BOOT, boot_ms=5000, utc_ms=NOW, clock=Clock.HOLDOVER)


def test_twenty_years_ahead_are_not_believed_even_by_a_box_that_the_center_never_told_anything() -> None:
    assert Box(utc_ms=NOW + 20 * 365 * DAY).now().utc_ms is None


def test_the_floor_of_an_earlier_boot_rules_out_what_is_more_than_a_day_before_it() -> None:
    bounds = Bounds(floor_ms=NOW)
    assert Box(utc_ms=NOW - DAY, bounds=bounds).now().clock == Clock.SYNCHRONISED
    assert Box(utc_ms=NOW - DAY - 1, bounds=bounds).now().clock == Clock.UNKNOWN
    assert Box(utc_ms=NOW + 400 * DAY, bounds=bounds).now().clock == Clock.SYNCHRONISED  # it may have been off so long


def test_other_sources_are_believed_as_holdover_and_the_best_one_wins() -> None:
    box = Box(kept=False)
    box.sees(Source.RTC, NOW - 300_000, 600_000)
    assert box.now() == Moment(boot=BOOT, boot_ms=5000, utc_ms=NOW - 300_000, clock=Clock.HOLDOVER)
    box.sees(Source.HAND, NOW - 30_000)
    assert box.now().utc_ms == NOW - 30_000
    box.hears(NOW - 800)
    box.hears(NOW - 700)
    assert box.now().utc_ms == NOW - 700
    box.kept = True
    assert box.now().utc_ms == NOW


def test_an_implausible_source_leaves_the_place_to_the_next_one() -> None:
    box = Box(utc_ms=NOW + 400 * DAY)
    box.clock.center_says(NOW)
    box.sees(Source.HAND, NOW + 10_000)
    assert box.now() == Moment(boot=BOOT, boot_ms=5000, utc_ms=NOW + 10_000, clock=Clock.HOLDOVER)


def test_satellites_are_believed_once_two_sentences_agree() -> None:
    box = Box(kept=False)
    box.hears(NOW)
    assert box.now().utc_ms is None
    box.passes(10_000)
    box.hears(NOW + 70_000)
    assert box.now().utc_ms is None
    box.passes(10_000)
    box.hears(NOW + 80_500)
    assert box.now().utc_ms == NOW + 80_500


def test_a_better_source_that_says_something_else_is_a_step() -> None:
    box = Box(kept=False)
    box.sees(Source.HAND, NOW - 30_000)
    assert box.now().clock == Clock.HOLDOVER
    box.kept = True
    assert box.now().clock == Clock.SYNCHRONISED + STEPPED


def test_a_step_that_was_noticed_in_passing_stands_on_the_next_moment() -> None:
    box = Box()
    box.now()
    box.utc_ms += 5000
    box.clock.records()
    box.clock.validity_ms()
    assert box.now().clock == Clock.SYNCHRONISED + STEPPED
    assert box.now().clock == Clock.SYNCHRONISED


def test_the_first_synchronisation_and_a_step_are_recorded_and_the_rest_stands_in_headers() -> None:
    box = Box()
    assert box.recorded() == [("kernel", NOW - 5000, 40)]
    for _ in range(100):
        box.passes(3_600_000)
        assert box.recorded() == []
    box.utc_ms += 1001
    assert box.recorded() == [("kernel", NOW - 5000 + 1001, 40)]
    assert box.recorded() == []


def test_every_source_is_recorded_and_the_believed_one_that_no_header_says_hourly() -> None:
    box = Box(kept=False)
    box.sees(Source.RTC, NOW, 600_000)
    box.sees(Source.HAND, NOW + 500)
    assert box.recorded() == [("rtc", NOW - 5000, 600_000), ("hand", NOW - 4500, 60_000)]
    found: list[tuple[str, int, int]] = []
    for _ in range(6 * 24):
        box.passes(600_000)
        box.hears(box.utc_ms - 300)
        found += box.recorded()
    assert [source for source, _, _ in found] == ["gnss"] * 24


def test_what_is_not_believable_is_not_recorded() -> None:
    box = Box(utc_ms=60_000)
    box.sees(Source.RTC, BUILT_UTC_MS - 1)
    assert box.recorded() == []


def test_what_is_not_believed_is_said_once_and_again_when_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    box = Box(utc_ms=60_000)
    for _ in range(5):
        box.now()
        box.passes(1000)
    (told,) = caplog.messages
    assert "source=kernel utc=1970-01-01T00:01:00Z: before this software was built" in told
    box.utc_ms = NOW
    box.now()
    box.now()
    assert caplog.messages[1:] == ["time plausible: source=kernel utc=2027-02-03T07:33:20Z"]


def test_a_time_of_the_center_after_our_certificates_end_raises_no_floor() -> None:
    box = Box(last_ms=NOW + 5 * DAY)
    box.clock.center_says(NOW)
    box.clock.center_says(NOW + 5 * DAY + 1)
    assert box.clock.center_refused
    assert box.clock.bounds == Bounds(floor_ms=NOW, told=Told(boot_ms=5000, utc_ms=NOW))
    box.clock.center_says(NOW + 1)
    assert not box.clock.center_refused


def test_the_floor_does_not_fall_with_the_centers_clock() -> None:
    box = Box()
    box.clock.center_says(NOW)
    box.clock.center_says(NOW - 50 * DAY)
    assert box.clock.bounds.floor_ms == NOW


def test_no_clock_of_the_box_moves_the_floor() -> None:
    box = Box()
    box.sees(Source.HAND, NOW + 900 * DAY)
    box.now()
    box.utc_ms += 3000 * DAY
    box.now()
    assert box.clock.bounds == Bounds()


def test_certificates_are_judged_by_the_later_of_clock_and_floor() -> None:
    box = Box(kept=False)
    assert box.clock.validity_ms() == (BUILT_UTC_MS, None)
    box.clock.center_says(NOW - 3 * DAY)
    box.now()
    assert box.clock.validity_ms() == (NOW - 3 * DAY, None)
    box.sees(Source.HAND, NOW - 2 * DAY - 1000)
    box.now()
    assert box.clock.validity_ms() == (NOW - 2 * DAY - 1000, None)  # a hand is no synchronisation
    box.kept, box.utc_ms = True, NOW - 2 * DAY - 500
    box.now()
    assert box.clock.validity_ms() == (box.utc_ms, box.utc_ms)
    box.kept = False
    box.passes(1000)
    assert box.clock.validity_ms() == (box.utc_ms, box.utc_ms)


def test_a_reset_forgets_what_the_center_told() -> None:
    box = Box()
    box.clock.center_says(NOW + 300 * DAY)
    assert box.now().utc_ms is None
    box.clock.reset()
    assert box.now().utc_ms == NOW


def test_a_time_that_no_calendar_has_can_be_told() -> None:
    assert text_of(0) == "1970-01-01T00:00:00Z"
    assert text_of(10**18) == "1000000000000000000 ms"


def test_this_machine_has_a_boot_id_and_a_clock_that_counts_from_it() -> None:
    assert len(boot_id()) == 16
    first = boot_ns()
    assert 0 < first <= boot_ns()
    assert WallClock(boot=boot_id()).moment().boot_ms >= first // 1_000_000
