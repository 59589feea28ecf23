"""K10, K16, K17: echoes, strangers and late answers; what is written; a dead neighbour."""

from collections.abc import Iterator

from drivers.bus import Bus
from drivers.conformance.play import NS, Play, clean, cut, groups, live, run, sequence_of, values_of
from drivers.conformance.subject import NotApplicable, Subject, Vector, ensure
from drivers.driver import Driver, Event, OptionValue, Send
from drivers.reading import Reading
from drivers.serial.rtu import is_sealed, sealed
from drivers.sharing import attached, clashes

_MINUTE_NS = 60 * NS
_TIMES = 12  # polls that are watched where a minute holds fewer
_SHARE = 0.9
_OTHER_UNIT = 77
_EXCEPTION_BIT, _ILLEGAL_ADDRESS = 0x80, 2
_LATE_NS = 1_000_000
_MOMENTS = 60


def k10_echoes_and_strangers(subject: Subject) -> None:
    """The echo of the question, other units, other registers, late answers: the right value or none."""
    if Play(subject, live(subject)[0].options).talks:
        raise NotApplicable("it talks by itself: nothing to echo or to answer late")
    for group in groups(subject):
        for one in group:
            _echo(subject, one)
            _strangers(subject, one, group)
            _late(subject, one)


def _echo(subject: Subject, one: Vector) -> None:
    wanted = clean(subject, [one])
    for name, chunks in (
        ("an echo before the answer", [one.request + one.frame]),
        ("an echo apart", [one.request, one.frame]),
        ("an echo in pieces", [*cut(one.request, len(one.request) // 2), one.frame]),
    ):
        found = sequence_of(run(subject, [(one, chunks)]).readings)
        ensure(found == wanted, f"{name} of {one.request.hex(' ')}: {found}, wanted {wanted}")
    alone = run(subject, [(one, [one.request])]).readings
    ensure(not alone, f"the echo alone of {one.request.hex(' ')} gives {values_of(alone)}")


def _strangers(subject: Subject, one: Vector, group: list[Vector]) -> None:
    """Right values of the right channels, or nothing."""
    for name, frame in _others(subject, one, group):
        for reading in run(subject, [(one, [frame])]).readings:
            told = one.values.get(reading.channel)
            ensure(reading.value == told, f"{name} ({frame.hex(' ')[:120]}) gives {reading.channel} {reading.value}")


def _others(subject: Subject, one: Vector, group: list[Vector]) -> Iterator[tuple[str, bytes]]:
    if not subject.ambiguous:
        for other in group:
            if other.request != one.request and len(other.frame) != len(one.frame):
                yield "the answer to another question", other.frame
    if subject.info().family != "modbus" or not is_sealed(one.frame):
        return
    body = one.frame[:3] + bytes(byte ^ 1 for byte in one.frame[3:-2])
    yield "another unit's answer", sealed(bytes((_OTHER_UNIT,)) + body[1:])
    yield "another function's answer", sealed(body[:1] + bytes((7 - body[1],)) + body[2:])
    yield "a longer answer", sealed(body[:2] + bytes((body[2] + 2,)) + body[3:] + b"\0\0")
    yield "an exception", sealed(bytes((body[0], body[1] | _EXCEPTION_BIT, _ILLEGAL_ADDRESS)))


def _late(subject: Subject, one: Vector) -> None:
    """An answer that comes just after its time, whatever is asked by then."""
    play = Play(subject, one.options, subject.vectors)
    play.until(one.request)
    play.step()
    play.now_ns += _LATE_NS
    found = play.hear(one.frame)
    ensure(not found, f"a late answer to {one.request.hex(' ')} is taken for another's: {values_of(found)}")


def k16_only_declared_writes(subject: Subject) -> None:
    """Polls unanswered and answered, noise, a lost port, vectors at any time. `Play` refuses each undeclared write."""
    for vector in subject.vectors:
        play = Play(subject, vector.options, subject.vectors)
        for _ in range(_MOMENTS):
            play.hear(vector.frame)
            play.step_if_due()
        play.hear(vector.frame, bytes(64), b"\r\n", vector.frame)
        play.lose()
        play.open()
        sent = play.asked()
        if not play.talks:
            ensure(sent, "a polled unit is never asked")


def k17_a_dead_neighbour(subject: Subject) -> None:
    """A unit beside one that never answers keeps nine polls of ten."""
    info = subject.info()
    if not info.shares_bus:
        raise NotApplicable("it is alone on its port")
    for group in groups(subject):
        one = group[0]
        names = {option.name for option in info.options}
        other: dict[str, OptionValue] = {"unit": _OTHER_UNIT} if "unit" in names else {"address": "9"}
        if clashes([attached("s", info, one.options), attached("dead", info, {**one.options, **other})]):
            raise NotApplicable("it was heard at an address that any unit answers to, and so alone")
        every_s = subject.make(one.options).info.every_s
        length_ns = max(_MINUTE_NS, round(_TIMES * every_s * NS))
        alone = _answered(subject, one, [], length_ns)
        beside = _answered(subject, one, [subject.make({**one.options, **other})], length_ns)
        ensure(alone, f"{one.request.hex(' ')} is never answered")
        ensure(beside >= _SHARE * alone, f"{beside} answers beside a dead unit, {alone} without")


def _answered(subject: Subject, one: Vector, dead: list[Driver], length_ns: int) -> int:
    """How often a unit's values come in a time."""
    living = subject.make(one.options)
    for number, driver in enumerate(dead):
        driver.sensor = f"dead-{number}"
    replies = {vector.request: vector.frame for vector in subject.vectors if vector.helps} | {one.request: one.frame}
    bus = Bus([living, *dead])
    now_ns = NS
    count = 0
    coming = bus.start(now_ns)
    while now_ns <= length_ns:
        said: list[Event] = []
        for event in coming:
            if isinstance(event, Send) and event.data in replies:
                said += bus.receive(replies[event.data], now_ns + _LATE_NS)
        count += len({event.boot_ns for event in said if isinstance(event, Reading)})
        due_ns = bus.deadline()
        now_ns = max(now_ns + _LATE_NS, due_ns or 0)
        coming = [*(event for event in said if isinstance(event, Send)), *bus.tick(now_ns)]
    return count
