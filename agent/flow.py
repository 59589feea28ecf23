"""How much history may be under way on a path of unknown speed. Pure; time is seconds of any steady clock.

An alarm that comes up waits behind what is under way, so that is at most what the path delivers in a second; where the
path alone takes longer than half of that, twice what it holds, or it would run dry. The rate is measured as BBR does
it: bytes delivered from the sending of a piece until its receipt, the highest of the last two terms; a term ends only
if the window was in the way in it, since who sends little learns nothing.
Source: draft-cardwell-iccrg-bbr-congestion-control, 4.1 (delivery rate, max filter) and 4.2.3 (two path contents).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

FLOOR_BYTES = 8 * 1024
START_BYTES = 16 * 1024

_WAIT_S = 1.0
_HELD = 2.0  # times what the path holds
_PATH_HOLDS_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What was known of a path when something was sent on it.

    Attributes:
        at_s: When.
        delivered: Bytes delivered until then.
        since_s: When the last of them was, or when sending began anew.
        alone: So little was under way that the time it takes is the path's own.
    """

    at_s: float
    delivered: int
    since_s: float
    alone: bool


class Flow:
    """Measures one path and says how many bytes may be under way on it.

    Args:
        start_bytes: So many before anything was delivered; from there it at least doubles with what is.
    """

    def __init__(self, start_bytes: float) -> None:
        self._window = start_bytes
        self._delivered = 0
        self._delivered_s = 0.0
        self._best = self._best_before = 0.0
        self._term_s = 0.0
        self._path_s = math.inf
        self._path_at_s = -math.inf
        self._in_the_way = False

    @property
    def window_bytes(self) -> float:
        """Most bytes under way."""
        return self._window

    def takes(self, under_way: int) -> bool:
        """Tell whether more may be sent while so many bytes are under way; a no is remembered."""
        is_full = under_way >= self._window
        self._in_the_way |= is_full
        return not is_full

    def sent(self, under_way: int, now_s: float) -> Mark:
        """Note that something leaves behind so many bytes; keep the mark for ``arrived``."""
        if not under_way:
            self._delivered_s = now_s
        alone = under_way < FLOOR_BYTES
        return Mark(at_s=now_s, delivered=self._delivered, since_s=self._delivered_s, alone=alone)

    def arrived(self, pieces: Iterable[tuple[int, Mark]], now_s: float) -> None:
        """Note what one receipt covers: size in bytes and mark of each piece."""
        marks = []
        for size_bytes, mark in pieces:
            self._delivered += size_bytes
            marks.append(mark)
        if not marks:
            return
        self._delivered_s = now_s
        self._learn_path(min(marks, key=lambda mark: mark.at_s), now_s)
        rates = [(self._delivered - mark.delivered) / (now_s - mark.since_s) for mark in marks if now_s > mark.since_s]
        if rates:
            self._learn_rate(max(rates), now_s)

    def _learn_path(self, oldest: Mark, now_s: float) -> None:
        """Take the time of the piece that waited longest, since a receipt may cover many on purpose.

        The shortest one counts, until the path has become another: one that is longer for pieces that go alone, too.
        """
        took_s = now_s - oldest.at_s
        if oldest.alone and now_s - self._path_at_s > _PATH_HOLDS_S:
            self._path_s, self._path_at_s = took_s, now_s
        self._path_s = min(self._path_s, took_s)

    def _learn_rate(self, rate: float, now_s: float) -> None:
        horizon_s = max(_WAIT_S, _HELD * self._path_s)
        if self._in_the_way and now_s - self._term_s >= horizon_s:
            self._best_before, self._best = self._best, 0.0
            self._term_s = now_s
            self._in_the_way = False
        self._best = max(self._best, rate)
        self._window = max(FLOOR_BYTES, max(self._best, self._best_before) * horizon_s)
