"""What is said of the link, each thing once: a log that repeats itself for a week is read by nobody."""

import logging
from collections import Counter

from agent.mqtt import Broker
from agent.spool.settle import Settling
from agent.sync import Lane

log = logging.getLogger(__name__)

_REASONS = 5  # different reasons told in one outage


class LinkLog:
    """Remembers what it said.

    Attributes:
        refused: Messages of the center that were not taken, by reason.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._is_up = False
        self._downs: set[str] = set()
        self._conflicts: set[tuple[bytes, int, int]] = set()
        self._declined: dict[Lane, set[str]] = {}
        self.refused: Counter[str] = Counter()

    def up(self) -> None:
        """The center answers."""
        if not self._is_up:
            log.info("link up: broker=%s:%d, the center answers", self._broker.host, self._broker.tcp_port)
            self._is_up = True
            self._downs.clear()

    def down(self, reason: str) -> None:
        """The connection is gone; each reason is said once an outage."""
        if reason not in self._downs and len(self._downs) < _REASONS:
            log.warning("link down: broker=%s:%d reason=%s", self._broker.host, self._broker.tcp_port, reason)
            self._downs.add(reason)
        self._is_up = False

    def not_taken(self, reason: str, text: str) -> None:
        """A message of the center does not hold."""
        if not self.refused[reason]:
            log.warning("%s", text)
        self.refused[reason] += 1

    def settled(self, settling: Settling) -> None:
        """The center answered of batches."""
        for (run, stream), n in settling.conflicts:
            if (run, stream, n) not in self._conflicts:
                self._conflicts.add((run, stream, n))
                log.error("center names another batch than ours, nothing freed: run=%s n=%d", run.hex(), n)
        for (run, _), n, reason in settling.refused:
            log.error("batch refused by the center, kept here: run=%s n=%d reason=%s", run.hex(), n, reason)

    def declined(self, lane: Lane, text: str) -> None:
        """The broker refuses what a lane sends."""
        told = self._declined.setdefault(lane, set())
        if text not in told:
            log.error("%s; kept here and tried again ever more rarely: lane=%s", text, lane)
            told.add(text)

    def received(self, lane: Lane) -> None:
        """The broker takes what a lane sends."""
        if self._declined.pop(lane, None):
            log.info("the broker takes batches again: lane=%s", lane)
