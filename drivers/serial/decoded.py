"""What `decode` finds in frames: readings, and in words what was no reading and why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from drivers.driver import Channel
from drivers.reading import NOT_MEASURED, Quality, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Answer to `decode`.

    Attributes:
        readings: In the order of the frames.
        reasons: Why frames or parts of them gave no reading.
        notes: What else a person should know, e.g. that a frame can mean two things.
    """

    readings: tuple[Reading, ...] = ()
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def within_range(readings: Sequence[Reading], channels: Sequence[Channel]) -> tuple[Reading, ...]:
    """Flag measured values outside the believable range of their channel."""
    known = {channel.name: channel for channel in channels}
    return tuple(_flagged(reading, known.get(reading.channel)) for reading in readings)


def _flagged(reading: Reading, channel: Channel | None) -> Reading:
    value = reading.value
    if channel is None or isinstance(value, bool | str) or not NOT_MEASURED.isdisjoint(reading.quality):
        return reading
    low_fits = channel.low is None or value >= channel.low
    high_fits = channel.high is None or value <= channel.high
    if low_fits and high_fits:
        return reading
    return replace(reading, quality=reading.quality | {Quality.OUT_OF_RANGE})
