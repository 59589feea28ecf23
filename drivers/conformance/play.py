"""The other side of the wire: a driver on its bus, and vectors that speak or answer when they are asked."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from drivers.bus import Bus
from drivers.conformance.subject import Doubter, Subject, Values, Vector, ensure
from drivers.driver import Driver, Event, OptionValue, Send
from drivers.reading import Reading

NS = 1_000_000_000
_BYTE_NS = 1000  # between two chunks of one frame
_MOST_STEPS = 3000  # moments until a question must have been asked again
_SETTLED_NS = 3600 * NS  # no warm-up lasts so long
_ROUND = 40  # moments in which each question of a driver is heard
_DIGITS = 12


class Play:
    """One driver, alone on its port. Whatever it writes must be declared.

    Args:
        subject: Whose driver.
        options: Its section.
        vectors: Those that help are answered whenever they are asked for.
        begin_ns: When the port was opened.
    """

    def __init__(
        self, subject: Subject, options: Mapping[str, OptionValue], vectors: Sequence[Vector] = (), begin_ns: int = NS
    ) -> None:
        self.driver: Driver = subject.make(options)
        self.bus = Bus([self.driver])
        self.now_ns = begin_ns
        self.events: list[Event] = []
        self.sent: list[bytes] = []
        self.doubter: Doubter = subject.doubter(self.driver.info)
        self._subject = subject
        self._helpers = {one.request: one.frame for one in vectors if one.helps}
        self._asked: bytes | None = None
        self._every_ns = round(self.driver.info.every_s * NS)
        self.open()

    @property
    def talks(self) -> bool:
        """Whether the unit talks by itself."""
        return self.driver.info.mode == "stream"

    @property
    def readings(self) -> list[Reading]:
        """All so far."""
        return [event for event in self.events if isinstance(event, Reading)]

    def open(self) -> None:
        """Open the port."""
        self.doubter.started(self.driver.sensor, self.now_ns)
        self._take(self.bus.start(self.now_ns))

    def lose(self) -> None:
        """Lose the port."""
        self._take(self.bus.lost(self.now_ns))
        self.doubter.lost(self.driver.sensor, self.now_ns)
        self._asked = None

    def settle(self) -> None:
        """Let the warm-up pass, heard but without a value: after a long silence it would begin again."""
        end_ns = self.now_ns + _SETTLED_NS
        pause_ns = round(self.driver.info.stale_after_s * NS / 2)
        while self.now_ns < end_ns:
            self.now_ns += pause_ns
            self.doubter.judge(Reading(sensor=self.driver.sensor, channel="", value=0, unit="1", boot_ns=self.now_ns))
        self._asked = None
        self._take(self.bus.tick(self.now_ns))

    def hear(self, *chunks: bytes) -> list[Reading]:
        """Let bytes come now."""
        before = len(self.events)
        for chunk in chunks:
            self.now_ns += _BYTE_NS
            self._take(self.bus.receive(chunk, self.now_ns))
        return [event for event in self.events[before:] if isinstance(event, Reading)]

    def turn(self, request: bytes, *chunks: bytes) -> list[Reading]:
        """Let a frame come: after its pause where the unit talks, else in answer to the request."""
        if self.talks:
            self.now_ns += self._every_ns
            self._take(self.bus.tick(self.now_ns))
        else:
            self.until(request)
            self._asked = None
        return self.hear(*chunks)

    def until(self, request: bytes) -> None:
        """Go on until the driver has just asked this; others are answered where they help, else refused."""
        for _ in range(_MOST_STEPS):
            if self._asked == request:
                return
            if not self._aside():
                self.step()
        raise AssertionError(f"the driver does not ask {request.hex(' ')} again")

    def step(self) -> None:
        """Go on to the next moment that matters to the driver."""
        due_ns = self.bus.deadline()
        ensure(due_ns is not None, "the driver waits for nothing, and will never ask again")
        self._asked = None
        self.now_ns = max(self.now_ns, due_ns or 0)
        self._take(self.bus.tick(self.now_ns))

    def listening(self) -> None:
        """Go on until a question is open, where the driver asks at all: only then are bytes looked at."""
        for _ in range(0 if self.talks else _ROUND):
            if self._asked is not None:
                return
            self.step()

    def step_if_due(self) -> None:
        """Go on to the next moment, or by the unit's own pace where the driver waits for none."""
        if self.bus.deadline() is None:
            self.now_ns += self._every_ns
        else:
            self.step()

    def asked(self) -> list[bytes]:
        """What the driver asks in a while, helped where that is known."""
        if self.talks:
            return [b""]
        for _ in range(_ROUND):
            if not self._aside():
                self.step()
        return list(dict.fromkeys(self.sent))

    def judged(self, readings: Sequence[Reading]) -> list[Reading]:
        """Readings with the runtime's doubts."""
        return [self.doubter.judge(reading) for reading in readings]

    def _aside(self) -> bool:
        """Answer a question that is not the one awaited, as the unit would."""
        if self._asked is None:
            return False
        reply = self._helpers.get(self._asked, b"")
        if not reply and self._subject.refuse is not None:
            reply = self._subject.refuse(self._asked)
        if not reply:
            return False
        self._asked = None
        self.hear(reply)
        return True

    def _take(self, events: Sequence[Event]) -> None:
        self.events += events
        for event in events:
            if isinstance(event, Send):
                ensure(self._subject.may_send(event.data), f"it wrote {event.data.hex(' ')}, which is not declared")
                self._asked = event.data
                self.sent.append(event.data)


def values_of(readings: Sequence[Reading]) -> Values:
    """Channel and value; the last counts."""
    return {reading.channel: reading.value for reading in readings}


def sequence_of(readings: Sequence[Reading]) -> list[tuple[str, object]]:
    """Channels and values in order."""
    return [(reading.channel, reading.value) for reading in readings]


def same(found: Values, wanted: Mapping[str, object]) -> bool:
    """Whether values are equal; a number within one unit of the last place that was published."""
    return found.keys() == wanted.keys() and all(_near(found[name], value) for name, value in wanted.items())


def _near(found: object, wanted: object) -> bool:
    if isinstance(found, bool | str) or isinstance(wanted, bool | str):
        return found == wanted and type(found) is type(wanted)
    if not isinstance(found, int | float) or not isinstance(wanted, int | float):
        return False
    _, _, decimals = repr(wanted).partition(".")
    return bool(abs(found - wanted) <= 10.0 ** -min(len(decimals), _DIGITS) if decimals else found == wanted)


def live(subject: Subject) -> tuple[Vector, ...]:
    """The reading vectors that reach the driver over its wire, each with the question it answers.

    Raises:
        AssertionError: None does.
    """
    if subject.live is None:
        found = (_paired(subject, one) for one in subject.vectors if one.expect == "reading")
        subject.live = tuple(one for one in found if one is not None)
    ensure(subject.live, "no vector that holds a reading is ever asked for or understood on the wire")
    return subject.live


def _paired(subject: Subject, vector: Vector) -> Vector | None:
    for request in Play(subject, vector.options, subject.vectors).asked():
        if vector.request not in (b"", request):
            continue
        play = Play(subject, vector.options, subject.vectors)
        if same(values_of(play.turn(request, vector.frame)), vector.values):
            return replace(vector, request=request)
    return None


def groups(subject: Subject) -> list[list[Vector]]:
    """The live vectors that were heard under one section."""
    found: dict[str, list[Vector]] = {}
    for one in live(subject):
        found.setdefault(repr(sorted(one.options.items())), []).append(one)
    return list(found.values())


def run(subject: Subject, turns: Sequence[tuple[Vector, Sequence[bytes]]]) -> Play:
    """Let frames come in turn, each in its chunks, long after the warm-up."""
    play = Play(subject, turns[0][0].options, subject.vectors)
    play.settle()
    for vector, chunks in turns:
        play.turn(vector.request, *chunks)
    return play


def clean(subject: Subject, vectors: Sequence[Vector]) -> list[tuple[str, object]]:
    """What whole frames give."""
    return sequence_of(run(subject, [(one, [one.frame]) for one in vectors]).readings)


def cut(data: bytes, *places: int) -> list[bytes]:
    """Bytes in pieces."""
    return [data[first:last] for first, last in pairwise((0, *places, len(data)))]


def bytewise(data: bytes) -> list[bytes]:
    """Bytes one by one."""
    return [bytes((byte,)) for byte in data]


def places(length: int, most: int) -> range:
    """Places in a frame, at most so many; an odd pace meets each bit of a byte."""
    return range(0, length, 1 if length <= most else (length // most) | 1)
