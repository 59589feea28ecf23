"""Reads the sections whose keys the probes of the node declare: ``[host]``, ``[hotspot]``, ``[kiosk]``."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from agent.config.document import Node
from agent.config.finding import Findings
from agent.config.section import Section
from drivers.driver import Channel, DriverInfo
from drivers.errors import OptionError
from drivers.host.settings import HostSettings
from drivers.hotspot.settings import HotspotSettings
from drivers.kiosk.settings import KioskSettings
from drivers.probes import KINDS, ProbeKind, Settings, make
from drivers.setting import Setting, SettingKind, Value, settings_of

Given = TypeVar("Given", HostSettings, HotspotSettings, KioskSettings)

_CLASSES = {"host": HostSettings, "hotspot": HotspotSettings, "kiosk": KioskSettings}
_FORMS: dict[SettingKind, tuple[re.Pattern[str], str, str]] = {
    "text": (re.compile(r".*"), "text", "write its text"),
    "path": (re.compile(r"/.*"), "a path from /", "write the whole path, starting with /"),
    "url": (re.compile(r"https?://[^/\s]+\S*"), "http:// or https:// and a host", "write it like http://host/page"),
    "endpoint": (
        re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?"),
        "host or host:port",
        "write it like 127.0.0.1 or radius.example:1812",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipped:
    """A probe that this configuration starts.

    Attributes:
        kind: Where it stands in the code.
        settings: What it asks.
        info: What it delivers.
        sensor: Name its readings carry; several probes may share it.
    """

    kind: ProbeKind
    settings: Settings
    info: DriverInfo
    sensor: str


def equip(sections: Sequence[Settings | None]) -> tuple[Equipped, ...]:
    """Return the probes of the sections that are there."""
    return tuple(_equip(sections))


def _equip(sections: Sequence[Settings | None]) -> Iterator[Equipped]:
    for kind in KINDS:
        for settings in sections:
            if settings and isinstance(settings, _CLASSES[kind.section]) and kind.serves(settings):
                probe = make(kind, settings)
                yield Equipped(kind=kind, settings=settings, info=probe.info, sensor=probe.sensor)


def channels_of(equipped: Sequence[Equipped]) -> dict[str, Mapping[str, Channel]]:
    """Return what the probes deliver, by sensor and channel."""
    found: dict[str, dict[str, Channel]] = {}
    for one in equipped:
        found.setdefault(one.sensor, {}).update({channel.name: channel for channel in one.info.channels})
    return dict(found)


def read_settings(section: Section, default: Given, findings: Findings) -> Given:
    """Read what a section says of its probes; a wrong value is noted and its default stays.

    Args:
        section: The section.
        default: Settings where nobody wrote anything.
        findings: Where problems go.
    """
    found: dict[str, Value] = {}
    for key in settings_of(type(default)):
        if key.name in section.nodes:
            found[key.name] = _value(section, key)
            _check(section.nodes[key.name], key, findings)
    given = replace(default, **found)  # type: ignore[arg-type]  # each of the type of its default
    return _refused(section, default, given, findings)


def _refused(section: Section, default: Given, given: Given, findings: Findings) -> Given:
    """Let each probe look at its settings; what one cannot take is noted and its default stays."""
    for kind in KINDS:
        try:
            if isinstance(given, _CLASSES[kind.section]) and kind.serves(given):
                make(kind, given)
        except OptionError as error:
            node = section.nodes[error.option]
            usual = getattr(default, error.option)
            given = replace(given, **{error.option: usual})
            findings.error(
                node.file,
                node.place,
                f'"{error.option}" cannot be this',
                given=node.text,
                allowed=error.reason,
                cure="correct it, or take the line out",
            )
    return given


def _value(section: Section, key: Setting) -> Value:
    match key.default:
        case bool():
            return section.flag(key.name)
        case int():
            return section.integer(key.name)
        case str():
            return section.text(key.name)
        case _:
            return section.texts(key.name) or ()


def _check(node: Node, key: Setting, findings: Findings) -> None:
    form, allowed, cure = _FORMS[key.kind]
    for item in node.items() if isinstance(key.default, tuple) else (node,):
        if isinstance(item.value, str) and item.value and not form.fullmatch(item.value):
            findings.error(
                item.file, item.place, f'"{key.name}" cannot be this', given=item.text, allowed=allowed, cure=cure
            )
