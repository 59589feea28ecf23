"""Room for what waits: what leaves is named in a gap, and that gap is synced before anything is removed."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agent.seal import Limits, Moment
from agent.spool import retention
from agent.spool.chains import Segment
from agent.spool.disk import Medium
from agent.spool.index import Index
from agent.spool.shelf import Shelf
from agent.spool.stream import OpenStream
from agent.wire.batch import Kind, Stream
from agent.wire.bodies import Gap, GapReason

log = logging.getLogger(__name__)

_MEMORY_SEGMENT = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Bounds of the spool, in bytes."""

    alarm_cap: int = 16 * 2**20
    telemetry_cap: int = 64 * 2**20
    free_disk: int = 64 * 2**20
    segment: int = 2**20
    memory: int = 4 * 2**20
    limits: Limits = field(default_factory=Limits)

    def cap(self, stream: Stream) -> int:
        """Return the most bytes a stream may take."""
        return self.alarm_cap if stream is Stream.ALARM else self.telemetry_cap

    def segment_bytes(self, stream: Stream) -> int:
        """Return the size at which a segment is left: small beside the cap, so that room is made in small steps."""
        return min(self.segment, self.cap(stream) // 8)

    def in_memory(self) -> "Settings":
        """Return the bounds of a run in memory."""
        alarm = self.memory // 4
        segment = min(self.segment, _MEMORY_SEGMENT)
        return replace(self, alarm_cap=alarm, telemetry_cap=self.memory - alarm, free_disk=0, segment=segment)


class Room:
    """Makes room in one spool."""

    def __init__(self, disk: Medium, index: Index, shelf: Shelf, settings: Settings) -> None:
        self._disk = disk
        self._index = index
        self._shelf = shelf
        self._settings = settings
        self._full: set[Stream] = set()
        self._most_bytes: dict[Stream, int] = {}  # what a stream took when the disk fell below its floor

    def make(self, here: OpenStream, moment: Moment) -> None:
        """Choose segments to remove once what waits is synced; copies and the gap join what waits.

        A segment is kept free for what waits and one for copies and the gap, so a cap holds at every moment.
        """
        stream = here.chain.stream
        segment_bytes = self._settings.segment_bytes(stream)
        used = self._index.bytes_of(stream) + here.tail.waiting_bytes
        short = used + (2 + here.tail.reserves) * segment_bytes - self._settings.cap(stream)
        floor_short = self._settings.free_disk - self._shelf.free_bytes(self._settings.free_disk)
        if floor_short <= 0:
            self._most_bytes.pop(stream, None)
        elif stream is not Stream.ALARM:  # the floor is there for alarms, among others: they do not leave for it
            short = max(short, used - self._most_bytes.setdefault(stream, used - here.tail.waiting_bytes))
        if here.tail.full:
            floor_short = max(floor_short, segment_bytes)
            short = short if stream is Stream.ALARM else max(short, segment_bytes)
        if max(short, floor_short) <= 0:
            return
        leaving = retention.plan(
            self._index,
            self._shelf,
            stream,
            short_bytes=short,
            settled_bytes=floor_short,
            copy_bytes=segment_bytes // 2,
        )
        if here.naming:  # a gap in line may be all that names what they hold
            here.leaving += leaving.free
        else:
            for segment in leaving.free:
                self.remove(segment)
        for piece in leaving.copies:
            here.tail.append(piece)
        self.name(here, leaving.gaps, moment)
        if leaving.gaps and stream not in self._full:
            rows = sum(span.last - span.first + 1 for gap in leaving.gaps for span in gap.rows)
            log.warning("spool full, oldest readings leave: stream=%s rows=%d", stream.name.lower(), rows)
            self._full.add(stream)
        here.leaving += leaving.segments

    def name(self, here: OpenStream, gaps: Sequence[Gap], moment: Moment, *, lasting: bool = False) -> None:
        """Put gaps in line; what they name counts as gone.

        Args:
            here: Where.
            gaps: What is missing.
            moment: Now.
            lasting: True when a run in memory has to tell it, too, should the disk refuse.
        """
        for gap in gaps:
            here.naming = True
            here.record(Kind.GAP, gap.encode(), moment, lasting=lasting)
            self._index.note_gap(here.chain.stream, gap)
            if gap.reason == GapReason.DAMAGED:
                here.chain.promised += gap.rows
            for span in gap.chains:
                if (chain := self._index.chains.get((span.run, here.chain.stream))) is not None:
                    chain.gone.add(span.first, span.last)

    def remove(self, segment: Segment) -> None:
        """Remove a segment; one that cannot be removed stays."""
        try:
            self._disk.remove(segment.name)
        except OSError as error:
            log.warning("segment stays: segment=%s error=%s", segment.name, error.strerror)
            return
        self._index.drop(segment)

    def eased(self, stream: Stream) -> None:
        """Note that the center has settled something: the next time the spool is full is news."""
        self._full.discard(stream)
