"""Which of the alarms that come with the probes this node has: those whose channel is there and nobody took out."""

import re
from collections.abc import Iterator, Mapping

from agent.config.catalogue import MAY_LACK, Default
from agent.config.catalogue_hotspot import DEFAULTS
from agent.config.document import Node
from agent.config.finding import Findings
from agent.config.model import Alarm, Level
from agent.config.section import NAME, NAME_RULE, wrong_kind
from agent.config.suggest import choice, near
from agent.rule import Hours
from drivers.driver import Channel

Watchable = Mapping[str, Mapping[str, Channel] | None]

_HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-4]):([0-5]\d)")
_DAY_MIN = 1440
ALL = frozenset(rule.name for rule in DEFAULTS)
"""Names of all of them; one that ends in ``*`` stands for many."""


def hours_of(node: Node, findings: Findings) -> Hours | None:
    """Read hours such as ``08:00-21:00``; None after a finding."""
    found = _HOURS.fullmatch(node.value) if isinstance(node.value, str) else None
    if found is not None:
        first, last = (60 * int(found[at]) + int(found[at + 1]) for at in (1, 3))
        if last <= _DAY_MIN:
            return Hours(from_min=first, to_min=last % _DAY_MIN)
    findings.error(
        node.file,
        node.place,
        f'"{node.name}" is no part of a day',
        given=node.text,
        allowed="HH:MM-HH:MM in local time; it may pass midnight",
        cure=f'write {node.name} = "08:00-21:00"',
    )
    return None


def defaults(sections: Mapping[str, Node | None], channels: Watchable, findings: Findings) -> tuple[Alarm, ...]:
    """Return the alarms that come with what there is to watch.

    Args:
        sections: ``[host]``, ``[hotspot]`` and ``[kiosk]``: what they take out, and when the place is open.
        channels: What there is to watch.
        findings: Where problems go.
    """
    out = {name for section, node in sections.items() for name in _without(section, node, findings)}
    hotspot = sections.get("hotspot")
    written = hotspot.table().get("open_hours") if hotspot else None
    hours = hours_of(written, findings) if written else None
    found: dict[str, Alarm] = {}
    for rule in DEFAULTS:
        for alarm in _bind(rule, channels, hours):
            found.setdefault(alarm.name, alarm)  # one unit may serve hotspot and kiosk
    return tuple(alarm for alarm in found.values() if alarm.name not in out)


def is_default(name: str) -> bool:
    """Tell whether a node somewhere may have a default alarm of this name."""
    return name in ALL or any(each.endswith("*") and name.startswith(each[:-1]) for each in ALL)


def _bind(rule: Default, channels: Watchable, hours: Hours | None) -> Iterator[Alarm]:
    """Give the rule for each channel it watches here."""
    if rule.in_open_hours and hours is None:
        return
    sensor, _, wanted = rule.watch.partition("/")
    many = wanted.endswith("*")
    for name, channel in (channels.get(sensor) or {}).items():
        if name == wanted or (many and name.startswith(wanted[:-1])):
            rest = name[len(wanted) - 1 :] if many else ""
            yield _alarm(rule, rule.name.rstrip("*") + rest, sensor, channel, hours)


def _alarm(rule: Default, name: str, sensor: str, channel: Channel, hours: Hours | None) -> Alarm:
    return Alarm(
        name=name,
        sensor=sensor,
        channel=channel.name,
        unit=channel.unit,
        levels=tuple(Level(name=level, threshold=float(threshold)) for level, threshold in rule.levels),
        falling=rule.falling,
        states=rule.states,
        rise_within_s=rule.rise_within_s,
        for_s=rule.for_s,
        hysteresis=rule.back,
        hold_off_s=rule.hold_off_s,
        mute_when=rule.mute_when,
        hours=hours if rule.in_open_hours else None,
        is_default=True,
        may_lack=f"{sensor}/{channel.name}" in MAY_LACK,
    )


def _without(section: str, node: Node | None, findings: Findings) -> Iterator[str]:
    written = node.table().get("without") if node else None
    names = [rule.name for rule in DEFAULTS if rule.section == section]
    if written and not isinstance(written.value, tuple):
        wrong_kind(written, "a list of names", f'write without = ["{names[-1]}"]', findings)
    for item in written.items() if written else ():
        if not isinstance(item.value, str):
            wrong_kind(item, "text in quotes", f'put it in quotes: "{item.text}"', findings)
        elif item.value in names or any(each.endswith("*") and item.value.startswith(each[:-1]) for each in names):
            yield item.value
        else:
            guesses = near(item.value, names)
            findings.error(
                item.file,
                item.place,
                f"no alarm that comes with [{section}] has this name",
                given=item.text,
                allowed=", ".join(names),
                cure=f"did you mean {choice(guesses)}?" if guesses else "take one of the allowed names",
            )


def slug(text: str) -> str:
    """Return the alarm's name that words stand for: ``mains lost`` is ``mains-lost``; empty where there is none."""
    plain = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-_")
    return plain if NAME.fullmatch(plain) else ""


def meant(sensors: Mapping[str, Node], findings: Findings) -> dict[str, tuple[str, ...]]:
    """Return the alarms that silence means, each with the sensors that mean it.

    Args:
        sensors: The key ``silent_means`` of each sensor that has it.
        findings: Where problems go.
    """
    found: dict[str, tuple[str, ...]] = {}
    for sensor, node in sensors.items():
        name = slug(str(node.value))
        if name:
            found[name] = (*found.get(name, ()), sensor)
        else:
            findings.error(
                node.file,
                node.place,
                "no name of an alarm can be made of this",
                given=node.text,
                allowed=f"words of {NAME_RULE}",
                cure='say it in a few plain words: silent_means = "mains lost"',
            )
    return found


def silence(name: str, sensors: tuple[str, ...]) -> Alarm:
    """Return the alarm that the silence of sensors means."""
    return Alarm(
        name=name,
        sensor=sensors[0],
        channel="",
        unit="1",
        levels=(Level(name="alarm", threshold=1.0),),
        silence_of=sensors,
        for_s=0.0,
    )
