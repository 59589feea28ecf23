"""Which alarm explains which: checks the names, adds what sensors say of their silence, refuses circles."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from agent.config.defaults import is_default, slug
from agent.config.document import Node
from agent.config.finding import Findings
from agent.config.model import Alarm
from agent.config.suggest import choice, near


def link(
    written: Mapping[str, Node],
    alarms: Sequence[Alarm],
    defaults: Sequence[Alarm],
    explained: Mapping[str, str],
    findings: Findings,
) -> tuple[list[Alarm], list[Alarm]]:
    """Return the alarms of the files and the defaults, each with all that explains it here.

    Args:
        written: The sections of alarms, by name.
        alarms: What came of them, and what silences mean.
        defaults: What came with the probes and is not replaced.
        explained: The alarm that explains the silence of a sensor, by sensor.
        findings: Where problems go.
    """
    known = sorted({alarm.name for alarm in (*alarms, *defaults)} | set(written))
    for name, node in written.items():
        _check_names(name, node, known, findings)
    found = [_with(alarm, explained, known) for alarm in (*alarms, *defaults)]
    good = list(_without_circles(found, written, findings))
    return [alarm for alarm in good if not alarm.is_default], [alarm for alarm in good if alarm.is_default]


def explanations(
    sensors: Mapping[str, Node], meanings: Mapping[str, Sequence[str]], known: Iterable[str], findings: Findings
) -> dict[str, str]:
    """Return the alarm that explains the silence of a sensor, by sensor.

    Args:
        sensors: The key ``silent_when`` of each sensor that has it.
        meanings: The sensors whose silence an alarm is about, by alarm.
        known: Names of all alarms.
        findings: Where problems go.
    """
    found = {sensor: name for name, each in meanings.items() for sensor in each}
    names = sorted(known)
    for sensor, node in sensors.items():
        name = slug(str(node.value))
        if name in names:
            found[sensor] = name
            continue
        guesses = near(name, names)
        findings.error(
            node.file,
            node.place,
            f'no alarm is called "{name or node.value}"',
            given=node.text,
            allowed=choice(names),
            cure=f"did you mean {choice(guesses)}?"
            if guesses
            else f"write silent_means = {node.text} at the sensor whose silence says so",
        )
    return found


def _check_names(name: str, node: Node, known: Sequence[str], findings: Findings) -> None:
    written = node.table().get("mute_when")
    for item in written.items() if written else ():
        if not isinstance(item.value, str) or not item.value:
            continue  # told by who read the section
        if item.value == name:
            findings.error(
                item.file,
                item.place,
                "an alarm cannot explain itself",
                given=item.text,
                cure="remove it from mute_when",
            )
        elif item.value not in known:
            _unknown(item, item.value, known, findings)


def _unknown(item: Node, name: str, known: Sequence[str], findings: Findings) -> None:
    if is_default(name):
        findings.warning(
            item.file,
            item.place,
            f'"{name}" comes with probes that this node does not have',
            given=item.text,
            cure="remove it, or leave it: it explains nothing here",
        )
        return
    guesses = near(name, known)
    findings.error(
        item.file,
        item.place,
        f'no alarm is called "{name}"',
        given=item.text,
        allowed=choice(known),
        cure=f"did you mean {choice(guesses)}?" if guesses else "take one of the alarms that there are",
    )


def _with(alarm: Alarm, explained: Mapping[str, str], known: Sequence[str]) -> Alarm:
    """Return the alarm with what explains the silence of its sensor; names of nothing here are left out."""
    names = dict.fromkeys(
        name for asked in alarm.mute_when for name in known if _matches(name, asked) and name != alarm.name
    )
    why = explained.get(alarm.sensor)
    if why is not None and why != alarm.name:
        names[why] = None
    return replace(alarm, mute_when=tuple(names))


def _matches(name: str, asked: str) -> bool:
    return name.startswith(asked[:-1]) if asked.endswith("*") else name == asked


def _without_circles(alarms: Sequence[Alarm], written: Mapping[str, Node], findings: Findings) -> Iterable[Alarm]:
    by_name = {alarm.name: alarm for alarm in alarms}
    for alarm in alarms:
        circle = _circle(alarm.name, by_name)
        node = written.get(alarm.name)
        key = node.table().get("mute_when") if node else None
        if not circle or key is None:
            yield replace(alarm, mute_when=()) if circle else alarm
            continue
        findings.error(
            key.file,
            key.place,
            "these alarms explain each other in a circle",
            given=" -> ".join(circle),
            allowed="what is explained explains nothing that explains it",
            cure=f'remove "{circle[1]}" from mute_when, or name the true cause only',
        )


def _circle(name: str, alarms: Mapping[str, Alarm]) -> list[str]:
    """Return the way from an alarm over what explains it back to itself; empty when there is none."""
    ways = [[name]]
    seen: set[str] = set()
    for way in ways:
        last = alarms.get(way[-1])
        for parent in last.mute_when if last else ():
            if parent == name:
                return [*way, name]
            if parent not in seen:
                seen.add(parent)
                ways.append([*way, parent])
    return []
