"""Which of a probe's sources is due: most need to be asked less often than the probe's pace."""

_EARLY_NS = 1_000_000_000  # a turn a moment before its time is that turn


class Turns:
    """Counts the time since each source was last asked."""

    def __init__(self) -> None:
        self._asked_ns: dict[str, int] = {}

    def due(self, source: str, every_s: float, now_ns: int) -> bool:
        """Return whether a source is due, and count that as its turn."""
        last_ns = self._asked_ns.get(source)
        if last_ns is not None and now_ns - last_ns < every_s * 1_000_000_000 - _EARLY_NS:
            return False
        self._asked_ns[source] = now_ns
        return True
