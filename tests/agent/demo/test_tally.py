from agent.demo.tally import Tally

FIRST, SECOND = "a" * 32, "b" * 32


def begun(run: str, told: int, tally: Tally | None = None) -> Tally:
    tally = tally or Tally()
    tally.begin()
    tally.name(run)
    for _ in range(told):
        tally.tell()
    return tally


def settle(tally: Tally, count: int, *, run: str = FIRST, boot_ms: int = 0, now_s: float = 0.0) -> None:
    for _ in range(count):
        tally.settle("air/pm10", run, boot_ms, alarm=False, now_s=now_s)


def test_what_the_center_lacks_is_held() -> None:
    tally = begun(FIRST, 10)
    settle(tally, 7)
    assert (tally.taken, tally.settled, tally.held) == (10, 7, 3)


def test_a_row_that_is_at_the_center_was_taken_even_when_the_node_did_not_tell_of_it_here() -> None:
    tally = begun(FIRST, 1)
    settle(tally, 3)
    assert (tally.taken, tally.held) == (3, 0)


def test_readings_of_a_killed_run_are_held_until_its_successor_speaks() -> None:
    tally = begun(SECOND, 0, begun(FIRST, 10))
    settle(tally, 8)
    assert (tally.taken, tally.held, tally.left_behind) == (10, 2, 0)


def test_what_was_not_on_disk_at_the_kill_was_never_taken() -> None:
    tally = begun(SECOND, 5, begun(FIRST, 10))
    settle(tally, 8)
    settle(tally, 1, run=SECOND)
    assert (tally.taken, tally.held, tally.left_behind) == (13, 4, 2)


def test_rows_whose_moment_lies_in_the_cut_were_taken_while_it_was_cut() -> None:
    tally = begun(FIRST, 9)
    tally.cut(1000)
    tally.mend(2000, 2.0)
    for boot_ms in (999, 1000, 1500, 2000, 2001):
        settle(tally, 1, boot_ms=boot_ms)
    assert tally.taken_while_cut == 3


def test_a_drain_ends_with_the_last_row_of_the_time_before_it() -> None:
    tally = begun(FIRST, 4)
    settle(tally, 1)
    tally.cut(1000)
    tally.mend(2000, 2.0)
    assert tally.drain is not None
    settle(tally, 2, boot_ms=1500, now_s=2.5)
    settle(tally, 5, boot_ms=2500, now_s=2.6)  # newer ones may overtake them
    assert tally.drain.ended_s is None
    settle(tally, 1, boot_ms=2000, now_s=3.5)
    assert (tally.drain.readings, tally.drain.seconds, tally.drain.per_s) == (3, 1.5, 2.0)


def test_rows_are_counted_by_sensor_and_alarms_apart() -> None:
    tally = begun(FIRST, 2)
    tally.settle("alarm/banjir", FIRST, 0, alarm=True, now_s=0.0)
    tally.settle("air/pm10", FIRST, 0, alarm=False, now_s=0.0)
    assert tally.by_sensor == {"alarm": 1, "air": 1}
    assert tally.alarms == 1
