"""TOML files to one tree in which every value knows where it stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time

import tomli

from agent.config.finding import Findings
from agent.config.places import Mark, Path, Place, find

_Plain = str | int | float | bool | date | time
_Tree = _Plain | list["_Tree"] | dict[str, "_Tree"]

SIZE_LIMIT_BYTES = 262_144
"""Longest file that is read: a configuration is a few KiB, anything longer is the wrong file."""

_MANY = ("sensor", "probe", "alarm")  # tables whose entries may be spread over files
_TOP = Place(line=1, column=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One key and its value, with their places.

    Attributes:
        file: The file it stands in.
        name: The last part of its key; for an item of an array, its index.
        path: All of its key, with dots.
        key: Where the key stands.
        place: Where the value begins.
        text: The value as written; empty for a table made by a header or by dotted keys.
        value: The value, a mapping of keys, or a tuple of items.
    """

    file: str
    name: str
    path: str
    key: Place
    place: Place
    text: str
    value: "_Plain | Mapping[str, Node] | tuple[Node, ...]"

    def table(self) -> "Mapping[str, Node]":
        """Return its keys; none when it is not a table."""
        return self.value if isinstance(self.value, Mapping) else {}

    def items(self) -> "tuple[Node, ...]":
        """Return its items; none when it is not an array."""
        return self.value if isinstance(self.value, tuple) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """All files as one.

    Attributes:
        keys: Top-level keys and sections.
        complete: False when a file could not be read as TOML, so that what seems missing may stand there.
        first: Name of the first file.
        doubled: Number of sensors and alarms that stand in a second file; only the first of each counts.
    """

    keys: Mapping[str, Node]
    complete: bool
    first: str
    doubled: int


def read(files: Sequence[tuple[str, bytes]], findings: Findings) -> Document:
    """Read files, in their order, into one document.

    A file that is not TOML gives one finding, its first, and is left out. A section or a top-level key that stands in
    two files is a problem; the first one counts.
    """
    merged: dict[str, Node] = {}
    complete = True
    doubled = 0
    for file, data in files:
        root = _parse(file, data, findings)
        if root is None:
            complete = False
            continue
        for name, node in root.items():
            known = merged.get(name)
            if known is None:
                merged[name] = node
            elif name in _MANY and isinstance(node.value, Mapping) and isinstance(known.value, Mapping):
                before = findings.errors
                merged[name] = _join(known, node, findings)
                doubled += findings.errors - before
            else:
                _refuse_twice(known, node, findings)
    return Document(keys=merged, complete=complete, first=files[0][0] if files else "agent.toml", doubled=doubled)


def _join(known: Node, added: Node, findings: Findings) -> Node:
    entries = dict(known.table())
    for name, node in added.table().items():
        if name in entries:
            _refuse_twice(entries[name], node, findings)
        else:
            entries[name] = node
    return Node(
        file=known.file,
        name=known.name,
        path=known.path,
        key=known.key,
        place=known.place,
        text=known.text,
        value=entries,
    )


def _refuse_twice(first: Node, second: Node, findings: Findings) -> None:
    what = f"[{second.path}]" if isinstance(second.value, Mapping) else second.path
    findings.error(
        second.file,
        second.key,
        f"{what} stands in two files",
        given=f"here and at {first.file}:{first.key.line}:{first.key.column}",
        allowed="one place",
        cure=f"keep one of the two; the one in {first.file} counts until then",
    )


def _parse(file: str, data: bytes, findings: Findings) -> Mapping[str, Node] | None:
    """Return the top-level nodes of one file; None after a finding."""
    if len(data) > SIZE_LIMIT_BYTES:
        findings.error(
            file,
            _TOP,
            "the file is too long for a configuration",
            given=f"{len(data)} B",
            allowed=f"at most {SIZE_LIMIT_BYTES} B",
            cure="check that this is the right file; spread a long one over conf.d/*.toml",
        )
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        findings.error(
            file,
            _place_of_byte(data, error.start),
            "the file is not UTF-8 text",
            given=f"byte 0x{data[error.start]:02x}",
            allowed="UTF-8",
            cure="save the file as UTF-8, or type the character again",
        )
        return None
    try:
        tree: dict[str, _Tree] = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        findings.error(
            file,
            Place(line=error.lineno, column=error.colno),
            f"this is not TOML: {error.msg[:1].lower()}{error.msg[1:]}",
            given=_line(text, error.lineno),
            cure=_syntax_cure(error.msg, _line(text, error.lineno)),
        )
        return None
    except RecursionError:
        findings.error(file, _TOP, "values are nested too deeply", cure="nest tables and arrays at most a few levels")
        return None
    marks = find(text)
    return {name: _node(file, (name,), value, marks) for name, value in tree.items()}


def _node(file: str, path: Path, tree: _Tree, marks: Mapping[Path, Mark]) -> Node:
    mark = marks[path]
    value: _Plain | Mapping[str, Node] | tuple[Node, ...]
    if isinstance(tree, dict):
        value = {name: _node(file, (*path, name), inner, marks) for name, inner in tree.items()}
    elif isinstance(tree, list):
        value = tuple(_node(file, (*path, index), inner, marks) for index, inner in enumerate(tree))
    else:
        value = tree
    return Node(
        file=file,
        name=str(path[-1]),
        path=".".join(str(part) for part in path),
        key=mark.key,
        place=mark.value,
        text=mark.text,
        value=value,
    )


def _place_of_byte(data: bytes, at: int) -> Place:
    before = data[:at].decode("utf-8-sig")
    return Place(line=before.count("\n") + 1, column=len(before) - (before.rfind("\n") + 1) + 1)


def _line(text: str, number: int) -> str:
    lines = text.split("\n")
    return lines[number - 1].strip()


_SYNTAX_CURES: tuple[tuple[str, str], ...] = (
    ("Cannot declare", "a section may stand once: move its keys under the first one"),
    ("Cannot overwrite", "a key may stand once: remove one of the two"),
    ("Cannot redefine", "a section may stand once: move its keys under the first one"),
    ("Cannot mutate", "a table written in braces is complete: put the key inside them"),
    ("Duplicate inline", "a key may stand once: remove one of the two"),
    ("Expected '='", 'write key = value, such as port = "usb:1-1.2"'),
    ("Expected ']'", "close the section's name with ]"),
    ("Unclosed", "put a comma between the parts and close the bracket"),
    ("Unescaped", "in double quotes a backslash is written twice; single quotes take it as it is"),
    ("Unterminated", "close the quotes"),
    ("Illegal character", "close the quotes on the same line"),
    ("Invalid initial character for a key", "start the key with a letter, a digit, - or _"),
    ("Invalid statement", "write key = value, [section] or # comment"),
)


def _syntax_cure(message: str, line: str) -> str:
    for begin, cure in _SYNTAX_CURES:
        if message.startswith(begin):
            return cure
    if "=" in line:
        name, _, value = line.partition("=")
        words = value.split("#")[0].strip()
        if words and not any(mark in words for mark in "\"'[{"):
            return f'put text in quotes: {name.strip()} = "{words}"'
    return "one key = value stands on a line; text stands in quotes"
