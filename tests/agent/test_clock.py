from dataclasses import dataclass

from agent.clock import BUILT_UTC_MS, WallClock, boot_id, boot_ns
from agent.seal import Moment
from agent.wire.batch import STEPPED, Clock

BOOT = b"b" * 16
DAY = 86_400_000
NOW = BUILT_UTC_MS + 100 * DAY


@dataclass
class Box:
    """A box with a wall clock that can be set."""

    boot_ms: int = 5000
    utc_ms: int = NOW
    kept: bool = True

    def __post_init__(self) -> None:
        self.clock = WallClock(
            boot=BOOT,
            boot_ns=lambda: self.boot_ms * 1_000_000,
            utc_ms=lambda: self.utc_ms,
            is_kept=lambda: self.kept,
        )

    def passes(self, ms: int) -> None:
        self.boot_ms += ms
        self.utc_ms += ms

    def now(self) -> Moment:
        return self.clock.moment()


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


def test_this_machine_has_a_boot_id_and_a_clock_that_counts_from_it() -> None:
    assert len(boot_id()) == 16
    first = boot_ns()
    assert 0 < first <= boot_ns()
    assert WallClock(boot=boot_id()).moment().boot_ms >= first // 1_000_000
