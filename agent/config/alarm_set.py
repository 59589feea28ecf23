"""All alarms of a node together: those of the files, what silences mean, and what comes with the probes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from agent.config.alarms import Channels, read_alarm
from agent.config.defaults import defaults, meant, silence
from agent.config.document import Node
from agent.config.finding import Findings
from agent.config.model import Alarm
from agent.config.muting import explanations, link


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What there is to watch.

    Attributes:
        channels: Of each sensor that is written or is a probe.
        usable: Sensors that will run.
        complete: False when a sensor that seems missing may stand in a file that could not be read.
    """

    channels: Channels
    usable: Collection[str]
    complete: bool


def read_alarms(
    written: Sequence[Node],
    sensors: Sequence[Node],
    sections: Mapping[str, Node | None],
    watched: Watched,
    findings: Findings,
) -> tuple[tuple[Alarm, ...], tuple[Alarm, ...]]:
    """Return the alarms of the files, and the defaults that they do not replace; a wrong one is noted and left out.

    Args:
        written: The sections of alarms.
        sensors: The sections of sensors.
        sections: ``[host]``, ``[hotspot]`` and ``[kiosk]``.
        watched: What there is to watch.
        findings: Where problems go.
    """
    nodes = {node.name: node for node in written}
    own = [read_alarm(node, watched.channels, findings, complete=watched.complete) for node in written]
    meanings = meant(_keys(sensors, "silent_means", watched), findings)
    for name in meanings.keys() & nodes.keys():
        _twice(nodes[name], name, meanings[name], findings)
    silences = [silence(name, each) for name, each in meanings.items() if name not in nodes]
    good = [alarm for alarm in own if alarm and alarm.sensor in watched.usable] + silences
    taken = {alarm.name for alarm in good}
    shipped = [alarm for alarm in defaults(sections, watched.channels, findings) if alarm.name not in taken]
    known = {*nodes, *meanings, *(alarm.name for alarm in shipped)}
    explained = explanations(_keys(sensors, "silent_when", watched), meanings, known, findings)
    alarms, rest = link(nodes, good, shipped, explained, findings)
    return tuple(alarms), tuple(rest)


def _keys(sensors: Sequence[Node], key: str, watched: Watched) -> dict[str, Node]:
    """Return a key of each sensor that will run and has it as text."""
    found = {node.name: node.table().get(key) for node in sensors if node.name in watched.usable}
    return {name: node for name, node in found.items() if node and isinstance(node.value, str) and node.value.strip()}


def _twice(node: Node, name: str, sensors: Sequence[str], findings: Findings) -> None:
    findings.error(
        node.file,
        node.key,
        f'silent_means of {" and ".join(sensors)} makes an alarm "{name}" too',
        given=node.path,
        allowed="one alarm of a name",
        cure=f'keep one: remove [{node.path}], or write silent_when = "{name}" there instead of silent_means',
    )
