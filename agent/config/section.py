"""Reads the keys of one section and notes every one that is wrong, unknown or missing."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, time
from decimal import Decimal

from agent.config.document import Node
from agent.config.finding import Findings
from agent.config.places import Place
from agent.config.schema import SECTIONS, homes
from agent.config.suggest import choice, near
from drivers.quantity import QuantityError, amount, example

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
"""Names of city, node, sensor, channel, alarm and level."""
NAME_RULE = "a-z 0-9 _ -, starting with a letter or digit, at most 32"
"""`NAME`, in words."""
HOST = "host"
"""Sensor name of the probe of the node itself; no section may take it."""

_UNITS = {"time": "s", "size": "B", "share": "1"}
_NOUNS = {"time": "a time", "size": "a size", "share": "a share"}


class Section:
    """One section: its known keys are read by name, each with its kind; a bad one is noted and its default returned.

    Args:
        title: Name in `SECTIONS`, which lists its keys.
        node: The section; None when it is absent.
        findings: Where problems go.
        extra: Names of keys that are known besides those of the schema.
        required: False to pass over required keys that are missing.
    """

    def __init__(
        self,
        title: str,
        node: Node | None,
        findings: Findings,
        *,
        extra: Iterable[str] = (),
        required: bool = True,
    ) -> None:
        self._title = title
        self._keys = {key.name: key for key in SECTIONS[title]}
        self._findings = findings
        self.nodes: Mapping[str, Node] = {}
        self.meant: set[str] = set()  # keys an unknown one may have been; the one mistake is told once
        if node is None:
            return
        if not isinstance(node.value, Mapping):
            wrong_kind(node, "a section", f"write [{node.path}] and its keys below", findings)
            return
        self.nodes = node.value
        self._unknown({*self._keys, *extra})
        if required:
            self._missing(node)

    def _unknown(self, known: set[str]) -> None:
        for name, node in self.nodes.items():
            if name in known:
                continue
            guesses = near(name, known)
            elsewhere = [home for home in homes(name) if home != self._title]
            if guesses:
                self.meant.update(guesses)
                cure = f"did you mean {choice(guesses)}?"
            elif elsewhere:
                cure = _belongs(name, elsewhere)
            else:
                cure = "remove it, or take one of the allowed keys"
            self._findings.error(
                node.file, node.key, f'unknown key "{name}"', given=name, allowed=", ".join(sorted(known)), cure=cure
            )

    def _missing(self, node: Node) -> None:
        for key in self._keys.values():
            if not key.required or key.name in self.nodes or key.name in self.meant:
                continue
            if key.kind == "table":
                what, cure = f"the section [{key.name}] is missing", f"add [{key.name}]: {key.doc}"
            else:
                where = f"[{node.path}]" if node.path else "the file"
                what, cure = f'{where} lacks "{key.name}"', f"add {key.name} = ...: {key.doc}"
            self._findings.error(node.file, node.key, what, cure=cure)

    def name(self, name: str) -> str:
        """Return a name; empty when it is absent or bad."""
        node = self.nodes.get(name)
        if node is None:
            return ""
        if isinstance(node.value, str) and NAME.fullmatch(node.value):
            return node.value
        bad_name(node, node.text, node.place, self._findings)
        return ""

    def text(self, name: str) -> str:
        """Return a text or its default; empty when there is neither."""
        return self.optional_text(name) or ""

    def optional_text(self, name: str) -> str | None:
        """Return a text, its default, or None."""
        key = self._keys[name]
        default = key.default if isinstance(key.default, str) else None
        node = self.nodes.get(name)
        if node is None:
            return default
        if not isinstance(node.value, str):
            allowed = choice(key.choices) if key.choices else "text in quotes"
            wrong_kind(node, allowed, f'put it in quotes: {name} = "{node.text.strip()}"', self._findings)
            return default
        if not node.value.strip() or any(ord(letter) < ord(" ") for letter in node.value):
            self._refuse(node, f'"{name}" is empty or holds a control character', "one line of text", "write its text")
            return default
        if key.choices and node.value not in key.choices:
            guesses = near(node.value, key.choices)
            cure = f"did you mean {choice(guesses)}?" if guesses else f"write {choice(key.choices)}"
            self._refuse(node, f'"{name}" cannot be this', choice(key.choices), cure)
            return default
        return node.value

    def seconds(self, name: str) -> float:
        """Return a time in seconds, or its default."""
        return float(self._amount(name) or 0)

    def optional_seconds(self, name: str) -> float | None:
        """Return a time in seconds; None when it is absent or bad and has no default."""
        value = self._amount(name)
        return None if value is None else float(value)

    def size(self, name: str) -> int:
        """Return a size in bytes, or its default."""
        return int(self._amount(name) or 0)

    def optional_size(self, name: str) -> int | None:
        """Return a size in bytes; None when it is absent or bad and has no default."""
        value = self._amount(name)
        return None if value is None else int(value)

    def share(self, name: str) -> float:
        """Return a share of 1, or its default."""
        return float(self._amount(name) or 0)

    def _amount(self, name: str) -> Decimal | None:
        key = self._keys[name]
        unit = _UNITS[key.kind]
        default = amount(key.default, unit) if isinstance(key.default, str) else None
        node = self.nodes.get(name)
        if node is None:
            return default
        low, high = str(key.low), str(key.high)
        allowed = f"{_NOUNS[key.kind]} from {low} to {high}"
        value = quantity(node, unit, allowed, self._findings)
        if value is None:
            return default
        if not amount(low, unit) <= value <= amount(high, unit):
            bound = low if value < amount(low, unit) else high
            self._refuse(node, f'"{name}" is out of range', allowed, f'write "{bound}" or {_side(bound == low)}')
            return default
        if unit == "B" and value != int(value):
            self._refuse(node, f'"{name}" is no whole number of bytes', allowed, "write whole bytes")
            return default
        return value

    def integer(self, name: str) -> int:
        """Return a whole number or its default."""
        key = self._keys[name]
        low, high = int(key.low or 0), int(key.high or 0)
        default = key.default if isinstance(key.default, int) else low
        node = self.nodes.get(name)
        if node is None:
            return default
        allowed = f"a whole number from {low} to {high}"
        if not isinstance(node.value, int) or isinstance(node.value, bool):
            wrong_kind(
                node, allowed, f"write {name} = {default}, or another whole number, without quotes", self._findings
            )
            return default
        if not low <= node.value <= high:
            bound = low if node.value < low else high
            self._refuse(node, f'"{name}" is out of range', allowed, f"write {bound} or {_side(bound == low)}")
            return default
        return node.value

    def flag(self, name: str) -> bool:
        """Return true or false, or its default."""
        default = self._keys[name].default is True
        node = self.nodes.get(name)
        if node is None:
            return default
        if not isinstance(node.value, bool):
            wrong_kind(node, "true or false", f"write {name} = true or {name} = false, without quotes", self._findings)
            return default
        return node.value

    def texts(self, name: str) -> tuple[str, ...] | None:
        """Return a list of texts, its default, or None."""
        default = self._keys[name].default
        node = self.nodes.get(name)
        if node is None:
            return default if isinstance(default, tuple) else None
        if not isinstance(node.value, tuple):
            wrong_kind(node, "a list of texts", f'write {name} = ["...", "..."]', self._findings)
            return ()
        found: list[str] = []
        for item in node.items():
            if isinstance(item.value, str) and item.value:
                found.append(item.value)
            else:
                wrong_kind(item, "text in quotes", f'put it in quotes: "{item.text}"', self._findings)
        return tuple(found)

    def entries(self, name: str) -> Mapping[str, Node]:
        """Return the sections below a key, those with a bad name left out."""
        node = self.nodes.get(name)
        if node is None:
            return {}
        if not isinstance(node.value, Mapping):
            wrong_kind(node, f"sections such as [{node.path}.NAME]", f"write [{node.path}.NAME]", self._findings)
            return {}
        for entry in node.value.values():
            if not NAME.fullmatch(entry.name):
                bad_name(entry, entry.name, entry.key, self._findings)
        return {name: entry for name, entry in node.value.items() if NAME.fullmatch(name)}

    def _refuse(self, node: Node, what: str, allowed: str, cure: str) -> None:
        self._findings.error(node.file, node.place, what, given=node.text, allowed=allowed, cure=cure)


def wrong_kind(node: Node, allowed: str, cure: str, findings: Findings) -> None:
    """Note a value of the wrong kind."""
    given = node.text or kind_of(node)
    findings.error(node.file, node.place, f'"{node.name}" is {kind_of(node)}', given=given, allowed=allowed, cure=cure)


def kind_of(node: Node) -> str:
    """Return what kind of value a node holds, for messages."""
    match node.value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case date() | time():
            return "a date or time"
        case tuple():
            return "a list"
        case _:
            return "a section"


def bad_name(node: Node, given: str, place: Place, findings: Findings) -> None:
    """Note a name that breaks `NAME`."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", given.strip("\"'").lower()).strip("-_")[:32]
    cure = f'write "{plain}"' if NAME.fullmatch(plain) else "write a name such as kiosk-01"
    findings.error(node.file, place, f"{node.path} is no name", given=given, allowed=NAME_RULE, cure=cure)


def quantity(node: Node, unit: str, allowed: str, findings: Findings, *, span: bool = False) -> Decimal | None:
    """Return the number of ``unit`` in a value that is text with a unit; None after a finding.

    A bare number passes only where ``unit`` is 1. ``span`` as in `quantity.convert`.
    """
    value = node.value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(value, str) and not is_number:
        wrong_kind(node, allowed, f'write it as text with a unit: "{example(unit)}"', findings)
        return None
    written = value if isinstance(value, str) else node.text.replace("_", "")
    try:
        return amount(written, unit, span=span)
    except QuantityError as error:
        what = f'"{node.name}": {error.reason}'
        findings.error(node.file, node.place, what, given=node.text, allowed=allowed, cure=error.cure)
        return None


def _side(at_least: bool) -> str:  # noqa: FBT001 - read at its two calls only
    return "more" if at_least else "less"


def _belongs(name: str, sections: list[str]) -> str:
    if "" in sections:
        return f'"{name}" stands at the top of the file: move it above the first [section]'
    return f'"{name}" belongs to {" or ".join(f"[{section}]" for section in sections)}: move it there'
