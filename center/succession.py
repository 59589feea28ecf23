"""What the succession of boots says of those that never knew the time. Pure.

A boot ends before the next one begins, and each moment comes before its receipt. So UTC at the beginning of a boot is
not before what was last known of the boots before it, and not after what is known of the ones that follow.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

Known = Callable[[bytes, int], tuple[int, int] | None]
"""Lowest and highest UTC ms that mappings give for a moment of a boot; None for a boot without any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """What a start says: this boot came after a moment of that one.

    Attributes:
        before: Boot of the run it names.
        before_ms: Last moment of it that is on the card, CLOCK_BOOTTIME.
        before_utc_ms: The same in UTC where the node believed one.
        boot: The start's own.
        boot_ms: Moment of the start in its own boot.
        received_ms: When it came.
    """

    before: bytes
    before_ms: int
    before_utc_ms: int | None
    boot: bytes
    boot_ms: int
    received_ms: int


class Succession:
    """The boots of one node in their order.

    Args:
        starts: What its starts say; those within one boot say nothing here.
        known: What mappings say.
    """

    def __init__(self, starts: Iterable[Following], known: Known) -> None:
        self._known = known
        self._into: dict[bytes, list[Following]] = {}
        self._out_of: dict[bytes, list[Following]] = {}
        for one in starts:
            if one.before != one.boot:
                self._into.setdefault(one.boot, []).append(one)
                self._out_of.setdefault(one.before, []).append(one)
        self._lows: dict[bytes, int | None] = {}
        self._highs: dict[bytes, int | None] = {}

    def low_ms(self, boot: bytes, boot_ms: int) -> int | None:
        """Return UTC that a moment of a boot is not before, from the boots before it."""
        for one in _deepest_first(boot, self._into, lambda edge: edge.before, self._lows):
            lows = [self._low_of(edge) for edge in self._into.get(one, [])]
            self._lows[one] = max((low for low in lows if low is not None), default=None)
        low = self._lows[boot]
        return None if low is None else low + boot_ms

    def high_ms(self, boot: bytes, boot_ms: int) -> int | None:
        """Return UTC that a moment of a boot is not after, from the boots after it."""
        for one in _deepest_first(boot, self._out_of, lambda edge: edge.boot, self._highs):
            highs = [self._high_of(edge) for edge in self._out_of.get(one, [])]
            self._highs[one] = min(highs, default=None)
        high = self._highs[boot]
        return None if high is None else high + boot_ms

    def _low_of(self, edge: Following) -> int | None:
        """Return the lowest UTC at the beginning of the later boot."""
        known = self._known(edge.before, edge.before_ms)
        if known is not None:
            return known[0]
        if edge.before_utc_ms is not None:
            return edge.before_utc_ms
        low = self._lows.get(edge.before)
        return None if low is None else low + edge.before_ms

    def _high_of(self, edge: Following) -> int:
        """Return the highest UTC at the beginning of the earlier boot."""
        known = self._known(edge.boot, 0)
        highs = [edge.received_ms - edge.boot_ms] if known is None else [known[1]]
        later = self._highs.get(edge.boot)
        if known is None and later is not None:
            highs.append(later)
        return min(highs) - edge.before_ms


def _deepest_first(
    boot: bytes,
    edges: Mapping[bytes, list[Following]],
    next_of: Callable[[Following], bytes],
    done: Mapping[bytes, object],
) -> Iterable[bytes]:
    """Yield a boot behind all that it leads to and that is not done; a ring, which no true record makes, ends."""
    seen: set[bytes] = set()
    path = [(boot, False)]
    while path:
        one, is_ready = path.pop()
        if is_ready:
            yield one
        elif one not in done and one not in seen:
            seen.add(one)
            path.append((one, True))
            path += [(next_of(edge), False) for edge in edges.get(one, [])]
