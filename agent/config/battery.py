"""Reads ``[power]``: when the last of a battery is spent on an orderly end."""

from collections.abc import Mapping

from agent.config.document import Node
from agent.config.finding import Findings
from agent.config.section import Section, quantity
from agent.config.suggest import choice
from agent.reserve import Limit
from drivers.driver import Channel

Channels = Mapping[str, Mapping[str, Channel] | None]
"""Channels by sensor; None for a sensor whose section is so wrong that they cannot be known."""


def read_battery(node: Node | None, channels: Channels, findings: Findings) -> Limit | None:
    """Read the section; None where nothing is to be watched, or anything in it is wrong.

    Args:
        node: The section; None where there is none.
        channels: What there is to watch, by sensor.
        findings: Where problems go.
    """
    if node is None:
        return None
    before = findings.errors
    section = Section("power", node, findings)
    watched = _channel(section, "watch", channels, findings)
    state = _channel(section, "and_on", channels, findings)
    below_node = section.nodes.get("shutdown_below")
    for key in ("watch", "shutdown_below"):
        if key not in section.nodes and section.nodes:
            cure = f"add {key} = ..., or take the section out"
            findings.error(node.file, node.key, f'[power] lacks "{key}"', cure=cure)
    if watched is not None and watched.kind not in {"gauge", "counter"}:
        _wrong(section.nodes["watch"], "this is no number", "a channel that is a number", findings)
    if state is not None and state.kind != "state":
        _wrong(section.nodes["and_on"], "this is never true or false", "a channel that is a state", findings)
    below = None
    if below_node is not None and watched is not None:
        below = quantity(below_node, watched.unit, f"a quantity in {watched.unit}", findings)
    if findings.errors != before or below is None or watched is None:
        return None
    return Limit(
        watch=section.text("watch"),
        below=float(below),
        unit=watched.unit,
        for_s=section.seconds("for"),
        and_on=section.optional_text("and_on") or "",
        not_before_s=section.seconds("not_before"),
    )


def _channel(section: Section, key: str, channels: Channels, findings: Findings) -> Channel | None:
    node = section.nodes.get(key)
    text = section.optional_text(key)
    if node is None or text is None:
        return None
    sensor, _, name = text.partition("/")
    known = channels.get(sensor) or {}
    found = known.get(name)
    if found is None:
        allowed = choice(f"{sensor}/{each}" for each in known) if known else "sensor/channel"
        _wrong(node, "this names no channel of this box", allowed, findings)
    return found


def _wrong(node: Node, what: str, allowed: str, findings: Findings) -> None:
    cure = 'name a channel of the UPS, such as watch = "ups/battery", and_on = "ups/on_battery"'
    findings.error(node.file, node.place, what, given=node.text, allowed=allowed, cure=cure)
