"""The half that units share which answer a question and stand alone on their port: ask, match, understand. No I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from drivers.driver import Ask, DriverInfo, Event, Line, Transaction, Verdict
from drivers.framing import Codec, Dropped
from drivers.serial.stream import Said, Stream, rejected

_NS = 1_000_000_000
_BITS_PER_BYTE = 10
_WITNESSES = 2
_SILENT = 3  # unanswered questions after which the unit may be another one


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request that is declared.

    Attributes:
        request: What is written; nothing else ever is.
        answered_by: Whether a whole frame is its answer.
        reply_bytes: Longest answer: it needs its time on the wire.
        polls: Asked at each so-many-th poll and the one after it, the first included: a value wants a witness.
    """

    request: bytes
    answered_by: Callable[[bytes], bool]
    reply_bytes: int
    polls: int = 1


class Polled(Stream):
    """A driver that asks its unit. What the frames mean is said as for a `Stream`.

    Args:
        sensor: Its name.
        info: What it is.
        codec: Makes what cuts the bytes since a question into frames.
        meaning: What one frame says.
        questions: What may be asked.
        timeout_s: Longest wait for an answer, besides its time on the wire.
        line_end: What ends a frame of text, for `decode`.
    """

    def __init__(
        self,
        sensor: str,
        *,
        info: DriverInfo,
        codec: Callable[[], Codec],
        meaning: Callable[[bytes], Said],
        questions: Sequence[Question],
        timeout_s: float = 0.5,
        line_end: bytes = b"",
    ) -> None:
        super().__init__(sensor, info=info, codec=codec(), meaning=meaning, line_end=line_end)
        self.address: int | None = None
        self._fresh_codec = codec
        self._questions = tuple(questions)
        self._timeout_ns = round(timeout_s * _NS)
        self._byte_ns = _BITS_PER_BYTE * _NS // (info.line or Line()).baud
        self._polls = 0
        self._poll_ns: int | None = None
        self._unanswered = 0

    def start(self, now_ns: int) -> list[Event]:
        """Begin: ask everything once."""
        self._identity = None
        self._polls = 0
        self._poll_ns = now_ns
        return self.tick(now_ns)

    def receive(self, data: bytes, now_ns: int) -> list[Event]:  # noqa: ARG002 - one signature for all drivers
        """Nothing: answers reach the driver through its transactions."""
        return []

    def tick(self, now_ns: int) -> list[Event]:
        """Ask what is due; missed polls are not made up for."""
        if self._poll_ns is None or now_ns < self._poll_ns:
            return []
        self._poll_ns += self._every_ns * ((now_ns - self._poll_ns) // self._every_ns + 1)
        due = [question for question in self._questions if self._polls % question.polls < _WITNESSES]
        self._polls += 1
        return [Ask(transaction=self._transaction(question)) for question in due]

    def deadline(self) -> int | None:
        """Moment of the next poll."""
        return self._poll_ns

    def lost(self, now_ns: int) -> list[Event]:
        """Stop until the next start."""
        self._poll_ns = None
        return super().lost(now_ns)

    def unanswered(self, request: bytes, now_ns: int) -> list[Event]:  # noqa: ARG002 - which one does not matter
        """A question got no answer: after a few, who answers next must say who it is."""
        self._unanswered += 1
        if self._unanswered == _SILENT:
            self._identity = None
        return []

    def _kept(self, channel: str, now_ns: int) -> bool:  # noqa: ARG002 - the polls keep the pace
        return True

    def _transaction(self, question: Question) -> Transaction:
        wire_bytes = len(question.request) + question.reply_bytes
        return Transaction(
            sensor=self.sensor,
            request=question.request,
            match=partial(self._match, question),
            timeout_ns=self._timeout_ns + wire_bytes * self._byte_ns,
            wire_bytes=wire_bytes,
        )

    def _match(self, question: Question, data: bytes, now_ns: int) -> Verdict | None:
        """Find the answer among all bytes since the question, its echo aside."""
        events: list[Event] = []
        before, echo, behind = data.partition(question.request)
        for piece in self._fresh_codec().feed(behind if echo else before):
            if isinstance(piece, Dropped):
                events.append(rejected(self.sensor, piece))
            elif question.answered_by(piece):
                self._unanswered = 0
                events += self._say(self._meaning(piece), now_ns)
                return Verdict(used=len(data), events=tuple(events))
        return None
