"""The half that units share which understand some questions and ignore others. No I/O."""

from drivers.driver import Ask, Event, Problem, Verdict
from drivers.serial.polled import Polled, Question

_IGNORED_AFTER = 3  # unanswered in a row, while another question is answered
_AGAIN_POLLS = 100  # an ignored question is tried again so seldom


class Asked(Polled):
    """A `Polled` unit that is hardly asked any more what it never answers, so that it costs the port no time."""

    _misses: dict[bytes, int]

    def start(self, now_ns: int) -> list[Event]:
        """Begin: ask everything once."""
        self._misses = {}
        return super().start(now_ns)

    def tick(self, now_ns: int) -> list[Event]:
        """Ask what is due and is answered."""
        again = self._polls % _AGAIN_POLLS == 0
        events = super().tick(now_ns)
        return [
            event
            for event in events
            if not isinstance(event, Ask) or again or not self._ignores(event.transaction.request)
        ]

    def unanswered(self, request: bytes, now_ns: int) -> list[Event]:
        """A question got no answer."""
        events = super().unanswered(request, now_ns)
        before = self._ignores(request)
        self._misses[request] = self._misses.get(request, 0) + 1
        if self._ignores(request) and not before:
            detail = f"the unit never answers {request.hex(' ')}, though it answers others"
            events.append(Problem(sensor=self.sensor, code=f"ignores-{request.hex()}", detail=detail))
        return events

    def _match(self, question: Question, data: bytes, now_ns: int) -> Verdict | None:
        verdict = super()._match(question, data, now_ns)
        return verdict and self._answered(question, verdict)

    def _answered(self, question: Question, verdict: Verdict) -> Verdict:
        """Note that a question was answered."""
        back = self._misses.get(question.request, 0) >= _IGNORED_AFTER and self._ignores(question.request)
        self._misses[question.request] = 0
        if not back:
            return verdict
        ended = Problem(sensor=self.sensor, code=f"ignores-{question.request.hex()}", ok=True)
        return Verdict(used=verdict.used, events=(ended, *verdict.events))

    def _ignores(self, request: bytes) -> bool:
        """Whether a question was in vain so often while another was answered the last time it was asked."""
        return self._misses.get(request, 0) >= _IGNORED_AFTER and 0 in self._misses.values()
