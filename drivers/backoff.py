"""Waiting longer after each failure, at random, so that many nodes never come back at once."""

from collections.abc import Callable


class Backoff:
    """Full jitter: each wait is drawn between nothing and a bound that doubles up to a cap.

    Source: AWS Architecture Blog, "Exponential Backoff And Jitter", full jitter.

    Args:
        base_s: Bound of the first wait, in seconds.
        cap_s: Bound that is never exceeded.
        random: Draws from [0, 1).
        first_spread_s: When above 0, the very first wait is drawn from [0, this) instead.
    """

    __slots__ = ("_base_s", "_bound_s", "_cap_s", "_random", "_spread_s")

    def __init__(
        self, *, base_s: float, cap_s: float, random: Callable[[], float], first_spread_s: float = 0.0
    ) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._random = random
        self._spread_s = first_spread_s
        self._bound_s = min(base_s, cap_s)

    def next_s(self) -> float:
        """Seconds to wait before the next try."""
        if self._spread_s > 0:
            spread_s, self._spread_s = self._spread_s, 0.0
            return self._random() * spread_s
        wait_s = self._random() * self._bound_s
        self._bound_s = min(self._bound_s * 2, self._cap_s)
        return wait_s

    def reset(self) -> None:
        """Begin again at the base: the thing works."""
        self._bound_s = min(self._base_s, self._cap_s)
