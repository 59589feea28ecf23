"""The half that units share which understand some questions and ignore others. No I/O."""

from drivers.driver import Ask, Event, Problem, Verdict
from drivers.serial.polled import Polled, Question

_IGNORED_AFTER = 3  # unanswered in a row, while another question is answered
_AGAIN_POLLS = 100  # an ignored question is tried again so seldom


class Asked(Polled):
    """A `Polled` unit that may know only some of its questions.

    What was answered is asked first and always; of what was not, one a poll, so that a few questions in vain never look
    like a silent unit. What is never answered while other questions are is hardly asked any more.
    """

    _misses: dict[bytes, int]
    _told: set[bytes]

    def start(self, now_ns: int) -> list[Event]:
        """Begin: ask everything once."""
        self._misses, self._told = {}, set()
        return super().start(now_ns)

    def tick(self, now_ns: int) -> list[Event]:
        """Ask what is due and is answered, and one question more."""
        again = self._polls % _AGAIN_POLLS == 0
        asks = [
            event
            for event in super().tick(now_ns)
            if isinstance(event, Ask) and self._wants(event.transaction.request, now_ns)
        ]
        answered = [ask for ask in asks if not self._misses.get(ask.transaction.request)]
        doubtful = [
            ask
            for ask in asks
            if self._misses.get(ask.transaction.request) and (again or not self._ignores(ask.transaction.request))
        ]
        doubtful.sort(key=lambda ask: self._misses[ask.transaction.request])
        return [*answered, *doubtful[:1]]

    def _wants(self, request: bytes, now_ns: int) -> bool:  # noqa: ARG002 - for families with a pace of their own
        """Whether a question that is due may be asked."""
        return True

    def unanswered(self, request: bytes, now_ns: int) -> list[Event]:
        """A question got no answer."""
        events = super().unanswered(request, now_ns)
        self._misses[request] = self._misses.get(request, 0) + 1
        if self._ignores(request) and request not in self._told:
            self._told.add(request)
            detail = f"the unit never answers {request.hex(' ')}, though it answers others"
            events.append(Problem(sensor=self.sensor, code=f"ignores-{request.hex()}", detail=detail))
        return events

    def _match(self, question: Question, data: bytes, now_ns: int) -> Verdict | None:
        verdict = super()._match(question, data, now_ns)
        return verdict and self._answered(question, verdict)

    def _answered(self, question: Question, verdict: Verdict) -> Verdict:
        """Note that a question was answered. What was asked of a unit that was off says nothing of what it knows."""
        if 0 not in self._misses.values():
            self._misses = dict.fromkeys(self._misses, 1)
        self._misses[question.request] = 0
        if question.request not in self._told:
            return verdict
        self._told.remove(question.request)
        ended = Problem(sensor=self.sensor, code=f"ignores-{question.request.hex()}", ok=True)
        return Verdict(used=verdict.used, events=(ended, *verdict.events))

    def _ignores(self, request: bytes) -> bool:
        """Whether a question was in vain so often while another was answered the last time it was asked."""
        return self._misses.get(request, 0) >= _IGNORED_AFTER and 0 in self._misses.values()
