"""What a path is measured to take, receipt by receipt."""

import pytest

from agent.flow import FLOOR_BYTES, START_BYTES, Flow

SIZE = 1000


def steady(flow: Flow, *, latency_s: float, every_s: float, count: int = 200, begin_s: float = 0.0) -> float:
    """Keep the window full on a path that takes so long and lets one piece through in each interval; return the end."""
    now_s = free_s = begin_s
    under_way: list[tuple[float, float]] = []
    marks = []
    for _ in range(count):
        while flow.takes(len(under_way) * SIZE):
            marks.append(flow.sent(len(under_way) * SIZE, now_s))
            free_s = max(free_s, now_s) + every_s
            under_way.append((free_s + latency_s, now_s))
        now_s = under_way.pop(0)[0]
        flow.arrived([(SIZE, marks.pop(0))], now_s)
    return now_s


@pytest.mark.parametrize("rate", [20_000, 100_000, 5_000_000])
def test_a_second_of_what_arrives_may_be_under_way(rate: int) -> None:
    flow = Flow(START_BYTES)
    steady(flow, latency_s=0.1, every_s=SIZE / rate, count=5000)
    assert flow.window_bytes == pytest.approx(rate, rel=0.1)


@pytest.mark.parametrize("latency_s", [1.0, 3.0])
def test_on_a_long_path_it_is_twice_what_the_path_holds(latency_s: float) -> None:
    flow = Flow(START_BYTES)
    steady(flow, latency_s=latency_s, every_s=0.02, count=2000)
    assert flow.window_bytes == pytest.approx(2 * (latency_s + 0.02) * 50_000, rel=0.2)


def test_a_path_of_unknown_speed_opens_in_a_few_round_trips() -> None:
    flow = Flow(START_BYTES)
    end_s = steady(flow, latency_s=0.5, every_s=1e-5, count=500)
    assert end_s < 5 * 0.51
    assert flow.window_bytes > 256 * 1024


def test_a_path_that_becomes_slower_gets_less() -> None:
    flow = Flow(START_BYTES)
    now_s = steady(flow, latency_s=0.1, every_s=0.01, count=1000)
    assert flow.window_bytes == pytest.approx(100_000, rel=0.1)
    steady(flow, latency_s=0.1, every_s=0.05, count=200, begin_s=now_s)
    assert flow.window_bytes == pytest.approx(20_000, rel=0.1)


def test_a_path_that_becomes_longer_is_measured_anew() -> None:
    flow = Flow(START_BYTES)
    now_s = steady(flow, latency_s=0.05, every_s=0.01, count=1000)
    steady(flow, latency_s=4, every_s=0.01, count=3000, begin_s=now_s)
    assert flow.window_bytes > 4 * 80_000  # else it would have run dry, at the floor for ever


def test_who_sends_little_learns_nothing_worse() -> None:
    flow = Flow(START_BYTES)
    now_s = steady(flow, latency_s=0.1, every_s=0.01, count=1000)
    before = flow.window_bytes
    for _ in range(100):
        now_s += 10
        flow.arrived([(SIZE, flow.sent(0, now_s))], now_s + 0.1)
    assert flow.window_bytes == before


def test_a_path_that_hardly_moves_still_gets_the_floor() -> None:
    flow = Flow(START_BYTES)
    mark = flow.sent(0, 0)
    flow.arrived([(10, mark)], 0.4)
    assert flow.window_bytes == FLOOR_BYTES


def test_one_receipt_may_cover_many_pieces() -> None:
    flow = Flow(START_BYTES)
    marks = [flow.sent(at * SIZE, 0) for at in range(10)]
    flow.arrived([(SIZE, mark) for mark in marks], 0.5)
    assert flow.window_bytes == 20_000


@pytest.mark.parametrize("pieces", [0, 1])
def test_a_receipt_in_the_moment_of_sending_says_nothing_of_the_rate(pieces: int) -> None:
    flow = Flow(START_BYTES)
    flow.arrived([(SIZE, flow.sent(0, 5))] * pieces, 5)
    assert flow.window_bytes == START_BYTES
