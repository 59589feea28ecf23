"""The ladder of one alarm rule: which level accepted readings have reached, and whether that may be believed now. Pure.

It climbs when accepted readings stay at or beyond a threshold for ``for_s`` (straight to the highest that did) and
steps down when they stay beyond threshold and hysteresis for as long. It remembers its rank and hysteresis through
times in which nothing is known: silence of accepted readings makes it unknown, ``for_s`` of them makes it known again.
"""

from agent.evidence import Evidence
from agent.rule import Rule
from drivers.reading import Reading

_SECOND_NS = 1_000_000_000


class Ladder:
    """Where the readings of one rule stand.

    Attributes:
        rank: Levels reached: 0 is clear.
        waits: Nothing was heard yet, and the silence was not too long.
        known: Whether ``rank`` may be believed now.
        climbing: The newest accepted reading speaks for more than ``rank``.
        sinking: It speaks for less.
        heard_ns: Moment of the newest accepted reading; at first the end of the hold-off.
        cause: The reading that decided last; for an unknown, the last one that was refused, if any.
        why: What it decided, for people.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._evidence = Evidence(rule)
        self._for_ns = round(rule.for_s * _SECOND_NS)
        self._silence_ns = max(round(rule.silence_s * _SECOND_NS), 1)
        self._above_ns: list[int | None] = [None] * len(rule.levels)
        self._below_ns: list[int | None] = [None] * len(rule.levels)
        self._since_ns: int | None = None  # first accepted reading since it was last doubted
        self._refusal: Reading | None = None
        self.waits = True
        self.rank = 0
        self.known = False
        self.climbing = False
        self.sinking = False
        self.heard_ns = 0
        self.cause: Reading | None = None
        self.why = ""

    @property
    def recovers(self) -> bool:
        """Whether accepted readings come again, and not yet for long enough."""
        return not self.known and self._since_ns is not None

    def begin(self, now_ns: int, rank: int) -> None:
        """Forget everything but a rank, and wait for readings from a moment on."""
        self.rank, self.cause, self.why, self._refusal, self.waits = rank, None, "", None, True
        self._doubt()
        self.heard_ns = now_ns

    def take(self, reading: Reading, now_ns: int) -> None:
        """Weigh a reading."""
        self.notice_silence(now_ns)
        height = self._evidence.height(reading, self.rank)
        if height is None:
            self._refusal = reading
        else:
            self._climb(height, now_ns, reading, self._evidence.says(reading, height))

    def speaks(self, now_ns: int, *, silent: bool, what: str) -> None:
        """Take whether the watched sensors are silent, where their silence is what the rule is about."""
        self._climb(float(silent), now_ns, None, what)

    def lose(self, why: str) -> None:
        """The source is gone: nothing is known from now on."""
        self._unknown(None, why)

    def notice_silence(self, now_ns: int) -> None:
        """Doubt what was not confirmed for too long."""
        if now_ns - self.heard_ns < self._silence_ns or (self._rule.silence_of and self.known):
            return
        why = f"no usable reading of {self._rule.watched} for {self._rule.silence_s:g} s"
        if self._refusal is not None:
            why += f"; the last one was refused: {self._evidence.objection(self._refusal)}"
        self._unknown(self._refusal, why)

    def due_ns(self) -> int | None:
        """Moment at which silence means something; None when it does not."""
        waits = not self._rule.silence_of if self.known else self.waits
        return self.heard_ns + self._silence_ns if waits else None

    def _unknown(self, cause: Reading | None, why: str) -> None:
        if self.known or self.waits:
            self.cause, self.why = cause, why
        self.waits = False
        self._doubt()

    def _doubt(self) -> None:
        """Forget what was seen, not where the ladder stands."""
        self.known = self.climbing = self.sinking = False
        self._since_ns = None
        self._above_ns = [None] * len(self._above_ns)
        self._below_ns = [None] * len(self._below_ns)
        self._evidence.forget()

    def _climb(self, height: float, now_ns: int, cause: Reading | None, says: str) -> None:
        self.heard_ns = now_ns
        self._refusal = None
        if self._since_ns is None:
            self._since_ns = now_ns
        reached = held = 0
        for level, (raise_at, hold_at) in enumerate(zip(self._evidence.raise_at, self._evidence.hold_at, strict=True)):
            above, below = height >= raise_at, height < hold_at
            reached += above
            held += not below
            self._above_ns[level] = _since(self._above_ns[level], now_ns) if above else None
            self._below_ns[level] = _since(self._below_ns[level], now_ns) if below else None
        long_ago_ns = now_ns - self._for_ns
        up = sum(since is not None and since <= long_ago_ns for since in self._above_ns)
        rank = self.rank
        while rank and (since := self._below_ns[rank - 1]) is not None and since <= long_ago_ns:
            rank -= 1
        if up > self.rank:
            self._settle(up, cause, says, self._compared("at or", up))
        elif rank < self.rank:
            self._settle(rank, cause, says, self._compared("back", rank + 1))
        elif not self.known and self._since_ns <= long_ago_ns and reached <= rank <= held:
            self._settle(rank, cause, says, "usable readings")
        self.climbing, self.sinking = reached > self.rank, held < self.rank

    def _settle(self, rank: int, cause: Reading | None, says: str, why: str) -> None:
        self.rank = rank
        self.known = True
        self.waits = False
        self.cause = cause
        lasted = f"for {self._rule.for_s:g} s"
        plain = self._rule.states or self._rule.silence_of
        self.why = f"{says}: {lasted}" if plain else f"{says}: {why} {lasted}"

    def _compared(self, how: str, rank: int) -> str:
        """Say on which side of which threshold the value is; ``back`` means by the hysteresis."""
        name, threshold = self._rule.levels[rank - 1]
        side = "below" if self._rule.falling is (how == "at or") else "above"
        by = f" by {self._rule.hysteresis:g}" if how == "back" and self._rule.hysteresis else ""
        return f"{how} {side} {name} {threshold:g}{by}"


def _since(earlier_ns: int | None, now_ns: int) -> int:
    return now_ns if earlier_ns is None else earlier_ns
