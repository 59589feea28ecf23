"""Reads what is believable of the channels of one sensor at its place."""

from collections.abc import Mapping
from dataclasses import replace

from agent.config.document import Node
from agent.config.finding import Findings
from agent.config.model import ChannelOverride
from agent.config.section import Section, quantity, wrong_kind
from agent.config.suggest import choice, near
from drivers.driver import Channel
from drivers.quantity import QuantityError, amount, example

_KEPT_EVERY_S = 900.0  # where the configuration names a change and no time

SENSOR, PROBE = "sensor.NAME.channel.CHANNEL", "probe.NAME.channel.CHANNEL"


def overridden(channel: Channel, said: ChannelOverride | None) -> Channel:
    """Return a channel as it is at this place."""
    if said is None:
        return channel
    every_s = said.at_least_every_s or channel.at_least_every_s
    return replace(
        channel,
        low=channel.low if said.low is None else said.low,
        high=channel.high if said.high is None else said.high,
        max_step_per_s=channel.max_step_per_s if said.max_step_per_s is None else said.max_step_per_s,
        stuck_after_s=channel.stuck_after_s if said.stuck_after_s is None else said.stuck_after_s,
        zero=channel.zero if said.zero is None else said.zero,
        change=channel.change if said.change is None else said.change,
        at_least_every_s=_KEPT_EVERY_S if every_s is None and said.change is not None else every_s,
    )


def read_overrides(
    entries: Mapping[str, Node], known: tuple[Channel, ...], findings: Findings, *, title: str = SENSOR
) -> dict[str, ChannelOverride]:
    """Return the overrides by channel; a wrong one is noted.

    Args:
        entries: The sections below ``[sensor.NAME.channel]``.
        known: The channels of the sensor; none where they cannot be known, which passes everything over.
        findings: Where problems go.
        title: Which section of `schema.SECTIONS` they are.
    """
    if not known:
        return {}
    return {name: _override(name, entry, known, findings, title) for name, entry in entries.items()}


def read_probes(
    entries: Mapping[str, Node], probes: Mapping[str, Mapping[str, Channel]], findings: Findings
) -> dict[str, dict[str, ChannelOverride]]:
    """Return what is said of the box's own probes, by sensor and channel; a wrong part is noted.

    Args:
        entries: The sections below ``[probe]``.
        probes: What the probes of this configuration give.
        findings: Where problems go.
    """
    found = {}
    for name, node in entries.items():
        section = Section("probe.NAME", node, findings)
        channels = probes.get(name)
        if channels is None:
            guesses = near(name, probes)
            findings.error(
                node.file,
                node.key,
                f'no probe of this box gives "{name}"',
                given=name,
                allowed=", ".join(probes),
                cure=f"did you mean {choice(guesses)}?" if guesses else "`gardu probe list` shows what they give",
            )
            continue
        found[name] = read_overrides(section.entries("channel"), tuple(channels.values()), findings, title=PROBE)
    return found


def _override(name: str, node: Node, known: tuple[Channel, ...], findings: Findings, title: str) -> ChannelOverride:
    channels = {channel.name: channel for channel in known}
    channel = channels.get(name)
    if channel is None:
        guesses = near(name, channels)
        findings.error(
            node.file,
            node.key,
            f'this sensor has no channel "{name}"',
            given=name,
            allowed=", ".join(channels),
            cure=f"did you mean {choice(guesses)}?" if guesses else "take one of the allowed channels",
        )
        return ChannelOverride()
    section = Section(title, node, findings)
    low, high = _range(section, channel, findings)
    zero = section.optional_text("zero")
    return ChannelOverride(
        low=low,
        high=high,
        max_step_per_s=_step(section, channel, findings),
        stuck_after_s=section.optional_seconds("stuck_after"),
        zero="suspect" if zero == "suspect" else "ok" if zero == "ok" else None,
        change=_change(section, channel, findings),
        at_least_every_s=section.optional_seconds("at_least_every"),
    )


def _range(section: Section, channel: Channel, findings: Findings) -> tuple[float | None, float | None]:
    node = section.nodes.get("range")
    if node is None:
        return None, None
    sample = example(channel.unit)
    allowed = f'two quantities such as "{sample}", the lower one first'
    if len(node.items()) != 2:  # noqa: PLR2004 - a low and a high end
        what = f'write range = ["{sample}", "{sample}"], the lower one first'
        if isinstance(node.value, tuple):
            findings.error(node.file, node.place, "a range has two ends", given=node.text, allowed=allowed, cure=what)
        else:
            wrong_kind(node, allowed, what, findings)
        return None, None
    first, second = node.items()
    low = quantity(first, channel.unit, allowed, findings)
    high = quantity(second, channel.unit, allowed, findings)
    if low is None or high is None:
        return None, None
    if low >= high:
        findings.error(
            node.file,
            node.place,
            "this range is upside down",
            given=node.text,
            allowed="the lower end first, and two different ends",
            cure=f"write range = [{second.text}, {first.text}]",
        )
        return None, None
    return float(low), float(high)


def _step(section: Section, channel: Channel, findings: Findings) -> float | None:
    node = section.nodes.get("max_step_per_s")
    if node is None:
        return None
    allowed = f'a quantity above 0, such as "{example(channel.unit)}"'
    if isinstance(node.value, str) and node.value.endswith("/s"):
        try:  # "0.1 m/s" says the same as "0.1 m" in a key that is per second
            value = amount(node.value.removesuffix("/s"), channel.unit, span=True)
        except QuantityError:
            value = None
    else:
        value = None
    if value is None:
        value = quantity(node, channel.unit, allowed, findings, span=True)
    if value is not None and value <= 0:
        findings.error(
            node.file,
            node.place,
            "a step is above 0",
            given=node.text,
            allowed=allowed,
            cure="write it above 0, or leave it out",
        )
        return None
    return None if value is None else float(value)


def _change(section: Section, channel: Channel, findings: Findings) -> float | None:
    node = section.nodes.get("change")
    if node is None:
        return None
    if channel.kind in {"state", "text"}:
        findings.error(
            node.file,
            node.key,
            f'"{channel.name}" is a state',
            given=f"change = {node.text}",
            allowed="at_least_every alone: another state is always kept",
            cure="remove this line",
        )
        return None
    allowed = f'a quantity from 0 up, such as "{example(channel.unit)}"; 0 keeps whatever differs'
    value = quantity(node, channel.unit, allowed, findings, span=True)
    if value is not None and value < 0:
        findings.error(
            node.file,
            node.place,
            "a change is 0 or more",
            given=node.text,
            allowed=allowed,
            cure="write it without minus",
        )
        return None
    return None if value is None else float(value)
