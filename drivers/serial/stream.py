"""The half that all talking units share: frames in, thinned readings out.

A family brings a codec and a pure function that says what one frame means; this class does the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drivers.driver import DriverInfo, Event, Identified, Problem, Rejected, Send, TimeSeen
from drivers.framing import Codec, Dropped, Piece
from drivers.reading import GOOD, Quality, Reading
from drivers.serial.decoded import Decoded, within_range

NOT_UNDERSTOOD = "not_understood"
"""Trouble of a unit whose frame says nothing: it may be noise that ends like one."""

TOO_NEAR = "too_near"
"""Trouble of a unit that measures distance: something stands at its face, or water."""

TOO_NEAR_WHY = "something stands in the blind zone: the face is under water, or has a web or drops on it"

_BABBLE_BYTES = 512  # bytes without one valid frame after which wiring or speed is suspected
_NS = 1_000_000_000
_TIME_EVERY_NS = 10 * _NS
_TIME_UNCERTAINTY_MS = 1000  # a line at 9600 baud says the second while it passes
_SLACK = 10  # a value that is due within a tenth of the interval is kept: senders jitter


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One value in a frame; its unit stands in the channel."""

    channel: str
    value: int | float | bool | str
    quality: frozenset[Quality] = GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one valid frame means.

    Attributes:
        values: What it measures.
        identity: Who the unit says it is, when it says so.
        trouble: Name of a state in which it cannot measure, e.g. ``"no_fix"``; empty when it can.
        settles: Whether the frame can tell that no trouble is left.
        detail: For people: why there are no values.
        utc_ms: What time it is, when a unit that follows a true clock says so.
    """

    values: tuple[Value, ...] = ()
    identity: str = ""
    trouble: str = ""
    settles: bool = True
    detail: str = ""
    utc_ms: int | None = None


class Stream:
    """A driver of one unit that talks by itself, alone on its port.

    Args:
        sensor: Its name.
        info: What it is; decides the units and how often a channel is kept.
        codec: Cuts its stream.
        meaning: What one frame says.
        ask: Bytes that make the unit measure once; empty when it needs none.
        line_end: What ends a frame of text, for `decode`.
        hint: What to look at when bytes arrive that never make a frame.
    """

    def __init__(
        self,
        sensor: str,
        *,
        info: DriverInfo,
        codec: Codec,
        meaning: Callable[[bytes], Said],
        ask: bytes = b"",
        line_end: bytes = b"",
        hint: str = "wrong speed, wiring or driver?",
    ) -> None:
        self.sensor = sensor
        self.info = info
        self.frames = 0
        self._codec = codec
        self._meaning = meaning
        self._units = {channel.name: channel.unit for channel in info.channels}
        self._every_ns = round(info.every_s * _NS)
        self._due_ns: dict[str, int] = {}
        self._time_due_ns = 0
        self._ask = ask
        self._ask_ns: int | None = None
        self._line_end = line_end
        self._hint = hint
        self._identity: str | None = None
        self._trouble = ""
        self._babble = 0
        self._babbling = False

    def start(self, now_ns: int) -> list[Event]:
        """Begin; ask at once where the unit must be asked."""
        self._identity = None
        self._ask_ns = now_ns if self._ask else None
        return self.tick(now_ns)

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        """Take bytes as they come; return what they complete."""
        events: list[Event] = []
        for piece in self._codec.feed(data):
            if isinstance(piece, Dropped):
                events += self._drop(piece)
            else:
                events += self._say(self._meaning(piece), now_ns)
        return events

    def tick(self, now_ns: int) -> list[Event]:
        """Ask the unit when that is due."""
        if self._ask_ns is None or now_ns < self._ask_ns:
            return []
        self._ask_ns = max(self._ask_ns + self._every_ns, now_ns + 1)
        return [Send(data=self._ask)]

    def deadline(self) -> int | None:
        """Moment of the next question; None for a unit that talks by itself."""
        return self._ask_ns

    def lost(self, now_ns: int) -> list[Event]:  # noqa: ARG002 - one signature for all drivers
        """Forget the half frame."""
        events: list[Event] = [rejected(self.sensor, piece) for piece in self._codec.rest()]
        self._due_ns.clear()
        self._ask_ns = None
        self._babble = 0
        return events

    @property
    def held(self) -> int:
        """Bytes kept for later."""
        return self._codec.held

    def decode(self, frames: Sequence[bytes]) -> Decoded:
        """Say what frames mean, one by one, without time or thinning. Uses the driver up."""
        readings: list[Reading] = []
        reasons: list[str] = []
        damaged = b""
        pieces: list[Piece] = []
        for frame in frames:
            closing = self._line_end if len(frame) > 1 and not frame.endswith((b"\r", b"\n", self._line_end)) else b""
            pieces += self._codec.feed(frame + closing)
        for piece in [*pieces, *self._codec.rest()]:
            if isinstance(piece, bytes):
                said = self._meaning(piece)
                readings += self._readings(said, 0)
                reasons += [said.detail] if said.detail else []
            elif piece.raw not in damaged:  # the rest of a damaged frame needs no reason of its own
                reasons.append(_words(piece))
                damaged = piece.raw
        return Decoded(readings=within_range(readings, self.info.channels), reasons=tuple(reasons))

    def _drop(self, piece: Dropped) -> list[Event]:
        events: list[Event] = [rejected(self.sensor, piece)]
        self._babble += piece.count
        if self._babble >= _BABBLE_BYTES and not self._babbling:
            self._babbling = True
            detail = f"bytes arrive but no valid frame among {self._babble}: {self._hint}"
            events.append(Problem(sensor=self.sensor, code="no_frames", detail=detail))
        return events

    def _say(self, said: Said, now_ns: int) -> list[Event]:
        self.frames += 1
        events: list[Event] = []
        if said.trouble != NOT_UNDERSTOOD:
            self._babble = 0
            if self._babbling:
                self._babbling = False
                events.append(Problem(sensor=self.sensor, code="no_frames", ok=True))
        identity = said.identity or self._identity or self.info.name
        if identity != self._identity:
            self._identity = identity
            events.append(Identified(sensor=self.sensor, identity=identity))
        if said.trouble != self._trouble and (said.trouble or said.settles):
            if self._trouble:
                events.append(Problem(sensor=self.sensor, code=self._trouble, ok=True))
            if said.trouble:
                events.append(Problem(sensor=self.sensor, code=said.trouble, detail=said.detail))
            self._trouble = said.trouble
        events += [reading for reading in self._readings(said, now_ns) if self._kept(reading.channel, now_ns)]
        if said.utc_ms is not None and now_ns >= self._time_due_ns:
            self._time_due_ns = now_ns + _TIME_EVERY_NS
            events.append(
                TimeSeen(sensor=self.sensor, boot_ns=now_ns, utc_ms=said.utc_ms, uncertainty_ms=_TIME_UNCERTAINTY_MS)
            )
        return events

    def _readings(self, said: Said, now_ns: int) -> list[Reading]:
        return [
            Reading(
                sensor=self.sensor,
                channel=value.channel,
                value=value.value,
                unit=self._units[value.channel],
                boot_ns=now_ns,
                quality=value.quality,
            )
            for value in said.values
        ]

    def _kept(self, channel: str, now_ns: int) -> bool:
        """Whether a value is due; keeps the beat of the interval, not of the sender."""
        due_ns = self._due_ns.get(channel)
        if due_ns is not None and now_ns < due_ns - self._every_ns // _SLACK:
            return False
        behind = due_ns is None or now_ns >= due_ns + self._every_ns
        self._due_ns[channel] = (now_ns if behind or due_ns is None else due_ns) + self._every_ns
        return True


def rejected(sensor: str, piece: Dropped) -> Rejected:
    """Say that bytes made no frame."""
    return Rejected(sensor=sensor, reason=piece.reason, raw=piece.raw, bytes_dropped=piece.count)


def _words(piece: Dropped) -> str:
    detail = f": {piece.detail}" if piece.detail else ""
    count = f" ({piece.count} bytes)" if piece.reason == "noise" else ""
    return f"{piece.reason}{detail}{count} in {piece.raw.hex(' ')}"
