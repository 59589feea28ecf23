"""Recorded answers of a hotspot's daemons, and probes that read them."""

from pathlib import Path

from drivers.driver import Event, Problem
from drivers.probe import Moment, Probe
from drivers.reading import Reading

_FOLDER = Path(__file__).parents[2] / "vectors" / "hotspot"


def sample(name: str) -> bytes:
    """Return a recorded answer."""
    return (_FOLDER / name).read_bytes()


def at(second: float, utc_s: float | None = None) -> Moment:
    """Return a moment, in seconds since the start of the box."""
    return Moment(boot_ns=int(second * 1e9), utc_s=utc_s)


def values(events: list[Event]) -> dict[str, int | float | bool | str]:
    """Return the last value of each channel."""
    return {event.channel: event.value for event in events if isinstance(event, Reading)}


def problems(events: list[Event]) -> list[str]:
    """Return what went wrong."""
    return [event.detail for event in events if isinstance(event, Problem) and not event.ok]


def say(probe: Probe, source: str, raw: bytes, now: Moment | None = None) -> dict[str, int | float | bool | str]:
    """Give a probe an answer that it must understand; return the values it gives."""
    events = probe.answer(source, raw, now or at(0))
    assert problems(events) == []
    return values(events)
