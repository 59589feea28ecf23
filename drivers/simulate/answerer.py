"""A unit that speaks only when asked, by fixed questions."""

import re
from collections.abc import Callable, Mapping

from drivers.driver import Line

_HEARD_MAX = 64


class Answerer:
    """Answers each known question, wherever it is cut, and ignores the rest.

    Args:
        line: Its line settings.
        replies: Question, and what it answers at a moment.
    """

    def __init__(self, *, line: Line, replies: Mapping[bytes, Callable[[int], bytes]]) -> None:
        self.line = line
        self._replies = replies
        self._question = re.compile(b"|".join(re.escape(question) for question in replies))
        self._heard = b""

    def receive(self, data: bytes, now_ns: int) -> list[bytes]:
        """Answer each question in the bytes."""
        self._heard += data
        answers: list[bytes] = []
        while found := self._question.search(self._heard):
            self._heard = self._heard[found.end() :]
            answers.append(self._replies[found.group()](now_ns))
        self._heard = self._heard[-_HEARD_MAX:]
        return answers

    def tick(self, now_ns: int) -> list[bytes]:  # noqa: ARG002 - it only answers
        """Nothing: it only answers."""
        return []

    def deadline(self) -> int | None:
        """None: it only answers."""
        return None
