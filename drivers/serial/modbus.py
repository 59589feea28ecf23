"""Modbus RTU master: asks declared registers in turn and reads the replies. Pure; it writes only functions 1 to 4.

Source: MODBUS over Serial Line V1.02; MODBUS Application Protocol Specification V1.1b3.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from drivers.driver import (
    Ask,
    Channel,
    DriverInfo,
    Event,
    Identified,
    Line,
    Option,
    OptionValue,
    Problem,
    Transaction,
    Verdict,
)
from drivers.errors import OptionError
from drivers.reading import GOOD, Quality, Reading
from drivers.serial.options import Options, paced
from drivers.serial.registers import Field, parse_field
from drivers.serial.rtu import (
    BIT_FUNCTIONS,
    MOST_BITS,
    MOST_WORDS,
    TARGET_SILENT,
    Frame,
    Request,
    answer,
    exception_name,
)

_NS = 1_000_000_000
_BITS_PER_BYTE = 11  # start, eight data, parity or second stop, stop
_RTU_OVERHEAD = 5
_HIGHEST_UNIT = 247
_SILENT = 3  # unanswered questions after which the unit may be another one
_TRIES = 3  # polls that ask for the registers of its identity, where it does not give them all
_DOUBT = frozenset({Quality.DEVICE_ERROR})

INFO = DriverInfo(
    name="modbus",
    title="any Modbus RTU unit, by a list of registers",
    family="modbus",
    models=("modbus_rtu",),
    line=Line(baud=9600),
    mode="poll",
    shares_bus=True,
    options=(
        Option(name="unit", kind="integer", low=1, high=255, default=1, doc="address on the bus", example="1"),
        Option(
            name="registers",
            kind="list",
            required=True,
            doc="one table per channel: channel, register (on the wire, from 0), function, type, order, scale, unit, "
            "block (same text: read together)",
            example='[{ channel = "temperature", register = 1, type = "s16", scale = "0.1", unit = "Cel" }]',
        ),
        Option(
            name="timeout",
            kind="quantity",
            unit="s",
            low=0.02,
            high=10.0,
            default="300 ms",
            doc="longest wait for an answer, besides its own time on the wire",
            example='"300 ms"',
        ),
        Option(
            name="gap",
            kind="quantity",
            unit="s",
            low=0.002,
            high=5.0,
            default="5 ms",
            doc="silence before and after each question; some units want 500 ms",
            example='"500 ms"',
        ),
    ),
    every_s=5.0,
    min_every_s=0.1,
    integrity="crc16",
    source="MODBUS Application Protocol Specification V1.1b3; MODBUS over Serial Line V1.02",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request that is declared, and what its reply holds.

    Attributes:
        request: What is written.
        fields: Channels in the reply.
        when: ``poll`` each time, ``once`` after each start as proof of identity, ``decode`` never by itself.
    """

    request: Request
    fields: tuple[Field, ...]
    when: str = "poll"


class Modbus:
    """Bus driver of one unit: hands its questions to the bus and understands the replies.

    Args:
        sensor: Its name.
        info: What it is.
        questions: What may be asked; nothing else ever is.
        timeout_s: Longest wait for an answer.
        gap_s: Silence around a question.
    """

    def __init__(
        self, sensor: str, *, info: DriverInfo, questions: Sequence[Question], timeout_s: float, gap_s: float
    ) -> None:
        self.sensor = sensor
        self.info = info
        self.address = questions[0].request.unit
        self.questions = tuple(questions)
        self._timeout_ns = round(timeout_s * _NS)
        self._gap_ns = round(gap_s * _NS)
        self._byte_ns = _BITS_PER_BYTE * _NS // (info.line or Line()).baud
        self._every_ns = round(info.every_s * _NS)
        self._due_ns: int | None = None
        self._unproven = True
        self._identity: dict[str, str] = {}
        self._said = ""
        self._tries = 0
        self._unanswered = 0
        self._failing: dict[Request, str] = {}
        self._faults: tuple[str, ...] = ()

    def start(self, now_ns: int) -> list[Event]:
        """Begin: ask who it is first, then the values."""
        self._due_ns = now_ns
        self._prove_again()
        return self.tick(now_ns)

    def receive(self, data: bytes, now_ns: int) -> list[Event]:  # noqa: ARG002 - one signature for all drivers
        """Nothing: replies reach the driver through its transactions."""
        return []

    def tick(self, now_ns: int) -> list[Event]:
        """Ask what is due."""
        if self._due_ns is None or now_ns < self._due_ns:
            return []
        behind = now_ns - self._due_ns
        self._due_ns += self._every_ns * (behind // self._every_ns + 1)  # missed polls are not made up for
        asked: tuple[str, ...] = ("poll",)
        if self._unproven:
            self._tries += 1
            asked = ("once", "poll")
        return [Ask(transaction=self._transaction(question)) for when in asked for question in self._those(when)]

    def deadline(self) -> int | None:
        """Moment of the next poll."""
        return self._due_ns

    def lost(self, now_ns: int) -> list[Event]:  # noqa: ARG002 - one signature for all drivers
        """Stop until the next start."""
        self._due_ns = None
        return []

    def unanswered(self, request: bytes, now_ns: int) -> list[Event]:  # noqa: ARG002 - which one does not matter
        """A question got no answer: after a few the unit must prove itself again."""
        self._unanswered += 1
        if self._unanswered == _SILENT:
            self._prove_again()
        return []

    def _prove_again(self) -> None:
        self._unproven = True
        self._identity = {}
        self._said = ""
        self._tries = 0

    def _those(self, when: str) -> Iterator[Question]:
        return (question for question in self.questions if question.when == when)

    def _transaction(self, question: Question) -> Transaction:
        request = question.request.encode()
        wire_bytes = len(request) + _RTU_OVERHEAD + question.request.data_bytes
        return Transaction(
            sensor=self.sensor,
            request=request,
            match=partial(self._match, question),
            timeout_ns=self._timeout_ns + wire_bytes * self._byte_ns,
            wire_bytes=wire_bytes,
            gap_ns=self._gap_ns,
        )

    def _match(self, question: Question, data: bytes, now_ns: int) -> Verdict | None:
        frame = answer(question.request, data)
        if frame is None:
            return None
        if frame.code == TARGET_SILENT:
            return Verdict(used=frame.end, silent=exception_name(frame.code))
        self._unanswered = 0
        if frame.kind == "exception":
            return Verdict(used=frame.end, events=tuple(self._refused(question, frame)))
        events: list[Event] = []
        if self._failing.pop(question.request, ""):
            events.append(Problem(sensor=self.sensor, code=_code(question), ok=True))
        events += self._proven(question, frame)
        events += self._fault_change(question, frame)
        events += readings(self.sensor, question, frame.data, now_ns)
        return Verdict(used=frame.end, events=tuple(events))

    def _refused(self, question: Question, frame: Frame) -> list[Event]:
        name = exception_name(frame.code)
        if self._failing.get(question.request) == name:
            return []
        self._failing[question.request] = name
        return [Problem(sensor=self.sensor, code=_code(question), detail=f"{name} ({question.request})")]

    def _proven(self, question: Question, frame: Frame) -> list[Event]:
        """Say once after each start who answers; registers declared for it make the proof stronger."""
        if question.when == "once":
            values = readings(self.sensor, question, frame.data, 0)
            self._identity |= {reading.channel: f"{reading.channel}={reading.value}" for reading in values}
            return []
        if not self._unproven:
            return []
        names = {field.channel.name for question in self._those("once") for field in question.fields}
        self._unproven = self._tries < _TRIES and not names <= self._identity.keys()
        said = " ".join((self.info.name, f"unit={self.address}", *self._identity.values()))
        before, self._said = self._said, said
        return [] if said == before else [Identified(sensor=self.sensor, identity=said)]

    def _fault_change(self, question: Question, frame: Frame) -> list[Event]:
        if not any(field.faults for field in question.fields):
            return []
        faults = faults_in(question, frame.data)
        if faults == self._faults:
            return []
        self._faults = faults
        return [Problem(sensor=self.sensor, code="device_error", detail=", ".join(faults), ok=not faults)]


def _code(question: Question) -> str:
    return f"exception-{question.request.function}-{question.request.register}"


def faults_in(question: Question, data: bytes) -> tuple[str, ...]:
    """Names of the faults that a reply reports."""
    first = question.request.register
    return tuple(name for field in question.fields for name in field.raised(first, data))


def readings(sensor: str, question: Question, data: bytes, now_ns: int) -> list[Reading]:
    """Readings in the data of a reply; a channel whose unit says "no value" is missing."""
    doubt = _DOUBT if faults_in(question, data) else GOOD
    found: list[Reading] = []
    for field in question.fields:
        value = field.decode(question.request.function, question.request.register, data)
        if value is not None:
            found.append(
                Reading(
                    sensor=sensor,
                    channel=field.channel.name,
                    value=value,
                    unit=field.channel.unit,
                    boot_ns=now_ns,
                    quality=GOOD if field.faults else doubt,
                )
            )
    return found


def make(name: str, sensor: str, options: Mapping[str, OptionValue], every_s: float | None) -> Modbus:
    """Make the driver of one unit from a list of registers.

    Raises:
        OptionError: An option cannot be used.
    """
    del name  # one driver, two names
    given = Options(INFO, options)
    return build(sensor, INFO, questions_in(given), given, every_s)


def build(
    sensor: str, info: DriverInfo, questions: Sequence[Question], given: Options, every_s: float | None
) -> Modbus:
    """Make the driver of one unit that is asked known questions.

    Raises:
        OptionError: The unit's address or the pace cannot be used.
    """
    return Modbus(
        sensor,
        info=paced(replace(info, channels=channels_of(questions), proves=_proves(questions)), every_s),
        questions=[addressed(question, given.integer("unit") or 1) for question in questions],
        timeout_s=given.quantity("timeout") or 0.3,
        gap_s=given.quantity("gap") or 0.005,
    )


def _proves(questions: Sequence[Question]) -> Literal["kind", "unit"]:
    return "unit" if any(question.when == "once" for question in questions) else "kind"


def channels_of(questions: Sequence[Question]) -> tuple[Channel, ...]:
    """What questions deliver; those that are never asked deliver nothing."""
    channels: dict[str, Channel] = {}
    for question in questions:
        if question.when != "decode":
            channels |= {field.channel.name: field.channel for field in question.fields}
    return tuple(channels.values())


def addressed(question: Question, unit: int) -> Question:
    """The same question to another unit."""
    return replace(question, request=replace(question.request, unit=unit))


def questions_in(given: Options) -> tuple[Question, ...]:
    """Requests for the option ``registers``: one for each register, and one for each block.

    Raises:
        OptionError: A register's description cannot be used.
    """
    grouped: dict[tuple[int, str], list[Field]] = {}
    names: set[str] = set()
    for index, item in enumerate(given.items("registers")):
        where = f"registers[{index}]"
        if not isinstance(item, Mapping):
            raise OptionError(where, f"{item!r} is not a table")
        function = item.get("function", 3)
        if not isinstance(function, int) or function not in (1, 2, 3, 4):
            raise OptionError(f"{where}.function", f"{function!r} is not 1 coil, 2 discrete, 3 holding or 4 input")
        block = item.get("block")
        field = parse_field({key: item[key] for key in item if key not in ("function", "block")}, where, function)
        if field.channel.name in names:
            raise OptionError(f"{where}.channel", f"{field.channel.name!r} is already the name of another register")
        names.add(field.channel.name)
        key = f"block {block}" if block is not None else f"{field.register} {field.width}"
        grouped.setdefault((function, key), []).append(field)
    if not grouped:
        raise OptionError("registers", "is empty; without registers there is nothing to ask")
    return tuple(_block(function, fields) for (function, _), fields in grouped.items())


def _block(function: int, fields: list[Field]) -> Question:
    spans = [span for field in fields for span in field.spans]
    first = min(register for register, _ in spans)
    count = max(register + width for register, width in spans) - first
    most = MOST_BITS if function in BIT_FUNCTIONS else MOST_WORDS
    if count > most or first + count > 1 << 16:
        raise OptionError("registers", f"a block from register {first} over {count} is beyond what one request may ask")
    return Question(request=Request(unit=1, function=function, register=first, count=count), fields=tuple(fields))


def is_any_unit(unit: int) -> bool:
    """Whether an address is no address of a unit but one that any unit answers to, so that it must be alone."""
    return unit > _HIGHEST_UNIT
