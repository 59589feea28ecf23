"""The count of readings: what the node says it read, and what the center has. Pure.

A reading that the node told of and that was not on disk when it was killed was never taken. Which these are is known
once the next life's own rows have come to the center, since what the last one left comes before them.
"""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Life:
    """One life of the node's process."""

    run: str = ""
    told: int = 0
    settled: int = 0


@dataclass(slots=True)
class Drain:
    """What had gathered while the link was cut, and how it came to the center.

    Attributes:
        up_to_ms: Rows until this moment of CLOCK_BOOTTIME belong to it.
        readings: How many of them the center lacked when the link came back.
        missing: How many it lacks now.
        begun_s: When the link came back.
        ended_s: When the last of them could be read at the center; None until then.
    """

    up_to_ms: int
    readings: int
    missing: int
    begun_s: float
    ended_s: float | None = None

    @property
    def seconds(self) -> float:
        """How long it took, 0 while it goes on."""
        return 0.0 if self.ended_s is None else self.ended_s - self.begun_s

    @property
    def per_s(self) -> float:
        """Readings a second, 0 while it goes on."""
        return self.readings / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class Tally:
    """Counts."""

    lives: list[Life] = field(default_factory=list)
    settled: int = 0
    alarms: int = 0
    by_sensor: Counter[str] = field(default_factory=Counter)
    drain: Drain | None = None
    cut_ms: tuple[int, int | None] | None = None
    taken_while_cut: int = 0

    def begin(self) -> None:
        """A new process of the node starts."""
        self.lives.append(Life())

    def name(self, run: str) -> None:
        """The newest life is this run."""
        self.lives[-1].run = run

    def tell(self) -> None:
        """The node told of a reading."""
        self.lives[-1].told += 1

    def settle(self, path: str, run: str, boot_ms: int, *, alarm: bool, now_s: float) -> None:
        """The center shows a row."""
        self.settled += 1
        self.alarms += alarm
        self.by_sensor[path.partition("/")[0]] += 1
        for life in self.lives:
            life.settled += life.run == run
        if self.cut_ms is not None:
            begin_ms, end_ms = self.cut_ms
            self.taken_while_cut += begin_ms <= boot_ms and (end_ms is None or boot_ms <= end_ms)
        drain = self.drain
        if drain is not None and drain.ended_s is None and boot_ms <= drain.up_to_ms:
            drain.missing -= 1
            if drain.missing <= 0:
                drain.ended_s = now_s

    @property
    def taken(self) -> int:
        """Readings taken so far, as far as it can be known from here."""
        return sum(self._taken(place) for place in range(len(self.lives)))

    def _taken(self, place: int) -> int:
        life = self.lives[place]
        closed = any(later.settled for later in self.lives[place + 1 :])
        return life.settled if closed else max(life.told, life.settled)

    @property
    def held(self) -> int:
        """Readings that the center does not have yet."""
        return self.taken - self.settled

    @property
    def left_behind(self) -> int:
        """Readings of ended lives that were told but not on disk when the process was killed."""
        return sum(max(0, life.told - self._taken(place)) for place, life in enumerate(self.lives[:-1]))

    def cut(self, boot_ms: int) -> None:
        """The link is cut."""
        self.cut_ms = (boot_ms, None)

    def mend(self, boot_ms: int, now_s: float) -> None:
        """The link is mended; what is held drains from now on."""
        if self.cut_ms is not None:
            self.cut_ms = (self.cut_ms[0], boot_ms)
        held = self.held
        self.drain = Drain(up_to_ms=boot_ms, readings=held, missing=held, begun_s=now_s)
