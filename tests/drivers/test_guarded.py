import math
from dataclasses import replace
from typing import Any

import pytest

from drivers.bus import Bus
from drivers.driver import Ask, Identified, Problem, Rejected, Send, Transaction, Verdict
from drivers.guarded import AGAIN_NS, FAILED, Guarded
from drivers.reading import Reading
from drivers.vendor import accept
from tests.drivers.vendor_class import Toy

NS = 1_000_000_000
GOOD = Reading(sensor="s", channel="count", value=7, unit="1", boot_ns=NS)


def guarded(**members: object) -> Guarded:
    """The toy with other members, at work."""
    return Guarded(accept("toy", type("Other", (Toy,), {"commands": (rb"\x05.*",), **members})), "s", {}, None)


def saying(*events: object) -> Guarded:
    return guarded(receive=lambda *_: list(events))


def failed(events: list[Any]) -> bool:
    return [event.code for event in events if isinstance(event, Problem) and not event.ok] == [FAILED]


def boom(*_: object) -> Any:
    raise RuntimeError("boom")


@pytest.mark.parametrize(
    "event",
    [
        GOOD,
        replace(GOOD, value=0.5),
        replace(GOOD, value=True),
        replace(GOOD, value="x" * 256),
        Send(data=b"\x05\x01"),
        Rejected(sensor="s", reason="checksum"),
        Problem(sensor="s", code="mine"),
        Identified(sensor="s", identity="toy 1"),
    ],
)
def test_what_a_driver_may_say_goes_on_as_it_is(event: object) -> None:
    assert saying(event).receive(b"x", NS) == [event]


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (None, "NoneType, which is no event"),
        (replace(GOOD, sensor="other"), "speaks for sensor 'other'"),
        (Problem(sensor="other", code="x"), "speaks for sensor 'other'"),
        (replace(GOOD, channel="level"), "'level' in '1' is not declared"),
        (replace(GOOD, unit="m"), "'count' in 'm' is not declared"),
        (replace(GOOD, value=math.nan), "which is no value"),
        (replace(GOOD, value=math.inf), "which is no value"),
        (replace(GOOD, value=1 << 53), "which is no value"),
        (replace(GOOD, value="x" * 257), "which is no value"),
        (replace(GOOD, value=None), "which is no value"),  # type: ignore[arg-type]  # what the check is for
        (replace(GOOD, boot_ns=NS + 1), "has not come"),
        (replace(GOOD, boot_ns=-1), "has not come"),
        (replace(GOOD, boot_ns=1.5), "not a whole number"),  # type: ignore[arg-type]  # what the check is for
        (replace(GOOD, quality={"odd"}), "no set of flags"),  # type: ignore[arg-type]  # what the check is for
        (replace(GOOD, quality=frozenset({"odd"})), "no set of flags"),  # type: ignore[arg-type]  # what the check is for
        (Send(data=b"\x06"), "06, which is not among its commands"),
        (Send(data="text"), "not at most 2048 bytes"),  # type: ignore[arg-type]  # what the check is for
        (Send(data=b"\x05" * 2049), "not at most 2048 bytes"),
    ],
)
def test_what_no_driver_may_say_is_its_failure_and_reaches_nobody(event: object, why: str) -> None:
    (said,) = saying(GOOD, event).receive(b"x", NS)
    assert isinstance(said, Problem)
    assert (said.sensor, said.code) == ("s", FAILED)
    assert why in said.detail


@pytest.mark.parametrize("call", ["start", "receive", "tick", "lost"])
def test_an_exception_in_any_call_is_one_problem_with_its_place(call: str) -> None:
    driver = guarded(**{call: boom})
    said: list[Any] = driver.receive(b"x", NS) if call == "receive" else getattr(driver, call)(NS)
    assert failed(said)
    assert "RuntimeError: boom" in said[0].detail
    assert "test_guarded.py:" in said[0].detail
    assert driver.receive(b"x", 2 * NS) == []


def test_a_call_that_returns_no_list_is_a_failure() -> None:
    assert failed(guarded(tick=lambda *_: None).tick(NS))


def test_a_driver_that_failed_is_made_anew_after_a_minute_and_its_first_reading_ends_the_trouble() -> None:
    made: list[Toy] = []

    class Once(Toy):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

        def receive(self, data: bytes, now_ns: int) -> list[Any]:
            return boom() if len(made) == 1 else super().receive(data, now_ns)

    driver = Guarded(accept("toy", Once), "s", {}, None)
    assert failed(driver.receive(b"x", NS))
    assert driver.deadline() == NS + AGAIN_NS
    assert driver.tick(NS + AGAIN_NS - 1) == []
    assert len(made) == 1
    assert driver.tick(NS + AGAIN_NS) == []
    assert len(made) == 2
    problem, reading = driver.receive(b"\x07", 2 * AGAIN_NS)
    assert problem == Problem(sensor="s", code=FAILED, ok=True)
    assert isinstance(reading, Reading)


def test_one_that_fails_again_and_again_is_reported_once() -> None:
    driver = guarded(start=boom)
    assert failed(driver.start(NS))
    assert [driver.tick(NS + count * AGAIN_NS) for count in range(1, 4)] == [[], [], []]


def test_a_failing_deadline_is_told_at_the_next_call() -> None:
    driver = guarded(deadline=boom)
    driver.start(NS)
    assert [driver.deadline(), driver.deadline()] == [NS, NS]
    assert failed(driver.tick(NS))
    assert driver.deadline() == NS + AGAIN_NS


@pytest.mark.parametrize("said", ["soon", 1.5])
def test_a_deadline_that_is_no_moment_is_a_failure(said: object) -> None:
    driver = guarded(deadline=lambda *_: said)
    driver.start(NS)
    driver.deadline()
    assert failed(driver.receive(b"x", NS))


def test_a_deadline_that_never_moves_on_costs_no_processor() -> None:
    driver = guarded(deadline=lambda *_: 0)
    driver.start(NS)
    due_ns = driver.deadline()
    assert due_ns is not None
    assert due_ns > NS
    assert guarded(deadline=lambda *_: 5 * NS).deadline() == 5 * NS
    assert guarded().deadline() is None


# -- questions --------------------------------------------------------------------------------------------------------


def asking(match: Any, **changes: Any) -> Guarded:
    asked = replace(Transaction(sensor="s", request=b"\x05\x01", match=match), **changes)
    info = replace(Toy.info, mode="poll")
    return guarded(start=lambda *_: [Ask(transaction=asked)], info=info)


def answered(driver: Guarded, data: bytes) -> list[Any]:
    bus = Bus([driver])
    assert bus.start(NS) == [Send(data=b"\x05\x01")]
    return bus.receive(data, NS)


def test_an_answer_reaches_the_driver_and_its_reading_goes_on() -> None:
    assert answered(asking(lambda *_: Verdict(used=1, events=(GOOD,))), b"x") == [GOOD]
    assert answered(asking(lambda *_: None), b"x") == []


@pytest.mark.parametrize(
    "match",
    [
        boom,
        lambda *_: "no verdict",
        lambda *_: Verdict(used=2),
        lambda *_: Verdict(used=1, events=(replace(GOOD, unit="m"),)),
    ],
)
def test_a_match_that_fails_costs_its_own_sensor(match: Any) -> None:
    assert failed(answered(asking(match), b"x"))


@pytest.mark.parametrize(
    "change",
    [{"request": b"\x06"}, {"sensor": "other"}, {"timeout_ns": 0}, {"timeout_ns": 10**12}, {"timeout_ns": "1"}],
)
def test_a_question_that_may_not_be_asked_is_never_sent(change: dict[str, Any]) -> None:
    assert failed(Bus([asking(lambda *_: None, **change)]).start(NS))


def test_what_else_a_driver_offers_the_bus_is_passed_through() -> None:
    plain = guarded()
    assert (plain.address, plain.held, plain.unanswered(b"", NS)) == (None, 0, [])
    more = guarded(address=4, held=9, unanswered=lambda *_: [GOOD])
    assert (more.address, more.held, more.unanswered(b"", NS)) == (4, 9, [GOOD])
    assert failed(guarded(unanswered=boom).unanswered(b"", NS))
