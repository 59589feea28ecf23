import random

import pytest

from drivers.bus import Bus
from drivers.driver import Ask, Event, OptionValue, Problem, Send
from drivers.errors import OptionError
from drivers.reading import Reading
from drivers.serial.escpos import decode, make

S = 1_000_000_000
QUESTIONS = [bytes((0x10, 0x04, number)) for number in (4, 1, 2, 3)]  # paper first: every clone knows it


def _values(events: list[Event]) -> dict[str, object]:
    return {event.channel: event.value for event in events if isinstance(event, Reading)}


def _decoded(raw: str, **options: OptionValue) -> dict[str, object]:
    return {one.channel: one.value for one in decode("escpos", options, [bytes.fromhex(raw)]).readings}


def _played(replies: dict[int, bytes], rounds: int) -> tuple[list[Event], list[bytes]]:
    """A printer that answers some of the questions, for some polls."""
    bus = Bus([make("escpos", "p", {}, None)])
    events: list[Event] = []
    asked: list[bytes] = []
    now_ns = 0
    coming = bus.start(now_ns)
    while now_ns < rounds * 5 * S:
        for event in coming:
            if isinstance(event, Send):
                asked.append(event.data)
                coming += bus.receive(replies.get(event.data[2], b""), now_ns) if replies.get(event.data[2]) else []
            else:
                events.append(event)
        now_ns += S // 20
        coming = bus.tick(now_ns)
    return events, asked


@pytest.mark.parametrize(
    ("raw", "paper"),
    [("12", "adequate"), ("1e", "near_end"), ("72", "out"), ("7e", "out"), ("10 04 04 1e", "near_end")],
)
def test_a_lone_byte_is_the_state_of_the_paper(raw: str, paper: str) -> None:
    assert _decoded(raw) == {"paper": paper}


@pytest.mark.parametrize("raw", ["00", "ff", "02", "10", "13", "92", "52", "16", "1a", "32"])
def test_wrong_fixed_bits_and_halves_of_a_sensor_are_refused(raw: str) -> None:
    decoded = decode("escpos", {}, [bytes.fromhex(raw)])
    assert decoded.readings == ()
    assert decoded.reasons


def test_no_single_flipped_bit_of_the_paper_state_is_another_state() -> None:
    for good in (0x12, 0x1E, 0x72, 0x7E):
        for bit in range(8):
            assert _decoded(f"{good ^ 1 << bit:02x}") == {}


def test_each_question_has_its_own_bits() -> None:
    assert _decoded("10 04 01 1e") == {"drawer_signal": True, "offline": True}
    assert _decoded("36", request="2") == {"cover_open": True, "paper_stop": True, "error": False}
    assert _decoded("52", request=2) == {"cover_open": False, "paper_stop": False, "error": True}
    assert _decoded("1a", request=3) == {
        "recoverable_error": False,
        "cutter_error": True,
        "unrecoverable_error": False,
        "auto_recoverable_error": False,
    }
    with pytest.raises(OptionError, match="1 printer"):
        decode("escpos", {"request": 5}, [b"\x12"])


def test_the_answer_counts_for_the_question_that_was_asked() -> None:
    events, asked = _played({1: b"\x1a", 2: b"\x16", 3: b"\x12", 4: b"\x7e"}, 1)
    values = _values(events)
    assert (values["offline"], values["cover_open"], values["cutter_error"], values["paper"]) == (
        True,
        True,
        False,
        "out",
    )
    assert asked == QUESTIONS


def test_a_clone_that_ignores_two_questions_is_soon_asked_only_the_others() -> None:
    events, asked = _played({1: b"\x12", 4: b"\x12"}, 8)
    paper, printer, offline, error = QUESTIONS
    tried = [paper, printer, offline, paper, printer, error]
    assert asked == [*QUESTIONS, *tried, *tried, *[paper, printer] * 3]
    assert [event.code for event in events if isinstance(event, Problem)] == ["ignores-100402", "ignores-100403"]
    assert _values(events) == {"offline": False, "drawer_signal": False, "paper": "adequate"}


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_clone_that_answers_a_single_question_is_heard_for_good(number: int) -> None:
    events, _ = _played({number: b"\x12"}, 60)
    heard = {event.boot_ns // S for event in events if isinstance(event, Reading)}
    assert len(heard) > 40
    silent = [event.ok for event in events if isinstance(event, Problem) and event.code == "silent"]
    assert silent in ([], [False, True])


def test_an_ignored_question_is_tried_again_after_a_hundred_polls_and_counts_when_it_is_answered() -> None:
    driver = make("escpos", "p", {}, None)
    driver.start(0)
    assert driver._match(driver._questions[0], b"\x12", 1)
    assert len([event for _ in range(5) for event in driver.unanswered(QUESTIONS[1], 0)]) == 1
    asked = {
        poll: [event.transaction.request for event in driver.tick(poll * 5 * S) if isinstance(event, Ask)]
        for poll in range(1, 101)
    }
    assert all(QUESTIONS[1] not in asked[poll] for poll in range(1, 100))
    assert QUESTIONS[1] in asked[100]
    verdict = driver._match(driver._questions[1], b"\x16", 1)
    assert verdict is not None
    assert verdict.events[0] == Problem(sensor="p", code="ignores-100401", ok=True)
    again = driver._match(driver._questions[1], b"\x16", 1)
    assert again is not None
    assert [event for event in again.events if isinstance(event, Problem)] == []
    assert QUESTIONS[1] in [event.transaction.request for event in driver.tick(101 * 5 * S) if isinstance(event, Ask)]


def test_a_printer_that_is_off_is_silent_and_asked_everything_when_it_is_back() -> None:
    well = {1: b"\x12", 2: b"\x12", 3: b"\x12", 4: b"\x12"}
    replies = dict(well)
    driver = make("escpos", "p", {}, None)
    bus = Bus([driver])
    events: list[Event] = []
    answered: list[int] = []
    coming = bus.start(0)
    for step in range(1200 * 10):
        now_ns = step * S // 10
        replies = {} if 60 <= step / 10 < 900 else well
        for event in coming:
            if isinstance(event, Send) and replies:
                coming += bus.receive(replies[event.data[2]], now_ns)
                answered += [event.data[2]] if step / 10 > 1000 else []
            elif not isinstance(event, Send):
                events.append(event)
        coming = bus.tick(now_ns)
    assert [(one.code, one.ok) for one in events if isinstance(one, Problem)] == [("silent", False), ("silent", True)]
    assert {answered.count(number) for number in well} <= {39, 40, 41}


def test_an_echo_is_no_status_whole_or_cut() -> None:
    driver = make("escpos", "p", {}, None)
    driver.start(0)
    question = driver._questions[1]
    assert driver._match(question, b"\x10\x04\x01", 1) is None
    assert driver._match(question, b"\x10\x04", 1) is None
    verdict = driver._match(question, b"\x10\x04\x01\x1a", 1)
    assert verdict is not None
    assert _values(list(verdict.events)) == {"drawer_signal": False, "offline": True}


def test_only_status_is_ever_asked() -> None:
    _, asked = _played({1: b"\x12"}, 4)
    assert set(asked) == set(QUESTIONS)


def test_babble_is_bounded_and_raises_nothing() -> None:
    chance = random.Random(3)  # noqa: S311 - noise, no secret
    for _ in range(100):
        decode("escpos", {}, [chance.randbytes(200)])
