"""Rules and readings for tests of alarms: time passes as in the daemon, with a tick at every deadline."""

from collections.abc import Iterable

from agent.alarm import Change
from agent.alarms import Alarms
from agent.rule import Rule
from drivers.reading import Quality, Reading

SECOND = 1_000_000_000
Value = int | float | bool | str


def reading(path: str, value: Value, at_s: float, *flags: Quality, unit: str = "1") -> Reading:
    """Return a reading of ``sensor/channel``."""
    sensor, _, channel = path.partition("/")
    return Reading(
        sensor=sensor, channel=channel, value=value, unit=unit, boot_ns=round(at_s * SECOND), quality=frozenset(flags)
    )


def state_rule(name: str, path: str, *, bad: tuple[str | bool, ...] = (False,), **more: object) -> Rule:
    """Return a rule of states that decides at once."""
    sensor, _, channel = path.partition("/")
    given: dict[str, object] = {"for_s": 0.0, **more}
    return Rule(
        name=name,
        sensor=sensor,
        channel=channel,
        unit="1",
        levels=(("alarm", 0.5),),
        states=bad,
        **given,  # type: ignore[arg-type]  # each as its field wants it
    )


def pass_time(alarms: Alarms, until_s: float) -> list[Change]:
    """Tick at every deadline up to a moment."""
    changes: list[Change] = []
    while (due := alarms.deadline()) is not None and due <= until_s * SECOND:
        changes += alarms.tick(due)
    return changes


def feed(alarms: Alarms, *readings: Reading) -> list[Change]:
    """Give readings in their order of time."""
    changes: list[Change] = []
    for each in readings:
        changes += pass_time(alarms, each.boot_ns / SECOND)
        changes += alarms.take(each)
    return changes


def told(changes: Iterable[Change]) -> list[tuple[str, str, float]]:
    """Return alarm, state and moment of each change."""
    return [(change.alarm, change.state, change.boot_ns / SECOND) for change in changes]
