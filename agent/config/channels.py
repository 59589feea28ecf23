"""Reads what is believable of the channels of one sensor at its place."""

from collections.abc import Mapping

from agent.config.document import Node
from agent.config.finding import Findings
from agent.config.model import ChannelOverride
from agent.config.section import Section, quantity, wrong_kind
from agent.config.suggest import choice, near
from drivers.driver import Channel
from drivers.quantity import QuantityError, amount, example


def read_overrides(
    entries: Mapping[str, Node], known: tuple[Channel, ...], findings: Findings
) -> dict[str, ChannelOverride]:
    """Return the overrides by channel; a wrong one is noted.

    Args:
        entries: The sections below ``[sensor.NAME.channel]``.
        known: The channels of the sensor; none where they cannot be known, which passes everything over.
        findings: Where problems go.
    """
    if not known:
        return {}
    return {name: _override(name, entry, known, findings) for name, entry in entries.items()}


def _override(name: str, node: Node, known: tuple[Channel, ...], findings: Findings) -> ChannelOverride:
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
    section = Section("sensor.NAME.channel.CHANNEL", node, findings)
    low, high = _range(section, channel, findings)
    zero = section.optional_text("zero")
    return ChannelOverride(
        low=low,
        high=high,
        max_step_per_s=_step(section, channel, findings),
        stuck_after_s=section.optional_seconds("stuck_after"),
        zero="suspect" if zero == "suspect" else "ok" if zero == "ok" else None,
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
