"""Reads the alarm sections, each against the channel it watches."""

from collections.abc import Mapping

from agent.config.defaults import hours_of
from agent.config.document import Node
from agent.config.finding import Findings
from agent.config.model import Alarm, Level
from agent.config.section import HOST, NAME, Section, bad_name, quantity, wrong_kind
from agent.config.suggest import choice, near
from agent.rule import STATES
from drivers.driver import Channel
from drivers.quantity import QuantityError, example, parse
from drivers.reading import Quality

Channels = Mapping[str, Mapping[str, Channel] | None]
"""Channels by sensor; None for a sensor whose section is so wrong that they cannot be known."""


_STATE_AT = 0.5  # of a state there is no threshold


def read_alarm(node: Node, channels: Channels, findings: Findings, *, complete: bool) -> Alarm | None:
    """Read one alarm section; None when anything in it is wrong, or its sensor's section is.

    Args:
        node: The section.
        channels: What there is to watch.
        findings: Where problems go.
        complete: False when a sensor that seems missing may stand in a file that could not be read.
    """
    before = findings.errors
    section = Section("alarm.NAME", node, findings)
    sensor, channel = _watched(section, channels, findings, complete=complete)
    falling = section.flag("falling")
    states = _states(section, channel, findings)
    rise_within_s = _rise_within(section, channel, findings)
    if not {"levels", "is"} & (section.nodes.keys() | section.meant):
        cure = "add levels = ...: thresholds by name, from mild to severe; or is = ... where the channel is a state"
        findings.error(node.file, node.key, f'[{node.path}] lacks "levels"', cure=cure)
    if "is" in section.nodes:
        levels = _state_level(section, findings)
    else:
        levels = _levels(section, channel, findings, falling=falling, any_value=rise_within_s is not None)
    hysteresis = _hysteresis(section, channel, findings)
    unknown_is = section.optional_text("unknown_is")
    _check_unknown(section, unknown_is, levels, findings)
    accept = _accept(section, findings)
    mute_when = section.texts("mute_when") or ()
    hours = hours_of(section.nodes["hours"], findings) if "hours" in section.nodes else None
    for_s, hold_off_s = section.seconds("for"), section.seconds("hold_off")
    unknown_after_s = section.optional_seconds("unknown_after")
    if findings.errors != before or channel is None:
        return None
    return Alarm(
        name=node.name,
        sensor=sensor,
        channel=channel.name,
        unit=channel.unit,
        levels=levels,
        falling=falling,
        states=states,
        rise_within_s=rise_within_s,
        for_s=for_s,
        hysteresis=hysteresis,
        hold_off_s=hold_off_s,
        unknown_is=unknown_is,
        unknown_after_s=unknown_after_s,
        accept=accept,
        mute_when=mute_when,
        hours=hours,
    )


def _watched(section: Section, channels: Channels, findings: Findings, *, complete: bool) -> tuple[str, Channel | None]:
    watch = section.optional_text("watch")
    node = section.nodes.get("watch")
    if watch is None or node is None:
        return "", None
    sensor, slash, name = watch.partition("/")
    if not (slash and sensor and name) or "/" in name:
        findings.error(
            node.file,
            node.place,
            "this names no channel",
            given=node.text,
            allowed="sensor/channel",
            cure='write watch = "sensor/channel", with a name of a [sensor.NAME] section and one of its channels',
        )
        return "", None
    if sensor not in channels:
        if complete:
            _no_sensor(node, sensor, name, channels, findings)
        return sensor, None
    known = channels[sensor]
    if known is None:
        return sensor, None
    channel = known.get(name)
    if channel is None:
        guesses = near(name, known)
        findings.error(
            node.file,
            node.place,
            f'sensor "{sensor}" has no channel "{name}"',
            given=node.text,
            allowed=choice(known),
            cure=f"did you mean {choice(f'{sensor}/{guess}' for guess in guesses)}?"
            if guesses
            else f"watch one of its channels, such as {sensor}/{next(iter(known), '...')}",
        )
        return sensor, None
    return sensor, channel


def _no_sensor(node: Node, sensor: str, channel: str, channels: Channels, findings: Findings) -> None:
    guesses = near(sensor, channels)
    if sensor == HOST:
        cure = "write enabled = true below [host], or remove this alarm"
    elif guesses:
        cure = f"did you mean {choice(f'{guess}/{channel}' for guess in guesses)}?"
    else:
        cure = f"add [sensor.{sensor}], or watch one of the allowed sensors"
    findings.error(
        node.file,
        node.place,
        f'no sensor is called "{sensor}"',
        given=node.text,
        allowed=choice(sorted(channels)),
        cure=cure,
    )


def _states(section: Section, channel: Channel | None, findings: Findings) -> tuple[str | bool, ...]:
    """Return what raises an alarm of states."""
    node = section.nodes.get("is")
    if node is None:
        return ()
    values = tuple(item.value for item in node.items() or (node,))
    texts = tuple(value for value in values if isinstance(value, str) and value)
    truths = tuple(value for value in values if isinstance(value, bool))
    if len(texts) != len(values) and (len(truths), len(values)) != (1, 1):
        allowed = 'texts such as ["down", "captive"], or one of true and false'
        wrong_kind(node, allowed, 'write is = ["down"], or is = false', findings)
    elif truths and channel and channel.kind == "text":
        findings.error(
            node.file,
            node.place,
            f'"{channel.name}" is text, never true or false',
            given=node.text,
            allowed="a list of texts",
            cure='write is = ["..."] with the texts that are bad',
        )
    elif channel and channel.kind not in {"state", "text"}:
        findings.error(
            node.file,
            node.place,
            f'"{channel.name}" is a number, not a state',
            given=node.text,
            allowed="levels",
            cure=f'write levels = {{ warning = "{example(channel.unit)}" }} instead',
        )
    for name in ("levels", "falling", "hysteresis", "rise_within"):
        if (other := section.nodes.get(name)) is not None:
            findings.error(
                other.file,
                other.key,
                f'"{name}" means nothing beside "is"',
                given=name,
                allowed='"is" with "level", or "levels"',
                cure="remove one of the two",
            )
    return texts or truths


def _state_level(section: Section, findings: Findings) -> tuple[Level, ...]:
    node = section.nodes.get("level")
    name = "alarm" if node is None else section.name("level")
    if node is not None and name in STATES:
        _reserved(node, name, findings)
    return (Level(name=name, threshold=_STATE_AT),)


def _rise_within(section: Section, channel: Channel | None, findings: Findings) -> float | None:
    node = section.nodes.get("rise_within")
    if node is not None and channel and channel.kind != "counter":
        findings.error(
            node.file,
            node.key,
            f'"{channel.name}" is no counter',
            given=node.name,
            allowed="a channel that only counts up",
            cure="remove this line, or watch a counter: `gardu driver show` and `gardu probe list` name their kind",
        )
    return section.optional_seconds("rise_within")


def _reserved(node: Node, name: str, findings: Findings) -> None:
    findings.error(
        node.file,
        node.place if node.name == "level" else node.key,
        f'a level cannot be called "{name}"',
        given=name,
        allowed=f"any name but {choice(STATES)}",
        cure="give the level another name; every alarm has this state by itself",
    )


def _levels(
    section: Section, channel: Channel | None, findings: Findings, *, falling: bool, any_value: bool
) -> tuple[Level, ...]:
    if channel and channel.kind == "text":
        at = section.nodes.get("levels", section.nodes["watch"])
        findings.error(
            at.file,
            at.place,
            f'"{channel.name}" is text: no level can be passed',
            given=at.text,
            allowed='is = ["..."], with the texts that are bad',
            cure='write is = ["..."] and level = "warning" instead of levels',
        )
        return ()
    node = section.nodes.get("levels")
    if node is None:
        return ()
    unit = channel.unit if channel else _unit_of(node)
    sample = example(unit)
    if not isinstance(node.value, Mapping) or not node.value:
        form = f'{{ warning = "{sample}" }}'
        wrong_kind(node, f"levels by name, such as {form}", f"write levels = {form}", findings)
        return ()
    levels: list[Level] = []
    places: list[Node] = []
    for name, level in node.value.items():
        if not NAME.fullmatch(name):
            bad_name(level, name, level.key, findings)
            continue
        if name in STATES:
            _reserved(level, name, findings)
            continue
        threshold = quantity(level, unit, f'a quantity such as "{sample}"', findings)
        if threshold is not None:
            levels.append(Level(name=name, threshold=float(threshold)))
            places.append(level)
            if channel and not any_value:
                _warn_unreachable(level, float(threshold), channel, findings)
    for mild, severe, at, after in zip(levels, levels[1:], places[1:], places, strict=False):
        if (severe.threshold >= mild.threshold) if falling else (severe.threshold <= mild.threshold):
            order = "falls" if falling else "rises"
            findings.error(
                at.file,
                at.place,
                f'level "{severe.name}" is not beyond "{mild.name}"',
                given=f"{after.text}, then {at.text}",
                allowed=f"from mild to severe: the threshold {order} from level to level",
                cure="order the levels from mild to severe"
                + ("" if falling else "; where low values are bad add falling = true"),
            )
    return tuple(levels)


def _unit_of(levels: Node) -> str:
    """Return the unit of the first level, to compare the others with where the channel is not known."""
    for level in levels.table().values():
        if isinstance(level.value, str):
            try:
                return parse(level.value).unit or "1"
            except QuantityError:
                continue
    return "1"


def _warn_unreachable(node: Node, threshold: float, channel: Channel, findings: Findings) -> None:
    low, high = channel.low, channel.high
    if (low is not None and threshold < low) or (high is not None and threshold > high):
        ends = f"{'' if low is None else f'from {low:.10g} '}{'' if high is None else f'to {high:.10g} '}"
        findings.warning(
            node.file,
            node.place,
            f'level "{node.name}" lies outside what the sensor believes',
            given=node.text,
            allowed=f"{ends}{channel.unit}",
            cure='such readings are flagged: add accept = ["out_of_range"], or set a level inside',
        )


def _hysteresis(section: Section, channel: Channel | None, findings: Findings) -> float:
    node = section.nodes.get("hysteresis")
    if node is None or channel is None:
        return 0.0
    allowed = f'a quantity of 0 or more, such as "{example(channel.unit)}"'
    value = quantity(node, channel.unit, allowed, findings, span=True)
    if value is not None and value < 0:
        findings.error(
            node.file,
            node.place,
            "hysteresis is below 0",
            given=node.text,
            allowed=allowed,
            cure="write it without the minus",
        )
    return float(value or 0)


def _check_unknown(section: Section, unknown_is: str | None, levels: tuple[Level, ...], findings: Findings) -> None:
    written = section.nodes.get("levels")
    names = [*written.table()] if written else [level.name for level in levels]
    node = section.nodes.get("unknown_is")
    if unknown_is is None or node is None or not names or unknown_is in names:
        return
    guesses = near(unknown_is, names)
    findings.error(
        node.file,
        node.place,
        "unknown_is names no level",
        given=node.text,
        allowed=choice(names),
        cure=f"did you mean {choice(guesses)}?" if guesses else "write the name of one of the levels",
    )


def _accept(section: Section, findings: Findings) -> frozenset[Quality]:
    flags = {flag.value: flag for flag in Quality}
    node = section.nodes.get("accept")
    accepted = section.texts("accept") or ()
    for item in node.items() if node else ():
        if isinstance(item.value, str) and item.value and item.value not in flags:
            guesses = near(item.value, flags)
            findings.error(
                item.file,
                item.place,
                "no flag has this name",
                given=item.text,
                allowed=", ".join(flags),
                cure=f"did you mean {choice(guesses)}?" if guesses else "take one of the allowed flags",
            )
    return frozenset(flags[name] for name in accepted if name in flags)
