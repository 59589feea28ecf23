import pytest

from drivers.bus import Bus
from drivers.driver import Event, Problem, Rejected, Send
from drivers.reading import Reading
from drivers.serial.rg15 import decode, make

S = 1_000_000_000


def _line(acc: float, total: float, event: float = 0.0, rate: float = 0.0, rest: str = "") -> bytes:
    """Derived from the instructions' answer to R, metric."""
    return (
        f"Acc  {acc:.2f} mm, EventAcc  {event:.2f} mm, TotalAcc  {total:.2f} mm, RInt  {rate:.2f} mmph{rest}\r\n"
    ).encode()


def _said(*answers: bytes) -> list[list[Event]]:
    """What the driver says of each answer; an empty one is lost."""
    bus = Bus([make("rg15", "rain", {}, 10.0)])
    said: list[list[Event]] = []
    bus.start(0)
    for step, answer in enumerate(answers):
        now_ns = step * 10 * S
        events = bus.tick(now_ns)
        events += bus.receive(answer, now_ns + S // 10) if answer else bus.tick(now_ns + 4 * S)
        said.append(events)
    return said


def _rain(*answers: bytes) -> list[object]:
    """The rain that each answer tells; None where it tells none."""
    return [
        next((one.value for one in events if isinstance(one, Reading) and one.channel == "rain"), None)
        for events in _said(*answers)
    ]


@pytest.mark.parametrize(
    ("line", "total", "rate"),
    [
        (b"Acc  0.01 mm, EventAcc  2.07 mm, TotalAcc 54.85 mm, RInt  2.89 mmph\r\n", 54.85, 2.89),
        (b"Acc 0.010 mm, EventAcc 2.070 mm, TotalAcc 12345.678 mm, RInt 102.890 mmph\n", 12345.678, 102.89),
        (b"Acc 0.001 in, EventAcc 0.019 in, TotalAcc 1.019 in, RInt 0.082 iph", 25.8826, 2.0828),
        (b"Acc 0.00 mm,EventAcc 0.00 mm,TotalAcc 1.00 mm,RInt 0.00 mmph, XTBTips 0, XTBEventAcc 0.00 mm\r\n", 1.0, 0.0),
    ],
)
def test_units_and_padding_differ_and_all_become_millimetres(line: bytes, total: float, rate: float) -> None:
    found = {one.channel: (one.value, one.unit) for one in decode("rg15", {}, [line]).readings}
    assert (found["rain_total"], found["rain_rate"]) == ((total, "mm"), (rate, "mm/h"))


@pytest.mark.parametrize(("line", "rain"), [(b"Acc 0.001 in\r\n", 0.0254), (b"Acc  0.12 mm", 0.12)])
def test_the_answer_to_another_command_is_rain_without_a_witness(line: bytes, rain: float) -> None:
    """Hydreon RG-15 instructions, command A: “Acc 0.000 in”."""
    (reading,) = decode("rg15", {}, [line]).readings
    assert (reading.channel, reading.value, reading.unit) == ("rain", rain, "mm")
    assert [str(flag) for flag in reading.quality] == ["unconfirmed"]


def test_the_answer_to_another_command_answers_no_poll() -> None:
    assert _rain(b"Acc 0.50 mm\r\n" + _line(0.01, 1.0)) == [0.01]


@pytest.mark.parametrize(
    "line",
    [
        b"Acc  0.01 mph\r\n",
        b"Acc  0.01 mm,\r\n",
        b"Acc  0.01 mm, EventAcc  2.07 in, TotalAcc 54.85 mm, RInt  2.89 mmph\r\n",
        b"Acc  0.01 mm, EventAcc  2.07 mm, TotalAcc 54.85 mm, RInt  2.89 iph\r\n",
        b"Acc  0.01 mm, EventAcc  2.07 mm, TotalAcc 54a85 mm, RInt  2.89 mmph\r\n",
        b"Acc  0.01 mm, EventAcc  2.07 mm, TotalAcc -4.85 mm, RInt  2.89 mmph\r\n",
        b"cc  0.01 mm, EventAcc  2.07 mm, TotalAcc 54.85 mm, RInt  2.89 mmph\r\n",
        b"PwrDays 12\r\n",
        b"p\r\n",
    ],
)
def test_a_line_of_another_form_or_of_two_units_is_no_reading(line: bytes) -> None:
    decoded = decode("rg15", {}, [line])
    assert decoded.readings == ()
    assert decoded.reasons


def test_each_line_that_is_decoded_by_hand_stands_for_itself() -> None:
    readings = decode("rg15", {}, [_line(0.05, 54.85), _line(0.2, 3.0)]).readings
    assert [one.value for one in readings if one.channel == "rain"] == [0.05, 0.2]


def test_rain_is_what_the_total_grew_by() -> None:
    assert _rain(_line(0.3, 54.85), _line(0.02, 54.87), _line(0.0, 54.87), _line(0.5, 55.37)) == [0.3, 0.02, 0.0, 0.5]


def test_rain_of_a_lost_answer_comes_with_the_line_after_next() -> None:
    lines = [_line(0.0, 10.0), _line(0.1, 10.1), b"", _line(0.1, 10.4), _line(0.0, 10.4)]
    assert _rain(*lines) == [0.0, 0.1, None, None, 0.3]


def test_a_counter_that_began_again_loses_only_what_nobody_saw() -> None:
    lines = [_line(0.0, 54.85), _line(0.1, 54.95), _line(0.2, 0.2), _line(0.1, 0.3), _line(0.1, 0.4)]
    assert _rain(*lines) == [0.0, 0.1, None, 0.3, 0.1]


@pytest.mark.parametrize("damaged", [94.85, 50.85, 54.15, 0.85])
def test_a_damaged_total_makes_no_rain(damaged: float) -> None:
    lines = [_line(0.0, 54.85), _line(0.0, 54.85), _line(0.0, damaged), *[_line(0.0, 54.85)] * 3, _line(0.2, 55.05)]
    told = _rain(*lines)
    assert sum(value for value in told if isinstance(value, float)) == pytest.approx(0.2)
    first = [_line(0.0, damaged), *[_line(0.0, 54.85)] * 3, _line(0.2, 55.05)]
    assert sum(value for value in _rain(*first) if isinstance(value, float)) == pytest.approx(0.2)


def test_a_total_that_stands_alone_is_sent_with_its_doubt() -> None:
    (_, doubted, believed) = _said(_line(0.0, 54.85), _line(0.0, 94.85), _line(0.0, 94.85))
    flags = {one.channel: [str(flag) for flag in one.quality] for one in doubted if isinstance(one, Reading)}
    assert flags == {"rain_event": [], "rain_total": ["unconfirmed"], "rain_rate": []}
    assert all(not one.quality for one in believed if isinstance(one, Reading))


def test_rain_is_told_while_somebody_else_reads_acc_away() -> None:
    totals = [10.0, *(10.0 + 0.3 * step for step in range(9))]
    told = _rain(*(_line(0.0, total) for total in totals))
    assert sum(value for value in told if isinstance(value, float)) == pytest.approx(2.4)


def test_a_total_rounded_down_by_a_hundredth_is_no_new_counter() -> None:
    assert _rain(_line(0.0, 10.0), _line(0.0, 10.0), _line(0.0, 9.99), _line(0.0, 10.0)) == [0.0, 0.0, 0.0, 0.01]


def test_all_rain_is_told_once_across_a_lost_port() -> None:
    rain = make("rg15", "rain", {}, 10.0)
    bus = Bus([rain])
    bus.start(0)
    events = bus.receive(_line(0.0, 10.0), S)
    bus.tick(10 * S)
    events += bus.receive(_line(0.1, 10.1), 11 * S)
    bus.lost(12 * S)
    assert bus.deadline() is None
    bus.start(100 * S)
    events += bus.receive(_line(0.4, 10.5), 101 * S)
    assert [one.value for one in events if isinstance(one, Reading) and one.channel == "rain"] == [0.0, 0.1, 0.4]


@pytest.mark.parametrize(
    ("rest", "code", "flag"),
    [
        (", LensBad", "lens_bad", "device_error"),
        (", EmSat", "emitter_saturated", "saturated"),
        (" TooCold", "too_cold", "device_error"),
    ],
)
def test_a_fault_behind_the_values_makes_a_dry_day_doubtful_and_is_told(rest: str, code: str, flag: str) -> None:
    dry, faulty = _line(0.0, 5.0), _line(0.0, 5.0, rest=rest)
    said = _said(dry, faulty, faulty, dry)
    problems = [(event.code, event.ok) for events in said for event in events if isinstance(event, Problem)]
    assert problems == [(code, False), (code, True)]
    assert [{str(flag) for flag in one.quality} for one in said[1] if isinstance(one, Reading)] == [{flag}] * 4


def test_the_read_command_is_all_it_ever_writes() -> None:
    said = _said(*[_line(0.0, 5.0)] * 20, b"", b"", b"", b"")
    assert {event.data for events in said for event in events if isinstance(event, Send)} == {b"R\n"}


def test_lines_of_a_start_before_the_answer_are_skipped_and_counted() -> None:
    (events,) = _said(b"\xff\x00PwrDays 12\r\nReset N\r\n; Hydreon RG-15\r\nAcc x\r\n\x00\xfe" + _line(0.0, 5.0))
    assert len([event for event in events if isinstance(event, Reading)]) == 4
    assert any(isinstance(event, Rejected) for event in events)
