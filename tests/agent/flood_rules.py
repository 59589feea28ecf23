"""The rule of a flood and readings of its river: time passes as in the daemon, with a tick at every deadline."""

from collections.abc import Iterable

from agent.alarm import Change
from agent.alarms import Alarms
from agent.rule import Rule
from drivers.reading import GOOD, Quality, Reading

SECOND = 1_000_000_000
Value = int | float | bool | str
SIAGA = (("siaga3", 2.5), ("siaga2", 3.0), ("siaga1", 3.5))


def reading(
    value: Value,
    at_s: float,
    *flags: Quality,
    sensor: str = "sungai",
    channel: str = "level",
    unit: str = "m",
) -> Reading:
    return Reading(
        sensor=sensor, channel=channel, value=value, unit=unit, boot_ns=round(at_s * SECOND), quality=frozenset(flags)
    )


def flood(
    *,
    for_s: float = 10.0,
    hysteresis: float = 0.05,
    hold_off_s: float = 0.0,
    unknown_is: str | None = None,
    accept: frozenset[Quality] = GOOD,
    unknown_after_s: float | None = None,
    levels: tuple[tuple[str, float], ...] = SIAGA,
) -> Rule:
    return Rule(
        name="banjir",
        sensor="sungai",
        channel="level",
        unit="m",
        levels=levels,
        for_s=for_s,
        hysteresis=hysteresis,
        hold_off_s=hold_off_s,
        unknown_is=unknown_is,
        accept=accept,
        unknown_after_s=unknown_after_s,
    )


def feed(alarms: Alarms, *given_readings: Reading) -> list[Change]:
    """Let time pass as the agent does: tick at every deadline, then take the reading."""
    changes: list[Change] = []
    for each in given_readings:
        changes += pass_time(alarms, each.boot_ns / SECOND)
        changes += alarms.take(each)
    return changes


def pass_time(alarms: Alarms, until_s: float) -> list[Change]:
    changes: list[Change] = []
    while (due := alarms.deadline()) is not None and due <= until_s * SECOND:
        changes += alarms.tick(due)
    return changes


def held(value: Value, from_s: int, to_s: int, *flags: Quality) -> list[Reading]:
    """The value once a second, both ends included."""
    return [reading(value, at_s, *flags) for at_s in range(from_s, to_s + 1)]


def told(changes: Iterable[Change]) -> list[tuple[str, float]]:
    return [(change.state, change.boot_ns / SECOND) for change in changes]
