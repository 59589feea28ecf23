"""Changes keys of one sensor in a TOML file and leaves every other byte as it is: comments, order, line ends."""

from collections.abc import Mapping

import tomli

from agent.config.document import Node, read
from agent.config.finding import Findings
from agent.config.places import Place
from agent.errors import ConfigError

_BOM = "\ufeff"


class EditError(ConfigError):
    """A key cannot be changed in place; the text says what a person has to do."""


def change(data: bytes, sensor: str, keys: Mapping[str, str | None]) -> bytes:
    """Return a file in which keys of a sensor's section say something else.

    Args:
        data: The file, which `gardu check` reads as TOML.
        sensor: Its section stands in this file.
        keys: TOML text of the new value by key; None takes the key and its line away.

    Raises:
        EditError: A key stands in a section of its own, or the result would change anything else.
    """
    for key, value in keys.items():
        changed = _change(data, sensor, key, value)
        if _tree(changed) != _wanted(_tree(data), sensor, key, value):
            raise EditError(f"{key} of sensor {sensor} cannot be changed in place; write it by hand")
        data = changed
    return data


def basic(text: str) -> str:
    """Return a text as TOML writes it, in double quotes. It must hold no control character."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _change(data: bytes, sensor: str, key: str, value: str | None) -> bytes:
    section = _section(data, sensor)
    text = data.decode()
    bom, text = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    node = section.table().get(key)
    if node is None:
        text = text if value is None else _add(text, section, key, value)
    elif not node.text:
        raise EditError(f"[{node.path}] is a section of its own at line {node.key.line}; change it by hand")
    elif value is None:
        text = _remove(text, section, node)
    else:
        begin, end = _span(text, node)
        text = f"{text[:begin]}{value}{text[end:]}"
    return f"{bom}{text}".encode()


def _section(data: bytes, sensor: str) -> Node:
    document = read([("", data)], Findings())
    sensors = document.keys.get("sensor")
    section = None if sensors is None else sensors.table().get(sensor)
    if section is None or "driver" not in section.table():
        raise EditError(f"[sensor.{sensor}] with its driver is not in this file")
    return section


def _add(text: str, section: Node, key: str, value: str) -> str:
    """Put a key behind the last one of its section, written the way that one is."""
    last = max((node for node in section.table().values() if node.text), key=lambda node: node.place)
    begin, end = _line(text, last)
    if section.text:
        _, end = _span(text, last)
        return f"{text[:end]}, {key} = {value}{text[end:]}"
    prefix = text[begin : _offset(text, last.key)]
    if not text[:end].endswith("\n"):
        return f"{text}\n{prefix}{key} = {value}\n"
    line_end = "\r\n" if text[:end].endswith("\r\n") else "\n"
    return f"{text[:end]}{prefix}{key} = {value}{line_end}{text[end:]}"


def _remove(text: str, section: Node, node: Node) -> str:
    if not section.text:
        begin, end = _line(text, node)
        return text[:begin] + text[end:]
    begin, (_, end) = _offset(text, node.key), _span(text, node)
    behind = text[end:].lstrip(" \t")
    if behind.startswith(","):
        return text[:begin] + behind[1:].lstrip(" \t")
    before = text[:begin].rstrip(" \t")
    return before.removesuffix(",") + text[end:]


def _line(text: str, node: Node) -> tuple[int, int]:
    """Return where the lines of a key and its value begin and end."""
    _, end = _span(text, node)
    newline = text.find("\n", end)
    return _offset(text, Place(line=node.key.line, column=1)), len(text) if newline < 0 else newline + 1


def _span(text: str, node: Node) -> tuple[int, int]:
    """Return where a value begins and ends; places and texts of nodes know only plain line ends."""
    begin = end = _offset(text, node.place)
    for letter in node.text:
        end += 2 if letter == "\n" and text[end] == "\r" else 1
    return begin, end


def _offset(text: str, place: Place) -> int:
    lines = text.split("\n")
    return sum(len(line) + 1 for line in lines[: place.line - 1]) + place.column - 1


def _tree(data: bytes) -> dict[str, object]:
    try:
        return tomli.loads(data.decode("utf-8-sig"))
    except tomli.TOMLDecodeError as error:
        raise EditError(f"the changed file would be no TOML: {error}") from error


def _wanted(tree: dict[str, object], sensor: str, key: str, value: str | None) -> dict[str, object]:
    """Return a tree with one key changed."""
    sensors = tree["sensor"]
    section = sensors[sensor] if isinstance(sensors, dict) else {}
    changed = {name: old for name, old in section.items() if name != key}
    if value is not None:
        changed[key] = tomli.loads(f"value = {value}")["value"]
    return {**tree, "sensor": {**(sensors if isinstance(sensors, dict) else {}), sensor: changed}}
